"""Linear systems with a Hessian that is known by its products alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

Product = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Solution:
    """An approximate ``u`` with ``(H + damping) u = v``.

    Attributes:
        residual: ``|v - (H + damping) u| / |v|``, as measured; 0 where ``v`` is 0.
        products: Hessian-vector products that were computed.
        trouble: why it ended early, if it did.
    """

    vector: Tensor
    residual: float
    products: int
    trouble: str | None = None


class Solver(Protocol):
    def __call__(self, product: Product, right: Tensor) -> Solution: ...


def neumann_series(product: Product, right: Tensor, terms: int, rate: float) -> Solution:
    """``rate`` times the sum of ``terms`` powers, ``sum_k (I - rate H)^k v`` for k from 0.

    Lorraine et al. 2020, section 4. What is left is the next power itself. It converges where
    ``rate`` is below two over the largest eigenvalue of a positive definite ``H``.
    """
    size = float(right.norm())
    if size == 0:
        return Solution(torch.zeros_like(right), 0.0, 0)
    power, total = right, torch.zeros_like(right)
    for count in range(1, terms + 1):
        total = total + power
        power = power - rate * product(power)
        left = float(power.norm()) / size
        if not math.isfinite(left):
            trouble = f"the series diverges: not finite after {count} terms"
            return Solution(torch.zeros_like(right), math.inf, count, trouble)
    diverges = "the series diverges: its rate is too large" if left > 1 else None
    return Solution(rate * total, left, terms, diverges)


def conjugate_gradients(
    product: Product, right: Tensor, steps: int, tolerance: float, damping: float
) -> Solution:
    """Conjugate gradients for a symmetric ``H + damping``; Hestenes and Stiefel 1952.

    It stops at the tolerance (relative to ``|v|``), where the curvature along the search direction
    is not positive, and where it begins to diverge.
    """
    size = float(right.norm())
    solution = torch.zeros_like(right)
    if size == 0:
        return Solution(solution, 0.0, 0)

    def damped(vector: Tensor) -> Tensor:
        return product(vector) + damping * vector if damping else product(vector)

    residual, direction = right, right
    squared = float(residual.dot(residual))
    products, trouble = 0, None
    while products < steps and math.sqrt(squared) > tolerance * size:
        image = damped(direction)
        products += 1
        curvature = float(direction.dot(image))
        if not curvature > 0 or not math.isfinite(curvature):
            share = curvature / float(direction.dot(direction))
            trouble = f"the curvature is {share:.3g} along a direction: raise the damping above it"
            break
        length = squared / curvature
        after = residual - length * image
        squared_after = float(after.dot(after))
        if not squared_after < (DIVERGED * size) ** 2:
            trouble = "it diverges"
            break
        solution = solution + length * direction
        direction = after + (squared_after / squared) * direction
        residual, squared = after, squared_after
    if products:  # the recurrence's own residual drifts away from the true one
        residual = right - damped(solution)
        products += 1
    return Solution(solution, float(residual.norm()) / size, products, trouble)


DIVERGED = 1e3
