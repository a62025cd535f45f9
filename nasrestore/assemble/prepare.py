"""A recipe read, its plugins imported, its space compiled, everything checked. Torch-free by itself."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nasrestore.errors import NasRestoreError
from nasrestore.graph.genotype import Genotype, fit, load_genotype
from nasrestore.graph.ir import SearchGraph
from nasrestore.graph.whole import check_whole
from nasrestore.spec.load import Override, open_recipe
from nasrestore.spec.recipe import RecipeSpec
from nasrestore.spec.shipped import find
from nasrestore.spec.source import Tree


@dataclass(frozen=True)
class Prepared:
    """A checked recipe.

    Attributes:
        tree: recipe and space in one, as a run folder keeps it.
        graph: the compiled space.
    """

    recipe: RecipeSpec
    graph: SearchGraph
    tree: Tree


def prepare(recipe: str | os.PathLike[str], overrides: Sequence[Override] = ()) -> Prepared:
    """A recipe from a path or a shipped name, checked in full.

    Raises:
        SpecError: all that is wrong with the recipe and its space.
        NasRestoreError: there is no such recipe, or a plugin that does not import.
    """
    whole = check_whole(open_recipe(recipe, overrides), _import_named)
    return Prepared(whole.loaded.recipe, whole.graph, whole.loaded.tree)


def _import_named(at: Tree) -> None:
    import_plugin(Path(at.value), at)


def import_plugin(path: Path, at: Tree) -> None:
    """Imports a plugin file once; its decorators add names.

    Raises:
        SpecError: it is missing, or importing it raises.
    """
    if not path.is_file():
        raise at.error(f"there is no plugin {path}", "plugins are Python files")
    name = "nasrestore_plugin_" + hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise at.error(f"{path} is not a Python file", "plugins are Python files")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except NasRestoreError as error:
        del sys.modules[name]
        raise at.error(f"plugin {path.name}: {error.message}", error.hint) from error
    except KeyboardInterrupt:
        del sys.modules[name]
        raise
    except BaseException as error:  # sys.exit() too, or the command would end as if it were done
        del sys.modules[name]
        raise at.error(
            f"plugin {path.name} cannot be imported: {type(error).__name__}: {error}",
            f"run python {path.name} to see where",
        ) from error


def find_genotype(text: str, graph: SearchGraph) -> tuple[Genotype, list[str]]:
    """A genotype from a path or a shipped name, fit to a graph, and what is to be said aloud.

    Raises:
        NasRestoreError: there is none, or it is for another space.
    """
    return fit(load_genotype(find(text, "genotype")), graph)
