"""The curvature of a level's objective in the architecture, and when its rise ends a search.

Zela et al. 2020 (RobustDARTS), section 4: where the largest eigenvalue of the Hessian of the
validation loss in the architecture's parameters rises, the supernet's minimum is sharp, and what is
left of it after deciding generalises badly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from nasrestore.search.health.finding import Finding
from nasrestore.search.health.ownership import ARCHITECTURE
from nasrestore.search.hypergradient.implicit import Flat, hessian_product
from nasrestore.search.hypergradient.problem import constants, filled, gradients, leaves
from nasrestore.search.hypergradient.solve import Product
from nasrestore.search.level import Level

PAPER_RATIO = 0.75


def largest_eigenvalue(
    product: Product, start: Tensor, most: int = 40, tolerance: float = 1e-3
) -> float:
    """The largest (not the largest in size) eigenvalue of a symmetric matrix, by power iteration.

    Where the one of the largest size is negative, a second run on the shifted matrix finds the other
    end of the spectrum.

    Args:
        product: ``v`` to ``H v``.
        start: where the iteration begins; not zero.
        most: products of each run.
        tolerance: relative change of the estimate at which a run ends.
    """
    greatest = _power(product, start, most, tolerance)
    if greatest >= 0:
        return greatest
    return greatest + _power(lambda v: product(v) - greatest * v, start, most, tolerance)


def _power(product: Product, start: Tensor, most: int, tolerance: float) -> float:
    vector, estimate = start / start.norm(), 0.0
    for _ in range(most):
        image = product(vector)
        before, estimate = estimate, float(vector.dot(image))
        size = float(image.norm())
        if size == 0 or abs(estimate - before) <= tolerance * abs(estimate):
            break
        vector = image / size
    return estimate


def architecture_eigenvalue(level: Level, progress: float) -> float:
    """The largest eigenvalue of a level's objective in its architecture's logits, on its next batch.

    A pure look: the batch is drawn again by the level's next step, and no random number is used up.
    """
    names = [name for name in level.variables if name.startswith(ARCHITECTURE)]
    place = level.batches.state_dict()
    device = level.variables[names[0]].device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        batch = next(level.batches)
        level.batches.load_state_dict(place)
        problem = level.problem(progress, batch)
        parameters = level.objective.parameters()
        at = leaves(parameters, names)
        total = problem.terms({**constants(parameters), **at}).total
        slope = filled(gradients(total, at, create_graph=True), at)
        flat = Flat(at)
        generator = torch.Generator().manual_seed(0)
        start = torch.randn(sum(flat.sizes), generator=generator).to(flat.vector(at))
        return largest_eigenvalue(hessian_product(slope, at, flat), start)


@dataclass(frozen=True)
class EigenvalueRule:
    """How often the eigenvalue is looked at, and what rise of it ends the search.

    Attributes:
        every: turns between two looks.
        stop_ratio: the search ends where the mean over a window, over the mean over the next
            window, falls below; ``None`` for never.
        window: looks in a window.
    """

    every: int
    stop_ratio: float | None = None
    window: int = 5

    def risen(self, values: Sequence[float], ratio: float | None = None) -> bool:
        """Whether the eigenvalue has risen so far at the end of ``values``."""
        limit = self.stop_ratio if ratio is None else ratio
        if limit is None or len(values) < 2 * self.window:
            return False
        then, now = fmean(values[-2 * self.window : -self.window]), fmean(values[-self.window :])
        return 0 < then < limit * now


class EigenvalueWatch:
    """Looks at the eigenvalue during a search, and goes back to before its rise.

    The architecture's logits are kept of as many looks as are needed to go back one window, as the
    paper does.
    """

    def __init__(self, rule: EigenvalueRule) -> None:
        self.rule = rule
        self.turns: list[int] = []
        self.values: list[float] = []
        self._kept: list[dict[str, Tensor]] = []

    def look(self, level: Level, turn: int, progress: float) -> float:
        """Measures and remembers."""
        value = architecture_eigenvalue(level, progress)
        self.turns.append(turn)
        self.values.append(value)
        names = (name for name in level.variables if name.startswith(ARCHITECTURE))
        self._kept.append({name: level.variables[name].detach().clone() for name in names})
        del self._kept[: -self.rule.window - 1]
        return value

    @torch.no_grad()
    def go_back(self, level: Level) -> int:
        """Puts the logits back to where they were before the rise; gives the turn of that."""
        for name, kept in self._kept[0].items():
            level.variables[name].copy_(kept)
        return self.turns[-len(self._kept)]

    def state_dict(self) -> dict[str, Any]:
        return {"turns": list(self.turns), "values": list(self.values), "kept": list(self._kept)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.turns, self.values = list(state["turns"]), list(state["values"])
        self._kept = list(state["kept"])


def architecture_level(levels: Sequence[Level]) -> Level | None:
    """The innermost level that owns logits."""
    owners = (
        level for level in levels if any(name.startswith(ARCHITECTURE) for name in level.variables)
    )
    return next(owners, None)


def judge_eigenvalues(turns: Sequence[int], values: Sequence[float], window: int) -> list[Finding]:
    """Whether the eigenvalue rose by as much as the paper stops at, by the end."""
    if not values:
        return []
    last = values[-1]
    if EigenvalueRule(1, PAPER_RATIO, window).risen(values):
        sentence = (
            f"the largest eigenvalue of the validation Hessian in the architecture rose to "
            f"{last:.3g}: over the last {window} look{'s' * (window > 1)} it is more than {1 / PAPER_RATIO:.2f} times "
            "that of the looks before"
        )
        advice = (
            "end the search earlier (search.health.stop_ratio=0.75), or regularise the weights more "
            "strongly (weight_decay of the innermost level)"
        )
        return [Finding("soft", "eigenvalue", "architecture", sentence, advice, last)]
    course = f" (turn {turns[0]}: {values[0]:.3g})" if len(values) > 1 else ""
    sentence = (
        "the largest eigenvalue of the validation Hessian in the architecture is "
        f"{last:.3g}{course}"
    )
    return [Finding("ok", "eigenvalue", "architecture", sentence, "", last)]


def ended_early(turn: int, back_to: int, rule: EigenvalueRule) -> Finding:
    """The search ended by the rule."""
    return Finding(
        "soft",
        "eigenvalue",
        "architecture",
        f"the search ended at turn {turn}, since the largest eigenvalue of the validation Hessian "
        f"rose (ratio below {rule.stop_ratio:g}); the architecture is that of turn {back_to}",
        "regularise the weights more strongly (weight_decay of the innermost level) to search longer",
    )
