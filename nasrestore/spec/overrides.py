"""Changes to a tree from outside its file: ``--set``, Python, and ``extends``.

All are pure: they return new trees that share what did not change, and every value keeps the place
that it came from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from nasrestore.errors import Location, SpecError
from nasrestore.registry import did_you_mean
from nasrestore.spec.source import parse_yaml, tree_of
from nasrestore.spec.tree import MAX_DEPTH, Tree, child_path, shown

Keys: TypeAlias = tuple[str | int, ...]

_PART = re.compile(r"(?:^|\.)(?P<key>[^.\[\]=\s]+)|\[(?P<index>[0-9]{1,9})\]")
_INDEX = re.compile(r"[0-9]{1,9}")
_LONGEST_NAME = 80


def parse_override(text: str) -> tuple[Keys, Tree]:
    """Keys and value of ``KEY=VALUE``, such as ``search.levels[1].steps=2``.

    ``levels.1.steps`` is the same as ``levels[1].steps``; indices count from 0. VALUE is YAML;
    without one it is null.

    Raises:
        SpecError: there is no ``=``, KEY is not a path, or VALUE is not YAML.
    """
    name = f"--set {text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 3] + '...'}"
    start = Location(name, 1, 1)
    key, sign, value = text.partition("=")
    if not sign:
        raise SpecError(start, "", "expected KEY=VALUE", f"write {key.strip() or 'KEY'}=VALUE")
    keys = _parse_keys(key.strip(), start)
    path = _path(keys)
    at = Location(name, 1, len(key) + 2)
    if not value.strip():
        return keys, Tree("scalar", None, at, path, start)
    if value.lstrip().startswith("#"):
        raise SpecError(at, path, "# begins a comment", "put the value in quotes")
    tree = parse_yaml(value, name, column=len(key) + 2, path=path)
    return keys, tree.moved(path, start)


def python_overrides(mapping: Mapping[str, object]) -> list[tuple[Keys, Tree]]:
    """Keys and values of ``{"search.levels[0].rate": 1e-3}``; each value is set as it is.

    A mapping as value therefore replaces the whole mapping, as ``--set data={root: x}`` does.

    Raises:
        SpecError: a key that is not a path, a value that YAML cannot hold.
    """
    place = Location("overrides", 1, 1)
    found = []
    for key, value in mapping.items():
        if not isinstance(key, str):
            raise SpecError(place, "", f"keys must be strings, found {key!r}")
        keys = _parse_keys(key, place)
        path = _path(keys)
        found.append((keys, tree_of(value, place, path).moved(path, place)))
    return found


def apply_override(tree: Tree, keys: Keys, value: Tree) -> Tree:
    """The tree with ``value`` at ``keys``; mappings on the way are created where there are none.

    An item of a list is addressed by its index, or by its ``name`` if it is a mapping with one.

    Raises:
        SpecError: at the override's place: no such item, or a path through a scalar.
    """
    if not keys:
        return value.moved(tree.path, tree.key_location)
    key, *rest = keys
    if tree.kind == "sequence":
        index = _item(tree, key, value)
        items = list(tree.value)
        items[index] = apply_override(items[index], tuple(rest), value)
        return Tree("sequence", items, tree.location, tree.path, tree.key_location)
    if tree.kind == "scalar" and (tree.value is not None or isinstance(key, int)):
        raise SpecError(
            value.location,
            child_path(tree.path, key),
            f"{_called(tree)} is {shown(tree)}, which has no {_part(key)}",
            "set it as a whole",
        )
    return _set_in_mapping(tree, str(key), tuple(rest), value)


def merge(base: Tree, over: Tree) -> Tree:
    """``over`` on top of ``base``, as ``extends`` means it.

    Mappings merge key by key, unless both have a ``name`` and it differs; lists of mappings that all have a ``name`` merge by name, items of
    ``base`` first; of anything else ``over`` alone stays. Places stay those of each value's file;
    paths become those of the result.
    """
    return _merge(base, over).moved("")


def _parse_keys(text: str, place: Location) -> Keys:
    keys: list[str | int] = []
    at = 0
    while at < len(text) and text[0] not in ".[":
        part = _PART.match(text, at)
        if part is None:
            break
        word = part["key"] or part["index"]
        keys.append(int(word) if _INDEX.fullmatch(word) else word)
        at = part.end()
    if not text:
        raise SpecError(place, "", "the key is empty", "write KEY=VALUE, such as search.epochs=2")
    if at < len(text) or len(keys) > MAX_DEPTH:
        example = "such as search.levels[1].steps"
        raise SpecError(place, "", f"{text[:60]!r} is not a path of keys", example)
    return tuple(keys)


def _path(keys: Keys) -> str:
    path = ""
    for key in keys:
        path = child_path(path, key)
    return path


def _called(tree: Tree) -> str:
    return repr(tree.path) if tree.path else "the file"


def _part(key: str | int) -> str:
    return f"item {key}" if isinstance(key, int) else f"key {key!r}"


def _set_in_mapping(tree: Tree, key: str, rest: Keys, value: Tree) -> Tree:
    children: dict[str, Tree] = dict(tree.value or {})
    path = child_path(tree.path, key)
    child = children.get(key)
    if child is None:
        at = value.key_location or value.location
        child = Tree("scalar", None, value.location, path, at)
    children[key] = apply_override(child, rest, value)
    location = tree.location if tree.kind == "mapping" else value.location
    return Tree("mapping", children, location, tree.path, tree.key_location)


def _item(tree: Tree, key: str | int, value: Tree) -> int:
    """The index of the item of a list that a key means."""
    count = len(tree.value)
    if isinstance(key, int):
        if key < count:
            return key
        path = child_path(tree.path, key)
        known = f"indices are 0 to {count - 1}" if count else "it is empty"
        raise SpecError(value.location, path, f"{_called(tree)} has {count} items", known)
    names = [_name(item) for item in tree.value]
    if key in names:
        return names.index(key)
    path = child_path(tree.path, key)
    hint = did_you_mean(key, [name for name in names if name is not None])
    raise SpecError(
        value.location, path, f"{_called(tree)} has no item named {key!r}", f"{hint}; or an index"
    )


def _name(tree: Tree) -> str | None:
    name: Any = tree.at("name").value if tree.kind == "mapping" else None
    return name if isinstance(name, str) else None


def _merge(base: Tree, over: Tree) -> Tree:
    if base.kind == over.kind == "mapping" and not _of_different_names(base, over):
        children: dict[str, Tree] = dict(base.value)
        for key, child in over.value.items():
            children[key] = _merge(children[key], child) if key in children else child
        return Tree("mapping", children, over.location, over.path, over.key_location)
    if base.kind == over.kind == "sequence":
        items = _merge_by_name(base.value, over.value)
        if items is not None:
            return Tree("sequence", items, over.location, over.path, over.key_location)
    return over


def _of_different_names(base: Tree, over: Tree) -> bool:
    """``{name: adam, rate: 1}`` and ``{name: sgd}`` are two things: their keys do not mix."""
    names = [tree.value.get("name") for tree in (base, over)]
    return None not in names and names[0] != names[1]


def _merge_by_name(base: list[Tree], over: list[Tree]) -> list[Tree] | None:
    """The merged items, or None where not all have a name of their own."""
    theirs = {_name(item): item for item in base}
    ours = [(_name(item), item) for item in over]
    if not over or not base or None in theirs or len(theirs) < len(base):
        return None
    if None in dict(ours):
        return None
    merged: list[Tree] = []
    for name, item in theirs.items():
        # One that is there twice stays so, for the error to be about that.
        merged += [_merge(item, other) for own, other in ours if own == name] or [item]
    return merged + [item for name, item in ours if name not in theirs]
