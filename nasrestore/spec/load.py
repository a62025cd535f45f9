"""A recipe file with all that it names: ``extends`` followed, overrides applied, its space read."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nasrestore.errors import NasRestoreError, SpecError, raise_all
from nasrestore.registry import did_you_mean
from nasrestore.spec.overrides import apply_override, merge, parse_override, python_overrides
from nasrestore.spec.recipe import RecipeSpec, read_recipe
from nasrestore.spec.shipped import find
from nasrestore.spec.source import Tree, read_yaml, tree_of
from nasrestore.spec.space import SpaceSpec, check_format, read_space

MOST_EXTENDS = 20
_PATHS = ("root", "rainy", "clean", "test_root", "test_rainy", "test_clean")

Override = tuple[tuple[str | int, ...], Tree]


@dataclass(frozen=True)
class LoadedRecipe:
    """A recipe and its space, checked for form.

    Attributes:
        tree: everything in one, with the space inside: what a run folder keeps.
    """

    recipe: RecipeSpec
    space: SpaceSpec
    tree: Tree


def overrides_of(texts: Sequence[str] = (), values: Mapping[str, object] | None = None) -> list[Override]:
    """Overrides from ``--set`` texts and from a Python mapping.

    Raises:
        SpecError: a text that is not ``key.path=value``.
    """
    return [*python_overrides(values or {}), *(parse_override(text) for text in texts)]


def load_recipe(
    recipe: str | os.PathLike[str], overrides: Sequence[Override] = ()
) -> LoadedRecipe:
    """A recipe from a path or a shipped name.

    Raises:
        SpecError: all that is wrong with the form of recipe and space, at once.
        NasRestoreError: there is no such recipe.
    """
    tree = _extended(read_yaml(find(os.fspath(recipe), "recipe")), ())
    return resolve_recipe(tree, overrides)


def resolve_recipe(tree: Tree, overrides: Sequence[Override] = ()) -> LoadedRecipe:
    """A recipe from a tree whose ``extends`` is followed already."""
    check_format(tree, "recipe")
    into_space = [o for o in overrides if len(o[0]) > 1 and o[0][0] == "space"]
    for keys, value in overrides:
        if (keys, value) not in into_space:
            tree = apply_override(tree, keys, value)
    tree = _absolute_paths(tree)
    errors: list[SpecError] = []
    space: SpaceSpec | None = None
    if "space" in tree.value:
        try:
            space_tree = _space_tree(tree.value["space"], tree)
            for keys, value in into_space:
                space_tree = apply_override(space_tree, _into_space(keys, space_tree, value), value)
            space = read_space(space_tree)
            tree = apply_override(tree, ("space",), space_tree)
        except SpecError as error:
            errors += getattr(error, "errors", [error])
    recipe: RecipeSpec | None = None
    try:
        recipe = read_recipe(tree)
    except SpecError as error:
        errors += getattr(error, "errors", [error])
    raise_all(errors)
    assert recipe is not None and space is not None
    return LoadedRecipe(recipe, space, tree)


def _beside(tree: Tree) -> Path | None:
    """The folder of the file that a value was read from; ``None`` for an override."""
    path = Path(tree.location.file)
    return path.parent if path.is_file() else None


def _extended(tree: Tree, seen: tuple[str, ...]) -> Tree:
    """The tree on top of what it extends."""
    if tree.kind != "mapping" or "extends" not in tree.value:
        return tree
    base = tree.value["extends"]
    if not isinstance(base.value, str):
        raise base.error("expected the path or the name of a recipe")
    try:
        path = find(base.value, "recipe", _beside(base))
    except NasRestoreError as error:
        raise base.error(error.message, error.hint) from None
    name = str(path.resolve())
    if name in seen or len(seen) > MOST_EXTENDS:
        raise base.error("recipes extend each other in a circle", " -> ".join([*seen, name]))
    below = _extended(read_yaml(path), (*seen, str(Path(tree.location.file).resolve())))
    merged = merge(below, tree)
    kept = {key: value for key, value in merged.value.items() if key != "extends"}
    return Tree(merged.kind, kept, merged.location, merged.path, merged.key_location)


def _space_tree(value: Tree, recipe: Tree) -> Tree:
    """The space itself: inside the recipe, or in a file of its own."""
    if value.kind == "mapping":
        return value
    if not isinstance(value.value, str):
        raise value.error("expected the path or the name of a space, or the space itself")
    try:
        path = find(value.value, "space", _beside(value))
    except NasRestoreError as error:
        raise value.error(error.message, error.hint) from None
    return read_yaml(path)


def _into_space(keys: tuple[str | int, ...], space: Tree, value: Tree) -> tuple[str | int, ...]:
    """``space.width`` means the constant where no key of the file is called so."""
    below = keys[1:]
    fields = {field.name for field in dataclasses.fields(SpaceSpec)} - {"tree"}
    constants = space.at("constants").value if "constants" in (space.value or {}) else {}
    if below[0] in fields:
        return below
    if isinstance(constants, dict) and below[0] in constants:
        return ("constants", *below)
    hint = did_you_mean(str(below[0]), [*fields, *constants])
    raise value.error(f"the space has neither a key nor a constant {below[0]!r}", hint)


def _absolute_paths(tree: Tree) -> Tree:
    """Data folders and plugins as absolute paths: a file's are relative to the file."""
    data = tree.value.get("data")
    places: list[tuple[str | int, ...]] = []
    if data is not None and data.kind == "mapping":
        places += [("data", key) for key in _PATHS if key in data.value]
    plugins = tree.value.get("plugins")
    if plugins is not None and plugins.kind == "sequence":
        places += [("plugins", i) for i in range(len(plugins.value))]
    for place in places:
        leaf = tree.at(*place)
        if isinstance(leaf.value, str) and leaf.value:
            beside = _beside(leaf) or Path()
            path = Path(leaf.value).expanduser()
            found = path if path.is_absolute() or not (beside / path).exists() else beside / path
            absolute = tree_of(os.path.abspath(found), leaf.location, leaf.path)
            tree = apply_override(tree, place, absolute)
    return tree
