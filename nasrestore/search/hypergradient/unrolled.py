"""Reverse mode through steps of the lower optimizer.

Maclaurin et al. 2015; Franceschi et al. 2017, section 3.1; truncated: Shaban et al. 2019. With one step
of SGD it is DARTS's second-order gradient (Liu et al. 2019, Eq. 7) without the finite difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from nasrestore.registry import hypergradient
from nasrestore.search.hypergradient.descent import Descent
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

EPSILON = 1e-8  # torch's


@hypergradient("unrolled")
class Unrolled:
    """``d F(a, w_K(a)) / da``, where ``w_K`` is reached from ``w`` by K steps on the lower objective.

    Args:
        steps: K; the k-th reads the lower level's k-th batch.
        optimizer: ``level``, the lower level's own with what it remembers; ``sgd`` or ``adam``,
            which begin anew.
        rate: learning rate; default: the lower level's.
        momentum: of ``sgd``.
        betas: of ``adam``.
        epsilon: of ``adam``; it stands inside the root. Where a lower gradient is exactly 0, the
            slope of a step is ``rate / epsilon``.
        truncate: gradients go through so many of the last steps; default: all.

    Raises:
        ValueError: ``momentum``, ``betas`` or ``epsilon`` with another optimizer than theirs.
    """

    upper_order = 1

    def __init__(
        self,
        steps: int = 1,
        optimizer: str = "level",
        rate: float | None = None,
        momentum: float = 0.0,
        betas: Sequence[float] = (0.9, 0.999),
        epsilon: float = EPSILON,
        truncate: int | None = None,
    ) -> None:
        changed = {
            "momentum": ("sgd", momentum != 0),
            "betas": ("adam", tuple(betas) != (0.9, 0.999)),
            "epsilon": ("adam", epsilon != EPSILON),
        }
        for name, (owner, given) in changed.items():
            if given and optimizer != owner:
                raise ValueError(
                    f"{name} is of optimizer {owner!r}, and the optimizer is {optimizer!r}: "
                    f"give optimizer={owner!r}, or leave it out"
                )
        self.steps, self.optimizer, self.rate = steps, optimizer, rate
        self.momentum, self.betas, self.epsilon = momentum, (betas[0], betas[1]), epsilon
        self.truncate = steps if truncate is None else truncate

    def descent(self, lower: LevelProblem) -> Descent:
        """How the lower variables move."""
        rate = lower.rate if self.rate is None else self.rate
        if self.optimizer != "level":
            kind: Literal["sgd", "adam"] = "sgd" if self.optimizer == "sgd" else "adam"
            return Descent(
                kind, rate, momentum=self.momentum, betas=self.betas, epsilon=self.epsilon
            )
        return own_descent(lower, rate)

    def __call__(
        self, level: LevelProblem, below: Sequence[LevelProblem], parameters: Parameters
    ) -> Gradient:
        lower = below[-1]
        # Twice the same variables, so that what acts directly and what acts through the lower
        # level come apart.
        own, through = leaves(parameters, level.variables), leaves(parameters, level.variables)
        at = {**constants(parameters), **through}
        inner = {name: at[name].clone().requires_grad_() for name in lower.variables}
        descent = self.descent(lower)
        for step in range(self.steps):
            followed = self.steps - step <= self.truncate
            terms = lower.terms({**at, **inner}, step)
            slope = filled(gradients(terms.total, inner, create_graph=followed), inner)
            inner, descent = descent.step(inner, slope)
            if not followed:
                inner = {name: w.detach().requires_grad_() for name, w in inner.items()}
                descent = descent.detached()
        terms = level.terms({**at, **own, **inner})
        found = gradients(terms.total, {**_marked(own), **through})
        direct = {name: found[_mark(name)] for name in own}
        indirect = {name: found[name] for name in through}
        return Gradient(terms, added(direct, indirect), direct)


def own_descent(level: LevelProblem, rate: float) -> Descent:
    """The level's own optimizer as a function, at a rate.

    Raises:
        ValueError: it is of a kind whose steps are not known here.
    """
    if level.descent is None:
        raise ValueError(
            f"level {level.name!r}: gradients go through steps of sgd, adam and adamw alone; "
            "name one with optimizer"
        )
    return replace(level.descent, rate=rate)


def _mark(name: str) -> str:
    return f"direct {name}"


def _marked(tensors: Parameters) -> Parameters:
    return {_mark(name): tensor for name, tensor in tensors.items()}
