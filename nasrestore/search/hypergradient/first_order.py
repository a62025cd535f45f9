"""The objective's own gradient, with what the levels below have reached held fixed.

DARTS (Liu et al. 2019), section 2.3, with xi = 0; what RDMC alternates.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from nasrestore.registry import hypergradient
from nasrestore.search.hypergradient.problem import Gradient, LevelProblem, Parameters


@hypergradient("first_order")
class FirstOrder:
    """d objective / d variables, everything else constant."""

    def __call__(
        self, level: LevelProblem, below: Sequence[LevelProblem], parameters: Parameters
    ) -> Gradient:
        terms = level.terms(None)
        wanted = [parameters[name] for name in level.variables]
        # autograd.grad, not backward: nothing is ever added to anybody's .grad.
        found = torch.autograd.grad(terms.total, wanted, allow_unused=True)
        return Gradient(terms, dict(zip(level.variables, found, strict=True)))
