"""Implicit differentiation by a truncated Neumann series.

Lorraine, Vicol and Duvenaud 2020, "Optimizing millions of hyperparameters by implicit
differentiation", Algorithm 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nasrestore.registry import hypergradient
from nasrestore.search.hypergradient.implicit import implicit_gradient, judged
from nasrestore.search.hypergradient.problem import Gradient, LevelProblem, Parameters
from nasrestore.search.hypergradient.solve import divergence, neumann_series


@hypergradient("neumann")
class Neumann:
    """``F_a - g_aw u`` with ``u = rate * sum_k (I - rate g_ww)^k F_w``, k from 0 to ``terms`` - 1.

    Args:
        terms: summands, the first of which is ``F_w`` itself.
        rate: below two over the largest eigenvalue of ``g_ww``; default: the lower level's
            learning rate.
        tolerance: relative residual up to which it counts as solved; default: a truncated series
            is what was asked for, and only one that diverges, whose residual is above 1, does not.
        unsolved: ``go_on`` or ``stop``, which wants a tolerance.

    Raises:
        ValueError: ``unsolved`` is ``stop``, and there is no tolerance.
    """

    upper_order = 1

    def __init__(
        self,
        terms: int = 20,
        rate: float | None = None,
        tolerance: float | None = None,
        unsolved: str = "go_on",
    ) -> None:
        if unsolved == "stop" and tolerance is None:
            raise ValueError("unsolved: stop wants a tolerance, got none")
        self.terms, self.rate = terms, rate
        self.tolerance, self.unsolved = tolerance, unsolved

    def __call__(
        self, level: LevelProblem, below: Sequence[LevelProblem], parameters: Parameters
    ) -> Gradient:
        rate = below[-1].rate if self.rate is None else self.rate
        gradient, solution = implicit_gradient(
            level,
            below,
            parameters,
            lambda product, v: neumann_series(product, v, self.terms, rate),
        )
        if solution.residual > 1 and solution.trouble is None:
            solution = replace(solution, trouble=divergence(solution.curvature))
        tolerance = 1.0 if self.tolerance is None else self.tolerance
        return judged(gradient, solution, tolerance, self.unsolved)
