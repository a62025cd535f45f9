"""A run folder opened: its recipe, its space, its decisions, its networks."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrestore.assemble.prepare import Prepared, prepare
from nasrestore.errors import NasRestoreError
from nasrestore.graph.derive import derive
from nasrestore.graph.genotype import Genotype, fit, load_genotype
from nasrestore.graph.ir import SearchGraph
from nasrestore.runtime.runfolder import RunFolder, disk_errors, open_run, write_atomic
from nasrestore.spec.load import Override
from nasrestore.spec.overrides import apply_override
from nasrestore.spec.source import Tree, dump_yaml, tree_of

if TYPE_CHECKING:
    from nasrestore.network.build import GraphNetwork
    from nasrestore.runtime.checkpoint import Checkpoint

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
                hint=f"go on with nasrestore search --resume --out {self.folder.path}",
            )
        return fit(load_genotype(self.folder.genotype), self.prepared.graph)[0]

    @cached_property
    def derived(self) -> SearchGraph:
        """The graph of the network that was decided for."""
        return derive(self.prepared.graph, self.genotype)


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


# -- networks --------------------------------------------------------------------------------


def searched(run: OpenRun, tell: Tell) -> Checkpoint:
    """The newest intact checkpoint of the search; ``["network"]`` is the supernet's state dict.

    Args:
        tell: hears what is wrong with it.

    Raises:
        NasRestoreError: the run has no checkpoint of a search.
    """
    from nasrestore.runtime.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(run.folder.checkpoints_search, kind="search")
    for note in checkpoint.notes:
        tell(note)
    planned = checkpoint["plan"]["plan"]["total"]
    if checkpoint.step < planned:
        tell(f"the search has not ended: this is turn {checkpoint.step:,} of {planned:,}")
    return checkpoint


def carried_network(run: OpenRun, checkpoint: Checkpoint) -> GraphNetwork:
    """The derived network with the weights that a search left it.

    Raises:
        NasRestoreError: they are of another supernet than the recipe's.
    """
    from nasrestore.assemble.network import plain_network
    from nasrestore.network.build import carried_state

    network = plain_network(run.derived)
    state = carried_state(run.prepared.graph, checkpoint["network"], network, checkpoint.path)
    network.load_state_dict(state)
    return network


def finished_network(run: OpenRun, tell: Tell) -> tuple[GraphNetwork, str]:
    """The derived network with the best weights there are, and where they come from.

    Args:
        tell: hears what is wrong with a checkpoint.

    Raises:
        NasRestoreError: neither ``train`` nor ``derive`` has left any, training has not ended, or
            they are of another network than the recipe's.
    """
    from nasrestore.assemble.network import plain_network
    from nasrestore.network.weights import load_weights
    from nasrestore.runtime.checkpoint import latest_checkpoint, load_checkpoint

    network = plain_network(run.derived)
    for kind, where in (
        ("train", run.folder.checkpoints_train),
        ("derive", run.folder.path / "checkpoints" / "derive"),
    ):
        if latest_checkpoint(where) is None:
            continue
        checkpoint = load_checkpoint(where, kind=kind)
        for note in checkpoint.notes:
            tell(note)
        extra = checkpoint["extra"]
        if extra["decisions"] == decisions_of(run):
            if kind == "train" and not extra.get("complete"):
                planned = checkpoint["plan"]["plan"]["total"]
                raise NasRestoreError(
                    f"the training of {run.folder.path} has not ended: it stopped at turn "
                    f"{checkpoint.step:,} of {planned:,}",
                    hint=f"nasrestore train {run.folder.path} --resume",
                )
            load_weights(network, checkpoint["network"], checkpoint.path)
            return network, "trained" if kind == "train" else "carried over from the search"
        if kind == "train":
            raise NasRestoreError(
                f"the trained weights in {run.folder.path} are of another genotype",
                hint="train again: nasrestore train --overwrite",
            )
    raise NasRestoreError(
        f"{run.folder.path} has no derived network yet",
        hint=f"nasrestore derive {run.folder.path}, then nasrestore train {run.folder.path}",
    )


def trained_decisions(folder: RunFolder) -> dict[str, list[str]] | None:
    """The decisions that a training in a run is of; ``None`` without one that can be read."""
    from nasrestore.runtime.checkpoint import checkpoints, load_checkpoint

    if not checkpoints(folder.checkpoints_train):
        return None
    try:
        found = load_checkpoint(folder.checkpoints_train, kind="train")["extra"]["decisions"]
    except NasRestoreError:
        return None  # it is damaged
    return dict(found)


def decisions_of(run: OpenRun) -> dict[str, list[str]]:
    """The decisions that weights belong to, as a checkpoint keeps them."""
    return {name: list(names) for name, names in run.genotype.decisions.items()}


__all__ = [
    "OpenRun",
    "RunLike",
    "carried_network",
    "decisions_of",
    "finished_network",
    "open_recipe",
    "override_settings",
    "searched",
    "trained_decisions",
    "write_recipe",
]
