"""Three levels and more: what the levels further below do is what their curvature says."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence

import pytest
import torch
from oracles import Point, answer, level, point
from torch import Tensor

from nasrestore.search.hypergradient.aggregation import Aggregation
from nasrestore.search.hypergradient.conjugate_gradient import ConjugateGradient
from nasrestore.search.hypergradient.curvature import (
    Curvature,
    Frozen,
    Present,
    UnrolledResponse,
    reduced,
)
from nasrestore.search.hypergradient.finite_difference import FiniteDifference
from nasrestore.search.hypergradient.neumann import Neumann
from nasrestore.search.hypergradient.problem import Hypergradient, LevelProblem, constants
from nasrestore.search.hypergradient.resolved import Resolved
from nasrestore.search.hypergradient.unrolled import Unrolled
from nasrestore.search.hypergradient.value_function import ValueFunction

EXACT = ConjugateGradient(steps=50)
Values = Mapping[str, Tensor]


def total(method: Hypergradient, chain: Sequence[LevelProblem], by: Curvature, at: Point) -> Tensor:
    """The hypergradient of the outermost level of a chain, innermost first."""
    *below, upper = chain
    top, lower = reduced(upper, below, by, Present(constants(at)))
    return answer(method(top, [*below[:-1], lower], at), upper.variables[0])


# -- the scalar chain of three ---------------------------------------------------------------


def scalar_chain() -> list[LevelProblem]:
    """``g = w^2/2 - w(a - 1.5 l)``, ``f = 1.5 w^2 + a^2 + a l``, and ``h = a``, so that dh/dl is da/dl."""
    return [
        level("w", lambda p: p["w"] ** 2 / 2 - p["w"] * (p["a"] - 1.5 * p["l"]), rate=1.0),
        level("a", lambda p: 1.5 * p["w"] ** 2 + p["a"] ** 2 + p["a"] * p["l"], rate=0.1),
        level("l", lambda p: p["a"] + 0 * p["l"]),
    ]


@pytest.mark.parametrize(
    ("by", "expected"),
    [(Frozen(), -0.5), (Resolved(), 0.7), (UnrolledResponse(1, "sgd", 1.0), 0.7)],
    ids=["frozen", "resolved", "unrolled to the minimum"],
)
@pytest.mark.parametrize(
    "method",
    [EXACT, Neumann(60, rate=0.19), Unrolled(60, optimizer="sgd", rate=0.19)],
    ids=["conjugate_gradient", "neumann", "unrolled"],
)
def test_the_response_of_the_middle_level_on_the_scalar_chain(
    by: Curvature, expected: float, method: Hypergradient
) -> None:
    at = point(l=1.0, a=0.7, w=0.7 - 1.5)
    assert float(total(method, scalar_chain(), by, at)) == pytest.approx(expected, abs=1e-10)


def test_resolved_lets_the_lowest_level_s_answer_reach_the_upper_objective() -> None:
    """``h = w``: with everything solved for, dw/dl is da/dl - 1.5; frozen, h does not depend on l."""
    chain = scalar_chain()
    chain[2] = level("l", lambda p: p["w"] + 0 * p["l"])
    at = point(l=1.0, a=0.7, w=-0.8)
    assert float(total(EXACT, chain, Resolved(), at)) == pytest.approx(0.7 - 1.5, abs=1e-10)
    assert float(total(EXACT, chain, Frozen(), at)) == 0.0


# -- chains of quadratics --------------------------------------------------------------------


class QuadraticChain:
    """Level k minimises a quadratic in all variables, its own block positive definite."""

    def __init__(self, sizes: Sequence[int], seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.sizes = list(sizes)
        self.names = [f"x{i}" for i in range(len(sizes))]
        n = sum(sizes)
        self.Q, self.b = [], []
        for i in range(len(sizes)):
            raw = torch.randn(n, n, generator=generator, dtype=torch.float64)
            matrix = raw @ raw.T / n
            own = self.block(i)
            matrix[own, own] += 2 * torch.eye(sizes[i], dtype=torch.float64)
            self.Q.append(matrix)
            self.b.append(torch.randn(n, generator=generator, dtype=torch.float64))
        self.top = torch.randn(sizes[-1], generator=generator, dtype=torch.float64)

    def block(self, i: int) -> slice:
        return slice(sum(self.sizes[:i]), sum(self.sizes[: i + 1]))

    def value(self, i: int, x: Tensor) -> Tensor:
        return x @ self.Q[i] @ x / 2 - self.b[i] @ x

    def levels(self) -> list[LevelProblem]:
        def function(i: int) -> Callable[[Values], Tensor]:
            return lambda p: self.value(i, torch.cat([p[name] for name in self.names]))

        return [level(name, function(i), rate=0.1) for i, name in enumerate(self.names)]

    def solved(self, outer: Tensor, below: int) -> Tensor:
        """All of x, levels under ``below`` at their nested minima for the outer variables given.

        Each answer is affine in what is outside, so that it is found by solving linear systems.
        """
        if below == 0:
            return outer
        size = self.sizes[below - 1]

        def reduced_value(own: Tensor) -> Tensor:
            return self.value(below - 1, self.solved(torch.cat([own, outer]), below - 1))

        zero = torch.zeros(size, dtype=torch.float64)
        gradient = torch.func.grad(reduced_value)
        hessian = torch.func.jacrev(gradient)(zero)
        own = torch.linalg.solve(hessian, -gradient(zero))
        return self.solved(torch.cat([own, outer]), below - 1)

    def exact(self) -> Tensor:
        """The gradient of the outermost objective with every level below at its minimum."""
        last = len(self.sizes) - 1

        def whole(top: Tensor) -> Tensor:
            return self.value(last, self.solved(top, last))

        return torch.func.grad(whole)(self.top)

    def at_solution(self) -> Point:
        x = self.solved(self.top, len(self.sizes) - 1)
        return point(**{name: x[self.block(i)] for i, name in enumerate(self.names)})


@pytest.mark.parametrize("sizes", [(3, 2), (4, 3, 2), (1, 1, 1), (3, 2, 2, 2)], ids=str)
def test_resolved_is_exact_on_quadratic_chains_of_any_depth(sizes: tuple[int, ...]) -> None:
    chain = QuadraticChain(sizes)
    found = total(EXACT, chain.levels(), Resolved(), chain.at_solution())
    torch.testing.assert_close(found, chain.exact(), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(
    "method",
    [
        Neumann(200, rate=0.25),
        Unrolled(60, optimizer="sgd", rate=0.25),
        FiniteDifference(epsilon=0.1, rate=0.05),
    ],
    ids=["neumann", "unrolled", "finite_difference"],
)
def test_other_methods_with_three_levels(method: Hypergradient) -> None:
    """Neumann and unrolling reach the exact gradient; a difference of quadratics is one step's."""
    chain = QuadraticChain((3, 2, 2), seed=1)
    found = total(method, chain.levels(), Resolved(), chain.at_solution())
    expected = chain.exact()
    if isinstance(method, FiniteDifference):
        one_step = Unrolled(1, optimizer="sgd", rate=0.05)
        expected = total(one_step, chain.levels(), Resolved(), chain.at_solution())
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-9)


