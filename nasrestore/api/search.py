"""Searching: from a recipe to a run folder with decisions."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrestore.api.health import health_monitor
from nasrestore.api.phases import Options, make_levels, make_loop, resumed, set_up, start, summary
from nasrestore.api.run import open_recipe, override_settings, write_recipe
from nasrestore.assemble.prepare import Prepared, prepare
from nasrestore.errors import NasRestoreError
from nasrestore.graph.genotype import Genotype
from nasrestore.graph.reach import owned
from nasrestore.runtime.runfolder import (
    RunFolder,
    check_out,
    create_run,
    read_result,
    update_result,
    write_atomic,
)
from nasrestore.spec.load import Override

if TYPE_CHECKING:
    from nasrestore.assemble.data import Splits
    from nasrestore.graph.decide import Decided
    from nasrestore.network.build import GraphNetwork
    from nasrestore.search.health.finding import Finding


@dataclass(frozen=True)
class SearchResult:
    """What a search leaves behind.

    Attributes:
        health: what is to be known of it, softly; the images were not looked at.
        unsearched: the choices that stand as they started, since no level that owns them took a step.
    """

    run: RunFolder
    genotype: Genotype
    notes: tuple[str, ...]
    health: tuple[Finding, ...] = ()
    unsearched: tuple[str, ...] = ()


def search(
    recipe: str | os.PathLike[str],
    overrides: Sequence[Override] = (),
    *,
    options: Options,
    out: Path | None = None,
    seed: int | None = None,
    device: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> SearchResult:
    """Searches, and writes the run folder with ``genotype.yaml`` at its end.

    Raises:
        NasRestoreError: recipe, data, device or folder cannot be used; nothing was changed.
        RunStopped: a loss is not finite.
        Interrupted: asked to stop; it can be resumed.
    """
    if resume:
        return _resumed(recipe, overrides, options, out, seed, device)
    check_out(out, overwrite=overwrite)
    prepared = prepare(recipe, override_settings(overrides, seed=seed, device=device))
    _check_choices(prepared)
    from nasrestore.assemble.network import device_named  # imports torch: input errors come first

    place = device_named(prepared.recipe.device)

    def made() -> RunFolder:
        return create_run(out, prepared.recipe.recipe, resume=False, overwrite=overwrite)

    return _search(prepared, place, made, options, fresh=True)


def _resumed(
    recipe: str | os.PathLike[str],
    overrides: Sequence[Override],
    options: Options,
    out: Path | None,
    seed: int | None,
    device: str | None,
) -> SearchResult:
    if overrides or seed is not None:
        raise NasRestoreError(
            "--resume goes on with the run's own recipe: --set and --seed cannot change it",
            hint="leave them out, or start a new run",
        )
    if options.budget is not None:
        raise NasRestoreError(
            "--resume goes on with the run's own plan: a budget cannot change it",
            hint="leave the budget out, or start a new run",
        )
    name = prepare(recipe).recipe.recipe
    folder = create_run(out, name, resume=True, overwrite=False)
    run = open_recipe(folder)
    if folder.genotype.is_file() and "search" in read_result(folder):
        # Deciding again would undo what `derive` may have decided under other limits.
        return SearchResult(folder, run.genotype, ("this search has ended already",))
    from nasrestore.assemble.network import device_named

    place = device_named(device or run.prepared.recipe.device)
    return _search(run.prepared, place, lambda: folder, options, fresh=False)


def _check_choices(prepared: Prepared) -> None:
    if not prepared.graph.choices:
        raise NasRestoreError(
            f"space {prepared.graph.name!r} has nothing to decide",
            hint="give it a choice, or train it: nasrestore train --recipe RECIPE",
        )


def _search(
    prepared: Prepared,
    device: Any,
    make_run: Callable[[], RunFolder],
    options: Options,
    *,
    fresh: bool,
) -> SearchResult:
    from nasrestore.assemble.data import open_splits
    from nasrestore.assemble.network import supernet
    from nasrestore.runtime.runlog import RunLog

    recipe = prepared.recipe
    set_up(recipe, device)
    splits = open_splits(recipe, device, getattr(options.observer, "loading", None), prepared.graph)
    splits.check_disjoint()
    for note in (*splits.notes, *_limited(recipe.search.limit, splits)):
        options.observer.message(note)
    network = supernet(recipe, prepared.graph)
    levels = make_levels("search", recipe, recipe.search, network, splits, device)
    # The folder is made last: whatever was wrong until here has left nothing behind.
    run = make_run()
    with run.locked(), RunLog(run.log, run.tensorboard / "search") as log:
        loop = make_loop("search", recipe.search, network, levels, run, log, options)
        loop.extra = {"data": splits.digest, "trained_on": sorted(splits.contents["trained"])}
        loop.monitor = monitor = health_monitor(recipe, splits.members, log.event)
        if fresh:
            budget = None if options.budget is None else f"{options.budget:g}s"
            prepared = write_recipe(run, prepared, {"search.budget": budget} if budget else {})
        if fresh or not loop.resume():
            recipe = prepared.recipe
            measured = start(loop, recipe, recipe.search, options, log)
            prepared = write_recipe(run, prepared, measured)
            log.event("splits", **splits.members)
            loop.save()
        else:
            resumed(loop, recipe, recipe.search)
        loop.keep = lambda settings: write_recipe(run, prepared, settings)
        loop.run()
        update_result(run, search={**summary(loop, recipe), "data": splits.name})
        decided = _decide(prepared, network)
        notes = write_genotype(run, prepared, decided, loop.turn)
        unsearched = _unsearched(prepared, monitor.idle())
    findings = _soft_findings(run, options)
    return SearchResult(run, decided.genotype, notes, findings, unsearched)


def _unsearched(prepared: Prepared, idle: Sequence[str]) -> tuple[str, ...]:
    """The choices whose parameters belong to levels that took no step."""
    groups = {
        group
        for level in prepared.recipe.search.levels
        if level.name in idle
        for group in owned(level)
    }
    own = [c.name for c in prepared.graph.choices if not c.measured_by and c.group in groups]
    by_links = [
        c.name for c in prepared.graph.choices if c.measured_by and {*c.measured_by} <= {*own}
    ]
    return (*own, *by_links)


def _limited(limit: int | None, splits: Splits) -> list[str]:
    if limit is None:
        return []
    of = sum(len(splits.members[split]) for split in ("train", "validation"))
    return [f"search.limit: {len(splits.first(limit))} of {of} training scenes are searched on"]


def _soft_findings(run: RunFolder, options: Options) -> tuple[Finding, ...]:
    from nasrestore.api.doctor import examine_run

    found = examine_run(run, options=options, data=False).findings
    return tuple(finding for finding in found if finding.kind == "soft")


def _decide(prepared: Prepared, network: GraphNetwork) -> Decided:
    from nasrestore.graph.decide import decide

    assert network.architecture is not None
    return decide(prepared.graph, network.architecture.strengths())[0]


def write_genotype(
    run: RunFolder, prepared: Prepared, decided: Decided, turn: int
) -> tuple[str, ...]:
    """Writes ``genotype.yaml`` with where it comes from; gives what is to be said aloud."""
    import dataclasses

    source = {
        "recipe": prepared.recipe.recipe,
        "seed": prepared.recipe.seed,
        "turns": turn,
        "score": round(decided.score, 6),
    }
    if decided.notes:
        source["notes"] = list(decided.notes)
    genotype = dataclasses.replace(decided.genotype, source=source)
    write_atomic(run.genotype, genotype.dump())
    return decided.notes
