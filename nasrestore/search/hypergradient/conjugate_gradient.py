"""Implicit differentiation by conjugate gradients.

Pedregosa 2016, "Hyperparameter optimization with approximate gradient"; Rajeswaran et al. 2019 (iMAML).
"""

from __future__ import annotations

from collections.abc import Sequence

from nasrestore.registry import hypergradient
from nasrestore.search.hypergradient.implicit import implicit_gradient, judged
from nasrestore.search.hypergradient.problem import Gradient, LevelProblem, Parameters
from nasrestore.search.hypergradient.solve import conjugate_gradients


@hypergradient("conjugate_gradient")
class ConjugateGradient:
    """``F_a - g_aw u`` with ``(g_ww + damping) u = F_w``.

    With as many steps as there are variables it is exact, but for rounding, where ``g_ww`` is
    positive definite. A supernet's Hessian is not: it wants damping.

    Args:
        steps: the most; each is one Hessian-vector product.
        tolerance: of the residual, relative to ``F_w``, at which it stops.
        damping: added to the diagonal.
        unsolved: ``go_on`` or ``stop`` where the residual left is larger, and larger than rounding
            explains.
    """

    upper_order = 1

    def __init__(
        self,
        steps: int = 20,
        tolerance: float = 1e-10,
        damping: float = 0.0,
        unsolved: str = "go_on",
    ) -> None:
        self.steps, self.tolerance = steps, tolerance
        self.damping, self.unsolved = damping, unsolved

    def __call__(
        self, level: LevelProblem, below: Sequence[LevelProblem], parameters: Parameters
    ) -> Gradient:
        gradient, solution = implicit_gradient(
            level,
            below,
            parameters,
            lambda product, v: conjugate_gradients(
                product, v, self.steps, self.tolerance, self.damping
            ),
            self.damping,
        )
        return judged(gradient, solution, self.tolerance, self.unsolved)
