"""The objective's own gradient, with what the levels below have reached held fixed.

DARTS (Liu et al. 2019), section 2.3, with xi = 0; what RDMC alternates.
"""

from __future__ import annotations

from collections.abc import Sequence

from nasrestore.registry import hypergradient
from nasrestore.search.hypergradient.problem import Gradient, LevelProblem, Parameters, gradients


@hypergradient("first_order")
class FirstOrder:
    """d objective / d variables, everything else constant."""

    def __call__(
        self, level: LevelProblem, below: Sequence[LevelProblem], parameters: Parameters
    ) -> Gradient:
        terms = level.terms(None)
        # autograd.grad, not backward: nothing is ever added to anybody's .grad.
        wanted = {name: parameters[name] for name in level.variables}
        return Gradient(terms, gradients(terms.total, wanted))
