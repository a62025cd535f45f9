"""What one member of an annotation accepts: the alphabet that the schema is written in.

``leaves(int | None)`` is ``(Whole(), Null())``. A leaf says which YAML nodes it takes, how it turns
them into Python, and how an error message calls what it expects.
"""

from __future__ import annotations

import types
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Literal, Protocol, TypeAlias, Union, get_args, get_origin

from nasrestore.registry import nearest
from nasrestore.spec.expression import Expression, ExpressionError, is_expression, parse_expression
from nasrestore.spec.scalar import resolve_plain
from nasrestore.spec.tree import Tree

Value: TypeAlias = int | float | Expression


@dataclass(frozen=True)
class Bounds:
    """Limits of a number; ``above`` excludes its own value. NaN is never within."""

    least: float | None = None
    most: float | None = None
    above: float | None = None

    def admit(self, number: float) -> bool:
        return (
            number == number
            and (self.least is None or number >= self.least)
            and (self.most is None or number <= self.most)
            and (self.above is None or number > self.above)
        )

    def __str__(self) -> str:
        limits = ((">=", self.least), (">", self.above), ("<=", self.most))
        return " and ".join(f"{sign} {limit}" for sign, limit in limits if limit is not None)


class MismatchError(Exception):
    """A value of the right kind is not what is expected; the reader makes the message."""


class Descent(Protocol):
    """What a leaf needs of the reader: the limits of the field, and a way to go on below it."""

    @property
    def bounds(self) -> Bounds: ...

    def nested(self, tree: Tree, cls: type) -> Any: ...

    def value(self, tree: Tree, hint: Any) -> Any: ...

    def check_name(self, tree: Tree, name: str) -> None: ...


class Leaf:
    """Base of the leaves; a plain one takes nothing."""

    called: ClassVar[str] = "nothing"

    def accepts(self, tree: Tree) -> bool:
        return False

    def expected(self, bounds: Bounds) -> tuple[str, ...]:
        """What messages say that it takes; several where it takes several."""
        return (self.called,)

    def convert(self, tree: Tree, reader: Descent) -> Any:
        """The Python value of a tree that the leaf accepts.

        Raises:
            MismatchError: a number out of bounds.
            SpecError: anything that needs a message of its own.
        """
        return tree.value

    def hint(self, tree: Tree) -> str | None:
        """What to do about a value that is not accepted, where it is clear."""
        return None


@dataclass(frozen=True)
class Anything(Leaf):
    """``Tree``: any value, kept as it is."""

    called = "anything"

    def accepts(self, tree: Tree) -> bool:
        return True

    def convert(self, tree: Tree, reader: Descent) -> Any:
        return tree


@dataclass(frozen=True)
class Null(Leaf):
    """``None``: null, or nothing at all."""

    called = "null"

    def accepts(self, tree: Tree) -> bool:
        return tree.value is None


@dataclass(frozen=True)
class Flag(Leaf):
    """``bool``."""

    called = "true or false"

    def accepts(self, tree: Tree) -> bool:
        return isinstance(tree.value, bool)


@dataclass(frozen=True)
class Text(Leaf):
    """``str``."""

    called = "a string"

    def accepts(self, tree: Tree) -> bool:
        return isinstance(tree.value, str)

    def hint(self, tree: Tree) -> str | None:
        return "put it in quotes" if isinstance(tree.value, (bool, int, float)) else None


@dataclass(frozen=True)
class Whole(Leaf):
    """``int``; a bool is none."""

    def accepts(self, tree: Tree) -> bool:
        return isinstance(tree.value, int) and not isinstance(tree.value, bool)

    def expected(self, bounds: Bounds) -> tuple[str, ...]:
        return (f"an integer {bounds}".rstrip(),)

    def convert(self, tree: Tree, reader: Descent) -> Any:
        if not reader.bounds.admit(tree.value):
            raise MismatchError
        return tree.value

    def hint(self, tree: Tree) -> str | None:
        return "leave the quotes out" if _quoted_number(tree) else None


@dataclass(frozen=True)
class Real(Leaf):
    """``float``; an integer counts, a bool does not."""

    def accepts(self, tree: Tree) -> bool:
        return isinstance(tree.value, (int, float)) and not isinstance(tree.value, bool)

    def expected(self, bounds: Bounds) -> tuple[str, ...]:
        return (f"a number {bounds}".rstrip(),)

    def convert(self, tree: Tree, reader: Descent) -> Any:
        if not reader.bounds.admit(tree.value):
            raise MismatchError
        return float(tree.value)

    def hint(self, tree: Tree) -> str | None:
        return "leave the quotes out" if _quoted_number(tree) else None


