"""A first-order penalty on the lower objective's value gap.

Liu et al. 2022, "BOME! Bilevel optimization made easy: a simple first-order approach", Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from nasrestore.registry import hypergradient
from nasrestore.search.hypergradient.problem import (
    Gradient,
    LevelProblem,
    Parameters,
    added,
    constants,
    filled,
    gradients,
    inner_product,
    leaves,
)
from nasrestore.search.objective import Terms


@hypergradient("value_function")
class ValueFunction:
    """``F_a + m q_a`` with the value gap ``q(a, w) = g(a, w) - g(a, w_K)``.

    ``w_K`` is reached from ``w`` by K steps of gradient descent and carries no gradient;
    ``m = max(eta - <F', q'> / |q'|^2, 0)`` with the gradients in ``a`` and ``w`` together. It is a
    direction of descent, not the hypergradient; where ``w`` is a minimum of ``g``, ``q'`` is 0, and
    the direction is ``F_a``. BOME moves ``w`` along ``F_w + m g_w`` as well, and a level moves its
    own variables alone: ``follow`` takes such steps of ``w`` first, in thought.

    Args:
        steps: K.
        rate: of the steps on ``g``; default: the lower level's learning rate.
        eta: how fast the gap is to fall.
        follow: steps of ``w`` along ``F_w + m g_w`` before the direction is taken.
    """

    upper_order = 1

    def __init__(
        self, steps: int = 10, rate: float | None = None, eta: float = 0.5, follow: int = 0
    ) -> None:
        self.steps, self.rate, self.eta, self.follow = steps, rate, eta, follow

    def __call__(
        self, level: LevelProblem, below: Sequence[LevelProblem], parameters: Parameters
    ) -> Gradient:
        lower = below[-1]
        rate = lower.rate if self.rate is None else self.rate
        fixed = constants(parameters)
        for _ in range(self.follow):
            _, _, slope, multiplier, gap_slope, _ = self._at(level, lower, fixed, rate)
            for name in lower.variables:
                fixed[name] = fixed[name] - rate * (slope[name] + multiplier * gap_slope[name])
        terms, direct, _, multiplier, gap_slope, gap = self._at(level, lower, fixed, rate)
        penalty = {name: gap_slope[name] for name in level.variables}
        record = {"multiplier": multiplier, "gap": gap}
        return Gradient(terms, added(direct, penalty, multiplier), direct, record)

    def _at(
        self, level: LevelProblem, lower: LevelProblem, fixed: dict[str, Tensor], rate: float
    ) -> tuple[Terms, dict[str, Tensor | None], dict[str, Tensor], float, dict[str, Tensor], float]:
        """Terms, ``F_a``, ``F'``, the multiplier, ``q'`` and ``q`` at a point."""
        minimum = self._descended(lower, fixed, rate)
        moving = leaves(fixed, (*level.variables, *lower.variables))
        terms = level.terms({**fixed, **moving})
        found = gradients(terms.total, moving)
        slope = filled(found, moving)
        here = lower.terms({**fixed, **moving}).total
        low = lower.terms({**fixed, **moving, **minimum}).total
        gap_slope = filled(gradients(here - low, moving), moving)
        squared = float(inner_product(gap_slope, gap_slope))
        multiplier = 0.0
        if squared > 0:
            multiplier = max(self.eta - float(inner_product(slope, gap_slope)) / squared, 0.0)
        direct = {name: found[name] for name in level.variables}
        return terms, direct, slope, multiplier, gap_slope, float((here - low).detach())

    def _descended(
        self, lower: LevelProblem, fixed: dict[str, Tensor], rate: float
    ) -> dict[str, Tensor]:
        inner = {name: fixed[name] for name in lower.variables}
        for _ in range(self.steps):
            at = leaves(inner, inner)
            slope = filled(gradients(lower.terms({**fixed, **at}).total, at), at)
            inner = {name: inner[name] - rate * slope[name] for name in inner}
        return inner
