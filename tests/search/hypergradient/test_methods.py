"""Each hypergradient against its own formula, and against the exact gradient."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from oracles import Quadratic, Quartic, answer, hypergradient, level, point
from torch import Tensor

from nasrestore.errors import RunStopped
from nasrestore.search.hypergradient.aggregation import Aggregation
from nasrestore.search.hypergradient.conjugate_gradient import ConjugateGradient
from nasrestore.search.hypergradient.finite_difference import FiniteDifference
from nasrestore.search.hypergradient.first_order import FirstOrder
from nasrestore.search.hypergradient.neumann import Neumann
from nasrestore.search.hypergradient.unrolled import Unrolled
from nasrestore.search.hypergradient.value_function import ValueFunction

CONDITIONS = [1.0, 100.0, 1e4]
TIGHT = {"rtol": 1e-8, "atol": 1e-10}


def close(found: Tensor, expected: Tensor, **tolerance: float) -> None:
    torch.testing.assert_close(found, expected, **(tolerance or TIGHT))


def away() -> tuple[Tensor, Tensor]:
    """A point that is not the quartic's minimum."""
    return torch.tensor([0.7, -1.2], dtype=torch.float64), torch.tensor([0.4, 0.9]).double()


# -- conjugate gradients ---------------------------------------------------------------------


@pytest.mark.parametrize("condition", CONDITIONS)
def test_conjugate_gradient_is_exact_with_enough_steps(condition: float) -> None:
    problem = Quadratic(condition=condition)
    found = hypergradient(
        ConjugateGradient(steps=60), problem.upper(), problem.lower(), problem.at_solution()
    )
    close(answer(found), problem.exact(), rtol=1e-6, atol=1e-9)
    assert found.record["residual"] < 1e-6 and found.unsolved is None


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_conjugate_gradient_with_few_steps_is_its_krylov_iterate(steps: int) -> None:
    """Step k minimises the energy norm of the error over the Krylov space of dimension k."""
    problem = Quadratic(condition=50)
    at = problem.at_solution()
    right = problem.solution() - problem.t
    basis = [right]
    for _ in range(steps - 1):
        basis.append(problem.A @ basis[-1])
    krylov, _ = torch.linalg.qr(torch.stack(basis, dim=1))
    u = krylov @ torch.linalg.solve(krylov.T @ problem.A @ krylov, krylov.T @ right)
    expected = problem.r * problem.a + problem.B.T @ u
    found = hypergradient(ConjugateGradient(steps=steps), problem.upper(), problem.lower(), at)
    close(answer(found), expected, rtol=1e-7, atol=1e-9)
    left = (right - problem.A @ u).norm() / right.norm()
    assert found.record["residual"] == pytest.approx(float(left), rel=1e-6)


def test_damping_is_added_to_the_diagonal() -> None:
    problem = Quadratic()
    damped = problem.A + 0.05 * torch.eye(6).double()
    expected = problem.r * problem.a + problem.B.T @ torch.linalg.solve(
        damped, problem.solution() - problem.t
    )
    method = ConjugateGradient(steps=60, damping=0.05)
    found = hypergradient(method, problem.upper(), problem.lower(), problem.at_solution())
    close(answer(found), expected)


def test_the_residual_is_the_true_one_and_costs_no_product_of_its_own() -> None:
    problem = Quadratic()
    at, right = problem.at_solution(), problem.solution() - problem.t
    damped = problem.A + 0.05 * torch.eye(6).double()
    solution = torch.zeros(6).double()
    residual = direction = right
    for _ in range(3):  # Hestenes and Stiefel
        length = residual @ residual / (direction @ damped @ direction)
        solution, after = solution + length * direction, residual - length * (damped @ direction)
        direction = after + after @ after / (residual @ residual) * direction
        residual = after
    found = hypergradient(
        ConjugateGradient(steps=3, damping=0.05), problem.upper(), problem.lower(), at
    )
    left = (right - damped @ solution).norm() / right.norm()
    assert found.record["residual"] == pytest.approx(float(left), rel=1e-8)
    assert found.record["products"] == 4  # the fourth also gives the cross derivative
    power = torch.eye(6).double() - 0.5 * problem.A
    for _ in range(3):
        right = power @ right
    found = hypergradient(Neumann(terms=3, rate=0.5), problem.upper(), problem.lower(), at)
    size = (problem.solution() - problem.t).norm()
    assert found.record["residual"] == pytest.approx(float(right.norm() / size), rel=1e-8)
    assert found.record["products"] == 3


