"""Chains of levels that are plain functions, whose hypergradients are known in closed form."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from nasrestore.search.hypergradient.descent import Descent
from nasrestore.search.hypergradient.problem import Gradient, Hypergradient, LevelProblem
from nasrestore.search.objective import Terms

Function = Callable[[Mapping[str, Tensor]], Tensor]
Point = dict[str, Tensor]


def level(variables: str | tuple[str, ...], function: Function, rate: float = 0.1) -> LevelProblem:
    """A level whose objective is a function of all variables by name."""

    def terms(parameters: Mapping[str, Tensor] | None, step: int = 0) -> Terms:
        assert parameters is not None
        return Terms(function(parameters), {})

    names = (variables,) if isinstance(variables, str) else variables
    return LevelProblem(names[0], names, terms, rate, Descent("sgd", rate))


def point(**values: object) -> Point:
    """Variables in float64."""
    return {
        n: torch.as_tensor(v, dtype=torch.float64).clone().requires_grad_()
        for n, v in values.items()
    }


def hypergradient(
    method: Hypergradient, upper: LevelProblem, lower: LevelProblem, at: Point
) -> Gradient:
    """The method's answer, and that it wrote to nothing."""
    before = {name: value.detach().clone() for name, value in at.items()}
    found = method(upper, [lower], at)
    for name, value in at.items():
        assert torch.equal(value, before[name]) and value.grad is None, name
    return found


class Quadratic:
    """``g = 1/2 w'Aw - w'(Ba + c)`` and ``f = 1/2 |w - t|^2 + 1/2 r |a|^2``, all of it known.

    ``A`` is symmetric with the condition number asked for.
    """

    def __init__(self, size: int = 6, own: int = 3, condition: float = 100.0, seed: int = 0):
        generator = torch.Generator().manual_seed(seed)

        def random(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        basis, _ = torch.linalg.qr(random(size, size))
        self.values = torch.logspace(0, float(torch.log10(torch.tensor(condition))), size)
        self.values = self.values.double() / condition  # the largest is 1
        self.A = basis @ torch.diag(self.values) @ basis.T
        self.B, self.c, self.t = random(size, own), random(size), random(size)
        self.r = 0.3
        self.a = random(own)

    def lower(self, rate: float = 1.0) -> LevelProblem:
        return level("w", self.g, rate)

    def upper(self) -> LevelProblem:
        return level("a", self.f)

    def g(self, p: Mapping[str, Tensor]) -> Tensor:
        w = p["w"]
        return w @ self.A @ w / 2 - w @ (self.B @ p["a"] + self.c)

    def f(self, p: Mapping[str, Tensor]) -> Tensor:
        return (p["w"] - self.t).square().sum() / 2 + self.r * p["a"].square().sum() / 2

    def solution(self) -> Tensor:
        """``w*(a)``."""
        return torch.linalg.solve(self.A, self.B @ self.a + self.c)

    def at_solution(self) -> Point:
        return point(a=self.a, w=self.solution())

    def exact(self) -> Tensor:
        """``f_a + B' A^-1 f_w`` at the solution."""
        through = torch.linalg.solve(self.A, self.solution() - self.t)
        return self.r * self.a + self.B.T @ through


class Quartic:
    """``g = sum (1/4 w^4 + 1/2 w^2 - w a)`` by entries, ``f = sum (w^3 / 3 + a w)``."""

    rate = 0.1

    def lower(self, rate: float = 0.1) -> LevelProblem:
        return level(
            "w", lambda p: (p["w"] ** 4 / 4 + p["w"] ** 2 / 2 - p["w"] * p["a"]).sum(), rate
        )

    def upper(self) -> LevelProblem:
        return level("a", lambda p: (p["w"] ** 3 / 3 + p["a"] * p["w"]).sum())

    @staticmethod
    def slope(w: Tensor, a: Tensor) -> Tensor:
        """``g_w``."""
        return w**3 + w - a

    @staticmethod
    def upper_slope(w: Tensor, a: Tensor) -> Tensor:
        """``f_w``."""
        return w**2 + a

    @staticmethod
    def solution(a: Tensor) -> Tensor:
        """``w*(a)``, by Newton's method."""
        w = a.clone()
        for _ in range(60):
            w = w - Quartic.slope(w, a) / (3 * w**2 + 1)
        return w

    @staticmethod
    def exact(a: Tensor) -> Tensor:
        """``f_a + f_w / g_ww``, since ``g_aw`` is -1."""
        w = Quartic.solution(a)
        return w + Quartic.upper_slope(w, a) / (3 * w**2 + 1)


def answer(gradient: Gradient, name: str = "a") -> Tensor:
    found = gradient.of[name]
    assert found is not None
    return found
