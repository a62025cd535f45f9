"""Mixtures: the weighted sum, its gradients, and the law for each candidate alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nasrestore.network.mixture import Operations, mixed


class Times(nn.Module):
    """Its input times a number."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.factor * x


def features(count: int = 3) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(2, 4, 5, 6, generator=generator, dtype=torch.float64) for _ in range(count)]


def test_the_sum_is_weighed() -> None:
    weights = torch.tensor([0.25, 0.5, 2.0], dtype=torch.float64)
    a, b, c = features()
    torch.testing.assert_close(mixed([a, b, c], weights), 0.25 * a + 0.5 * b + 2 * c)


@pytest.mark.parametrize("chosen", range(3))
def test_zeros_and_ones_choose_bit_for_bit(chosen: int) -> None:
    found = mixed(features(), torch.eye(3, dtype=torch.float64)[chosen])
    assert torch.equal(found, features()[chosen])


def test_gradients_and_second_derivatives_are_those_of_the_sum() -> None:
    weights = torch.rand(3, dtype=torch.float64, requires_grad=True)
    inputs = [f[:1, :2, :2, :2].clone().requires_grad_(True) for f in features()]
    assert torch.autograd.gradcheck(lambda w, *f: mixed(f, w), (weights, *inputs))
    assert torch.autograd.gradgradcheck(lambda w, *f: mixed(f, w), (weights, *inputs))


def test_a_mixture_of_multiples_is_the_multiple_by_their_mean() -> None:
    operations = Operations({"one": Times(1.0), "three.half": Times(3.5)})
    weights = torch.tensor([0.75, 0.25], dtype=torch.float64)
    x = features()[0]
    torch.testing.assert_close(operations(x, weights), (0.75 + 0.25 * 3.5) * x)
    assert set(operations.state_dict()) == {
        "candidates.one.factor",
        "candidates.three-half.factor",
    }


def test_the_only_candidate_needs_no_weights() -> None:
    x = features()[0]
    assert torch.equal(Operations({"two": Times(2.0)})(x, None), 2 * x)
