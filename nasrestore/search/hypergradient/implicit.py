"""The implicit function theorem, on which Neumann series and conjugate gradients stand.

With ``g`` the lower objective at its minimum in ``w``, and ``F`` the upper one,
``dF/da = F_a - g_aw u`` where ``g_ww u = F_w``; the methods differ in how they find ``u``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nasrestore.errors import RunStopped
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
from nasrestore.search.hypergradient.solve import Product, Solution, Solver


class Flat:
    """Tensors by name as one vector, and back."""

    def __init__(self, of: Parameters) -> None:
        self.shapes = {name: tensor.shape for name, tensor in of.items()}
        self.sizes = [tensor.numel() for tensor in of.values()]

    def vector(self, tensors: Parameters) -> Tensor:
        return torch.cat([tensors[name].reshape(-1) for name in self.shapes])

    def tensors(self, vector: Tensor) -> dict[str, Tensor]:
        parts = torch.split(vector, self.sizes)
        return {n: p.view(shape) for (n, shape), p in zip(self.shapes.items(), parts, strict=True)}


def hessian_product(slope: Parameters, at: Parameters, flat: Flat) -> Product:
    """``v`` to ``H v`` from a gradient ``slope`` in ``at`` that still has its graph."""
    there = {name: tensor for name, tensor in slope.items() if tensor.requires_grad}

    def product(vector: Tensor) -> Tensor:
        if not there:
            return torch.zeros_like(vector)
        shares = flat.tensors(vector)
        found = torch.autograd.grad(
            list(there.values()),
            list(at.values()),
            [shares[name] for name in there],
            retain_graph=True,
            allow_unused=True,
        )
        return flat.vector(filled(dict(zip(at, found, strict=True)), at))

    return product


def implicit_gradient(
    level: LevelProblem,
    below: Sequence[LevelProblem],
    parameters: Parameters,
    solver: Solver,
    damping: float = 0.0,
) -> tuple[Gradient, Solution]:
    """``F_a - g_aw u``, with the solution of ``(g_ww + damping) u = F_w`` and its true residual."""
    lower = below[-1]
    own, inner = leaves(parameters, level.variables), leaves(parameters, lower.variables)
    at = {**constants(parameters), **own, **inner}
    terms = level.terms(at)
    found = gradients(terms.total, {**inner, **own})
    direct = {name: found[name] for name in own}
    flat = Flat(inner)
    right = flat.vector(filled(found, inner))
    slope = filled(gradients(lower.terms(at).total, inner, create_graph=True), inner)
    solution = solver(hessian_product(slope, inner, flat), right)
    # One pass back for both: measuring the residual by a pass of its own costs a whole product.
    both = _products(slope, {**own, **inner}, flat.tensors(solution.vector))
    image = flat.vector(filled(both, inner))
    solution = solution.measured(image, right, damping)
    record = {"residual": solution.residual, "products": float(solution.products)}
    through = {name: both[name] for name in own}
    return Gradient(terms, added(direct, through, -1.0), direct, record), solution


def _products(slope: Parameters, of: Parameters, weights: Parameters) -> dict[str, Tensor | None]:
    """The gradient in each of ``of`` of the inner product of ``slope`` and ``weights``."""
    there = {name: tensor for name, tensor in slope.items() if tensor.requires_grad}
    if not there:
        return dict.fromkeys(of)
    found = torch.autograd.grad(
        list(there.values()),
        list(of.values()),
        [weights[name] for name in there],
        allow_unused=True,
    )
    return dict(zip(of, found, strict=True))


def judged(gradient: Gradient, solution: Solution, tolerance: float, unsolved: str) -> Gradient:
    """The gradient with what there is to say of its solution.

    Raises:
        RunStopped: it did not converge, and ``unsolved`` is ``stop``.
    """
    if solution.residual <= max(tolerance, solution.floor):
        return gradient
    why = "" if solution.trouble is None else f" ({solution.trouble})"
    text = (
        f"the solver left a residual of {solution.residual:.3g} after {solution.products} products, "
        f"more than {tolerance:g}{why}"
    )
    if unsolved == "stop":
        raise RunStopped(text, hint="give it more steps, terms or damping; or unsolved: go_on")
    return Gradient(gradient.terms, gradient.of, gradient.direct, gradient.record, text)
