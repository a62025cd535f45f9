"""Relaxations against their formulas."""

from __future__ import annotations

import math

import pytest
import torch

from nasrestore.network.relaxation import GumbelSoftmax, Sigmoid, Softmax, Sparsemax, sparsemax

LOGITS = torch.tensor([0.0, math.log(2.0), math.log(5.0)], dtype=torch.float64)


def test_softmax_of_one() -> None:
    expected = torch.tensor([1, 2, 5], dtype=torch.float64) / 8
    torch.testing.assert_close(Softmax()(LOGITS, 1, 0.0), expected)


def test_softmax_of_two_is_twice_and_capped() -> None:
    expected = torch.tensor([2 / 8, 4 / 8, 1.0], dtype=torch.float64)
    torch.testing.assert_close(Softmax()(LOGITS, 2, 0.0), expected)


def test_equal_logits_keep_the_scale_of_the_decision() -> None:
    for relaxation in (Softmax(), Sparsemax()):
        weights = relaxation(torch.zeros(10), 2, 0.0)
        assert weights.sum().item() == pytest.approx(2.0)


def test_temperature_sharpens() -> None:
    weights = Softmax(temperature=0.5)(LOGITS, 1, 0.0)
    torch.testing.assert_close(weights, torch.tensor([1, 4, 25], dtype=torch.float64) / 30)


def test_sigmoid() -> None:
    expected = torch.tensor([1 / 2, 2 / 3, 5 / 6], dtype=torch.float64)
    torch.testing.assert_close(Sigmoid()(LOGITS, 1, 0.0), expected)


def test_sparsemax_closed_forms() -> None:
    cases = {
        (0.0, 0.0): (0.5, 0.5),
        (2.0, 0.0): (1.0, 0.0),
        (0.5, 0.0): (0.75, 0.25),
        (1.0, 0.8, 0.1): (0.6, 0.4, 0.0),
    }
    for logits, expected in cases.items():
        found = sparsemax(torch.tensor(logits, dtype=torch.float64))
        torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


def test_sparsemax_has_the_gradient_of_a_projection() -> None:
    logits = torch.tensor([0.3, 0.1, -2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(sparsemax, (logits,))


def test_hard_gumbel_gives_zeros_and_ones_with_a_gradient() -> None:
    logits = torch.zeros(6, requires_grad=True)
    weights = GumbelSoftmax(hard=True)(logits, 2, 0.0)
    assert sorted(weights.tolist()) == pytest.approx([0, 0, 0, 0, 1, 1], abs=1e-6)
    (weights * torch.arange(6.0)).sum().backward()
    assert logits.grad is not None and logits.grad.abs().sum() > 0


def test_gumbel_draws_in_proportion_to_the_softmax() -> None:
    relaxation = GumbelSoftmax(hard=True)
    draws = torch.stack([relaxation(LOGITS, 1, 0.0) for _ in range(4000)]).mean(0)
    expected = torch.tensor([1, 2, 5], dtype=torch.float64) / 8
    torch.testing.assert_close(draws, expected, rtol=0, atol=0.03)


@pytest.mark.parametrize("relaxation", [Softmax(), Sigmoid(), Sparsemax(), GumbelSoftmax()])
def test_strengths_are_ordered_as_the_logits(relaxation: Softmax) -> None:
    strengths = relaxation.strengths(LOGITS, 2)
    assert ((strengths >= 0) & (strengths <= 1)).all()
    assert strengths.argsort().tolist() == LOGITS.argsort().tolist()
