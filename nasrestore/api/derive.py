"""Deriving: from what a search learnt to a network, its weights and its discretisation gap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nasrestore.api.phases import Options, set_up
from nasrestore.api.run import OpenRun, RunLike, decisions_of, open_recipe
from nasrestore.api.search import write_genotype
from nasrestore.api.weights import carried_network, searched, trained_decisions
from nasrestore.errors import NasRestoreError
from nasrestore.graph.cost import Cost, graph_cost
from nasrestore.graph.decide import Decided, decide
from nasrestore.graph.derive import derive as derive_graph
from nasrestore.graph.ir import Limits
from nasrestore.runtime.checkpoint import checkpoints
from nasrestore.runtime.outdated import drop_training
from nasrestore.runtime.runfolder import MEASURED, RunFolder, read_result, update_result

if TYPE_CHECKING:
    from nasrestore.assemble.data import Splits
    from nasrestore.network.build import GraphNetwork
    from nasrestore.runtime.checkpoint import Checkpoint
    from nasrestore.search.objective import Batch, Objective

JUDGED_BATCHES = 8
MOST_SHOWN = 3


@dataclass(frozen=True)
class DeriveResult:
    """What was decided.

    Attributes:
        alternatives: the ``top`` genotypes, best first; the run stands by the first.
        costs: of each, where its signatures tell.
        gap: the objective on validation patches: ``supernet``, ``derived``, and their difference.
    """

    run: RunFolder
    alternatives: tuple[Decided, ...]
    costs: tuple[Cost | None, ...]
    gap: dict[str, float]
    notes: tuple[str, ...]


def derive(
    run: RunLike = None,
    *,
    options: Options,
    parameters: int | None = None,
    macs: int | None = None,
    size: tuple[int, int] | None = None,
    top: int = 1,
    device: str | None = None,
    overwrite: bool = False,
) -> DeriveResult:
    """Takes the decisions of a search again, under other limits if wanted, and carries weights over.

    The derived network's batch normalisation is estimated anew before it is judged.

    Args:
        parameters: limit on the number of parameters, in place of the space's.
        macs: limit on multiply-adds at ``size``, in place of the space's.
        top: how many alternatives to give.
        overwrite: decides even where training and evaluations of another genotype go with that.

    Raises:
        NasRestoreError: no architecture keeps within the limits, the search has not begun, or the
            run has been trained or evaluated with another genotype; nothing was changed.
    """
    opened = open_recipe(run)
    limits = _limits(opened.prepared.graph.limits, parameters, macs, size)
    checkpoint = searched(opened, options.observer.message)
    decided = decide(opened.prepared.graph, strengths_in(opened, checkpoint), limits, top)
    costs = tuple(_cost(opened, d, limits) for d in decided)
    folder, notes = opened.folder, list(decided[0].notes)
    with folder.locked():
        outdated = _is_outdated(opened, decided[0])
        if outdated and not overwrite:
            raise _would_lose(opened, decided[0])
        # All that may fail comes first; from here on files are replaced and removed.
        opened.genotype = decided[0].genotype
        gap, network = discretisation_gap(opened, checkpoint, options, device)
        if outdated:
            gone = ", ".join(drop_training(folder)) or "figures in result.json"
            notes.append(f"what belonged to the genotype before is removed: {gone}")
        write_genotype(folder, opened.prepared, decided[0], checkpoint.step)
        _save(opened, network)
        update_result(folder, derive=_section(decided[0], costs[0], limits, gap))
    return DeriveResult(folder, tuple(decided), costs, gap, tuple(notes))


def _section(
    decided: Decided, cost: Cost | None, limits: Limits, gap: dict[str, float]
) -> dict[str, Any]:
    """What ``result.json`` says of a derivation."""
    return {
        "decisions": {k: list(v) for k, v in decided.genotype.decisions.items()},
        "score": decided.score,
        "limits": {"parameters": limits.parameters, "macs": limits.macs},
        "parameters": None if cost is None else cost.parameters,
        "macs": None if cost is None else int(cost.macs),
        "size": list(limits.size),
        "discretisation_gap": gap,
    }


def _is_outdated(opened: OpenRun, decided: Decided) -> bool:
    """Whether the run has training or figures of another genotype than the one decided for."""
    result = read_result(opened.folder)
    kept = [name for name in ("train", *MEASURED) if name in result]
    trained = trained_decisions(opened.folder)
    if trained is None and not kept and not checkpoints(opened.folder.checkpoints_train):
        return False
    if trained is None and opened.folder.genotype.is_file():
        trained = decisions_of(opened)
    return trained != {name: list(names) for name, names in decided.genotype.decisions.items()}


def _would_lose(opened: OpenRun, decided: Decided) -> NasRestoreError:
    """The refusal, with what is decided otherwise."""
    before = opened.genotype.decisions if opened.folder.genotype.is_file() else {}
    after = decided.genotype.decisions
    other = [name for name in after if before.get(name) != after[name]]
    shown = [f"{n}: {_names(before.get(n, ()))} -> {_names(after[n])}" for n in other[:MOST_SHOWN]]
    more = f" and {len(other) - MOST_SHOWN} more" if len(other) > MOST_SHOWN else ""
    return NasRestoreError(
        f"{opened.folder.path} has been trained or evaluated with the genotype that it has, and "
        f"this would be another ({'; '.join(shown)}{more})",
        hint=f"{opened.folder.command('derive', '--overwrite')}, with the same limits, replaces it: "
        "training, evaluations and pictures go with it; to keep both, derive in a copy of the folder",
    )


def _names(names: Sequence[str]) -> str:
    return ", ".join(names) or "nothing"


def _limits(
    own: Limits, parameters: int | None, macs: int | None, size: tuple[int, int] | None
) -> Limits:
    return Limits(
        own.parameters if parameters is None else parameters,
        own.macs if macs is None else macs,
        own.size if size is None else size,
    )


def _cost(opened: OpenRun, decided: Decided, limits: Limits) -> Cost | None:
    try:
        return graph_cost(derive_graph(opened.prepared.graph, decided.genotype), limits.size)
    except NasRestoreError:
        return None  # a plugin's signature does not tell


def strengths_in(opened: OpenRun, checkpoint: Checkpoint) -> dict[str, list[float]]:
    """What the logits of a checkpoint say, whatever the rest of it.

    Raises:
        NasRestoreError: they are of other choices than the recipe's.
    """
    from nasrestore.assemble.network import make
    from nasrestore.network.architecture import Architecture
    from nasrestore.network.weights import load_weights
    from nasrestore.registry import relaxation

    made = make(relaxation, opened.prepared.recipe.search.relaxation)
    architecture = Architecture(opened.prepared.graph.choices, made)
    prefix = "architecture."
    state = checkpoint["network"]
    own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    load_weights(architecture, own, checkpoint.path)
    return architecture.strengths()


def _save(opened: OpenRun, network: GraphNetwork) -> None:
    """The derived network with the weights that were carried over, as a checkpoint."""
    from nasrestore.runtime.checkpoint import save_checkpoint

    content = {"network": network.state_dict(), "extra": {"decisions": decisions_of(opened)}}
    save_checkpoint(opened.folder.path / "checkpoints" / "derive", content, step=0, kind="derive")


def discretisation_gap(
    opened: OpenRun,
    checkpoint: Checkpoint,
    options: Options,
    device: str | None,
    splits: Splits | None = None,
) -> tuple[dict[str, float], GraphNetwork]:
    """What deciding loses before any training, and the derived network; writes nothing.

    Both networks' statistics of batch normalisation are estimated anew before they are judged.

    Args:
        splits: the images, on the device; default: opened here.

    Returns:
        The objective on validation patches, ``supernet`` and ``derived``, their ``gap``; and the
        derived network with the weights that were carried over.
    """
    import torch

    from nasrestore.assemble.data import open_splits
    from nasrestore.assemble.network import device_named, hyper_parameters, objective, supernet
    from nasrestore.engine.statistics import estimate_statistics
    from nasrestore.network.weights import load_weights

    recipe = opened.prepared.recipe
    place = device_named(device or recipe.device)
    set_up(recipe, place)
    if splits is None:
        splits = open_splits(
            recipe, place, getattr(options.observer, "loading", None), opened.prepared.graph
        )
    splits.check_disjoint()
    levels = recipe.search.levels
    batches = splits.stream(replace(levels[0], data="train"), recipe.seed + 2000)
    judged = splits.stream(replace(levels[0], data="validation"), recipe.seed + 2001)
    network = carried_network(opened, checkpoint).to(place, memory_format=torch.channels_last)
    estimate_statistics(network, batches)
    whole = supernet(recipe, opened.prepared.graph)
    load_weights(whole, checkpoint["network"], checkpoint.path)
    whole.to(place, memory_format=torch.channels_last)
    estimate_statistics(whole, batches)
    patches = [next(judged) for _ in range(JUDGED_BATCHES)]
    hyper = hyper_parameters(recipe, checkpoint.get("hyper")).to(place)
    found = {
        name: _judge(objective(recipe, levels[-1].objective, one, place, hyper), patches)
        for name, one in (("supernet", whole), ("derived", network))
    }
    found["gap"] = found["derived"] - found["supernet"]
    return found, network


def _judge(objective: Objective, patches: Sequence[Batch]) -> float:
    """Its mean over the batches, with the network's running statistics."""
    import torch

    objective.network.eval()
    with torch.no_grad():
        values = [float(objective(batch, 1.0).total) for batch in patches]
    return sum(values) / len(values)
