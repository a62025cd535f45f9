"""Losses of single pixels against closed forms."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nasrestore.losses.pixel import Charbonnier, MeanAbsoluteError, MeanSquaredError
from nasrestore.registry import loss

TARGET = torch.full((2, 3, 4, 5), 0.25)
DEGRADED = torch.zeros_like(TARGET)


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (MeanSquaredError(), 0.25),
        (MeanAbsoluteError(), 0.5),
        (Charbonnier(), (0.25 + 1e-6) ** 0.5),
        (Charbonnier(epsilon=0.5), 0.5**0.5),
    ],
)
def test_a_constant_error_has_its_closed_form(module: nn.Module, expected: float) -> None:
    value = module(TARGET + 0.5, TARGET, DEGRADED)
    assert value.shape == ()
    assert value.item() == pytest.approx(expected, rel=1e-6)


def test_the_values_at_no_error() -> None:
    assert MeanSquaredError()(TARGET, TARGET, DEGRADED).item() == 0
    assert MeanAbsoluteError()(TARGET, TARGET, DEGRADED).item() == 0
    assert Charbonnier(epsilon=0.01)(TARGET, TARGET, DEGRADED).item() == pytest.approx(0.01)


def test_gradients_are_those_of_the_formulas() -> None:
    error = torch.tensor([-0.2, 0.1, 0.4], dtype=torch.float64).view(1, 1, 1, 3)
    target = torch.full_like(error, 0.5)
    expected = {
        "mse": 2 * error / 3,
        "l1": error.sign() / 3,
        "charbonnier": error / (error.square() + 0.1**2).sqrt() / 3,
    }
    modules = {
        "mse": MeanSquaredError(),
        "l1": MeanAbsoluteError(),
        "charbonnier": Charbonnier(epsilon=0.1),
    }
    for name, module in modules.items():
        output = (target + error).requires_grad_()
        (gradient,) = torch.autograd.grad(module(output, target, target), output)
        torch.testing.assert_close(gradient, expected[name], msg=name)


@pytest.mark.parametrize("name", ["mse", "l1", "charbonnier"])
def test_16_bit_outputs_are_compared_in_float32(name: str) -> None:
    module = loss.factory(name)()
    output = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    target = torch.full((1, 3, 8, 8), 0.3)
    value = module(output, target, target)
    assert value.dtype == torch.float32
    assert torch.equal(value, module(output.float(), target, target))


@pytest.mark.parametrize("name", ["mse", "l1", "charbonnier"])
def test_shapes_that_would_broadcast_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="one shape"):
        loss.factory(name)()(TARGET, TARGET[:, :1], DEGRADED)


def test_an_epsilon_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="epsilon"):
        Charbonnier(epsilon=0.0)
