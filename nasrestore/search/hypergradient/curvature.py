"""How the levels further below answer while two levels of a chain are solved against each other.

A hypergradient sees two levels, its own and the one directly below. With three or more there are
levels further below, and what they do is a choice of its own: on the scalar chain ``g = w^2/2 - w(a -
1.5 l)``, ``f = 1.5 w^2 + a^2 + a l`` the response da/dl is -0.5 with ``w`` frozen and +0.7 with ``w``
solved for again.

Each of these makes, of functions of all parameters, functions in which the variables further below
depend on the others. Their values at the present point stay the same with ``frozen`` and
``resolved``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from nasrestore.registry import curvature
from nasrestore.search.hypergradient.descent import Descent
from nasrestore.search.hypergradient.implicit import Flat, hessian_product
from nasrestore.search.hypergradient.problem import (
    LevelProblem,
    Parameters,
    constants,
    filled,
    gradients,
    leaves,
)
from nasrestore.search.hypergradient.solve import Product, conjugate_gradients
from nasrestore.search.hypergradient.unrolled import own_descent
from nasrestore.search.objective import Terms

Value = Callable[[dict[str, Tensor], int], Tensor]


@dataclass(frozen=True)
class Present:
    """The point at which a hypergradient is taken.

    Attributes:
        parameters: all of them, as constants.
        kept: what a curvature computes there once, by the level's name.
        residuals: that solvers left when levels answered, relative.
    """

    parameters: Parameters
    kept: dict[str, Any] = field(default_factory=dict)
    residuals: list[float] = field(default_factory=list)


class Curvature(Protocol):
    """How one level's variables answer to the others."""

    def respond(
        self,
        level: LevelProblem,
        value: Value,
        parameters: dict[str, Tensor],
        order: int,
        present: Present,
    ) -> dict[str, Tensor]:
        """The level's variables as functions of the other parameters.

        Args:
            value: its objective, in which the levels below it have answered already.
            parameters: where the answer is wanted, which need not be the present point.
            order: how many derivatives of the answer must be right.
        """
        ...


@curvature("frozen")
class Frozen:
    """They are constants, everywhere: in the lower level's objective and in the upper one's."""

    def respond(
        self,
        level: LevelProblem,
        value: Value,
        parameters: dict[str, Tensor],
        order: int,
        present: Present,
    ) -> dict[str, Tensor]:
        return {}


@curvature("unrolled")
class UnrolledResponse:
    """They take steps from where they are, each level on its own objective, and gradients go through.

    Args:
        steps: default: as many as the level takes each turn.
        optimizer: ``level``, the level's own with what it remembers, or ``sgd``.
        rate: default: the level's learning rate.
    """

    def __init__(
        self, steps: int | None = None, optimizer: str = "level", rate: float | None = None
    ) -> None:
        self.steps, self.optimizer, self.rate = steps, optimizer, rate

    def respond(
        self,
        level: LevelProblem,
        value: Value,
        parameters: dict[str, Tensor],
        order: int,
        present: Present,
    ) -> dict[str, Tensor]:
        rate = level.rate if self.rate is None else self.rate
        descent = Descent("sgd", rate) if self.optimizer == "sgd" else own_descent(level, rate)
        moved = leaves(parameters, level.variables)
        for step in range(level.steps if self.steps is None else self.steps):
            slope = gradients(value({**parameters, **moved}, step), moved, create_graph=True)
            moved, descent = descent.step(moved, filled(slope, moved))
        return moved


