"""Learning-rate schedules as pure functions of progress, and plans that hold a time budget.

Progress is the share of the steps that are done: 0 at the first step, 1 after the last. A schedule
maps it to a multiplier of the learning rate, so it is the same whatever the number of steps, and
shortening a run compresses it instead of cutting it off.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from nasrestore.registry import schedule

Schedule = Callable[[float], float]


@schedule("constant")
def constant() -> Schedule:
    """The multiplier 1 throughout."""
    return lambda progress: 1.0


@schedule("step")
def step(after: Sequence[float], factor: float = 0.2) -> Schedule:
    """The multiplier ``factor ** k`` once the first ``k`` of the fractions ``after`` are reached.

    Args:
        after: fractions of the progress in [0, 1], rising.
        factor: a number that is not negative.

    Raises:
        ValueError: the fractions do not rise within [0, 1], or the factor is negative.
    """
    fractions = list(after)
    if fractions != sorted(fractions) or not all(0 <= fraction <= 1 for fraction in fractions):
        raise ValueError(f"expected rising fractions in [0, 1], got {fractions}")
    if not 0 <= factor < math.inf:
        raise ValueError(f"expected a factor from 0 up, got {factor}")
    return lambda progress: float(factor ** bisect_right(fractions, progress))


@schedule("cosine")
def cosine(final: float = 0.0) -> Schedule:
    """Half a cosine wave from 1 down to ``final``, a fraction of the learning rate.

    SGDR (Loshchilov and Hutter 2017), Eq. 5, without restarts.

    Raises:
        ValueError: ``final`` is not in [0, 1].
    """
    if not 0 <= final <= 1:
        raise ValueError(f"expected a final fraction in [0, 1], got {final}")
    return lambda progress: final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2


def warm_up(fraction: float, then: Schedule) -> Schedule:
    """``then``, times a ramp that rises from 0 to 1 over the first ``fraction`` of the progress.

    Raises:
        ValueError: ``fraction`` is not in [0, 1).
    """
    if not 0 <= fraction < 1:
        raise ValueError(f"expected a fraction in [0, 1), got {fraction}")
    return lambda progress: then(progress) * (progress / fraction if progress < fraction else 1.0)


@dataclass(frozen=True)
class Plan:
    """How many steps there are, and the progress at each.

    Attributes:
        total: the number of steps.
        start: the step from which the plan holds; the steps before went by an earlier plan.
        progress_at_start: what that plan had reached by then.
    """

    total: int
    start: int = 0
    progress_at_start: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.total or not 0 <= self.progress_at_start <= 1:
            raise ValueError(
                f"expected 0 <= start <= total and a progress in [0, 1], got start {self.start}, "
                f"total {self.total}, progress {self.progress_at_start}"
            )

    def progress(self, step: int) -> float:
        """The progress before step ``step``, counted from 0: in [0, 1), and 1 from ``total`` on.

        Raises:
            ValueError: the step lies before the plan.
        """
        if step < self.start:
            raise ValueError(f"step {step} lies before the plan, which starts at {self.start}")
        if step >= self.total:
            return 1.0
        share = (step - self.start) / (self.total - self.start)
        return self.progress_at_start + (1 - self.progress_at_start) * share

    def replanned(self, step: int, total: int) -> Plan:
        """The plan from ``step`` on that reaches the end at ``total``; progress has no jump.

        Raises:
            ValueError: ``total`` is before ``step``.
        """
        if total < step:
            raise ValueError(f"expected a total of at least {step}, got {total}")
        return Plan(total, step, self.progress(step))


def plan_steps(seconds_per_step: float, budget_seconds: float, wanted: int) -> int:
    """How many of the wanted steps fit into a budget of time: at least one.

    Raises:
        ValueError: a time that is not positive, or no step wanted.
    """
    if not (0 < seconds_per_step < math.inf and budget_seconds > 0 and wanted >= 1):
        raise ValueError(
            f"expected positive times and steps, got {seconds_per_step} s a step, "
            f"a budget of {budget_seconds} s and {wanted} steps"
        )
    return max(1, _fitting(budget_seconds, seconds_per_step, wanted))


def _fitting(seconds: float, seconds_per_step: float, most: int) -> int:
    if seconds <= 0:
        return 0
    if seconds_per_step <= 0 or seconds / seconds_per_step >= most:
        return most
    return int(seconds / seconds_per_step)


class Replanner:
    """Changes a plan while it runs, so that a wall-clock budget holds on a noisy machine.

    Called after every step, a run ends by 1.05 times its budget and the length of one step. A
    hiccup must not mislead it: the pace is the median over the last stretches of 1% of the budget
    each, and counts once there are some. Where the machine has become faster the plan grows again,
    never beyond what was wanted.

    Args:
        plan: the plan to begin with.
        budget_seconds: the time that the steps may take; None for no limit.
        tolerance: by which fraction the projected end may exceed the budget.
        most: steps that are wanted, if there is time; default: the plan's.
    """

    STRETCH = 0.01
    LEAST_STRETCHES = 7
    MOST_STRETCHES = 15

    def __init__(
        self,
        plan: Plan,
        budget_seconds: float | None,
        *,
        tolerance: float = 0.05,
        most: int | None = None,
    ) -> None:
        if budget_seconds is not None and not budget_seconds > 0:
            raise ValueError(f"expected a positive budget, got {budget_seconds} s")
        self.plan = plan
        self.budget_seconds = budget_seconds
        self.tolerance = tolerance
        self.most = plan.total if most is None else most
        self._stretch_start: tuple[int, float] | None = None
        self._paces: list[float] = []

    def update(self, step: int, elapsed: float) -> Plan:
        """The plan from here on: the same, a shorter or a longer one.

        Args:
            step: how many steps are done.
            elapsed: how many seconds they took in all, those before a resumption included.
        """
        if self.budget_seconds is None or step >= self.plan.total:
            return self.plan
        self._measure(step, elapsed, self.STRETCH * self.budget_seconds)
        left = self.budget_seconds - elapsed
        pace = median(self._paces) if len(self._paces) >= self.LEAST_STRETCHES else 0.0
        if pace == 0.0 and left > 0:
            return self.plan
        projected = elapsed + pace * (self.plan.total - step)
        too_long = projected > (1 + self.tolerance) * self.budget_seconds
        too_short = projected < (1 - 2 * self.tolerance) * self.budget_seconds
        if too_long or (too_short and self.plan.total < self.most):
            total = step + _fitting(left, pace, max(0, self.most - step))
            if too_short or total < self.plan.total:
                self.plan = self.plan.replanned(step, total)
        return self.plan

    def _measure(self, step: int, elapsed: float, stretch_seconds: float) -> None:
        if self._stretch_start is None:
            # The steps up to the first call pay for set-up and tell nothing about the pace.
            self._stretch_start = (step, elapsed)
        start, since = self._stretch_start
        if step > start and elapsed - since >= stretch_seconds:
            self._paces = [*self._paces, (elapsed - since) / (step - start)][-self.MOST_STRETCHES :]
            self._stretch_start = (step, elapsed)

    def state_dict(self) -> dict[str, Any]:
        """The plan, the budget and the pace so far, as plain data."""
        return {
            "plan": asdict(self.plan),
            "budget_seconds": self.budget_seconds,
            "most": self.most,
            "stretch_start": None if self._stretch_start is None else list(self._stretch_start),
            "paces": list(self._paces),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on with what ``state_dict`` gave."""
        start = state["stretch_start"]
        self.plan = Plan(**state["plan"])
        self.budget_seconds = state["budget_seconds"]
        self.most = int(state["most"])
        self._stretch_start = None if start is None else (int(start[0]), float(start[1]))
        self._paces = list(state["paces"])
