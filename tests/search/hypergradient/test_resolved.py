"""Levels further below that stay stationary, wherever a method evaluates; and what is said if not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from oracles import answer, level, point
from torch import Tensor

import nasrestore as nr
from nasrestore.errors import RunStopped
from nasrestore.search.hypergradient.aggregation import Aggregation
from nasrestore.search.hypergradient.conjugate_gradient import ConjugateGradient
from nasrestore.search.hypergradient.curvature import Present, reduced
from nasrestore.search.hypergradient.finite_difference import FiniteDifference
from nasrestore.search.hypergradient.neumann import Neumann
from nasrestore.search.hypergradient.problem import Hypergradient, LevelProblem, constants
from nasrestore.search.hypergradient.resolved import Resolved
from nasrestore.search.hypergradient.unrolled import Unrolled
from nasrestore.search.hypergradient.value_function import ValueFunction

METHODS: dict[str, Hypergradient] = {
    "conjugate_gradient": ConjugateGradient(),
    "neumann": Neumann(5, rate=0.3),
    "one step": Unrolled(1, optimizer="sgd", rate=0.5),
    "three steps": Unrolled(3, optimizer="sgd", rate=0.5),
    "ten steps": Unrolled(10, optimizer="sgd", rate=0.3),
    "finite_difference": FiniteDifference(rate=0.5),
    "aggregation": Aggregation(4, lower_rate=0.3),
    "value_function": ValueFunction(5, rate=0.3),
    "value_function, following": ValueFunction(5, rate=0.3, follow=2),
}


def root(right: Tensor) -> Tensor:
    """The real ``w`` with ``w^3 + w = right``, Cardano's."""
    return 2 / 3**0.5 * torch.sinh(torch.asinh(1.5 * 3**0.5 * right) / 3)


def chain() -> list[LevelProblem]:
    """``w`` is ``root(a + 0.3 l)``, whose derivatives of all orders change from place to place."""
    return [
        level("w", lambda p: p["w"] ** 4 / 4 + p["w"] ** 2 / 2 - p["w"] * (p["a"] + 0.3 * p["l"])),
        level("a", lambda p: (p["w"] - 2) ** 2 / 2 + (p["a"] - 3 * p["l"]) ** 2 / 2, rate=0.1),
        level("l", lambda p: p["a"] ** 2 / 2 + p["w"]),
    ]


def substituted() -> list[LevelProblem]:
    """The same with ``w`` put in: two levels, and no curvature."""

    def put_in(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return lambda p: function({**p, "w": root(p["a"] + 0.3 * p["l"])})

    _, middle, top = chain()
    return [
        level("a", put_in(lambda p: middle.terms(p).total), rate=0.1),
        level("l", put_in(lambda p: top.terms(p).total)),
    ]


@pytest.mark.parametrize("a", [0.1, 1.0, -2.0])
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_every_method_sees_the_answer_at_every_point_that_it_moves_to(
    method: Hypergradient, a: float
) -> None:
    at = point(l=1.0, a=a)
    lower, upper = substituted()
    expected = answer(method(upper, [lower], at), "l")
    at = point(l=1.0, a=a, w=root(torch.tensor(a + 0.3, dtype=torch.float64)))
    w, middle, top = chain()
    present = Present(constants(at))
    above, below = reduced(top, [w, middle], Resolved(), present, method)
    found = answer(method(above, [w, below], at), "l")
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)
    assert present.troubles == []


def test_unrolled_through_resolved_is_the_central_difference_of_the_whole_map() -> None:
    def whole(outer: float) -> float:
        a = torch.tensor(0.1, dtype=torch.float64)
        lower, upper = substituted()
        top = torch.tensor(outer, dtype=torch.float64)
        for _ in range(3):
            a.requires_grad_()
            (slope,) = torch.autograd.grad(lower.terms({"a": a, "l": top}).total, a)
            a = (a - 0.5 * slope).detach()
        return float(upper.terms({"a": a, "l": top}).total)

    functions = [(one.name, lambda p, one=one: one.terms(p).total) for one in chain()]
    w = root(torch.tensor(0.1 + 0.3, dtype=torch.float64))
    at = {"l": torch.tensor(1.0).double(), "a": torch.tensor(0.1).double(), "w": w}
    method = {"name": "unrolled", "steps": 3, "rate": 0.5}
    found = nr.hypergradient_of(functions, at, method, curvature="resolved")
    expected = (whole(1 + 1e-5) - whole(1 - 1e-5)) / 2e-5
    assert float(found.of["l"]) == pytest.approx(expected, rel=1e-8)
    assert found.record["response_residual"] < 1e-12 and found.unsolved is None


