"""A YAML value that knows where it was written."""

from __future__ import annotations

import os
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, Literal, TypeAlias

from nasrestore.errors import Location, SpecError
from nasrestore.spec.scalar import MAX_INTEGER_CHARACTERS, Scalar

Kind: TypeAlias = Literal["scalar", "mapping", "sequence"]

MAX_DEPTH = 50


class Tree:
    """A located value; treat it as immutable.

    Args:
        kind: the kind of YAML node.
        value: ``None``, a bool, int, float or str; ``dict[str, Tree]``; or ``list[Tree]``.
        location: where the value begins.
        path: dotted path from the root, such as ``search.levels[1].steps``; the root's is empty.
        key_location: where its key in the parent mapping begins, if it has one.

    Two trees are equal when their values and types are; places do not count.
    """

    __slots__ = ("key_location", "kind", "location", "path", "value")

    def __init__(
        self,
        kind: Kind,
        value: Any,
        location: Location,
        path: str = "",
        key_location: Location | None = None,
    ) -> None:
        self.kind = kind
        self.value = value
        self.location = location
        self.path = path
        self.key_location = key_location

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tree):
            return NotImplemented
        if self.kind != other.kind or type(self.value) is not type(other.value):
            return False
        # nan is not equal to itself, but says the same in two files
        return bool(self.value == other.value) or (
            self.value != self.value and other.value != other.value
        )

    def __hash__(self) -> int:
        if self.kind == "scalar":
            # every nan has a hash of its own, although two trees of nan are equal
            return hash("nan" if self.value != self.value else self.value)
        return hash((self.kind, frozenset(self.value)))  # of a mapping, the keys alone

    def __repr__(self) -> str:
        return f"Tree({self.plain()!r}, at {self.location})"

    def at(self, *keys: str | int) -> Tree:
        """The deepest existing descendant along ``keys``; never raises."""
        tree = self
        for key in keys:
            child = tree.child(key)
            if child is None:
                break
            tree = child
        return tree

    def child(self, key: str | int) -> Tree | None:
        """The value under a key of a mapping or at an index of a sequence, if there is one."""
        if self.kind == "mapping" and isinstance(key, str):
            found: Tree | None = self.value.get(key)
            return found
        if self.kind == "sequence" and isinstance(key, int) and 0 <= key < len(self.value):
            item: Tree = self.value[key]
            return item
        return None

    def error(self, message: str, hint: str | None = None, key: bool = False) -> SpecError:
        """An error at this value, or at its key; the caller raises or collects it."""
        place = self.key_location if key and self.key_location is not None else self.location
        return SpecError(place, self.path, message, hint)

    def plain(self) -> Any:
        """The value without places: scalars, dicts and lists."""
        if self.kind == "mapping":
            return {key: child.plain() for key, child in self.value.items()}
        if self.kind == "sequence":
            return [child.plain() for child in self.value]
        return self.value

    def moved(
        self, path: str, key_location: Location | None = None, location: Location | None = None
    ) -> Tree:
        """The same value under another path; ``location`` replaces that of the top value only."""
        return Tree(
            self.kind,
            self._with_children(lambda child, at: child.moved(at, child.key_location), path),
            location or self.location,
            path,
            key_location,
        )

    def _with_children(self, make: Callable[[Tree, str], Tree], path: str) -> Any:
        if self.kind == "mapping":
            return {k: make(child, child_path(path, k)) for k, child in self.value.items()}
        if self.kind == "sequence":
            return [make(child, child_path(path, i)) for i, child in enumerate(self.value)]
        return self.value


def child_path(path: str, key: str | int) -> str:
    """The path of a child: ``a.key`` or ``a[0]``."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def shown(tree: Tree) -> str:
    """The value for a message after "got": short, and in words where its text would not help."""
    if tree.kind != "scalar":
        return "a mapping" if tree.kind == "mapping" else "a list"
    if tree.value is None:
        return "nothing"
    text = repr(tree.value)
    return text if len(text) <= 60 else text[:57] + "..."


def tree_of(value: object, location: Location, path: str = "") -> Tree:
    """A tree from plain Python data, all of it at one place.

    Numbers of other libraries become Python's, tuples lists, paths strings.

    Raises:
        SpecError: a key that is no string, a value that YAML cannot hold, nesting over 50.
    """
    return _tree_of(value, location, path, None, 0)


def _tree_of(
    value: object, location: Location, path: str, key_location: Location | None, depth: int
) -> Tree:
    if isinstance(value, Tree):
        return value.moved(path, key_location)
    if depth > MAX_DEPTH:
        raise SpecError(location, path[:60], f"nested more than {MAX_DEPTH} deep")
    if isinstance(value, dict):
        children = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise SpecError(location, path, f"keys must be strings, found {key!r}")
            at = child_path(path, key)
            children[key] = _tree_of(item, location, at, location, depth + 1)
        return Tree("mapping", children, location, path, key_location)
    if isinstance(value, (list, tuple)):
        items = [
            _tree_of(item, location, child_path(path, i), None, depth + 1)
            for i, item in enumerate(value)
        ]
        return Tree("sequence", items, location, path, key_location)
    return Tree("scalar", _scalar(value, location, path), location, path, key_location)


def _scalar(value: object, location: Location, path: str) -> Scalar:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)  # an enum's member is its text
    if isinstance(value, os.PathLike):
        name = os.fspath(value)
        return name if isinstance(name, str) else os.fsdecode(name)
    if isinstance(value, Integral):
        number = int(value)
        if number.bit_length() > 3 * MAX_INTEGER_CHARACTERS:
            raise SpecError(location, path, f"an integer of {number.bit_length()} bits is too long")
        return number
    if isinstance(value, Real):
        return float(value)
    raise SpecError(
        location,
        path,
        f"a value of type {type(value).__name__} cannot be written as YAML",
        "use None, true or false, numbers, strings, lists and dicts",
    )
