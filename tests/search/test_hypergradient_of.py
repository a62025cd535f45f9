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


@pytest.mark.parametrize(
    ("chain", "options", "message"),
    [
        (CHAIN, {}, "curvature must be said"),
        (CHAIN[:1], {}, "needs a level below"),
        (CHAIN[:2], {"method": "conjugate"}, "unknown hypergradient 'conjugate'"),
        (CHAIN[:2], {"method": {"name": "neumann", "terms": 0}}, "expected an integer"),
        ([], {}, "the chain is empty"),
        ([("w", CHAIN[0][1]), ("b", CHAIN[1][1])], {}, "no value for the variables b"),
    ],
)
def test_what_does_not_fit_is_said(chain: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(NasRestoreError, match=message):
        nr.hypergradient_of(chain, at(), **options)
