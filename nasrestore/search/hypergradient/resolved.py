"""Levels further below that stay stationary: solved for again wherever they are asked for.

What is held is their gradient at the present point, 0 at a minimum: ``g_w(w, a) = g_w(w0, a0)``
makes ``w`` a function of the ``a`` of the levels above (the implicit function theorem).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nasrestore.registry import curvature
from nasrestore.search.hypergradient.curvature import Present, Value
from nasrestore.search.hypergradient.implicit import Flat, hessian_product
from nasrestore.search.hypergradient.problem import (
    LevelProblem,
    Parameters,
    constants,
    filled,
    gradients,
    leaves,
)
from nasrestore.search.hypergradient.solve import Product, Solution, conjugate_gradients


@curvature("resolved")
class Resolved:
    """They stay as stationary as they are.

    The answer is found in value by damped Newton steps with the Hessian of where they have come to.
    Then ``w <- w - H^-1 (g_w(w, a) - g_w at the present point)`` with ``H`` of the answer is taken
    ``order`` times with derivatives, each of which makes one more of them exact, so that the Hessian
    of the level above sees all of the response.

    Args:
        steps: of conjugate gradients, the most.
        tolerance: relative residual at which they stop.
        damping: added to the diagonal of ``H``.
        unsolved: ``go_on`` or ``stop`` where an answer does not come out.
    """

    def __init__(
        self,
        steps: int = 50,
        tolerance: float = 1e-12,
        damping: float = 0.0,
        unsolved: str = "go_on",
    ) -> None:
        self.steps, self.tolerance = steps, tolerance
        self.damping, self.unsolved = damping, unsolved

    def respond(
        self,
        level: LevelProblem,
        value: Value,
        parameters: dict[str, Tensor],
        order: int,
        present: Present,
    ) -> dict[str, Tensor]:
        flat = Flat(leaves(present.parameters, level.variables))

        def slope(vector: Tensor, others: Parameters, *, create_graph: bool) -> Tensor:
            at = flat.tensors(vector)
            found = gradients(value({**others, **at}, 0), at, create_graph=create_graph)
            return flat.vector(filled(found, at))

        answer = self._answer(level, slope, flat, constants(parameters), present)
        solved = self._solver(level, answer.product, present)
        moved = answer.vector.clone().requires_grad_()
        for _ in range(order):
            left = slope(moved, parameters, create_graph=True) - answer.held
            step: Tensor = Still.apply(left, solved)
            moved = moved - step
        return flat.tensors(moved)

    def _answer(
        self, level: LevelProblem, slope: Slope, flat: Flat, others: Parameters, present: Present
    ) -> Answer:
        """Where the level comes to among other parameters; the present and the last one are kept."""
        kept: dict[str, Answer] = present.kept.setdefault(level.name, {})
        if "present" not in kept:
            start = flat.vector(present.parameters)
            here, product = linearised(slope, start, present.parameters)
            kept["present"] = Answer(present.parameters, start, here, product)
        for answer in kept.values():
            if _same(answer.others, others, besides=level.variables):
                return answer
        kept["last"] = self._moved(level, slope, kept["present"], others, present)
        return kept["last"]

    def _moved(
        self, level: LevelProblem, slope: Slope, start: Answer, others: Parameters, present: Present
    ) -> Answer:
        """Newton's method from the present point, each step as long as it comes closer."""
        vector, held = start.vector, start.held
        found, product = linearised(slope, vector, others)
        left = found - held
        first = length = float(left.norm())
        eps = torch.finfo(vector.dtype).eps
        small, trouble = ROUNDINGS * eps, ""
        for _ in range(MOST_MOVES):
            if length <= small * (first + float(held.norm())):
                break
            solution = self._solved(product, left)
            step, trouble = solution.vector, solution.trouble or ""
            if not trouble and float(step.norm()) <= small * float(vector.norm()):
                break  # it would be lost in rounding
            for share in SHARES:
                trial = vector - share * step
                found, trial_product = linearised(slope, trial, others)
                if float((found - held).norm()) < (1 - share * LEAST_GAIN) * length:
                    break
            else:
                break
            vector, product, left = trial, trial_product, found - held
            length = float(left.norm())
        residual = length / first if first else 0.0
        present.residuals.append(residual)
        if not residual <= max(self.tolerance, math.sqrt(eps)):
            why = f" ({trouble})" if trouble else ""
            text = (
                f"level {level.name!r} does not come to be stationary where the levels above are "
                f"moved to: Newton's method left {residual:.3g} of the gradient{why}"
            )
            present.troubles.append((residual, text))
        return Answer(others, vector, held, product)

    def _solved(self, product: Product, right: Tensor) -> Solution:
        return conjugate_gradients(product, right, self.steps, self.tolerance, self.damping)

    def _solver(self, level: LevelProblem, product: Product, present: Present) -> Product:
        """What solves systems with the Hessian of an answer, and says where it cannot."""

        def solved(vector: Tensor) -> Tensor:
            right = vector.detach()
            found = self._solved(product, right)
            if found.products:
                found = found.measured(product(found.vector), right, self.damping)
            present.residuals.append(found.residual)
            limit = max(self.tolerance, found.floor)
            if not found.residual <= limit:
                why = "" if found.trouble is None else f" ({found.trouble})"
                text = (
                    f"the response of level {level.name!r} is solved for to a residual of "
                    f"{found.residual:.3g} after {found.products} products, more than {limit:.3g}{why}"
                )
                present.troubles.append((found.residual, text))
            return found.vector

        return solved


Slope = Callable[..., Tensor]
MOST_MOVES = 50
SHARES = (1.0, 0.5, 0.25, 0.1, 0.03, 0.01)
LEAST_GAIN = 0.1
ROUNDINGS = 10.0


@dataclass(frozen=True)
class Answer:
    """Where a level is stationary.

    Attributes:
        others: the parameters of the other levels, to which it answers.
        vector: its variables, flat.
        held: their gradient.
        product: with the Hessian in them.
    """

    others: Parameters
    vector: Tensor
    held: Tensor
    product: Product


def linearised(slope: Slope, vector: Tensor, others: Parameters) -> tuple[Tensor, Product]:
    """The gradient at a point, and products with the Hessian there."""
    at = {"": vector.detach().clone().requires_grad_()}
    here = {"": slope(at[""], others, create_graph=True)}
    return here[""].detach(), hessian_product(here, at, Flat(at))


def _same(one: Parameters, other: Parameters, besides: tuple[str, ...]) -> bool:
    return all(
        torch.equal(one[name], value) for name, value in other.items() if name not in besides
    )


class Still(torch.autograd.Function):
    """``H^-1`` of a residual that is zero but for rounding: zero itself, its derivatives are not."""

    @staticmethod
    def forward(ctx: Any, vector: Tensor, solved: Product) -> Tensor:
        ctx.solved = solved
        return torch.zeros_like(vector)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return Solve.apply(gradient, ctx.solved), None


class Solve(torch.autograd.Function):
    """A symmetric linear map that is known by its results; its derivative is itself."""

    @staticmethod
    def forward(ctx: Any, vector: Tensor, solved: Product) -> Tensor:
        ctx.solved = solved
        found: Tensor = solved(vector)
        return found

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return Solve.apply(gradient, ctx.solved), None
