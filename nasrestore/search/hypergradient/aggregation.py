"""Bilevel descent aggregation: the inner steps follow both objectives.

Liu et al. 2020, "A generic first-order algorithmic framework for bi-level programming beyond lower-level
singleton" (BDA), Eq. 7 and 8. Where the lower objective has more than one minimiser, it finds the
one that is best for the upper one; plain unrolling does not.
"""

from __future__ import annotations

from collections.abc import Sequence

from nasrestore.registry import hypergradient
from nasrestore.search.hypergradient.problem import (
    Gradient,
    LevelProblem,
    Parameters,
    added,
    constants,
    filled,
    gradients,
    leaves,
)


@hypergradient("aggregation")
class Aggregation:
    """``d F(a, w_K(a)) / da``, where the inner steps are

    ``w <- w - (mu_k upper_rate F_w + (1 - mu_k) lower_rate g_w)``, k from 0 to K - 1.

    Args:
        steps: K.
        share: ``mu_0``, the upper objective's first share.
        decay: ``harmonic``, ``mu_k = share / (k + 1)``, whose sum diverges, as convergence needs
            it; ``constant``.
        upper_rate: default: ``lower_rate``.
        lower_rate: default: the lower level's learning rate.
    """

    upper_order = 2  # the inner steps follow its gradient, and are differentiated

    def __init__(
        self,
        steps: int = 10,
        share: float = 0.5,
        decay: str = "harmonic",
        upper_rate: float | None = None,
        lower_rate: float | None = None,
    ) -> None:
        self.steps, self.share, self.decay = steps, share, decay
        self.upper_rate, self.lower_rate = upper_rate, lower_rate

    def weight(self, step: int) -> float:
        """``mu_k``."""
        return self.share / (step + 1) if self.decay == "harmonic" else self.share

    def __call__(
        self, level: LevelProblem, below: Sequence[LevelProblem], parameters: Parameters
    ) -> Gradient:
        lower = below[-1]
        lower_rate = lower.rate if self.lower_rate is None else self.lower_rate
        upper_rate = lower_rate if self.upper_rate is None else self.upper_rate
        own = leaves(parameters, level.variables)
        at = {**constants(parameters), **own}
        inner = {name: at[name].clone().requires_grad_() for name in lower.variables}
        for step in range(self.steps):
            share = self.weight(step)
            here = {**at, **inner}
            below_slope = gradients(lower.terms(here, step).total, inner, create_graph=True)
            above_slope = gradients(level.terms(here).total, inner, create_graph=True)
            low, high = filled(below_slope, inner), filled(above_slope, inner)
            inner = {
                name: w - (share * upper_rate * high[name] + (1 - share) * lower_rate * low[name])
                for name, w in inner.items()
            }
        # New leaves for the direct part: ``own`` acts through the steps as well.
        direct_own = leaves(parameters, level.variables)
        terms = level.terms({**at, **direct_own, **inner})
        found = gradients(terms.total, {**{f"direct {n}": t for n, t in direct_own.items()}, **own})
        direct = {name: found[f"direct {name}"] for name in own}
        return Gradient(terms, added(direct, {name: found[name] for name in own}), direct)
