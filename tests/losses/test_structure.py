"""SSIM as a loss: its values, its direction, its precision."""

from __future__ import annotations

import pytest
import torch

from nasrestore.losses.structure import NegativeSimilarity, StructuralDissimilarity
from nasrestore.metrics.fidelity import ssim
from nasrestore.registry import loss


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(2, 3, 20, 24, generator=generator)
    return (target + 0.2 * torch.rand(target.shape, generator=generator)).clamp(0, 1), target


def test_a_perfect_output() -> None:
    _, target = pair()
    assert StructuralDissimilarity()(target, target, target).item() == pytest.approx(0, abs=1e-6)
    assert NegativeSimilarity()(target, target, target).item() == pytest.approx(-1, abs=1e-6)


def test_both_are_the_mean_ssim_over_images() -> None:
    output, target = pair()
    mean = ssim(output, target, data_range=1.0).mean()
    dissimilarity = StructuralDissimilarity()(output, target, target)
    assert dissimilarity.shape == ()
    torch.testing.assert_close(dissimilarity, 1 - mean)
    torch.testing.assert_close(NegativeSimilarity()(output, target, target), -mean)


def test_a_step_against_the_gradient_restores() -> None:
    output, target = pair()
    output.requires_grad_()
    before = StructuralDissimilarity()(output, target, target)
    (gradient,) = torch.autograd.grad(before, output)
    after = StructuralDissimilarity()(output - 10 * gradient, target, target)
    assert after < before


@pytest.mark.parametrize("name", ["ssim", "negative_ssim"])
def test_float32_under_autocast_and_for_16_bit_outputs(name: str) -> None:
    module = loss.factory(name)()
    output, target = pair()
    coarse = output.bfloat16()
    expected = module(coarse.float(), target, target)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = module(coarse, target, target)
    assert value.dtype == torch.float32
    assert torch.equal(value, expected)