def test_two_levels_of_answers_are_found_anew_at_moved_points() -> None:
    """Four levels: the middle ones answer through each other, by Newton's method in Newton's."""
    functions = [
        ("v", lambda p: p["v"] ** 4 / 4 + p["v"] ** 2 / 2 - p["v"] * p["w"]),
        ("w", lambda p: p["w"] ** 2 + p["v"] ** 2 - p["w"] * p["a"]),
        ("a", lambda p: (p["w"] - 1) ** 2 / 2 + (p["a"] - 2 * p["l"]) ** 2 / 2 + p["v"]),
        ("l", lambda p: p["a"] ** 2 / 2 + p["w"] + p["v"]),
    ]

    def nested(a: float) -> tuple[float, float]:
        def slope(w: float) -> float:
            at = torch.tensor(w, dtype=torch.float64, requires_grad=True)
            (found,) = torch.autograd.grad(at**2 + root(at) ** 2 - at * a, at)
            return float(found)

        low, high = -10.0, 10.0  # between which the slope rises through zero
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (low, middle) if slope(middle) > 0 else (middle, high)
        return low, float(root(torch.tensor(low, dtype=torch.float64)))

    def middle(a: float, top: float) -> float:
        w, v = nested(a)
        return (w - 1) ** 2 / 2 + (a - 2 * top) ** 2 / 2 + v

    def whole(top: float) -> float:
        a = 0.4 - 0.5 * (middle(0.4 + 1e-5, top) - middle(0.4 - 1e-5, top)) / 2e-5
        w, v = nested(a)
        return a**2 / 2 + w + v

    w, v = nested(0.4)
    at = {"l": 1.0, "a": 0.4, "w": w, "v": v}
    found = nr.hypergradient_of(
        functions,
        {name: torch.tensor(one, dtype=torch.float64) for name, one in at.items()},
        {"name": "unrolled", "steps": 1, "rate": 0.5},
        curvature="resolved",
    )
    expected = (whole(1 + 1e-3) - whole(1 - 1e-3)) / 2e-3
    assert float(found.of["l"]) == pytest.approx(expected, rel=1e-5)
    assert found.unsolved is None


# -- answers that do not come out ------------------------------------------------------------

FLAT = torch.tensor(0.1, dtype=torch.float64)


def at_a_maximum() -> tuple[list[tuple[str, Callable[..., Tensor]]], dict[str, Tensor]]:
    """``w`` is at a maximum, where conjugate gradients have nothing to say."""
    functions = [
        ("w", lambda p: -((p["w"] - p["a"]) ** 2)),
        ("a", lambda p: (p["a"] - p["l"]) ** 2 + p["w"] ** 2),
        ("l", lambda p: p["a"] ** 2),
    ]
    return functions, {"w": FLAT, "a": FLAT, "l": 2 * FLAT}


def badly_conditioned() -> tuple[list[tuple[str, Callable[..., Tensor]]], dict[str, Tensor]]:
    scales = torch.logspace(0, 6, 50, dtype=torch.float64)
    functions = [
        ("w", lambda p: (scales * (p["w"] - p["a"]) ** 2).sum() / 2),
        ("a", lambda p: (p["a"] - p["l"]) ** 2 + (p["w"] ** 2).mean()),
        ("l", lambda p: p["a"] ** 2),
    ]
    return functions, {"w": FLAT.expand(50), "a": FLAT, "l": 2 * FLAT}


@pytest.mark.parametrize(
    ("problem", "reason"),
    [(at_a_maximum, "the curvature is -2 along"), (badly_conditioned, "after 6 products")],
)
def test_an_answer_that_does_not_come_out_is_said_or_stops(
    problem: Callable[..., tuple[list[tuple[str, Callable[..., Tensor]]], dict[str, Tensor]]],
    reason: str,
) -> None:
    functions, at = problem()
    few = {"name": "resolved", "steps": 5}
    found = nr.hypergradient_of(functions, at, curvature=few)
    assert found.unsolved is not None and reason in found.unsolved
    assert "response of level 'w'" in found.unsolved
    assert found.record["response_residual"] > 1e-3
    with pytest.raises(RunStopped, match="response of level 'w'") as caught:
        nr.hypergradient_of(functions, at, curvature={**few, "unsolved": "stop"})
    assert caught.value.exit_status == 3 and "damping" in str(caught.value.hint)


def test_a_condition_of_a_million_is_solved_with_enough_steps() -> None:
    functions, at = badly_conditioned()
    strict = {"name": "resolved", "steps": 2000, "unsolved": "stop"}
    found = nr.hypergradient_of(functions, at, curvature=strict)
    assert float(found.of["l"]) == pytest.approx(0.1, rel=1e-8)  # da/dl is one half


def test_an_answer_that_is_nowhere_is_said() -> None:
    """``g_w = exp(w) - a`` has no zero where the method looks: at negative ``a``."""
    functions = [
        ("w", lambda p: p["w"].exp() - p["w"] * p["a"]),
        ("a", lambda p: (p["a"] + 3) ** 2 / 2),
        ("l", lambda p: p["a"] + p["w"] + 0 * p["l"]),
    ]
    one = torch.tensor(1.0, dtype=torch.float64)
    found = nr.hypergradient_of(
        functions,
        {"w": 0 * one, "a": one, "l": one},
        {"name": "unrolled", "steps": 1, "rate": 0.9},
        curvature="resolved",
    )
    assert found.unsolved is not None and "does not come to be stationary" in found.unsolved


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nothing_is_said_of_what_rounding_leaves(dtype: torch.dtype) -> None:
    functions = [(one.name, lambda p, one=one: one.terms(p).total) for one in chain()]
    at = {
        "l": torch.ones((), dtype=dtype),
        "a": torch.ones((), dtype=dtype),
        "w": root(torch.tensor(1.3, dtype=dtype)),
    }
    for method in ("conjugate_gradient", {"name": "unrolled", "steps": 5, "rate": 0.3}):
        nr.hypergradient_of(
            functions, at, method, curvature={"name": "resolved", "unsolved": "stop"}
        )
