"""A recipe and its space, checked in full: form and meaning of both, all errors together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nasrestore.errors import NasRestoreError, SpecError, raise_all
from nasrestore.graph import compile as space_compiler
from nasrestore.graph import recipe_check
from nasrestore.graph.ir import SearchGraph
from nasrestore.spec.load import LoadedRecipe, OpenedRecipe, each_error, read_opened
from nasrestore.spec.source import Tree


@dataclass(frozen=True)
class Whole:
    """A checked recipe with its compiled space."""

    loaded: LoadedRecipe
    graph: SearchGraph


def check_whole(opened: OpenedRecipe, import_plugin: Callable[[Tree], None] | None = None) -> Whole:
    """Checks a recipe and its space, whatever is wrong with one of them.

    Args:
        import_plugin: called with each item of ``plugins``, before names are looked up.

    Raises:
        SpecError: everything that is wrong, each with its place.
    """
    errors = [] if import_plugin is None else _plugin_errors(opened.tree, import_plugin)
    loaded: LoadedRecipe | None = None
    graph: SearchGraph | None = None
    try:
        loaded = read_opened(opened)
    except SpecError as error:
        errors += each_error(error)
        if opened.space is not None:
            errors += space_compiler.beyond_form(opened.space)
        errors += recipe_check.beyond_form(opened.tree, opened.space)
        raise_all(errors)
    assert loaded is not None
    try:
        graph = space_compiler.compile_space(loaded.space)
        recipe_check.check_recipe(loaded.recipe, graph)
    except SpecError as error:
        errors += each_error(error)
        if graph is None:
            errors += recipe_check.beyond_form(opened.tree, opened.space)
    raise_all(errors)
    assert graph is not None
    return Whole(loaded, graph)


def _plugin_errors(recipe: Tree, import_plugin: Callable[[Tree], None]) -> list[SpecError]:
    plugins = recipe.child("plugins")
    errors: list[SpecError] = []
    for item in plugins.value if plugins is not None and plugins.kind == "sequence" else ():
        if not isinstance(item.value, str):
            continue  # its form is complained of
        try:
            import_plugin(item)
        except SpecError as error:
            errors += each_error(error)
        except NasRestoreError as error:
            errors.append(item.error(error.message, error.hint))
    return errors
