"""A run's networks, with the weights that its checkpoints have for them."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nasrestore.api.run import OpenRun, RunLike, Tell, decisions_of, open_recipe, search_command
from nasrestore.errors import NasRestoreError, few
from nasrestore.runtime.runfolder import RunFolder

TRAINED, CARRIED = "trained", "carried over from the search"

if TYPE_CHECKING:
    from nasrestore.network.build import GraphNetwork
    from nasrestore.runtime.checkpoint import Checkpoint


def searched(run: OpenRun, tell: Tell) -> Checkpoint:
    """The newest intact checkpoint of the search; ``["network"]`` is the supernet's state dict.

    Args:
        tell: hears what is wrong with it.

    Raises:
        NasRestoreError: the run has no checkpoint of a search.
    """
    from nasrestore.runtime.checkpoint import checkpoints, load_checkpoint

    if not checkpoints(run.folder.checkpoints_search):
        raise _never_searched(run.folder)
    checkpoint = load_checkpoint(run.folder.checkpoints_search, kind="search")
    for note in checkpoint.notes:
        tell(note)
    planned = checkpoint["plan"]["plan"]["total"]
    if checkpoint.step < planned:
        tell(f"the search has not ended: this is turn {checkpoint.step:,} of {planned:,}")
    return checkpoint


def _never_searched(folder: RunFolder) -> NasRestoreError:
    if not folder.genotype.is_file():
        return NasRestoreError(
            f"the search of {folder.path} has left no checkpoint yet",
            hint=f"go on with it: {search_command(folder)}",
        )
    return NasRestoreError(
        f"{folder.path} has a genotype and no checkpoint of a search to derive from",
        hint="put checkpoints/search there from a copy; or train without one: "
        + folder.command("train", "--from", "fresh"),
    )


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
    derived_at = run.folder.path / "checkpoints" / "derive"
    if latest_checkpoint(run.folder.checkpoints_train) is not None:
        checkpoint, origin = _trained(run), TRAINED
    elif latest_checkpoint(derived_at) is not None:
        checkpoint, origin = load_checkpoint(derived_at, kind="derive"), CARRIED
    else:
        checkpoint = None
    if checkpoint is None or checkpoint["extra"]["decisions"] != decisions_of(run):
        has_search = latest_checkpoint(run.folder.checkpoints_search) is not None
        derive = f"{run.folder.command('derive')}, then " if has_search else ""
        raise NasRestoreError(
            f"{run.folder.path} has no derived network yet",
            hint=f"{derive}{run.folder.command('train')}",
        )
    for note in checkpoint.notes:
        tell(note)
    load_weights(network, checkpoint["network"], checkpoint.path)
    if origin == CARRIED:
        tell(
            f"{run.folder.path} has not been trained: these are the weights that its search left, "
            f"{run.folder.command('train')} trains them"
        )
    return network, origin


@dataclass(frozen=True)
class Base:
    """Whose weights a training starts from.

    Attributes:
        name: the run, its recipe, and where its weights come from.
        trained_on: hashes of the clean images that these have seen.
    """

    name: str
    trained_on: frozenset[str] = frozenset()


def start_from(start: RunLike, network: GraphNetwork, tell: Tell) -> Base:
    """Gives a network the weights that another run's has; says whose they are.

    Args:
        start: a run that was trained, or at least derived.
        tell: hears what is wrong with its checkpoint.

    Raises:
        NasRestoreError: it has no weights yet, or its network is another one.
    """
    from nasrestore.network.weights import MisfitError, misfits

    other = open_recipe(start)
    folder = other.folder.path
    there, origin = finished_network(other, tell)
    found = misfits(network.state_dict(), there.state_dict())
    if found:
        raise MisfitError(
            f"the weights of {folder} are of another network: {few(found, 1, between='; ')}",
            hint="take the same space with the same settings, and its genotype: "
            f"--genotype {shlex.quote(str(other.folder.genotype))}",
        )
    network.load_state_dict(there.state_dict())
    checkpoint = training_in(other.folder) if origin == TRAINED else searched(other, tell)
    seen = checkpoint["extra"].get("trained_on", ())
    return Base(f"{folder.name} ({other.prepared.recipe.recipe}, {origin})", frozenset(seen))


def _trained(run: OpenRun) -> Checkpoint:
    """The checkpoint of a training of the run's genotype that has ended.

    Raises:
        NasRestoreError: it has not, it is of another genotype, or its last checkpoint is damaged.
    """
    folder = run.folder
    checkpoint = training_in(folder)
    if checkpoint["extra"]["decisions"] != decisions_of(run):
        raise of_another_genotype(folder)
    if checkpoint["extra"].get("complete"):
        return checkpoint
    turn = f"turn {checkpoint.step:,} of {checkpoint['plan']['plan']['total']:,}"
    resume = folder.command("train", "--resume")
    if checkpoint.notes:  # what it went back to is of a moment before the end
        raise NasRestoreError(
            f"the trained weights in {folder.checkpoints_train} cannot be read: "
            f"{checkpoint.notes[0]}, where the training had not ended ({turn})",
            hint=f"put the file there from a copy, or train the rest again: {resume}",
        )
    raise NasRestoreError(
        f"the training of {folder.path} has not ended: it stopped at {turn}", hint=resume
    )


def training_in(folder: RunFolder) -> Checkpoint:
    """The newest intact checkpoint of a run's training.

    Raises:
        NasRestoreError: none is intact, or it is of another version or kind.
    """
    from nasrestore.runtime.checkpoint import NoneIntactError, load_checkpoint

    try:
        return load_checkpoint(folder.checkpoints_train, kind="train")
    except NoneIntactError as error:
        again = folder.command("train", "--overwrite")
        error.hint = f"put the file there from a copy, or train again: {again}"
        raise


def of_another_genotype(folder: RunFolder) -> NasRestoreError:
    """What is said where ``genotype.yaml`` is not what was trained."""
    return NasRestoreError(
        f"the trained weights in {folder.path} are of another genotype",
        hint=f"train again: {folder.command('train', '--overwrite')}",
    )


def trained_decisions(folder: RunFolder) -> dict[str, list[str]] | None:
    """The decisions that a training in a run is of; ``None`` without one that can be read."""
    from nasrestore.runtime.checkpoint import checkpoints

    if not checkpoints(folder.checkpoints_train):
        return None
    try:
        found = training_in(folder)["extra"]["decisions"]
    except NasRestoreError:
        return None  # it is damaged
    return dict(found)
