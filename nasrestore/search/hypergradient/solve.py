"""Linear systems with a Hessian that is known by its products alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

Product = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Solution:
    """An approximate ``u`` with ``(H + damping) u = v``.

    Attributes:
        residual: ``|v - (H + damping) u| / |v|``; 0 where ``v`` is 0. A solver gives its own
            estimate, which drifts away from the true one with rounding: see ``measured``.
        products: Hessian-vector products that were computed.
        trouble: why it ended early, if it did.
        floor: the residual that rounding alone may leave.
        curvature: of ``H`` along ``u``, where ``measured`` found a residual above 1.
    """

    vector: Tensor
    residual: float
    products: int
    trouble: str | None = None
    floor: float = 0.0
    curvature: float = 0.0

    def measured(self, image: Tensor, right: Tensor, damping: float = 0.0) -> Solution:
        """The same with its true residual.

        Args:
            image: ``H u``, one more product.
            right: ``v``.
        """
        if not self.products and not self.residual:  # v is 0, or nothing was asked for
            return self
        left = right - image
        if damping:
            left.sub_(self.vector, alpha=damping)
        found, curvature = self.residual, 0.0
        if math.isfinite(found):
            found = float(left.norm()) / float(right.norm())
        if 1 < found < math.inf:
            curvature = curvature_along(self.vector, image)
        counted = self.products + 1
        return replace(self, residual=found, products=counted, curvature=curvature)


class Solver(Protocol):
    def __call__(self, product: Product, right: Tensor) -> Solution: ...


def neumann_series(product: Product, right: Tensor, terms: int, rate: float) -> Solution:
    """``rate`` times the sum of ``terms`` powers, ``sum_k (I - rate H)^k v`` for k from 0.

    Lorraine et al. 2020, section 4. It converges where ``rate`` is below two over the largest
    eigenvalue of a positive definite ``H``. What is left is the next power, which is not computed:
    the residual given is the last one's.
    """
    size = float(right.norm())
    if size == 0:
        return Solution(torch.zeros_like(right), 0.0, 0)
    power, total, left = right, right.clone(), 1.0
    finite = right
    for count in range(1, terms):
        power = torch.sub(power, product(power), alpha=rate)
        total.add_(power)
        # Read now and then only: on a GPU each reading waits for everything before it.
        if count % BETWEEN_CHECKS and count < terms - 1:
            continue
        left = float(power.norm()) / size
        if not math.isfinite(left):
            why = divergence(curvature_along(finite, product(finite)))
            trouble = f"{why}; not finite after {count + 1} terms"
            return Solution(torch.zeros_like(right), math.inf, count, trouble)
        finite = power
    return Solution(total.mul_(rate), left, terms - 1)


BETWEEN_CHECKS = 16


def divergence(curvature: float) -> str:
    """Why a series grows, by the curvature along what has come to dominate it."""
    if curvature < 0:
        return (
            f"the series diverges at any rate: the Hessian has negative curvature, {curvature:.3g}; "
            "take conjugate_gradient with damping above it"
        )
    return "the series diverges: its rate is too large"


def curvature_along(vector: Tensor, image: Tensor) -> float:
    """``u'Hu / u'u`` from ``u`` and ``Hu``."""
    length = vector.norm()
    return float((vector / length).dot(image / length))


def conjugate_gradients(
    product: Product, right: Tensor, steps: int, tolerance: float, damping: float
) -> Solution:
    """Conjugate gradients for a symmetric ``H + damping``; Hestenes and Stiefel 1952.

    It stops at the tolerance (relative to ``|v|``), where the curvature along the search direction
    is not positive, and where it begins to diverge. The residual given is the recurrence's.
    """
    size = float(right.norm())
    solution = torch.zeros_like(right)
    if size == 0:
        return Solution(solution, 0.0, 0)

    def damped(vector: Tensor) -> Tensor:
        return product(vector) + damping * vector if damping else product(vector)

    residual, direction = right, right
    squared = float(residual.dot(residual))
    products, trouble, stretch = 0, None, 0.0
    while products < steps and math.sqrt(squared) > tolerance * size:
        image = damped(direction)
        products += 1
        curvature = float(direction.dot(image))
        if not curvature > 0 or not math.isfinite(curvature):
            share = curvature / float(direction.dot(direction))
            trouble = f"the curvature is {share:.3g} along a direction: raise the damping above it"
            break
        length = squared / curvature
        # None of these is larger than the largest eigenvalue.
        stretch = max(stretch, curvature / squared)
        after = torch.sub(residual, image, alpha=length)
        squared_after = float(after.dot(after))
        if not squared_after < (DIVERGED * size) ** 2:
            trouble = "it diverges"
            break
        solution.add_(direction, alpha=length)
        direction = torch.add(after, direction, alpha=squared_after / squared)
        residual, squared = after, squared_after
    # What a change of H and v by a few roundings would leave, Rigal and Gaches 1967; the true
    # residual and the recurrence's come apart by one a step, Greenbaum 1997.
    rounding = (10 + products) * torch.finfo(right.dtype).eps
    floor = rounding * (1 + stretch * float(solution.norm()) / size)
    return Solution(solution, math.sqrt(squared) / size, products, trouble, floor)


DIVERGED = 1e3
