"""A run folder opened: its recipe, its space, its decisions."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nasrestore.assemble.prepare import Prepared, prepare
from nasrestore.errors import NasRestoreError
from nasrestore.graph.derive import derive
from nasrestore.graph.genotype import Genotype, fit, load_genotype
from nasrestore.graph.ir import SearchGraph
from nasrestore.runtime.runfolder import RunFolder, disk_errors, open_run, write_atomic
from nasrestore.spec.load import Override
from nasrestore.spec.overrides import apply_override
from nasrestore.spec.source import Tree, dump_yaml, tree_of

RunLike = str | os.PathLike[str] | RunFolder | None
Tell = Callable[[str], None]


@dataclass
class OpenRun:
    """A run and what its recipe says.

    Attributes:
        prepared: the recipe as the run keeps it.
    """

    folder: RunFolder
    prepared: Prepared

    @cached_property
    def genotype(self) -> Genotype:
        """The decisions that the run stands by.

        Raises:
            NasRestoreError: there are none yet, or they are for another space.
        """
        if not self.folder.genotype.is_file():
            raise NasRestoreError(
                f"{self.folder.path} has no genotype.yaml: its search has not ended",
                hint=f"go on with it: {search_command(self.folder)}",
            )
        return fit(load_genotype(self.folder.genotype), self.prepared.graph)[0]

    @cached_property
    def derived(self) -> SearchGraph:
        """The graph of the network that was decided for."""
        return derive(self.prepared.graph, self.genotype)


def search_command(folder: RunFolder) -> str:
    """What begins a run's search or goes on with it, as a shell takes it."""
    return shlex.join(
        ["nasrestore", "search", str(folder.recipe), "--resume", "--out", str(folder.path)]
    )


def open_recipe(run: RunLike) -> OpenRun:
    """A run by its folder; ``None`` is the newest under ``runs``.

    Raises:
        NasRestoreError: it is no run folder, or one of another version.
        SpecError: its recipe is not valid any more.
    """
    folder = run if isinstance(run, RunFolder) else open_run(None if run is None else Path(run))
    return OpenRun(folder, prepare(folder.recipe))


def write_recipe(folder: RunFolder, prepared: Prepared, settings: dict[str, Any]) -> Prepared:
    """Writes the resolved recipe of a run: space inside, plugins beside it, measured settings in.

    Args:
        settings: what was measured or chosen, by dotted path; ``None`` removes nothing.

    Returns:
        The recipe as it reads now.
    """
    tree = prepared.tree
    plugins = [_copied(Path(path), folder) for path in prepared.recipe.plugins]
    if plugins:
        tree = _set(tree, ("plugins",), plugins)
    for path, value in settings.items():
        tree = _set(tree, tuple(path.split(".")), value)
    header = "# The recipe of this run, complete: nasrestore reads it again from here.\n"
    write_atomic(folder.recipe, header + dump_yaml(tree.plain()))
    return prepare(folder.recipe)


def _set(tree: Tree, keys: tuple[str, ...], value: Any) -> Tree:
    return apply_override(tree, keys, tree_of(value, tree.location, ".".join(keys)))


def _copied(plugin: Path, folder: RunFolder) -> str:
    """The plugin's copy in the run folder, with the hash of its content in its name."""
    content = plugin.read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:12]
    stem = plugin.stem.split("-")[0]
    target = folder.plugins / f"{stem}-{digest}.py"
    if not target.is_file():
        with disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(plugin, target)
    return f"plugins/{target.name}"


def override_settings(
    overrides: Sequence[Override], *, seed: int | None, device: str | None
) -> list[Override]:
    """The overrides with those that have options of their own."""
    from nasrestore.spec.overrides import python_overrides

    own = {"seed": seed, "device": device}
    given = {key: value for key, value in own.items() if value is not None}
    return [*overrides, *python_overrides(given)]


def decisions_of(run: OpenRun) -> dict[str, list[str]]:
    """The decisions that weights belong to, as a checkpoint keeps them."""
    return {name: list(names) for name, names in run.genotype.decisions.items()}
