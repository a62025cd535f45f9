"""Search and training as one thing: a chain of levels, measured, planned, run, resumed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nasrestore.graph.recipe_check import seconds
from nasrestore.runtime.runfolder import RunFolder
from nasrestore.spec.recipe import LevelSpec, PhaseSpec, RecipeSpec, SearchSpec

if TYPE_CHECKING:
    import torch

    from nasrestore.assemble.data import Splits
    from nasrestore.network.build import GraphNetwork
    from nasrestore.runtime.runlog import RunLog
    from nasrestore.search.level import BatchStream, Level
    from nasrestore.search.loop import Loop, Observer


@dataclass(frozen=True)
class Options:
    """What concerns how a command runs, not what it computes.

    Attributes:
        budget: wall-clock seconds for the phase, in place of the recipe's.
        should_stop: asked after every turn.
    """

    observer: Observer
    budget: float | None = None
    should_stop: Callable[[], bool] = lambda: False


def set_up(recipe: RecipeSpec, device: torch.device) -> None:
    """Seeds, threads and determinism, as the recipe says."""
    import torch

    from nasrestore.runtime.determinism import deterministic_mode, seed_everything

    if recipe.threads is not None and device.type == "cpu":
        torch.set_num_threads(recipe.threads)
    wanted = recipe.deterministic
    deterministic_mode(device.type == "cpu" if wanted == "auto" else bool(wanted), device)
    seed_everything(recipe.seed)


def make_levels(
    phase_name: str,
    recipe: RecipeSpec,
    phase: PhaseSpec,
    network: GraphNetwork,
    splits: Splits,
    device: torch.device,
    hyper_state: Mapping[str, torch.Tensor] | None = None,
) -> list[Level]:
    """The chain of a phase on a network, which moves to the device.

    Args:
        hyper_state: the scalars outside the network as a search left them; default: their start.
    """
    import torch

    from nasrestore.assemble.chain import chain
    from nasrestore.assemble.network import hyper_parameters

    network.to(device, memory_format=torch.channels_last)
    order = [level.name for level in phase.levels]
    limit = getattr(phase, "limit", None)
    offset = 0 if phase_name == "search" else 1000  # training draws other patches

    def stream(level: LevelSpec) -> BatchStream:
        return splits.stream(level, recipe.seed + offset + order.index(level.name), limit)

    hyper = hyper_parameters(recipe, hyper_state).to(device)
    return chain(recipe, phase, network, hyper, stream, device)


def make_loop(
    phase_name: str,
    phase: PhaseSpec,
    network: GraphNetwork,
    levels: list[Level],
    run: RunFolder,
    log: RunLog,
    options: Options,
) -> Loop:
    """The loop of a phase, not yet planned."""
    from nasrestore.search.loop import Loop
    from nasrestore.search.schedule import Plan, Replanner

    checkpoints = run.checkpoints_search if phase_name == "search" else run.checkpoints_train
    return Loop(
        phase_name,
        network,
        levels,
        Replanner(Plan(1), None),
        log,
        checkpoints,
        options.observer,
        phase.checkpoint,
        options.should_stop,
    )


def turns_wanted(phase: PhaseSpec, loop: Loop) -> int:
    """Turns of the whole phase: its steps, or its epochs over the first level's data."""
    if phase.steps is not None:
        return phase.steps
    assert phase.epochs is not None
    innermost = loop.levels[0]
    return max(1, round(phase.epochs * len(innermost.batches) / innermost.steps))


def start(
    loop: Loop, recipe: RecipeSpec, phase: PhaseSpec, options: Options, log: RunLog
) -> dict[str, Any]:
    """Measures a fresh loop and plans it; gives the settings that the run's recipe is to keep."""
    from nasrestore.engine.phase import measure, plan
    from nasrestore.search.schedule import Replanner

    budget = options.budget
    if budget is None and phase.budget is not None:
        budget = seconds(phase.budget)
    began = time.monotonic()
    precision, threads = phase.precision or recipe.precision, phase.threads or recipe.threads
    with loop.stops_told():
        pace = measure(loop, precision, threads, getattr(phase, "memory", "plain"))
    measuring = time.monotonic() - began
    wanted = turns_wanted(phase, loop)
    left = None if budget is None else max(1.0, budget - measuring)
    loop.replanner = Replanner(plan(wanted, pace.seconds, left), left, most=wanted)
    planned = loop.plan.total
    whole = pace.seconds * wanted
    text = f"{loop.phase}: {pace.seconds:.3g} s a turn in {pace.precision} "
    text += f"on {pace.threads} threads; " if loop_on_cpu(loop) else "on the GPU; "
    if loop.step_down.setting != "plain":
        text += f"memory: {loop.step_down.setting}; "
    text += f"{wanted:,} turns would take {duration(whole)}"
    if planned < wanted:
        text += f"; the budget of {duration(budget or 0)} has time for about {planned:,}"
    loop.observer.message(text)
    log.event(
        "planned",
        phase=loop.phase,
        precision=pace.precision,
        threads=pace.threads,
        memory=loop.step_down.setting,
        seconds_per_turn=pace.seconds,
        wanted=wanted,
        turns=planned,
        budget=budget,
    )
    settings = {"precision": pace.precision, "threads": pace.threads}
    if isinstance(phase, SearchSpec):
        settings["memory"] = loop.step_down.setting
    return {f"{loop.phase}.{name}": value for name, value in settings.items()}


def resumed(loop: Loop, recipe: RecipeSpec, phase: PhaseSpec) -> None:
    """Puts back what was measured when the phase began, so that it goes on bit for bit."""
    import torch

    from nasrestore.engine.phase import set_precision

    set_precision(loop, phase.precision or recipe.precision)
    if isinstance(phase, SearchSpec) and phase.memory != "auto":
        network: Any = loop.network
        network.memory = phase.memory
    if phase.threads is not None and loop_on_cpu(loop):
        torch.set_num_threads(phase.threads)
    loop.observer.message(f"resumed at turn {loop.turn:,} of {loop.plan.total:,}")


def loop_on_cpu(loop: Loop) -> bool:
    return next(loop.network.parameters()).device.type == "cpu"


def duration(value: float) -> str:
    """``2 h 05 min``, ``3 min 10 s``, ``8 s``."""
    value = max(0.0, value)
    if value >= 86400 * 2:
        return f"{value / 86400:.1f} days"
    if value >= 3600:
        return f"{int(value // 3600)} h {int(value % 3600 // 60):02d} min"
    if value >= 60:
        return f"{int(value // 60)} min {int(value % 60):02d} s"
    return f"{value:.0f} s"


def summary(loop: Loop, recipe: RecipeSpec) -> dict[str, Any]:
    """What ``result.json`` says of a finished phase."""
    from nasrestore.runtime.determinism import environment

    return {
        "turns": loop.turn,
        "seconds": round(loop.elapsed, 2),
        "precision": "bf16" if loop.levels[0].objective.bf16 else "fp32",
        "seed": recipe.seed,
        "budget": loop.replanner.budget_seconds,
        "environment": environment(),
        **({"hyper": loop.hyper.plain_values()} if loop.hyper.scalars else {}),
    }