@dataclass(frozen=True)
class Calculated(Real):
    """``Value``: a number, or a string with an expression; bounds hold for numbers."""

    def accepts(self, tree: Tree) -> bool:
        return is_expression(tree.value) or super().accepts(tree)

    def expected(self, bounds: Bounds) -> tuple[str, ...]:
        return (*super().expected(bounds), "an expression such as $width * 2")

    def convert(self, tree: Tree, reader: Descent) -> Any:
        if not isinstance(tree.value, str):
            super().convert(tree, reader)
            return tree.value  # an integer stays one
        try:
            return parse_expression(tree.value)
        except ExpressionError as error:
            where = f"character {error.column} of {tree.value[:60]!r}"
            raise tree.error(f"not an expression: {error}, at {where}") from None

    def hint(self, tree: Tree) -> str | None:
        if isinstance(tree.value, str) and tree.value.isidentifier():
            return f"write ${tree.value}"
        return super().hint(tree)


@dataclass(frozen=True)
class OneOf(Leaf):
    """``Literal``: one of some scalars, equal in type too."""

    choices: tuple[Any, ...]

    def accepts(self, tree: Tree) -> bool:
        value = tree.value
        return any(type(value) is type(choice) and value == choice for choice in self.choices)

    def expected(self, bounds: Bounds) -> tuple[str, ...]:
        names = ", ".join(map(repr, self.choices))
        return (names if len(self.choices) == 1 else f"one of {names}",)

    def hint(self, tree: Tree) -> str | None:
        if not isinstance(tree.value, str):
            return None
        close = nearest(tree.value, [choice for choice in self.choices if isinstance(choice, str)])
        return None if close is None else f"did you mean {close!r}?"


@dataclass(frozen=True)
class Nested(Leaf):
    """Another located dataclass."""

    called = "a mapping"

    cls: type

    def accepts(self, tree: Tree) -> bool:
        return tree.kind == "mapping"

    def convert(self, tree: Tree, reader: Descent) -> Any:
        return reader.nested(tree, self.cls)


@dataclass(frozen=True)
class MappingOf(Leaf):
    """``dict[str, X]``."""

    called = "a mapping"

    item: Any

    def accepts(self, tree: Tree) -> bool:
        return tree.kind == "mapping"

    def convert(self, tree: Tree, reader: Descent) -> Any:
        for name, child in tree.value.items():
            reader.check_name(child, name)
        return {name: reader.value(child, self.item) for name, child in tree.value.items()}


@dataclass(frozen=True)
class ListOf(Leaf):
    """``list[X]`` or ``tuple[X, ...]``, which is what ``make`` makes."""

    called = "a list"

    item: Any
    make: type

    def accepts(self, tree: Tree) -> bool:
        return tree.kind == "sequence"

    def convert(self, tree: Tree, reader: Descent) -> Any:
        return self.make(reader.value(child, self.item) for child in tree.value)

    def hint(self, tree: Tree) -> str | None:
        single = tree.kind == "scalar" and tree.value is not None and len(str(tree.value)) <= 40
        return f"write [{tree.value}]" if single else None


def _quoted_number(tree: Tree) -> bool:
    # a string that looks like a number can only have been in quotes
    text = tree.value
    value = resolve_plain(text) if isinstance(text, str) and len(text) < 40 else None
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_SIMPLE: dict[Any, Leaf] = {
    Tree: Anything(),
    None: Null(),
    types.NoneType: Null(),
    bool: Flag(),
    str: Text(),
    int: Whole(),
    float: Real(),
    Expression: Calculated(),
}


@cache
def leaves(hint: Any) -> tuple[Leaf, ...]:
    """The leaves of an annotation, unions taken apart.

    Raises:
        ValueError: an annotation that the schema does not know, or one that YAML could not decide
            between: two members of a union that are both mappings, or both lists.
    """
    members = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    if Expression in members:  # Value, which a union flattens
        members = tuple(member for member in members if member not in (int, float))
    found = tuple(map(_leaf, members))
    for kind in ((Nested, MappingOf), (ListOf,)):
        if sum(isinstance(leaf, kind) for leaf in found) > 1:
            raise ValueError(f"{hint} is ambiguous: two of its members are the same kind of node")
    return found


def _leaf(hint: Any) -> Leaf:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return OneOf(arguments)
    if origin is list and len(arguments) == 1:
        return ListOf(arguments[0], list)
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return ListOf(arguments[0], tuple)
    if origin is dict and arguments[0] is str:
        return MappingOf(arguments[1])
    if origin is None and hint in _SIMPLE:
        return _SIMPLE[hint]
    if isinstance(hint, type) and "tree" in getattr(hint, "__dataclass_fields__", ()):
        return Nested(hint)
    raise ValueError(f"the schema has no reading of the annotation {hint!r}")
