"""A phase of a run, search or training: measured, planned, run, resumed."""

from __future__ import annotations

import copy
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch

from nasrestore.engine.fitting import fit_memory
from nasrestore.errors import RunStopped
from nasrestore.runtime.checkpoint import random_state, set_random_state
from nasrestore.search.level import Level
from nasrestore.search.loop import Loop
from nasrestore.search.schedule import Plan, plan_steps

MUST_GAIN = 1.1
SETTLING_STEPS = 1
MEASURED_STEPS = 2


@dataclass(frozen=True)
class Pace:
    """What was measured at the start of a phase.

    Attributes:
        precision: ``fp32`` or ``bf16``.
        threads: of the CPU.
        seconds: of one turn, averaged over the phase.
    """

    precision: str
    threads: int
    seconds: float


def measure(loop: Loop, precision: str, threads: int | None = None, memory: str = "plain") -> Pace:
    """The speed of a turn, under the settings that are left open and turn out fastest.

    ``auto`` precision tries bf16; open threads try fewer, which are faster where other programs
    want the same cores. Either must gain a tenth. ``auto`` memory keeps what fits. Real steps are
    taken for it, and undone; the network's ``memory`` stays as it came out.

    Args:
        threads: ``None`` to choose.

    Raises:
        RunStopped: a loss is not finite from the start, or memory runs out with every setting.
    """
    state = copy.deepcopy(_moment(loop))
    on_cpu = next(loop.network.parameters()).device.type == "cpu"
    first = "fp32" if precision == "auto" else precision
    if threads is not None and on_cpu:
        torch.set_num_threads(threads)
    available = torch.get_num_threads()

    def undo() -> None:
        _restore(loop, copy.deepcopy(state))

    set_precision(loop, first)
    kept = fit_memory(loop, memory, undo)
    best = _pace(loop, state, first, available, None)
    if threads is None and on_cpu and available > 1:
        fewer = 1 if available <= 4 else available // 2
        best = _better(best, _pace(loop, state, first, fewer, best))
    if precision == "auto":
        with suppress(RunStopped):  # a loss that only bf16 makes infinite rules bf16 out
            best = _better(best, _pace(loop, state, "bf16", best.threads, best))
    set_precision(loop, best.precision)
    torch.set_num_threads(best.threads)
    if memory == "auto" and best.precision != first and kept != "plain":
        fit_memory(loop, memory, undo)  # half the bytes: more may fit
        best = _pace(loop, state, best.precision, best.threads, None)
    _restore(loop, state)
    return best


def _better(old: Pace, new: Pace) -> Pace:
    return new if new.seconds * MUST_GAIN < old.seconds else old


def _pace(
    loop: Loop, state: dict[str, Any], precision: str, threads: int, rival: Pace | None
) -> Pace:
    """One candidate's speed; given up early where it is much slower than its rival."""
    set_precision(loop, precision)
    torch.set_num_threads(threads)
    limit = float("inf") if rival is None else 3 * rival.seconds
    try:
        return Pace(precision, threads, _seconds(loop, limit))
    finally:
        _restore(loop, copy.deepcopy(state))


def set_precision(loop: Loop, precision: str) -> None:
    """Makes every objective of the chain run so."""
    for level in loop.levels:
        level.objective.bf16 = precision == "bf16"


def _moment(loop: Loop) -> dict[str, Any]:
    return {
        "network": loop.network.state_dict(),
        "hyper": loop.hyper.state_dict(),
        "levels": {level.name: level.state_dict() for level in loop.levels},
        "random": random_state(),
    }


def _restore(loop: Loop, state: dict[str, Any]) -> None:
    loop.network.load_state_dict(state["network"])
    loop.hyper.load_state_dict(state["hyper"])
    for level in loop.levels:
        level.load_state_dict(state["levels"][level.name])
    set_random_state(state["random"])


def _seconds(loop: Loop, limit: float) -> float:
    """Seconds of a turn: each level's step, as often as it is taken, for its share of the phase."""
    total = 0.0
    for index, level in enumerate(loop.levels):
        below = loop.levels[:index]
        began = time.perf_counter()
        for _ in range(SETTLING_STEPS):
            level.step(level.start, below)
        if time.perf_counter() - began > limit:
            return float("inf")
        total += _timed(level, below) * level.steps * level.share
    return total


def _timed(level: Level, below: Any) -> float:
    """The fastest of some steps: what else the machine does only ever adds."""
    times = []
    for _ in range(MEASURED_STEPS):
        began = time.perf_counter()
        level.step(level.start, below)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return min(times)


def plan(turns: int, seconds: float, budget: float | None) -> Plan:
    """All the turns, or as many as the budget (in seconds) has time for."""
    return Plan(turns if budget is None else plan_steps(seconds, budget, turns))
