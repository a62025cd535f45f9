"""Training a derived network: a chain of one level, by the loop that searches."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrestore.api.phases import Options, make_levels, make_loop, resumed, set_up, start, summary
from nasrestore.api.run import (
    OpenRun,
    RunLike,
    decisions_of,
    open_recipe,
    override_settings,
    write_recipe,
)
from nasrestore.api.weights import (
    Base,
    carried_network,
    of_another_genotype,
    searched,
    start_from,
    training_in,
)
from nasrestore.assemble.prepare import find_genotype, prepare
from nasrestore.errors import NasRestoreError
from nasrestore.runtime.outdated import drop_measured
from nasrestore.runtime.runfolder import (
    MEASURED,
    RunFolder,
    check_out,
    create_run,
    open_run,
    read_result,
    update_result,
    write_atomic,
)
from nasrestore.spec.load import Override

if TYPE_CHECKING:
    from nasrestore.network.build import GraphNetwork
    from nasrestore.runtime.runlog import RunLog
    from nasrestore.search.loop import Loop

OWN_WEIGHTS = ("search", "fresh")


@dataclass(frozen=True)
class TrainResult:
    """What training leaves behind.

    Attributes:
        frames: how many the network reads at a time; None for a network that reads images.
    """

    run: RunFolder
    summary: dict[str, Any]
    frames: int | None = None


def train(
    run: RunLike = None,
    *,
    options: Options,
    weights: str | None = None,
    device: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> TrainResult:
    """Trains the network that a run decided for.

    Args:
        weights: ``search`` carries the searched weights over, ``fresh`` starts anew, and the folder of
            another run starts from the weights of its network; default: the recipe's.
        resume: goes on from the newest checkpoint of an earlier training.
        overwrite: starts again in spite of one.

    Raises:
        NasRestoreError: there is no genotype yet, or the run is trained already.
        RunStopped: a loss is not finite.
        Interrupted: asked to stop; it can be resumed.
    """
    from nasrestore.runtime.checkpoint import latest_checkpoint

    if resume and options.budget is not None:
        raise NasRestoreError(
            "--resume goes on with the run's own plan: a budget cannot change it",
            hint="leave the budget out, or train again with --overwrite",
        )
    opened = open_recipe(run)
    folder = opened.folder
    there = latest_checkpoint(folder.checkpoints_train)
    if there is not None and not (resume or overwrite):
        raise NasRestoreError(
            f"{folder.path} has been trained already ({there.name})",
            hint=f"{folder.command('train', '--resume')} goes on, --overwrite starts again",
        )
    if resume and there is not None:
        _check_decisions(opened)
    if resume and there is None:
        raise NasRestoreError(
            f"{folder.path} has no training to resume", hint=f"begin one: {folder.command('train')}"
        )
    if there is not None and not resume and weights is None:
        _check_base(folder)
    wanted = weights or opened.prepared.recipe.train.weights
    return _train(lambda: opened, opened, wanted, options, device, resume=resume)


def _check_base(folder: RunFolder) -> None:
    """Refuses to start again from other weights than those of the run that a training began with."""
    try:
        base = training_in(folder)["extra"]["from"]
    except NasRestoreError:
        return  # it is damaged, and goes
    if base not in OWN_WEIGHTS:
        raise NasRestoreError(
            f"{folder.path} was trained on the weights of {base}",
            hint="--from RUN names that run again, --from fresh starts anew",
        )


def _check_decisions(opened: OpenRun) -> None:
    """Refuses to go on with the weights of another genotype."""
    if training_in(opened.folder)["extra"]["decisions"] != decisions_of(opened):
        raise of_another_genotype(opened.folder)


def train_genotype(
    recipe: str | os.PathLike[str],
    genotype: str | None,
    overrides: Sequence[Override] = (),
    *,
    options: Options,
    weights: str | None = None,
    out: Path | None = None,
    seed: int | None = None,
    device: str | None = None,
    overwrite: bool = False,
) -> TrainResult:
    """Trains a named architecture of a recipe's space, in a run of its own.

    Args:
        genotype: path or shipped name; ``None`` for a space that has nothing to decide, or for that of
            the run in ``weights``.
        weights: the folder of a run whose network's weights are trained on; default: fresh ones.

    Raises:
        NasRestoreError: the genotype is for another space, or left out where one is needed.
    """
    import dataclasses

    from nasrestore.graph.genotype import genotype_of

    check_out(out, overwrite=overwrite)
    weights = weights or "fresh"
    prepared = prepare(recipe, override_settings(overrides, seed=seed, device=device))
    if genotype is None and prepared.graph.choices and weights not in OWN_WEIGHTS:
        genotype = str(open_run(Path(weights).expanduser()).genotype)
    if genotype is None:
        if prepared.graph.choices:
            raise NasRestoreError(
                f"space {prepared.graph.name!r} leaves choices open",
                hint="name a genotype: --genotype FILE, or search first",
            )
        decided, notes = genotype_of(prepared.graph, {}), []
    else:
        decided, notes = find_genotype(genotype, prepared.graph)
    for note in notes:
        options.observer.message(note)
    planned = OpenRun(RunFolder(Path(os.devnull)), prepared)
    planned.__dict__["genotype"] = decided

    def made() -> OpenRun:
        folder = create_run(out, prepared.recipe.recipe, resume=False, overwrite=overwrite)
        write_recipe(folder, prepared, {})
        source = {"genotype": genotype or "the space itself"}
        write_atomic(folder.genotype, dataclasses.replace(decided, source=source).dump())
        return open_recipe(folder)

    return _train(made, planned, weights, options, device, resume=False)


def _train(
    make_run: Callable[[], OpenRun],
    planned: OpenRun,
    weights: str,
    options: Options,
    device: str | None,
    *,
    resume: bool,
) -> TrainResult:
    from nasrestore.assemble.data import open_splits
    from nasrestore.assemble.network import device_named
    from nasrestore.assemble.scenes import seen_before
    from nasrestore.engine.statistics import CALIBRATION_BATCHES, estimate_statistics
    from nasrestore.runtime.runlog import RunLog

    recipe = planned.prepared.recipe
    place = device_named(device or recipe.device)
    set_up(recipe, place)
    network, hyper, base = _initial(planned, weights, options)
    splits = open_splits(recipe, place, getattr(options.observer, "loading", None), planned.derived)
    splits.check_disjoint()
    seen = seen_before(
        splits.contents["tested"], base.trained_on, base.name, accepted=splits.overlap_accepted
    )
    for note in (*splits.notes, *seen):
        options.observer.message(note)
    levels = make_levels("train", recipe, recipe.train, network, splits, place, hyper)
    opened = make_run()
    run = opened.folder
    with run.locked(), RunLog(run.log, run.tensorboard / "train") as log:
        loop = make_loop("train", recipe.train, network, levels, run, log, options)
        loop.extra = {
            "decisions": decisions_of(opened),
            "from": base.name,
            "trained_on": sorted(splits.contents["trained"] | base.trained_on),
            "data": splits.digest,
        }
        _begin(loop, opened, options, log, resume=resume)
        ended = read_result(run).get("train") if loop.extra.get("complete") else None
        if ended is not None:  # evaluations of it stand
            options.observer.message("this training has ended already")
            return TrainResult(run, ended, planned.derived.frames)
        loop.run()
        split = recipe.train.levels[0].data
        batches = splits.calibration(split, network.multiple)
        estimate_statistics(network, batches, CALIBRATION_BATCHES)
        loop.extra["complete"] = True  # what lacks this is no trained network yet
        loop.save()
        result = {**summary(loop, recipe), "from": loop.extra["from"], "data": splits.name}
        update_result(run, without=MEASURED, train=result)
    return TrainResult(run, result, planned.derived.frames)


def _initial(
    planned: OpenRun, weights: str, options: Options
) -> tuple[GraphNetwork, Mapping[str, Any] | None, Base]:
    """The network before its first step, the hyper-parameters that a search found, and whose weights.

    The hyper-parameters hold even where the weights are not the search's: they are settings that were
    searched.
    """
    from nasrestore.assemble.network import plain_network
    from nasrestore.runtime.checkpoint import latest_checkpoint

    tell = options.observer.message
    hyper = None
    if latest_checkpoint(planned.folder.checkpoints_search) is None:
        if weights == "search":
            tell("no search in this run: training starts from fresh weights")
        if planned.prepared.recipe.hyper:
            tell("no search in this run: hyper-parameters stay at their start")
    elif weights == "search" or planned.prepared.recipe.hyper:
        checkpoint = searched(planned, tell)
        hyper = checkpoint.get("hyper")
        if weights == "search":
            return carried_network(planned, checkpoint), hyper, Base(weights)
    network = plain_network(planned.derived)
    if weights in OWN_WEIGHTS:
        return network, hyper, Base(weights)
    base = start_from(Path(weights).expanduser(), network, tell)
    tell(f"training starts from the weights of {base.name}")
    return network, hyper, base


def _begin(loop: Loop, opened: OpenRun, options: Options, log: RunLog, *, resume: bool) -> None:
    """Resumes the loop, or plans it anew."""
    recipe = opened.prepared.recipe
    if resume and loop.resume():
        resumed(loop, recipe, recipe.train)
        return
    measured = start(loop, recipe, recipe.train, options, log)
    write_recipe(opened.folder, opened.prepared, measured)
    log.truncate_after(-1, phase="train")
    loop.save()  # an earlier training goes with this, not before, and so does what shows it
    drop_measured(opened.folder)
