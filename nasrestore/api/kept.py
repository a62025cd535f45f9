"""Whether the checkpoints that a run keeps are intact, and of the network that its recipe says."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from nasrestore.api.run import OpenRun
from nasrestore.errors import NasRestoreError
from nasrestore.search.health.finding import Finding

if TYPE_CHECKING:
    from nasrestore.network.build import GraphNetwork
    from nasrestore.runtime.checkpoint import Checkpoint

ADVICE = {
    "search": "check the disk; --resume goes on from the last one that is intact",
    "train": "check the disk, then train the rest again: nasrestore train RUN --resume",
}


def of_search(opened: OpenRun) -> tuple[Checkpoint | None, list[Finding]]:
    """The newest intact checkpoint of the search, and what is wrong with it and newer ones.

    One of another supernet than the recipe's is a hard finding.
    """
    from nasrestore.assemble.network import supernet
    from nasrestore.runtime.checkpoint import checkpoints

    if not checkpoints(opened.folder.checkpoints_search):
        return None, []
    recipe, graph = opened.prepared.recipe, opened.prepared.graph
    return _looked_at(opened, "search", lambda: supernet(recipe, graph))


def of_training(opened: OpenRun) -> list[Finding]:
    """What is wrong with the checkpoints of a training of the present genotype."""
    from nasrestore.assemble.network import plain_network
    from nasrestore.runtime.checkpoint import checkpoints

    if not checkpoints(opened.folder.checkpoints_train) or not opened.folder.genotype.is_file():
        return []
    return _looked_at(opened, "train", lambda: plain_network(opened.derived))[1]


def _looked_at(
    opened: OpenRun, kind: str, network: Callable[[], GraphNetwork]
) -> tuple[Checkpoint | None, list[Finding]]:
    from nasrestore.api.run import decisions_of
    from nasrestore.network.weights import misfits, refuse_misfits
    from nasrestore.runtime.checkpoint import load_checkpoint

    folder = opened.folder.path / "checkpoints" / kind
    try:
        checkpoint = load_checkpoint(folder, kind=kind)
    except NasRestoreError as error:
        return None, [Finding("soft", "checkpoint", kind, error.message, ADVICE[kind])]
    notes = [Finding("soft", "checkpoint", kind, note, ADVICE[kind]) for note in checkpoint.notes]
    if kind == "train" and checkpoint["extra"]["decisions"] != decisions_of(opened):
        return checkpoint, notes
    try:
        refuse_misfits(misfits(network().state_dict(), checkpoint["network"]), checkpoint.path)
    except NasRestoreError as error:
        misfit = Finding("hard", "checkpoint", kind, error.message, error.hint or ADVICE[kind])
        notes.append(misfit)
    return checkpoint, notes
