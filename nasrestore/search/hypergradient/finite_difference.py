"""DARTS's second-order gradient: one step ahead, the cross derivative by a central difference.

Liu, Simonyan and Yang 2019, Eq. 7 and 8.
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
    leaves,
    norm,
)


@hypergradient("finite_difference")
class FiniteDifference:
    """``F_a(w', a) - rate (g_a(w + e v, a) - g_a(w - e v, a)) / 2e``.

    Here ``w' = w - rate g_w(w, a)``, ``v = F_w(w', a)`` and ``e = epsilon / |v|``.

    Args:
        epsilon: the length of the difference's step in ``w``.
        rate: of the step ahead; default: the lower level's learning rate.
    """

    upper_order = 1

    def __init__(self, epsilon: float = 0.01, rate: float | None = None) -> None:
        self.epsilon, self.rate = epsilon, rate

    def __call__(
        self, level: LevelProblem, below: Sequence[LevelProblem], parameters: Parameters
    ) -> Gradient:
        lower = below[-1]
        rate = lower.rate if self.rate is None else self.rate
        fixed = constants(parameters)
        inner = leaves(parameters, lower.variables)
        slope = filled(gradients(lower.terms({**fixed, **inner}).total, inner), inner)
        ahead = {
            name: (fixed[name] - rate * slope[name]).requires_grad_() for name in lower.variables
        }
        own = leaves(parameters, level.variables)
        terms = level.terms({**fixed, **own, **ahead})
        found = gradients(terms.total, {**ahead, **own})
        direct = {name: found[name] for name in own}
        along = filled(found, ahead)
        length = norm(along)
        if length == 0:
            return Gradient(terms, direct, direct)
        share = self.epsilon / length

        def lower_gradient(sign: float) -> dict[str, Tensor | None]:
            moved = {name: fixed[name] + sign * share * along[name] for name in along}
            at = leaves(parameters, level.variables)
            return gradients(lower.terms({**fixed, **moved, **at}).total, at)

        difference = added(lower_gradient(1.0), lower_gradient(-1.0), -1.0)
        return Gradient(terms, added(direct, difference, -rate / (2 * share)), direct)