@curvature("resolved")
class Resolved:
    """They stay as minimal as they are: solved for again wherever they are asked for.

    What is held is their gradient at the present point, 0 at a minimum. The answer is iterated with
    the present Hessian: ``w <- w - H^-1 (g_w(w, a) - g_w at the present point)``, first in value and
    then ``order`` times with derivatives, each of which makes one more of them exact, so that the
    Hessian of the level above sees all of the response.

    Args:
        steps: of conjugate gradients, the most.
        tolerance: relative residual at which they stop.
        damping: added to the diagonal of ``H``.
    """

    def __init__(self, steps: int = 50, tolerance: float = 1e-12, damping: float = 0.0) -> None:
        self.steps, self.tolerance, self.damping = steps, tolerance, damping

    def respond(
        self,
        level: LevelProblem,
        value: Value,
        parameters: dict[str, Tensor],
        order: int,
        present: Present,
    ) -> dict[str, Tensor]:
        start = leaves(present.parameters, level.variables)
        flat = Flat(start)
        if level.name not in present.kept:
            present.kept[level.name] = self._linearised(value, present, start, flat)
        linearised: tuple[Tensor, Product] = present.kept[level.name]
        held, solved = linearised

        def left(moved: Tensor, others: Parameters, *, create_graph: bool) -> Tensor:
            at = flat.tensors(moved)
            found = gradients(value({**others, **at}, 0), at, create_graph=create_graph)
            return flat.vector(filled(found, at)) - held

        moved = flat.vector(start).detach().requires_grad_()
        fixed, before = constants(parameters), math.inf
        small = ROUNDINGS * torch.finfo(held.dtype).eps
        for _ in range(MOST_MOVES):  # none where the point is the present one
            residual = left(moved, fixed, create_graph=False)
            length = float(residual.norm())
            if not small * (1 + float(held.norm())) < length < before:
                break
            moved, before = (moved - solved(residual)).detach().requires_grad_(), length
        for _ in range(order):
            step: Tensor = Solve.apply(left(moved, parameters, create_graph=True), solved)
            moved = moved - step
        return flat.tensors(moved)

    def _linearised(
        self, value: Value, present: Present, start: dict[str, Tensor], flat: Flat
    ) -> tuple[Tensor, Product]:
        """The gradient at the present point, and what solves systems with the Hessian there."""
        at = {**present.parameters, **start}
        slope = filled(gradients(value(at, 0), start, create_graph=True), start)
        product = hessian_product(slope, start, flat)

        def solved(vector: Tensor) -> Tensor:
            right = vector.detach()
            found = conjugate_gradients(product, right, self.steps, self.tolerance, self.damping)
            if found.products:
                found = found.measured(product(found.vector), right, self.damping)
            present.residuals.append(found.residual)
            return found.vector

        return flat.vector(slope).detach(), solved


MOST_MOVES = 20
ROUNDINGS = 10.0


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


def reduced(
    level: LevelProblem, below: Sequence[LevelProblem], by: Curvature, present: Present
) -> tuple[LevelProblem, LevelProblem]:
    """The level and the one directly below, in whose objectives those further below respond.

    Args:
        below: at least one, innermost first.
    """
    *further, lower = below
    if not further or isinstance(by, Frozen):
        return level, lower
    # A method differentiates the upper objective once, and the lower one's gradient again.
    return (
        replace(level, terms=_answered(level, further, by, 1, present)),
        replace(lower, terms=_answered(lower, further, by, 2, present)),
    )


def _answered(
    level: LevelProblem,
    below: Sequence[LevelProblem],
    by: Curvature,
    order: int,
    present: Present,
) -> Callable[..., Terms]:
    """The level's objective after the levels below it have answered."""

    def terms(parameters: Parameters, step: int = 0) -> Terms:
        return level.terms(answers(below, dict(parameters), by, order, present), step)

    return terms


def answers(
    levels: Sequence[LevelProblem],
    parameters: dict[str, Tensor],
    by: Curvature,
    order: int,
    present: Present,
) -> dict[str, Tensor]:
    """All parameters, those of ``levels`` (innermost first) as functions of the others."""
    if not levels:
        return parameters
    *inner, last = levels

    def value(at: dict[str, Tensor], step: int) -> Tensor:
        return last.terms(answers(inner, at, by, order + 1, present), step).total

    moved = by.respond(last, value, parameters, order, present)
    return answers(inner, {**parameters, **moved}, by, order, present)
