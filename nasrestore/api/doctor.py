"""Search health of a run or a recipe: what is looked at, and when. Nothing is written anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nasrestore.api.health import health_monitor, levels_that_decide, told_apart
from nasrestore.api.kept import of_search, of_training
from nasrestore.api.phases import Options, make_levels, set_up
from nasrestore.api.run import OpenRun, RunLike, open_recipe
from nasrestore.assemble.prepare import Prepared, prepare
from nasrestore.errors import NasRestoreError, RunStopped
from nasrestore.runtime.runfolder import RunFolder, read_result
from nasrestore.search.health import decided, logged, splits
from nasrestore.search.health.course import ChoiceCourse, courses
from nasrestore.search.health.finding import Finding, of_kind, ordered
from nasrestore.spec.load import Override
from nasrestore.spec.recipe import RecipeSpec

if TYPE_CHECKING:
    from nasrestore.assemble.data import Splits
    from nasrestore.runtime.checkpoint import Checkpoint

TURNS = 4  # that are tried of a recipe


@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    Attributes:
        run: ``None`` where a recipe was looked at.
        name: of the recipe.
        choices: how each went over the search.
        records: the run's log.
    """

    run: RunFolder | None
    name: str
    findings: tuple[Finding, ...]
    choices: tuple[ChoiceCourse, ...] = ()
    records: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)

    @property
    def ok(self) -> bool:
        """Whether nothing is hopeless."""
        return not of_kind(self.findings, "hard")


# -- a run -----------------------------------------------------------------------------------


def examine_run(
    run: RunLike = None, *, options: Options, data: bool = True, device: str | None = None
) -> Diagnosis:
    """The health of a run's search, whether it ended, was interrupted, or stopped itself.

    Args:
        data: whether to open its images, for leaks and, where ``derive`` has not measured it, for
            the discretisation gap.

    Raises:
        NasRestoreError: it is no run folder, or a file of it is damaged.
    """
    from nasrestore.runtime.runlog import read_log

    opened = open_recipe(run)
    recipe = opened.prepared.recipe
    records = read_log(opened.folder.log) if opened.folder.log.is_file() else []
    checkpoint, found = of_search(opened)
    misfit = bool(of_kind(found, "hard"))
    found += of_training(opened)
    searched = checkpoint is not None or bool(logged.search_steps(records))
    if not searched and "train" in read_result(opened.folder):
        sentence = "this run trained a given architecture: it has no search to look at"
        found.append(Finding("ok", "end", "search", sentence))
        return _diagnosis(opened, found, [], records)
    found += _course_of(opened, records, checkpoint)
    choices = courses(opened.prepared.graph.choices, records)
    relevant = opened.prepared.graph.relevant({course.name: course.leading for course in choices})
    for course in choices:
        if course.name in relevant:  # not within links and cells that are behind
            found += decided.judge_course(course, _turns(choices, checkpoint), _spread(recipe))
    found += _decisions(opened, choices)
    found += _reading(opened.prepared)
    images = _opened(opened.prepared, options, device) if data else None
    if images is None:
        found += _logged_members(records, recipe)
    else:
        found += _images(images, checkpoint)
    apart = not any(finding.check == "leak" and finding.kind == "hard" for finding in found)
    ready = images if apart and not isinstance(images, Finding) else None
    fitting = None if misfit else checkpoint
    found += _gap(opened, records, fitting, ready, options, device)
    return _diagnosis(opened, found, choices, records)


def _turns(choices: Sequence[ChoiceCourse], checkpoint: Checkpoint | None) -> int:
    """Of the whole search."""
    looked = max((course.turns[-1] for course in choices), default=0)
    return looked if checkpoint is None else max(looked, int(checkpoint["plan"]["plan"]["total"]))


def _diagnosis(
    opened: OpenRun,
    found: Sequence[Finding],
    choices: Sequence[ChoiceCourse],
    records: Sequence[Mapping[str, Any]],
) -> Diagnosis:
    name = opened.prepared.recipe.recipe
    return Diagnosis(opened.folder, name, tuple(ordered(found)), tuple(choices), tuple(records))


