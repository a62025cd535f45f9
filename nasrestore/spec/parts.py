"""Parts of a file as far as their form is right, so that what else is wrong can be told in the same breath.

A part whose form is wrong is ``None``, or lacks the keys that are ``damaged``; whoever reads parts
must not complain of what follows from that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from nasrestore.errors import SpecError
from nasrestore.spec.schema import read
from nasrestore.spec.tree import Tree, child_path

T = TypeVar("T")


@dataclass(frozen=True)
class Part(Generic[T]):
    """What could be read, and the keys that had to be left out for it."""

    value: T | None
    damaged: frozenset[str] = frozenset()


def leniently(tree: Tree | None, cls: type[T], without: tuple[str, ...] = ()) -> Part[T]:
    """An instance without the keys whose form is wrong, where it can do without them."""
    if tree is None or tree.kind != "mapping":
        return Part(None)
    dropped = set(without)
    for _ in range(2):
        children = {key: child for key, child in tree.value.items() if key not in dropped}
        kept = Tree("mapping", children, tree.location, tree.path, tree.key_location)
        try:
            return Part(read(kept, cls), frozenset(dropped))
        except SpecError as error:
            for one in getattr(error, "errors", [error]):
                dropped |= {key for key in children if _is_inside(one.path, tree.path, key)}
    return Part(None, frozenset(dropped))


def _is_inside(path: str, parent: str, key: str) -> bool:
    child = child_path(parent, key)
    return path == child or path.startswith((child + ".", child + "["))


def items_of(tree: Tree, *keys: str) -> list[tuple[str, Tree]]:
    """The items of the mapping under these keys; none where there is no mapping."""
    section: Tree | None = tree
    for key in keys:
        section = None if section is None else section.child(key)
    return [] if section is None or section.kind != "mapping" else list(section.value.items())
