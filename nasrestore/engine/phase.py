"""A phase of a run, search or training: measured, planned, run, resumed."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from typing import Any

import torch

from nasrestore.errors import RunStopped
from nasrestore.runtime.checkpoint import random_state, set_random_state
from nasrestore.search.level import Level
from nasrestore.search.loop import Loop
from nasrestore.search.schedule import Plan, plan_steps

BF16_MUST_GAIN = 1.1
SETTLING_STEPS = 1
MEASURED_STEPS = 2


@dataclass(frozen=True)
class Pace:
    """What was measured at the start of a phase.

    Attributes:
        precision: ``fp32`` or ``bf16``.
        seconds: of one turn, averaged over the phase.
    """

    precision: str
    seconds: float


def measure(loop: Loop, precision: str) -> Pace:
    """The speed of a turn; ``auto`` tries bf16 and takes it where it is faster by a tenth.

    Real steps are taken for it, and undone.

    Raises:
        RunStopped: a loss is not finite from the start.
    """
    state = copy.deepcopy(_moment(loop))
    try:
        if precision != "auto":
            set_precision(loop, precision)
            return Pace(precision, _seconds(loop))
        paces = {}
        for name in ("fp32", "bf16"):
            set_precision(loop, name)
            try:
                paces[name] = _seconds(loop)
            except RunStopped:
                if name == "fp32":
                    raise
            _restore(loop, copy.deepcopy(state))
        faster = paces.get("bf16", float("inf")) * BF16_MUST_GAIN < paces["fp32"]
        chosen = "bf16" if faster else "fp32"
        set_precision(loop, chosen)
        return Pace(chosen, paces[chosen])
    finally:
        _restore(loop, state)


def set_precision(loop: Loop, precision: str) -> None:
    """Makes every objective of the chain run so."""
    for level in loop.levels:
        level.objective.bf16 = precision == "bf16"


def _moment(loop: Loop) -> dict[str, Any]:
    return {
        "network": loop.network.state_dict(),
        "levels": {level.name: level.state_dict() for level in loop.levels},
        "random": random_state(),
    }


def _restore(loop: Loop, state: dict[str, Any]) -> None:
    loop.network.load_state_dict(state["network"])
    for level in loop.levels:
        level.load_state_dict(state["levels"][level.name])
    set_random_state(state["random"])


def _seconds(loop: Loop) -> float:
    """Seconds of a turn: each level's step, as often as it is taken, for its share of the phase."""
    total = 0.0
    for index, level in enumerate(loop.levels):
        below = loop.levels[:index]
        for _ in range(SETTLING_STEPS):
            level.step(level.start, below)
        total += _timed(level, below) * level.steps * (1 - level.start)
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