def test_an_indefinite_hessian_ends_the_solver_with_what_to_do() -> None:
    saddle = level(
        "w", lambda p: (p["w"] ** 2 * torch.tensor([1.0, -1.0])).sum() + (p["w"] * p["a"]).sum()
    )
    upper = level("a", lambda p: (p["w"] * torch.tensor([0.1, 1.0])).sum())
    at = point(a=[1.0, 1.0], w=[0.3, 0.2])
    found = hypergradient(ConjugateGradient(), upper, saddle, at)
    assert found.unsolved is not None and "raise the damping above it" in found.unsolved
    assert torch.isfinite(answer(found)).all()
    with pytest.raises(RunStopped, match="left a residual of 1"):
        ConjugateGradient(unsolved="stop")(upper, [saddle], at)
    assert hypergradient(ConjugateGradient(damping=3.0), upper, saddle, at).unsolved is None


def test_conjugate_gradient_stays_finite_in_float32_at_any_condition() -> None:
    problem = Quadratic(condition=1e4)
    at = {
        name: value.detach().float().requires_grad_()
        for name, value in problem.at_solution().items()
    }
    for name in ("A", "B", "c", "t"):
        setattr(problem, name, getattr(problem, name).float())
    found = hypergradient(ConjugateGradient(steps=500), problem.upper(), problem.lower(), at)
    assert torch.isfinite(answer(found)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_must_be_solved_is_solved_but_for_rounding(dtype: torch.dtype) -> None:
    """At the default tolerance, which float32 cannot come down to; few steps are told apart."""
    problem = Quadratic(size=40, condition=1e3)
    for name in ("A", "B", "c", "t", "a"):
        setattr(problem, name, getattr(problem, name).to(dtype))
    at = {n: value.to(dtype) for n, value in problem.at_solution().items()}
    at = {n: value.detach().requires_grad_() for n, value in at.items()}
    strict = ConjugateGradient(steps=200, unsolved="stop")
    found = strict(problem.upper(), [problem.lower()], at)
    close(answer(found), problem.exact(), rtol=1e-3 if dtype == torch.float32 else 1e-9, atol=1e-4)
    with pytest.raises(RunStopped, match="left a residual of"):
        ConjugateGradient(steps=10, unsolved="stop")(problem.upper(), [problem.lower()], at)


# -- Neumann ---------------------------------------------------------------------------------


@pytest.mark.parametrize("terms", [1, 2, 3, 17])
def test_neumann_is_the_rate_times_the_sum_of_that_many_powers(terms: int) -> None:
    problem, rate = Quadratic(condition=10), 0.7
    power, total = torch.eye(6).double(), torch.zeros(6, 6).double()
    for _ in range(terms):
        total = total + power
        power = power @ (torch.eye(6).double() - rate * problem.A)
    right = problem.solution() - problem.t
    expected = problem.r * problem.a + problem.B.T @ (rate * total @ right)
    found = hypergradient(
        Neumann(terms=terms, rate=rate), problem.upper(), problem.lower(), problem.at_solution()
    )
    close(answer(found), expected)
    left = (power @ right).norm() / right.norm()  # what is left is the next power
    assert found.record["residual"] == pytest.approx(float(left), rel=1e-9)


def test_neumann_comes_closer_with_more_terms_and_as_close_as_its_residual() -> None:
    problem = Quadratic(condition=100)
    errors = []
    for terms in (10, 100, 1000, 3000):
        method = Neumann(terms=terms, rate=1.0)
        found = hypergradient(method, problem.upper(), problem.lower(), problem.at_solution())
        errors.append(float((answer(found) - problem.exact()).norm()))
    assert errors == sorted(errors, reverse=True) and errors[-1] < 1e-12 * errors[0]


def test_neumann_takes_the_lower_level_s_rate_and_says_when_it_diverges() -> None:
    problem = Quadratic(condition=10)
    by_level = hypergradient(Neumann(5), problem.upper(), problem.lower(0.4), problem.at_solution())
    named = hypergradient(
        Neumann(5, rate=0.4), problem.upper(), problem.lower(), problem.at_solution()
    )
    close(answer(by_level), answer(named))
    wild = hypergradient(
        Neumann(50, rate=5.0), problem.upper(), problem.lower(), problem.at_solution()
    )
    assert wild.unsolved is not None and "its rate is too large" in wild.unsolved


@pytest.mark.parametrize("terms", [5, 4000])
def test_neumann_says_where_no_rate_would_do(terms: int) -> None:
    upper = level("a", lambda p: (p["w"] - 1).square().sum() + 0 * p["a"])
    hilltop = level("w", lambda p: -((p["w"] - p["a"]) ** 2).sum())
    at = point(a=0.5, w=[0.5, 0.5])
    found = hypergradient(Neumann(terms, rate=0.1), upper, hilltop, at)
    assert found.unsolved is not None and "its rate is too large" not in found.unsolved
    assert "negative curvature, -2; take conjugate_gradient" in found.unsolved


def test_neumann_says_nothing_of_a_truncated_series_unless_asked() -> None:
    problem = Quadratic(condition=10)
    at = problem.at_solution()
    assert hypergradient(Neumann(5), problem.upper(), problem.lower(), at).unsolved is None
    with pytest.raises(ValueError, match="stop wants a tolerance"):
        Neumann(5, unsolved="stop")
    asked = Neumann(5, tolerance=0.01)
    found = hypergradient(asked, problem.upper(), problem.lower(), at)
    assert found.unsolved is not None and "more than 0.01" in found.unsolved
    strict = Neumann(5, tolerance=0.01, unsolved="stop")
    with pytest.raises(RunStopped, match=r"after 5 products, more than 0\.01"):
        strict(problem.upper(), [problem.lower()], at)
    Neumann(200, tolerance=0.01, unsolved="stop")(problem.upper(), [problem.lower()], at)


# -- unrolled --------------------------------------------------------------------------------


def reference_unrolled(
    steps: int, kind: str, rate: float, momentum: float = 0.0, truncate: int | None = None
) -> Tensor:
    """Through a torch-like loop written out, on the quartic, by forward differences of the whole map.

    The truncated gradient holds the point at which following begins.
    """
    w0, a0 = away()

    def run(
        a: Tensor, w: Tensor, buffer: Tensor | None, count: int
    ) -> tuple[Tensor, Tensor | None]:
        for _ in range(count):
            g = Quartic.slope(w, a)
            buffer = g if buffer is None or kind != "momentum" else momentum * buffer + g
            w = w - rate * (buffer if kind == "momentum" else g)
        return w, buffer

    held = 0 if truncate is None else steps - truncate
    start, buffer = run(a0, w0, None, held)

    def value(a: Tensor) -> Tensor:
        w, _ = run(a, start, buffer, steps - held)
        return (w**3 / 3 + a * w).sum()

    result = torch.zeros_like(a0)
    for i in range(2):
        h = torch.zeros_like(a0)
        h[i] = 1e-5
        # Richardson's extrapolation of central differences: error of order h^4.
        coarse = (value(a0 + 2 * h) - value(a0 - 2 * h)) / 4e-5
        fine = (value(a0 + h) - value(a0 - h)) / 2e-5
        result[i] = (4 * fine - coarse) / 3
    return result


@pytest.mark.parametrize("steps", [1, 3, 8])
@pytest.mark.parametrize(
    ("kind", "options"),
    [("sgd", {}), ("momentum", {"momentum": 0.8}), ("momentum", {"momentum": 0.5})],
)
def test_unrolled_is_the_derivative_of_its_steps(
    steps: int, kind: str, options: dict[str, float]
) -> None:
    w, a = away()
    method = Unrolled(steps=steps, optimizer="sgd", rate=0.05, **options)
    found = hypergradient(method, Quartic().upper(), Quartic().lower(), point(a=a, w=w))
    close(answer(found), reference_unrolled(steps, kind, 0.05, **options), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("truncate", [1, 2, 5])
def test_truncation_follows_the_last_steps_alone(truncate: int) -> None:
    w, a = away()
    method = Unrolled(5, optimizer="sgd", rate=0.05, momentum=0.6, truncate=truncate)
    found = hypergradient(method, Quartic().upper(), Quartic().lower(), point(a=a, w=w))
    expected = reference_unrolled(5, "momentum", 0.05, 0.6, truncate)
    close(answer(found), expected, rtol=1e-8, atol=1e-9)


def test_one_step_of_sgd_is_darts_s_formula() -> None:
    """``f_a(w') - rate g_aw f_w(w')`` at ``w' = w - rate g_w``; here ``g_aw`` is -1."""
    w, a = away()
    ahead = w - 0.1 * Quartic.slope(w, a)
    expected = ahead + 0.1 * Quartic.upper_slope(ahead, a)
    found = hypergradient(Unrolled(), Quartic().upper(), Quartic().lower(0.1), point(a=a, w=w))
    close(answer(found), expected)
    assert found.direct is not None
    direct = found.direct["a"]
    assert direct is not None
    close(direct, ahead)


def test_one_fresh_step_of_adam_is_first_order() -> None:
    w, a = away()
    adam = Unrolled(1, optimizer="adam", rate=0.05)
    found = hypergradient(adam, Quartic().upper(), Quartic().lower(), point(a=a, w=w))
    moved = w - 0.05 * torch.sign(Quartic.slope(w, a))
    close(answer(found), moved, rtol=1e-6, atol=1e-7)


def test_unrolled_adam_is_finite_where_a_gradient_is_zero() -> None:
    a = torch.tensor([0.4, 0.9]).double()
    at = point(a=a, w=Quartic.solution(a))
    at["w"].data[0], at["a"].data[0] = 0.0, 0.0  # exactly stationary
    found = hypergradient(Unrolled(3, optimizer="adam"), Quartic().upper(), Quartic().lower(), at)
    assert torch.isfinite(answer(found)).all()


@pytest.mark.parametrize(
    ("options", "owner"),
    [
        ({"momentum": 0.9}, "sgd"),
        ({"betas": (0.5, 0.6)}, "adam"),
        ({"epsilon": 1e-3}, "adam"),
        ({"optimizer": "sgd", "epsilon": 1e-3}, "adam"),
        ({"optimizer": "adam", "momentum": 0.9}, "sgd"),
    ],
)
def test_options_that_would_be_without_effect_are_refused(
    options: dict[str, Any], owner: str
) -> None:
    with pytest.raises(ValueError, match=f"is of optimizer '{owner}'"):
        Unrolled(**options)


def test_unrolled_comes_closer_to_the_exact_gradient_with_more_steps() -> None:
    _, a = away()
    at = point(a=a, w=Quartic.solution(a))
    errors = []
    for steps in (1, 5, 20, 100, 400):
        method = Unrolled(steps, optimizer="sgd", rate=0.1)
        found = hypergradient(method, Quartic().upper(), Quartic().lower(), at)
        errors.append(float((answer(found) - Quartic.exact(a)).abs().max()))
    assert errors == sorted(errors, reverse=True) and errors[-1] < 1e-10


# -- the others ------------------------------------------------------------------------------


def test_first_order_is_the_partial_derivative() -> None:
    w, a = away()
    upper = Quartic().upper()
    at = point(a=a, w=w)
    terms = upper.terms

    def own(parameters: object, step: int = 0) -> object:
        return terms(at)

    from dataclasses import replace

    found = FirstOrder()(replace(upper, terms=own), [Quartic().lower()], at)  # type: ignore[arg-type]
    close(answer(found), w)


@pytest.mark.parametrize("epsilon", [0.01, 0.3])
@pytest.mark.parametrize("rate", [0.1, 0.02])
def test_finite_difference_is_darts_s_formula(epsilon: float, rate: float) -> None:
    """A quadratic cannot see a wrong epsilon or point; with ``g_aw`` not constant this can."""
    lower = level(
        "w", lambda p: (p["w"] ** 4 / 4 - p["w"] ** 3 * p["a"] + torch.sin(p["a"] * p["w"])).sum()
    )
    upper = Quartic().upper()
    w, a = away()

    def slope(w: Tensor) -> Tensor:
        return w**3 - 3 * w**2 * a + a * torch.cos(a * w)

    def lower_in_a(w: Tensor) -> Tensor:
        return -(w**3) + w * torch.cos(a * w)

    ahead = w - rate * slope(w)
    v = ahead**2 + a
    e = epsilon / v.norm()
    expected = ahead - rate * (lower_in_a(w + e * v) - lower_in_a(w - e * v)) / (2 * e)
    found = hypergradient(FiniteDifference(epsilon, rate), upper, lower, point(a=a, w=w))
    close(answer(found), expected)


def aggregated(steps: int, share: float, upper_rate: float, lower_rate: float) -> Tensor:
    """Aggregation's own steps on the quartic, differentiated by hand in forward mode."""
    w, a = away()
    dw = torch.zeros_like(w)  # dw/da
    for k in range(steps):
        mu = share / (k + 1)
        high, low = w**2 + a, Quartic.slope(w, a)
        d_high, d_low = 2 * w * dw + 1, (3 * w**2 + 1) * dw - 1
        w, dw = (
            w - (mu * upper_rate * high + (1 - mu) * lower_rate * low),
            dw - (mu * upper_rate * d_high + (1 - mu) * lower_rate * d_low),
        )
    return w + (w**2 + a) * dw


@pytest.mark.parametrize(("share", "rates"), [(0.5, (0.1, 0.1)), (0.3, (0.02, 0.08))])
def test_aggregation_is_the_derivative_of_its_steps(
    share: float, rates: tuple[float, float]
) -> None:
    w, a = away()
    method = Aggregation(7, share=share, upper_rate=rates[0], lower_rate=rates[1])
    found = hypergradient(method, Quartic().upper(), Quartic().lower(), point(a=a, w=w))
    close(answer(found), aggregated(7, share, *rates))


def test_aggregation_finds_the_right_minimiser_where_plain_unrolling_does_not() -> None:
    """BDA's counter-example: every y2 is a lower minimum, and only y2 = x is right.

    ``F = 1/2 (x - y2)^2 + 1/2 (y1 - 1)^2``, ``g = 1/2 y1^2 - x y1``, start 0: the optimum is (1, 1).
    """
    upper = level("x", lambda p: (p["x"] - p["y2"]) ** 2 / 2 + (p["y1"] - 1) ** 2 / 2)
    lower = level(("y1", "y2"), lambda p: p["y1"] ** 2 / 2 - p["x"] * p["y1"], rate=0.5)

    def found_by(method: Aggregation | Unrolled) -> float:
        at = point(x=0.0, y1=0.0, y2=0.0)
        for _ in range(60):
            gradient = hypergradient(method, upper, lower, at)
            at["x"] = (at["x"] - 0.5 * answer(gradient, "x")).detach().requires_grad_()
        return float(at["x"].detach())

    assert found_by(Unrolled(20)) == pytest.approx(0.5, abs=1e-5)
    errors = [abs(found_by(Aggregation(steps)) - 1) for steps in (10, 40, 80)]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.1


@pytest.mark.parametrize("eta", [0.5, 2.0])
def test_value_function_is_bome_s_direction(eta: float) -> None:
    w, a = away()
    rate, steps = 0.07, 4
    low = w.clone()
    for _ in range(steps):
        low = low - rate * Quartic.slope(low, a)
    f_w, f_a = Quartic.upper_slope(w, a), w
    q_w, q_a = Quartic.slope(w, a), -w + low  # g_a is -w
    along = (f_w * q_w).sum() + (f_a * q_a).sum()
    squared = (q_w**2).sum() + (q_a**2).sum()
    multiplier = torch.clamp(eta - along / squared, min=0.0)
    method = ValueFunction(steps=steps, rate=rate, eta=eta)
    found = hypergradient(method, Quartic().upper(), Quartic().lower(), point(a=a, w=w))
    close(answer(found), f_a + multiplier * q_a)
    assert found.record["multiplier"] == pytest.approx(float(multiplier), rel=1e-9)


def test_value_function_at_the_minimum_is_the_direct_part_and_finite() -> None:
    problem = Quadratic(condition=1.0)
    method = ValueFunction(steps=1, rate=1.0)  # reaches the minimum at once: the gap stays 0
    at = problem.at_solution()
    at["w"].data.copy_(problem.A.inverse() @ (problem.B @ problem.a + problem.c))
    found = hypergradient(method, problem.upper(), problem.lower(), at)
    assert torch.isfinite(answer(found)).all()


def test_value_function_s_fixed_points_are_the_stationary_ones() -> None:
    """Both sides follow BOME's direction; it comes to rest where the exact hypergradient is 0."""
    problem = Quadratic(size=3, own=2, condition=3.0)
    at = problem.at_solution()
    method = ValueFunction(steps=3, rate=0.9)
    for _ in range(800):
        gradient = method(problem.upper(), [problem.lower(0.5)], at)
        m = gradient.record["multiplier"]
        w, a = at["w"].detach(), at["a"].detach()
        slope = (w - problem.t) + m * (problem.A @ w - problem.B @ a - problem.c)
        at = point(a=a - 0.1 * answer(gradient), w=w - 0.1 * slope)
    problem.a = at["a"].detach()
    start = Quadratic(size=3, own=2, condition=3.0)
    assert problem.exact().norm() < 0.05 * start.exact().norm()


def test_following_makes_bome_s_direction_see_the_curvature() -> None:
    problem = Quadratic(condition=5.0)
    plain = hypergradient(
        ValueFunction(rate=0.5), problem.upper(), problem.lower(), problem.at_solution()
    )
    follow = ValueFunction(steps=30, rate=0.01, follow=30, eta=0.5)
    near = hypergradient(follow, problem.upper(), problem.lower(), problem.at_solution())
    exact = problem.exact()

    def angle(found: Tensor) -> float:
        return float(found @ exact / found.norm() / exact.norm())

    assert angle(answer(near)) > angle(answer(plain))


def test_scalar_variables_and_several_tensors_are_as_good_as_vectors() -> None:
    one = Quadratic(size=4, own=1, condition=7.0)

    def g(p: dict[str, Tensor]) -> Tensor:
        return one.g(
            {"w": torch.cat([p["u"].reshape(-1), p["v"].reshape(1)]), "a": p["a"].reshape(1)}
        )

    def f(p: dict[str, Tensor]) -> Tensor:
        return one.f(
            {"w": torch.cat([p["u"].reshape(-1), p["v"].reshape(1)]), "a": p["a"].reshape(1)}
        )

    w = one.solution()
    at = point(a=one.a[0], u=w[:3].reshape(3, 1), v=w[3])
    lower, upper = level(("u", "v"), g, 1.0), level("a", f)  # type: ignore[arg-type]
    for method in (
        ConjugateGradient(steps=30),
        Neumann(800, rate=1.0),
        Unrolled(800, optimizer="sgd", rate=1.0),
    ):
        found = hypergradient(method, upper, lower, at)
        close(answer(found), one.exact()[0], rtol=1e-6, atol=1e-9)
