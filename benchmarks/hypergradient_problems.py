"""Chains of plain functions whose hypergradients are known exactly, in float64.

Two levels: ``g = 1/2 w'Aw + q/4 sum(w^4) - w'(Ba + c)`` and ``f = 1/2 |w - t|^2 + r/2 |a|^2``, with ``q`` 0
(quadratic) or not (quartic) and an ``A`` of a condition number that is asked for. Several minimisers: a
lower objective that leaves one variable free. Three levels: quadratics in all variables, their
answers found by linear algebra.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Function = Callable[[Mapping[str, Tensor]], Tensor]


@dataclass(frozen=True)
class Problem:
    """A chain, a point at which its hypergradient is known, and that hypergradient.

    Attributes:
        chain: names and objectives, innermost first; the outermost level's variable is ``a``.
        at: the point, the levels below ``a`` at their minima unless the name says otherwise.
        exact: ``dF/da`` with everything below at its minimum.
        rate: one over the largest eigenvalue of the Hessian of the level directly below.
        inner_rate: the same of the level further below, where there is one.
    """

    name: str
    chain: list[tuple[str, Function]]
    at: dict[str, Tensor]
    exact: Tensor
    rate: float
    inner_rate: float = math.nan


def bilevel(
    name: str,
    condition: float,
    *,
    quartic: float = 0.0,
    size: int = 50,
    own: int = 20,
    away: float = 0.0,
) -> Problem:
    """Two levels.

    Args:
        condition: of ``A``, whose largest eigenvalue is 1.
        own: entries of ``a``; ``size`` of ``w``.
        away: how far ``w`` is from its minimum, relative to the minimum's length.
    """
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    basis, _ = torch.linalg.qr(random(size, size))
    values = torch.logspace(-math.log10(condition), 0, size, dtype=torch.float64)
    matrix = basis @ torch.diag(values) @ basis.T
    cross, shift, target, a, r = random(size, own), random(size), random(size), random(own), 0.3

    def lower(p: Mapping[str, Tensor]) -> Tensor:
        w = p["w"]
        return w @ matrix @ w / 2 + quartic / 4 * (w**4).sum() - w @ (cross @ p["a"] + shift)

    def upper(p: Mapping[str, Tensor]) -> Tensor:
        return (p["w"] - target).square().sum() / 2 + r / 2 * p["a"].square().sum()

    w = torch.zeros(size, dtype=torch.float64)
    for _ in range(60 if quartic else 1):  # Newton's method
        slope = matrix @ w + quartic * w**3 - cross @ a - shift
        w = w - torch.linalg.solve(matrix + torch.diag(3 * quartic * w**2), slope)
    hessian = matrix + torch.diag(3 * quartic * w**2)
    exact = r * a + cross.T @ torch.linalg.solve(hessian, w - target)
    if away:
        step = random(size)
        w = w + away * float(w.norm()) * step / step.norm()
    rate = 1 / float(torch.linalg.eigvalsh(hessian)[-1])
    return Problem(name, [("w", lower), ("a", upper)], {"w": w, "a": a}, exact, rate)


def several_minimisers(name: str = "several minimisers") -> Problem:
    """Liu et al. 2020's counter-example: ``f = 1/2 (a - y)^2 + 1/2 (x - 1)^2``, ``g = 1/2 x^2 - a x``.

    Every ``(a, y)`` minimises ``g``; the best of them for ``f`` has ``y = a``, so that the hypergradient is
    ``a - 1``. The point is a minimum of ``g``, but not that one.
    """
    a = torch.tensor([0.3], dtype=torch.float64)
    w = torch.tensor([0.3, -0.5], dtype=torch.float64)

    def lower(p: Mapping[str, Tensor]) -> Tensor:
        return p["w"][0] ** 2 / 2 - p["a"][0] * p["w"][0]

    def upper(p: Mapping[str, Tensor]) -> Tensor:
        return (p["a"][0] - p["w"][1]) ** 2 / 2 + (p["w"][0] - 1) ** 2 / 2

    return Problem(name, [("w", lower), ("a", upper)], {"w": w, "a": a}, a - 1, 1.0)


def trilevel(name: str = "three levels", sizes: tuple[int, int, int] = (50, 20, 10)) -> Problem:
    """``w`` below ``l`` below ``a``; each objective is positive definite in all variables.

    Each answer is affine in what is outside of it: ``x = M y + m`` with ``y`` those outside.
    """
    generator = torch.Generator().manual_seed(1)
    n = sum(sizes)
    names = ["w", "l", "a"]

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    matrices, shifts = [], []
    for _ in sizes:
        raw = random(n, n)
        matrices.append(raw @ raw.T / n + 0.3 * torch.eye(n, dtype=torch.float64))
        shifts.append(random(n))
    a = random(sizes[2])

    def objective(i: int) -> Function:
        def value(p: Mapping[str, Tensor]) -> Tensor:
            x = torch.cat([p[one] for one in names])
            return x @ matrices[i] @ x / 2 - shifts[i] @ x

        return value

    M, m, rates = torch.eye(n, dtype=torch.float64), torch.zeros(n, dtype=torch.float64), []  # noqa: N806
    for i in range(2):
        own, outer = M[:, : sizes[i]], M[:, sizes[i] :]
        hessian = own.T @ matrices[i] @ own
        rates.append(1 / float(torch.linalg.eigvalsh(hessian)[-1]))
        slope = torch.linalg.solve(hessian, own.T @ matrices[i] @ outer)
        start = torch.linalg.solve(hessian, own.T @ (matrices[i] @ m - shifts[i]))
        M, m = outer - own @ slope, m - own @ start  # noqa: N806
    x = M @ a + m
    exact = M.T @ (matrices[2] @ x - shifts[2])
    at = dict(zip(names, torch.split(x, list(sizes)), strict=True))
    chain = [(one, objective(i)) for i, one in enumerate(names)]
    return Problem(name, chain, at, exact, rates[1], rates[0])


def error(found: Tensor, exact: Tensor) -> float:
    """Relative, Euclidean."""
    return float((found - exact).norm() / exact.norm())


def cosine(found: Tensor, exact: Tensor) -> float:
    return float(found @ exact / (found.norm() * exact.norm()))
