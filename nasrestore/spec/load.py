"""A recipe file with all that it names: ``extends`` followed, overrides applied, its space read."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nasrestore.errors import NasRestoreError, SpecError, raise_all
from nasrestore.registry import did_you_mean
from nasrestore.spec.overrides import apply_override, merge, parse_override, python_overrides
from nasrestore.spec.recipe import RecipeSpec, read_recipe
from nasrestore.spec.shipped import find
from nasrestore.spec.source import Tree, read_yaml, tree_of
from nasrestore.spec.space import SpaceSpec, check_format, kind_of, read_space
from nasrestore.spec.terms import terms_in_full, weight_of_term
from nasrestore.spec.tree import shown

MOST_EXTENDS = 20
_PATHS: tuple[tuple[str, ...], ...] = (
    *(("data", key) for key in ("root", "rainy", "clean")),
    *(("data", key) for key in ("test_root", "test_rainy", "test_clean")),
    ("data", "flow", "weights"),
    ("evaluate", "lpips", "heads"),
    ("evaluate", "lpips", "alexnet"),
)

RECIPE_KEYS = frozenset(
    {field.name for field in dataclasses.fields(RecipeSpec)}
    - {field.name for field in dataclasses.fields(SpaceSpec)}
)

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


def overrides_of(
    texts: Sequence[str] = (), values: Mapping[str, object] | None = None
) -> list[Override]:
    """Overrides from ``--set`` texts and from a Python mapping.

    Raises:
        SpecError: a text that is not ``key.path=value``.
    """
    return [*python_overrides(values or {}), *(parse_override(text) for text in texts)]


@dataclass(frozen=True)
class OpenedRecipe:
    """A recipe and its space as trees, overrides applied; their form is not looked at yet.

    Attributes:
        tree: the recipe, with the space inside where it could be read.
        space: the space; ``None`` where there is none.
        errors: what went wrong on the way.
    """

    tree: Tree
    space: Tree | None
    errors: tuple[SpecError, ...] = ()


def load_recipe(recipe: str | os.PathLike[str], overrides: Sequence[Override] = ()) -> LoadedRecipe:
    """A recipe from a path or a shipped name.

    Raises:
        SpecError: all that is wrong with the form of recipe and space, at once.
        NasRestoreError: there is no such recipe.
    """
    return read_opened(open_recipe(recipe, overrides))


def open_recipe(recipe: str | os.PathLike[str], overrides: Sequence[Override] = ()) -> OpenedRecipe:
    """A recipe from a path or a shipped name, with its space; the form of both is still to be read.

    Raises:
        SpecError: the file cannot be read, or is no recipe.
        NasRestoreError: there is no such recipe.
    """
    return open_tree(_extended(read_yaml(find(os.fspath(recipe), "recipe")), ()), overrides)


def resolve_recipe(tree: Tree, overrides: Sequence[Override] = ()) -> LoadedRecipe:
    """A recipe from a tree whose ``extends`` is followed already.

    Raises:
        SpecError: all that is wrong with the form of recipe and space, at once.
    """
    return read_opened(open_tree(tree, overrides))


def open_tree(tree: Tree, overrides: Sequence[Override] = ()) -> OpenedRecipe:
    """The recipe of a tree whose ``extends`` is followed already, with its space.

    Raises:
        SpecError: the tree is no recipe.
    """
    check_format(tree, "recipe")
    errors: list[SpecError] = []
    into_space: list[Override] = []
    for keys, value in overrides:
        if len(keys) > 1 and keys[0] == "space":
            into_space.append((keys, value))
        else:
            tree = _overridden(tree, weight_of_term(keys, value, tree), value, errors)
    tree = _without_levels_off(_absolute_paths(tree))
    space = (
        _opened_space(tree.value["space"], into_space, errors) if "space" in tree.value else None
    )
    if space is not None:
        tree = apply_override(tree, ("space",), space)
    return OpenedRecipe(tree, space, tuple(errors))


def _without_levels_off(tree: Tree) -> Tree:
    """The recipe without the levels that it takes out of what it extends."""
    for phase in ("search", "train"):
        section = tree.child(phase)
        levels = None if section is None else section.child("levels")
        if levels is None or levels.kind != "sequence":
            continue
        kept = [item for item in levels.value if item.at("off").value is not True]
        if len(kept) < len(levels.value):
            value = Tree("sequence", kept, levels.location, levels.path, levels.key_location)
            tree = apply_override(tree, (phase, "levels"), value)
    return tree


def _opened_space(
    value: Tree, overrides: Sequence[Override], errors: list[SpecError]
) -> Tree | None:
    try:
        space = space_tree(value)
        check_format(space, "space")
    except SpecError as error:
        errors += each_error(error)
        return None
    for override in overrides:
        try:
            space = override_space(space, [override])
        except SpecError as error:
            errors += each_error(error)
    return space


def read_opened(opened: OpenedRecipe) -> LoadedRecipe:
    """The form of recipe and space.

    Raises:
        SpecError: all that is wrong with it, and went wrong before, at once.
    """
    errors = list(opened.errors)
    space: SpaceSpec | None = None
    if opened.space is not None:
        try:
            space = read_space(opened.space)
        except SpecError as error:
            errors += each_error(error)
    recipe: RecipeSpec | None = None
    try:
        recipe = read_recipe(opened.tree)
    except SpecError as error:
        errors += each_error(error)
    raise_all(errors)
    assert recipe is not None and space is not None
    return LoadedRecipe(recipe, space, opened.tree)


def each_error(error: SpecError) -> list[SpecError]:
    """The single errors that an error stands for."""
    return list(getattr(error, "errors", [error]))


def _overridden(
    tree: Tree, keys: tuple[str | int, ...], value: Tree, errors: list[SpecError]
) -> Tree:
    try:
        return apply_override(tree, keys, value)
    except SpecError as error:
        errors += each_error(error)
        return tree


def of_space(override: Override) -> Override:
    """``width=8`` and ``space.width=8`` mean the same, where a space is all there is."""
    keys, value = override
    return override if keys[0] == "space" and len(keys) > 1 else (("space", *keys), value)


def override_space(space: Tree, overrides: Iterable[Override]) -> Tree:
    """A space's tree with overrides such as ``space.width=8``, which names one of its constants.

    Raises:
        SpecError: the space has no such value.
    """
    for keys, value in overrides:
        space = _set(space, _into_space(keys, space, value), value)
    return space


def _set(space: Tree, keys: tuple[str | int, ...], value: Tree) -> Tree:
    """The space with another value; an output of it that is null then is taken out.

    A null that takes nothing out stays, and the compiler complains of it.
    """
    changed = apply_override(space, keys, value)
    before, after = space.child("outputs"), changed.child("outputs")
    if before is None or after is None or not "mapping" == before.kind == after.kind:
        return changed
    for name, output in after.value.items():
        known = before.child(name)
        if _is_null(output) and known is not None and not _is_null(known):
            changed = _without(changed, ("outputs", name))
    return changed


def _is_null(tree: Tree) -> bool:
    return tree.kind == "scalar" and tree.value is None


def _beside(tree: Tree) -> Path | None:
    """The folder of the file that a value was read from; ``None`` for an override."""
    path = Path(tree.location.file)
    return path.parent if path.is_file() else None


def _extended(tree: Tree, seen: tuple[str, ...]) -> Tree:
    """The tree on top of what it extends."""
    if tree.kind != "mapping" or "extends" not in tree.value:
        return tree
    base = tree.value["extends"]
    below = _read_named(base, "recipe")
    name = str(Path(below.location.file).resolve())
    seen = (*seen, str(Path(tree.location.file).resolve()))
    if name in seen or len(seen) > MOST_EXTENDS:
        raise base.error("recipes extend each other in a circle", " -> ".join([*seen, name]))
    if kind_of(below) not in ("recipe", None):
        raise base.error(f"{base.value} is a {kind_of(below)}, not a recipe")
    inherited = _making_way(_extended(below, seen), tree)
    merged = merge(terms_in_full(inherited, tree), terms_in_full(tree, inherited))
    kept = {key: value for key, value in merged.value.items() if key != "extends"}
    return Tree(merged.kind, kept, merged.location, merged.path, merged.key_location)


def _making_way(base: Tree, over: Tree) -> Tree:
    """The base without what the recipe on top replaces under another key.

    Epochs take the place of inherited steps and the reverse; a description is of one recipe alone;
    a whole space takes the place of another.
    """
    gone: list[tuple[str, ...]] = [("description",)]
    space = over.child("space")
    if space is not None and space.kind == "mapping" and {"extends", "nodes"} & set(space.value):
        gone.append(("space",))  # another space, or the same with other settings: nothing is mixed
    for phase in ("search", "train"):
        given = over.at(phase).value if over.child(phase) is not None else None
        for key, other in (("epochs", "steps"), ("steps", "epochs")):
            if isinstance(given, dict) and key in given and given[key].value is not None:
                gone.append((phase, other))
    for keys in gone:
        base = _without(base, keys)
    return base


def _without(tree: Tree, keys: tuple[str, ...]) -> Tree:
    if tree.kind != "mapping" or keys[0] not in tree.value:
        return tree
    children = dict(tree.value)
    if len(keys) == 1:
        del children[keys[0]]
    else:
        children[keys[0]] = _without(children[keys[0]], keys[1:])
    return Tree(tree.kind, children, tree.location, tree.path, tree.key_location)


def space_tree(value: Tree) -> Tree:
    """The space itself: inside the recipe, in a file of its own, or one with other settings.

    ``space: {extends: tmics, width: 16}`` is the space ``tmics`` with ``--set space.width=16``.

    Raises:
        SpecError: there is no such space, or it has no such value.
    """
    if value.kind != "mapping":
        return _read_named(value, "space")
    if "extends" not in value.value:
        return value
    space = _read_named(value.value["extends"], "space")
    check_format(space, "space")
    for key, setting in value.value.items():
        if key == "extends":
            continue
        keys = _into_space(("space", key), space, setting)
        known = space.child(key) if len(keys) == 1 else None
        if known is not None and "mapping" == known.kind == setting.kind:
            setting = merge(known, setting)
        space = _set(space, keys, setting)
    return space


def _read_named(value: Tree, kind: Literal["recipe", "space"]) -> Tree:
    """The file that a value names by its path or as a shipped one.

    Raises:
        SpecError: at the value, where there is no such file; in the file, what is wrong with it.
    """
    if not isinstance(value.value, str) or not value.value:
        itself = ", or the space itself" if kind == "space" else ""
        raise value.error(f"expected the path or the name of a {kind}{itself}, got {shown(value)}")
    try:
        return read_yaml(find(value.value, kind, _beside(value)))
    except SpecError as error:
        if error.location is not None:
            raise
        raise value.error(error.message, error.hint) from None
    except NasRestoreError as error:
        raise value.error(error.message, error.hint) from None


def _into_space(keys: tuple[str | int, ...], space: Tree, value: Tree) -> tuple[str | int, ...]:
    """``space.width`` means the constant where no key of the file is called so."""
    below = keys[1:]
    fields = {field.name for field in dataclasses.fields(SpaceSpec)} - {"tree"}
    section = space.child("constants")
    constants = section.value if section is not None and section.kind == "mapping" else {}
    if below[0] in fields:
        return below
    if below[0] in constants:
        return ("constants", *below)
    hint = did_you_mean(str(below[0]), [*fields, *constants])
    message = f"the space has neither a key nor a constant {str(below[0])!r}"
    raise value.error(message, hint, key=True)


def _absolute_paths(tree: Tree) -> Tree:
    """Data folders, weights and plugins as absolute paths: a file's are relative to the file."""
    places: list[tuple[str | int, ...]] = [place for place in _PATHS if _is_there(tree, place)]
    plugins = tree.value.get("plugins")
    if plugins is not None and plugins.kind == "sequence":
        places += [("plugins", i) for i in range(len(plugins.value))]
    places += _weight_files(tree)
    for place in places:
        leaf = tree.at(*place)
        if isinstance(leaf.value, str) and leaf.value:
            beside = _beside(leaf) or Path()
            path = Path(leaf.value).expanduser()
            found = path if path.is_absolute() or not (beside / path).exists() else beside / path
            absolute = tree_of(os.path.abspath(found), leaf.location, leaf.path)
            tree = apply_override(tree, place, absolute)
    return tree


def _is_there(tree: Tree, keys: Sequence[str]) -> bool:
    *sections, key = keys
    found: Tree | None = tree
    for section in sections:
        found = None if found is None else found.child(section)
    return found is not None and found.child(key) is not None


def _weight_files(tree: Tree) -> list[tuple[str | int, ...]]:
    """Where objectives name files of weights, as ``contrastive: {weights: vgg19.pth}`` does."""
    objectives = tree.child("objectives")
    found: list[tuple[str | int, ...]] = []
    for name, terms in (
        objectives.value if objectives and objectives.kind == "mapping" else {}
    ).items():
        for loss, term in (terms.value if terms.kind == "mapping" else {}).items():
            if term.kind == "mapping" and "weights" in term.value:
                found.append(("objectives", name, loss, "weights"))
    return found