def _course_of(
    opened: OpenRun, records: Sequence[Mapping[str, Any]], checkpoint: Checkpoint | None
) -> list[Finding]:
    """What the log, the checkpoint and the monitor's state in it say."""
    from nasrestore.search.health.eigenvalue import judge_eigenvalues

    turns, planned = 0, None
    found = logged.logged_findings(records)
    if checkpoint is not None:
        turns, planned = checkpoint.step, int(checkpoint["plan"]["plan"]["total"])
        stopped = bool(of_kind(found, "hard"))
        found += [] if stopped else _kept(opened, checkpoint)
        found += _watched(checkpoint.get("monitor", {}), turns >= planned, stopped)
    found += logged.judge_end(records, turns, planned)
    found += logged.judge_objectives(records)
    found += logged.judge_solvers(records)
    looks = {r["turn"]: r for r in records if r.get("event") == "eigenvalue"}
    if looks and not any(finding.check == "eigenvalue" for finding in found):
        rows = [looks[turn] for turn in sorted(looks)]
        values = [float(row["value"]) for row in rows]
        found += judge_eigenvalues(sorted(looks), values, int(rows[-1]["window"]))
    return found


def _kept(opened: OpenRun, checkpoint: Checkpoint) -> list[Finding]:
    """Whether the checkpoint holds what decides."""
    from nasrestore.network.architecture import module_key
    from nasrestore.search.health.ownership import judge_kept

    keys = {
        c.name: f"architecture.logits.{module_key(c.name)}"
        for c in opened.prepared.graph.choices
        if not c.measured_by
    }
    return judge_kept([name for name, key in keys.items() if key not in checkpoint["network"]])


def _watched(state: Mapping[str, Any], ended: bool, stopped: bool) -> list[Finding]:
    """What the monitor had heard by then."""
    from nasrestore.search.health.silence import heard_of, judge_silence

    heard = {level: heard_of(kept) for level, kept in state.get("heard", {}).items()}
    found = [f for level, one in heard.items() for f in judge_silence(level, one, ended=ended)]
    steps = sum(one.steps for one in heard.values())
    if steps and not stopped:
        sentence = f"{steps:,} steps were watched: no level wrote to another, and batches went on"
        found.append(Finding("ok", "crossing", "search", sentence, "", float(steps)))
    return found


def _spread(recipe: RecipeSpec) -> float:
    """The first logits' spread in the units of the logarithm of a softmax's strengths."""
    temperature = recipe.search.relaxation.params.get("temperature")
    value = 1.0 if temperature is None or temperature.value is None else float(temperature.value)
    return recipe.search.start_spread / value


def _decisions(opened: OpenRun, choices: Sequence[ChoiceCourse]) -> list[Finding]:
    from nasrestore.runtime.checkpoint import checkpoints, load_checkpoint

    graph = opened.prepared.graph
    leading = {course.name: course.leading for course in choices}
    genotype = opened.genotype.decisions if opened.folder.genotype.is_file() else leading
    found = decided.judge_operations(graph, genotype)
    files = checkpoints(opened.folder.checkpoints_search)
    if len(files) < 2 or not graph.choices:
        return found
    by_turn = {}
    for file in files[-2:]:
        try:
            checkpoint = load_checkpoint(file, kind="search")
            by_turn[checkpoint.step] = decisions_in(opened, checkpoint)
        except NasRestoreError:
            continue  # said already
    last = max(by_turn, default=0)
    # The checkpoint of the start says nothing of how settled the end is.
    return found + decided.judge_checkpoints(
        {turn: names for turn, names in by_turn.items() if 2 * turn >= last}
    )


def decisions_in(opened: OpenRun, checkpoint: Checkpoint) -> Mapping[str, Sequence[str]]:
    """What a checkpoint of a search decides for, within the space's limits."""
    from nasrestore.api.derive import strengths_in
    from nasrestore.graph.decide import decide

    return decide(opened.prepared.graph, strengths_in(opened, checkpoint))[0].genotype.decisions


def _gap(
    opened: OpenRun,
    records: Sequence[Mapping[str, Any]],
    checkpoint: Checkpoint | None,
    images: Splits | None,
    options: Options,
    device: str | None,
) -> list[Finding]:
    """What deciding loses: as ``derive`` has measured it, or else measured now."""
    from nasrestore.api.derive import discretisation_gap

    measured = read_result(opened.folder).get("derive", {}).get("discretisation_gap")
    decided_for = opened.folder.genotype.is_file()
    if measured is None and checkpoint is not None and decided_for and images is not None:
        measured, _ = discretisation_gap(opened, checkpoint, options, device, images)
    if measured is None:
        return []
    start = logged.start_of(records, opened.prepared.recipe.search.levels[-1].name)
    supernet, derived = float(measured["supernet"]), float(measured["derived"])
    return [decided.judge_gap(supernet, derived, None if start is None else start - supernet)]


# -- data ------------------------------------------------------------------------------------


