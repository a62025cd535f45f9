"""Hypergradients of a chain of plain functions, as users of Python ask for them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import nasrestore as nr
from nasrestore.errors import NasRestoreError

CHAIN: Any = [
    ("w", lambda p: p["w"] ** 2 / 2 - p["w"] * (p["a"] - 1.5 * p["l"])),
    ("a", lambda p: 1.5 * p["w"] ** 2 + p["a"] ** 2 + p["a"] * p["l"]),
    ("l", lambda p: p["a"] + 0 * p["l"]),
]


def at() -> dict[str, Tensor]:
    values = {"l": 1.0, "a": 0.7, "w": -0.8}
    return {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}


@pytest.mark.parametrize(("curvature", "expected"), [("frozen", -0.5), ("resolved", 0.7)])
def test_the_scalar_chain_of_three(curvature: str, expected: float) -> None:
    found = nr.hypergradient_of(CHAIN, at(), curvature=curvature)
    assert float(found.of["l"]) == pytest.approx(expected)


def test_two_levels_need_no_curvature_and_nothing_is_written_to() -> None:
    point = at()
    found = nr.hypergradient_of(CHAIN[:2], point, {"name": "conjugate_gradient", "steps": 5})
    # w follows a one for one: 3 w + 2 a + l
    assert float(found.of["a"]) == pytest.approx(3 * -0.8 + 2 * 0.7 + 1.0)
    assert float(found.direct["a"]) == pytest.approx(2 * 0.7 + 1.0)
    assert point == at() and not any(value.requires_grad for value in point.values())
    first = nr.hypergradient_of(CHAIN[:2], point, "first_order")
    assert float(first.of["a"]) == pytest.approx(2 * 0.7 + 1.0)


@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
def test_gradients_are_taken_where_the_caller_has_switched_them_off(off: Any) -> None:
    with off():
        found = nr.hypergradient_of(CHAIN, at(), curvature="resolved")
    assert float(found.of["l"]) == pytest.approx(0.7)


def test_a_tensor_of_inference_mode_in_an_objective_is_said() -> None:
    with torch.inference_mode():
        scale = torch.tensor(2.0, dtype=torch.float64)
    chain = [CHAIN[0], ("a", lambda p: (p["w"] * scale + p["a"]) ** 2)]
    with pytest.raises(NasRestoreError, match=r"made in torch\.inference_mode"):
        nr.hypergradient_of(chain, at(), {"name": "conjugate_gradient"})


def test_what_is_random_is_the_same_at_every_evaluation() -> None:
    """So that a difference of two evaluations is one of the variables, not of the noise."""
    noisy = ("w", lambda p: CHAIN[0][1](p) + 1e3 * p["a"] * torch.randn(()).double())
    method = {"name": "finite_difference", "rate": 0.1}
    with_noise = nr.hypergradient_of([noisy, CHAIN[1]], at(), method)
    without = nr.hypergradient_of(CHAIN[:2], at(), method)
    assert float(with_noise.of["a"]) == pytest.approx(float(without.of["a"]), rel=1e-9)


def test_numbers_are_taken_for_tensors_of_the_others_type() -> None:
    point = {"l": torch.tensor(1.0, dtype=torch.float64), "a": 0.7, "w": -0.8}
    found = nr.hypergradient_of(CHAIN, point, curvature="resolved")
    assert float(found.of["l"]) == pytest.approx(0.7) and found.of["l"].dtype == torch.float64
    whole = nr.hypergradient_of(CHAIN[:2], {"l": 1, "a": 1, "w": 2}, "first_order")
    assert float(whole.of["a"]) == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (lambda p: None, "gave nothing, expected a real tensor of one element"),
        (lambda p: 3.0, "gave float 3.0, expected"),
        (lambda p: p["w"].expand(3) + p["a"], r"gave a tensor of shape \(3,\), expected"),
        (lambda p: p["w"] + 1j * p["a"], "gave a tensor of torch.complex128, expected"),
        (lambda p: (p["w"] + p["a"]).detach(), "does not depend on a, w"),
        (lambda p: (p["w"] - 10).log(), "is nan there"),
    ],
    ids=["None", "float", "vector", "complex", "detached", "nan"],
)
def test_an_objective_that_is_none_is_said(value: Any, found: str) -> None:
    with pytest.raises(NasRestoreError, match=f"the objective of level 'a' {found}"):
        nr.hypergradient_of([CHAIN[0], ("a", value)], at())


def test_a_lower_objective_must_depend_on_its_own_variables() -> None:
    chain = [("w", lambda p: p["w"].detach() ** 2 + p["a"]), CHAIN[1]]
    with pytest.raises(NasRestoreError, match="of level 'w' does not depend on w"):
        nr.hypergradient_of(chain, at())


def test_a_gradient_that_is_not_finite_is_said() -> None:
    chain = [CHAIN[0], ("a", lambda p: p["w"] ** 2 + (p["a"] - 0.7).abs().sqrt())]
    found = nr.hypergradient_of(chain, at())
    assert found.unsolved == "the gradient of a is not finite"


@pytest.mark.parametrize(
    ("chain", "options", "message"),
    [
        (CHAIN, {}, "curvature must be said"),
        (CHAIN[:1], {}, "needs a level below"),
        (CHAIN[:2], {"method": "conjugate"}, "unknown hypergradient 'conjugate'"),
        (CHAIN[:2], {"method": {"name": "neumann", "terms": 0}}, "expected an integer"),
        ([], {}, "the chain is empty"),
        ([("w", CHAIN[0][1]), ("b", CHAIN[1][1])], {}, "no value for the variables b"),
        ([CHAIN[0], ((), CHAIN[1][1])], {}, r"chain\[1\]: expected the names of .* got \(\)"),
        ([CHAIN[0], CHAIN[1][1]], {}, r"chain\[1\]: expected \(names, function\)"),
        ([CHAIN[0], (("a", "w"), CHAIN[1][1])], {}, r"'w' is a variable of chain\[0\] already"),
        (CHAIN[:2], {"rate": -0.1}, "rate: expected a number > 0, got -0.1"),
        (CHAIN[:2], {"method": {"name": "neumann", "rate": -1}}, "expected a number > 0, got -1"),
        (CHAIN[:2], {"method": {"name": "unrolled", "betas": [0.9, 0.9]}}, "is of optimizer adam"),
        (CHAIN[:2], {"method": {"name": "neumann", "unsolved": "stop"}}, "wants a tolerance"),
        (CHAIN[:2], {"at": {"w": 1, "l": 1, "a": torch.tensor(1)}}, "got torch.int64"),
        (CHAIN[:2], {"at": {"w": 1, "l": 1, "a": "1"}}, "expected a tensor, got str"),
        (CHAIN[:2], {"at": {"w": 1, "l": 1, "a": float("nan")}}, "is not finite"),
    ],
)
def test_what_does_not_fit_is_said(chain: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(NasRestoreError, match=message):
        nr.hypergradient_of(chain, **{"at": at(), **options})
