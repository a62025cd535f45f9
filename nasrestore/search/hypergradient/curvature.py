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

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from torch import Tensor

from nasrestore.errors import RunStopped
from nasrestore.registry import curvature
from nasrestore.search.hypergradient.descent import Descent
from nasrestore.search.hypergradient.problem import (
    Gradient,
    Hypergradient,
    LevelProblem,
    Parameters,
    filled,
    gradients,
    leaves,
)
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
        troubles: of the answers that did not come out, the residual and what there is to say.
    """

    parameters: Parameters
    kept: dict[str, Any] = field(default_factory=dict)
    residuals: list[float] = field(default_factory=list)
    troubles: list[tuple[float, str]] = field(default_factory=list)


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


def reduced(
    level: LevelProblem,
    below: Sequence[LevelProblem],
    by: Curvature,
    present: Present,
    method: Hypergradient | None = None,
) -> tuple[LevelProblem, LevelProblem]:
    """The level and the one directly below, in whose objectives those further below respond.

    Args:
        below: at least one, innermost first.
        method: what they are for; its attribute ``upper_order`` says how often it differentiates
            the upper objective, 2 where it has none.
    """
    *further, lower = below
    if not further or isinstance(by, Frozen):
        return level, lower
    order = int(getattr(method, "upper_order", 2))
    # The lower objective is differentiated twice by all of them: its gradient, and that again.
    return (
        replace(level, terms=_answered(level, further, by, order, present)),
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


def with_responses(gradient: Gradient, by: Curvature | None, present: Present) -> Gradient:
    """The gradient with what there is to say of the responses below.

    Raises:
        RunStopped: one did not come out, and the curvature's ``unsolved`` is ``stop``.
    """
    if not present.residuals:
        return gradient
    record = {**gradient.record, "response_residual": max(present.residuals)}
    if not present.troubles:
        return replace(gradient, record=record)
    _, text = max(present.troubles)
    if getattr(by, "unsolved", "go_on") == "stop":
        hint = "give the curvature more steps or damping, or take another; or unsolved: go_on"
        raise RunStopped(text, hint=hint)
    said = text if gradient.unsolved is None else f"{gradient.unsolved}; {text}"
    return replace(gradient, record=record, unsolved=said)
