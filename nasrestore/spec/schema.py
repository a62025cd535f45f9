"""Frozen dataclasses as the schema of YAML: one declaration reads, checks and documents.

    @spec_class
    class LinkSpec(Located):
        '''Links between two sets of nodes.'''

        source: str = entry(key="from", doc="where they start")
        direction: Literal["up", "down", "any"] = entry("any", doc="towards which resolution")
        keep: Value | None = entry(None, least=0, doc="how many stay")

``read(tree, LinkSpec)`` gives an instance, or all that is wrong with the tree at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

from nasrestore.errors import NasRestoreError, SpecError, SpecErrors, raise_all
from nasrestore.registry import did_you_mean
from nasrestore.spec.expression import Expression
from nasrestore.spec.leaf import Bounds, Leaf, MismatchError, Nested, Value, leaves
from nasrestore.spec.tree import Tree, child_path, shown

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:  # in typing since Python 3.11, and of use to type checkers alone

    def dataclass_transform(**_):
        return lambda decorator: decorator


__all__ = ["Located", "Reader", "Value", "entry", "plain", "read", "spec_class"]

T = TypeVar("T")

_NAME = re.compile(r"[a-z_][a-z0-9_]*", re.ASCII | re.IGNORECASE)
_FAILED: Any = object()
_UNBOUNDED = Bounds()


def entry(
    default: Any = MISSING,
    *,
    default_factory: Any = MISSING,
    key: str | None = None,
    doc: str = "",
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    read: Callable[[Tree], Any] | None = None,
    schema: Mapping[str, Any] | None = None,
    names: bool = False,
) -> Any:
    """A field of a :func:`spec_class`, required where it has no default.

    Args:
        default: its value where the key is absent.
        default_factory: makes the default; ``dict`` for a field that is a located dataclass means
            an empty mapping, read as such.
        key: its key in YAML, if not the field's own name.
        doc: one line for users.
        least: the smallest number; of lists and mappings, this and the next hold for the items.
        most: the largest number.
        above: a number that it must exceed.
        read: reads the value in place of the annotation; raises SpecError.
        schema: JSON Schema of what ``read`` accepts.
        names: the keys of the mapping are names: letters, digits and underscores.
    """
    metadata = {
        "key": key,
        "doc": doc,
        "bounds": Bounds(least, most, above),
        "read": read,
        "schema": schema,
        "names": names,
    }
    return field(default=default, default_factory=default_factory, kw_only=True, metadata=metadata)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(entry, field))
def spec_class(cls: type[T]) -> type[T]:
    """Makes a frozen dataclass with keyword-only fields, hashable although it may hold lists."""
    made = dataclass(frozen=True, kw_only=True)(cls)
    made.__hash__ = _hash  # type: ignore[method-assign, assignment]
    return made


@dataclass(frozen=True, kw_only=True)
class Located:
    """Base of all that is read from YAML; ``tree`` is what it was read from."""

    tree: Tree = field(repr=False, compare=False, kw_only=True)


def _hash(instance: Any) -> int:
    compared = (f.name for f in fields(instance) if f.compare)
    return hash((type(instance), *(_hashable(getattr(instance, name)) for name in compared)))


def _hashable(value: object) -> object:
    if isinstance(value, dict):
        return frozenset((key, _hashable(item)) for key, item in value.items())
    return tuple(map(_hashable, value)) if isinstance(value, (list, tuple)) else value


@dataclass(frozen=True)
class FieldSchema:
    """One field of a spec class with its annotation resolved, as the reader needs it."""

    name: str
    key: str
    hint: Any
    default: Any = MISSING
    default_factory: Any = MISSING
    doc: str = ""
    bounds: Bounds = _UNBOUNDED
    read: Callable[[Tree], Any] | None = None
    schema: Mapping[str, Any] | None = None
    names: bool = False

    @property
    def required(self) -> bool:
        return self.default is MISSING and self.default_factory is MISSING

    @property
    def nullable(self) -> bool:
        return type(None) in get_args(self.hint)

    def default_in(self, parent: Tree) -> Any:
        """The value where the key is absent from ``parent``."""
        if self.default_factory is MISSING:
            return self.default
        if self.default_factory is dict and self.read is None:
            for leaf in leaves(self.hint):
                if isinstance(leaf, Nested):
                    path = child_path(parent.path, self.key)
                    return read(Tree("mapping", {}, parent.location, path), leaf.cls)
        return self.default_factory()


def fields_of(cls: type) -> tuple[FieldSchema, ...]:
    """The fields of a spec class, in order, without ``tree``.

    Raises:
        ValueError: an annotation that the schema has no reading of.
    """
    return _fields_of(cls)


@cache
def _fields_of(cls: type) -> tuple[FieldSchema, ...]:
    hints = get_type_hints(cls)
    found = []
    for member in fields(cls):
        if member.name == "tree":
            continue
        hint, settings = hints[member.name], dict(member.metadata)
        key = settings.pop("key", None) or member.name
        if not settings.get("read"):
            leaves(hint)
        found.append(
            FieldSchema(member.name, key, hint, member.default, member.default_factory, **settings)
        )
    return tuple(found)


def read(tree: Tree, cls: type[T]) -> T:
    """An instance of a spec class from a mapping.

    Raises:
        SpecError: everything that is wrong, each with its place.
    """
    reader = Reader()
    instance: T = reader.nested(tree, cls)
    raise_all(reader.errors)
    return instance


class Reader:
    """Reads values and collects what is wrong in ``errors``, so that siblings are still read."""

    def __init__(self) -> None:
        self.errors: list[SpecError] = []

    def nested(self, tree: Tree, cls: type) -> Any:
        """An instance of ``cls``; of no use once there are ``errors``."""
        if tree.kind != "mapping":
            self.errors.append(tree.error(f"expected a mapping, got {shown(tree)}"))
            return _FAILED
        members = fields_of(cls)
        known = {member.key for member in members}
        for key, child in tree.value.items():
            if key not in known:
                hint = did_you_mean(key, known)
                self.errors.append(child.error(f"unknown key {key!r}", hint, key=True))
        values = {member.name: self._member(tree, member) for member in members}
        if any(value is _FAILED for value in values.values()):
            return _FAILED
        return self._caught(tree, lambda: cls(tree=tree, **values))

    def _member(self, tree: Tree, member: FieldSchema) -> Any:
        child = tree.value.get(member.key)
        if child is None:
            if not member.required:
                return self._caught(tree, lambda: member.default_in(tree))
            self.errors.append(tree.error(f"missing key {member.key!r}"))
            return _FAILED
        custom = member.read
        if custom is None:
            return _FieldReader(self, member).value(child, member.hint)
        if member.nullable and child.value is None:
            return None
        return self._caught(child, lambda: custom(child))

    def _caught(self, tree: Tree, make: Callable[[], Any]) -> Any:
        try:
            return make()
        except SpecErrors as several:
            self.errors.extend(several.errors)
        except SpecError as error:
            self.errors.append(error)
        except NasRestoreError as error:
            self.errors.append(tree.error(error.message, error.hint))
        return _FAILED


class _FieldReader:
    """Reads the value of one field; what :class:`~nasrestore.spec.leaf.Leaf` goes on with."""

    def __init__(self, reader: Reader, member: FieldSchema) -> None:
        self.reader = reader
        self.errors = reader.errors
        self.bounds = member.bounds
        self.names = member.names

    def nested(self, tree: Tree, cls: type) -> Any:
        return self.reader.nested(tree, cls)

    def value(self, tree: Tree, hint: Any) -> Any:
        before = len(self.errors)
        candidates = leaves(hint)
        for leaf in candidates:
            if leaf.accepts(tree):
                try:
                    value = leaf.convert(tree, self)
                except MismatchError:
                    break
                except SpecError as error:
                    self.errors.append(error)
                return _FAILED if len(self.errors) > before else value
        self.errors.append(self._mismatch(tree, candidates))
        return _FAILED

    def check_name(self, tree: Tree, name: str) -> None:
        if self.names and not _NAME.fullmatch(name):
            rule = "names are letters, digits and underscores"
            self.errors.append(tree.error(f"{name!r} is not a name", rule, key=True))

    def _mismatch(self, tree: Tree, candidates: tuple[Leaf, ...]) -> SpecError:
        names = [name for leaf in candidates for name in leaf.expected(self.bounds)]
        *others, last = dict.fromkeys(names)  # two members may be called the same
        expected = f"{', '.join(others)} or {last}" if others else last
        hints = [leaf.hint(tree) for leaf in candidates if not leaf.accepts(tree)]
        hint = next((hint for hint in hints if hint is not None), None)
        return tree.error(f"expected {expected}, got {shown(tree)}", hint)


def plain(instance: Located) -> dict[str, Any]:
    """Back to plain data under the keys of YAML, without what equals its default.

    A field with a reader of its own is given back as it was written.
    """
    result: dict[str, Any] = {}
    for member in fields_of(type(instance)):
        value = getattr(instance, member.name)
        if not member.required and _same(value, member.default_in(instance.tree)):
            continue
        written = instance.tree.child(member.key) if member.read is not None else None
        result[member.key] = _plain(value if written is None else written)
    return result


def _same(value: object, default: object) -> bool:
    return value == default and isinstance(value, bool) == isinstance(default, bool)


def _plain(value: Any) -> Any:
    if isinstance(value, Located):
        return plain(value)
    if isinstance(value, Tree):
        return value.plain()
    if isinstance(value, Expression):
        return value.text
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