def test_the_middle_of_three_is_a_level_like_any_other() -> None:
    """The level above is constant to it."""
    chain = QuadraticChain((3, 2, 2))
    levels = chain.levels()
    at = chain.at_solution()
    at["x1"] = (at["x1"] + 0.3).detach().requires_grad_()
    at["x0"].data.copy_(chain.solved(torch.cat([at["x1"], at["x2"]]).detach(), 1)[:3])

    def middle(own: Tensor) -> Tensor:
        return chain.value(1, chain.solved(torch.cat([own, chain.top]), 1))

    expected = torch.func.grad(middle)(at["x1"].detach())
    found = answer(EXACT(levels[1], levels[:1], at), "x1")
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-9)


def test_frozen_is_the_two_level_problem_with_the_rest_constant() -> None:
    chain = QuadraticChain((3, 2, 2), seed=2)
    at = chain.at_solution()
    rest = at["x0"].detach()

    def middle(own: Tensor, top: Tensor) -> Tensor:
        return chain.value(1, torch.cat([rest, own, top]))

    own, top = at["x1"].detach(), chain.top
    hessian = torch.func.jacrev(torch.func.grad(middle))(own, top)
    cross = torch.func.jacrev(torch.func.grad(middle), argnums=1)(own, top)
    x = torch.cat([rest, own, top]).requires_grad_()
    slope = torch.autograd.grad(chain.value(2, x), x)[0]
    through = cross.T @ torch.linalg.solve(hessian, slope[chain.block(1)])
    expected = slope[chain.block(2)] - through
    found = total(EXACT, chain.levels(), Frozen(), at)
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("steps", [1, 3])
def test_unrolled_is_the_derivative_of_nested_steps(steps: int) -> None:
    """The middle level takes a step on its objective after the lowest one's steps, all followed."""
    chain = QuadraticChain((3, 2, 2), seed=3)
    at = point(x0=[0.1, 0.2, 0.3], x1=[0.4, -0.5], x2=[0.6, 0.7])
    start, own = at["x0"].detach(), at["x1"].detach()

    def lowest(middle: Tensor, top: Tensor) -> Tensor:
        x = start
        for _ in range(steps):
            slope = torch.func.grad(lambda y: chain.value(0, torch.cat([y, middle, top])))(x)
            x = x - 0.05 * slope
        return x

    def whole(top: Tensor) -> Tensor:
        def reduced_middle(middle: Tensor) -> Tensor:
            return chain.value(1, torch.cat([lowest(middle, top), middle, top]))

        middle = own - 0.1 * torch.func.grad(reduced_middle)(own)
        return chain.value(2, torch.cat([lowest(middle, top), middle, top]))

    expected = torch.func.grad(whole)(at["x2"].detach())
    by = UnrolledResponse(steps, "sgd", 0.05)
    found = total(Unrolled(1, optimizer="sgd", rate=0.1), chain.levels(), by, at)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