def _reading(prepared: Prepared) -> list[Finding]:
    levels = prepared.recipe.search.levels
    by_level = {level.name: level.data for level in levels}
    return splits.judge_reading(by_level, levels_that_decide(prepared.recipe, prepared.graph))


def _logged_members(records: Sequence[Mapping[str, Any]], recipe: RecipeSpec) -> list[Finding]:
    events = [record for record in records if record.get("event") == "splits"]
    names = ("train", "validation", "test")
    members = {n: events[-1][n] for n in names if n in events[-1]} if events else {}
    return splits.judge_members(told_apart(recipe, members))


def _images(images: Splits | Finding, checkpoint: Checkpoint | None) -> list[Finding]:
    """Whether the images are those of the search, and are kept apart."""
    if isinstance(images, Finding):
        return [images]
    found = data_findings(images)
    known = None if checkpoint is None else checkpoint["extra"].get("data")
    if known and images.digest and known != images.digest:
        sentence = "the images are not those that were searched on: their content has changed"
        advice = "judge and train with the images of the search, or search again"
        found.append(Finding("soft", "data", "data", sentence, advice))
    return found


def _opened(prepared: Prepared, options: Options, device: str | None) -> Splits | Finding:
    """The images, all decoded; or why that cannot be."""
    from nasrestore.assemble.data import open_splits
    from nasrestore.assemble.network import device_named

    place = device_named(device or prepared.recipe.device)

    try:
        found = open_splits(
            prepared.recipe, place, getattr(options.observer, "loading", None), prepared.graph
        )
        _ = found.all, found.test
    except NasRestoreError as error:
        advice = error.hint or "put the images where the recipe says, or use --no-data"
        sentence = f"the images cannot be looked at: {error.message}"
        return Finding("soft", "data", "data", sentence, advice)
    return found


def data_findings(found: Splits) -> list[Finding]:
    """Scenes that are in two splits, by name, by content, and by looks."""
    try:
        leaks = found.leaks()
    except NasRestoreError as error:
        return [Finding("hard", "leak", "data", error.message, error.hint or splits.LEAVE_OUT)]
    judged = splits.judge_leaks(leaks, accepted=found.overlap_accepted)
    return judged if leaks else [*splits.judge_members(found.members), *judged]


# -- a recipe --------------------------------------------------------------------------------


def examine_recipe(
    recipe: str,
    overrides: Sequence[Override] = (),
    *,
    options: Options,
    data: bool = True,
    device: str | None = None,
) -> Diagnosis:
    """The health of a search that has not begun: chain, splits, and a few steps in memory.

    Args:
        data: whether to open the images; without them no step is taken.

    Raises:
        NasRestoreError: recipe or device cannot be used.
    """
    prepared = prepare(recipe, overrides)
    found = _reading(prepared)
    if not prepared.graph.choices:
        sentence = f"space {prepared.graph.name!r} has nothing to decide: there is no search"
        return Diagnosis(None, prepared.recipe.recipe, (Finding("ok", "end", "search", sentence),))
    if data:
        opened = _opened(prepared, options, device)
        found += [opened] if isinstance(opened, Finding) else data_findings(opened)
        if not isinstance(opened, Finding) and not of_kind(found, "hard"):
            found += _tried(prepared, opened, options, device)
    return Diagnosis(None, prepared.recipe.recipe, tuple(ordered(found)))


def _tried(
    prepared: Prepared, opened: Splits, options: Options, device: str | None
) -> list[Finding]:
    """What the monitor finds in a few turns."""
    from nasrestore.assemble.network import device_named, supernet

    recipe = prepared.recipe
    place = device_named(device or recipe.device)
    set_up(recipe, place)
    network = supernet(recipe, prepared.graph)
    levels = make_levels("search", recipe, recipe.search, network, opened, place)
    monitor = health_monitor(recipe, opened.members)
    try:
        monitor.begin(network, levels)
        for turn in range(TURNS):
            options.observer.message(f"trying turn {turn + 1} of {TURNS}")
            for index, level in enumerate(levels):
                monitor.step(level, level.start, levels[:index])
        monitor.end()
    except RunStopped as error:
        if not of_kind(monitor.findings, "hard"):  # a loss that is not finite
            advice = error.hint or "lower the learning rate, or clip the gradient (clip:)"
            return [*monitor.findings, Finding("hard", "finite", "search", error.message, advice)]
        return monitor.findings
    steps = f"{TURNS} turns were tried: no level wrote to another, and batches went on"
    return [*monitor.findings, Finding("ok", "crossing", "search", steps)]