# -- beyond quadratics -----------------------------------------------------------------------


def smooth_chain() -> list[LevelProblem]:
    """Three levels whose third derivatives count."""
    return [
        level("w", lambda p: p["w"] ** 4 / 4 + p["w"] ** 2 - p["w"] * torch.sin(p["a"]) * p["l"]),
        level(
            "a",
            lambda p: p["a"] ** 2 + torch.exp(0.5 * p["w"]) * p["a"] + (p["w"] - p["l"]) ** 2,
        ),
        level("l", lambda p: (p["w"] - 0.3) ** 2 + p["a"] * p["l"] + p["l"] ** 2),
    ]


def nested(outer: Tensor) -> tuple[Tensor, Tensor]:
    """The middle and the lowest variable at their nested minima, by Newton's method."""
    w_level, a_level, _ = smooth_chain()

    def lowest(a: Tensor) -> Tensor:
        w = torch.zeros((), dtype=torch.float64)
        for _ in range(50):
            f = lambda y: w_level.terms({"w": y, "a": a, "l": outer}).total  # noqa: E731
            w = w - torch.func.grad(f)(w) / torch.func.grad(torch.func.grad(f))(w)
        return w

    def value(a: Tensor) -> Tensor:
        return a_level.terms({"w": lowest(a), "a": a, "l": outer}).total

    a = torch.tensor(-0.4, dtype=torch.float64)
    for _ in range(8):
        a = a - torch.func.grad(value)(a) / torch.func.grad(torch.func.grad(value))(a)
    return a, lowest(a)


def test_resolved_sees_the_third_derivatives() -> None:
    """Against central differences of solving everything anew."""
    outer = torch.tensor(0.8, dtype=torch.float64)

    def whole(value: Tensor) -> float:
        a, w = nested(value)
        return float(smooth_chain()[2].terms({"w": w, "a": a, "l": value}).total)

    h = 1e-4
    expected = (whole(outer + h) - whole(outer - h)) / (2 * h)
    a, w = nested(outer)
    found = total(EXACT, smooth_chain(), Resolved(), point(l=outer, a=a, w=w))
    assert float(found) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "method",
    [EXACT, Neumann(5), Unrolled(2), FiniteDifference(), Aggregation(3), ValueFunction(3)],
    ids=lambda one: type(one).__name__,
)
@pytest.mark.parametrize(
    "by", [Frozen(), UnrolledResponse(2), Resolved()], ids=lambda one: type(one).__name__
)
def test_every_method_takes_every_curvature_and_writes_to_nothing(
    method: Hypergradient, by: Curvature
) -> None:
    at = point(l=0.8, a=-0.4, w=0.1)
    before = {name: float(value.detach()) for name, value in at.items()}
    assert torch.isfinite(total(method, smooth_chain(), by, at))
    assert {name: float(value.detach()) for name, value in at.items()} == before
    assert all(value.grad is None for value in at.values())


@pytest.mark.parametrize(
    "method",
    [EXACT, Neumann(5), Unrolled(2), FiniteDifference(), Aggregation(3), ValueFunction(3)],
    ids=lambda one: type(one).__name__,
)
def test_memory_is_level_over_200_calls(method: Hypergradient) -> None:
    at = point(l=0.8, a=-0.4, w=0.1)

    def alive() -> int:
        gc.collect()
        return sum(issubclass(type(one), Tensor) for one in gc.get_objects())

    total(method, smooth_chain(), Resolved(), at)
    before = alive()
    for _ in range(200):
        total(method, smooth_chain(), UnrolledResponse(1), at)
    assert alive() <= before
