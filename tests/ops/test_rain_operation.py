"""Auxiliary rain: the paper's formula term by term."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from nasrestore.ops.rain import AuxiliaryRain


def delta(channels: int, kernel: int) -> torch.Tensor:
    """Filters that give each channel back."""
    weight = torch.zeros(channels, 1, kernel, kernel)
    weight[:, :, kernel // 2, kernel // 2] = 1
    return weight


def test_the_formula() -> None:
    module = AuxiliaryRain(4, kernels=[3, 5]).eval()
    x = torch.rand(2, 4, 9, 8)
    with torch.no_grad():
        rain = module.rain(x)
        made = torch.zeros_like(x)
        for weight, filtered in zip(module.weights, module.filters, strict=True):
            torch.nn.init.normal_(weight.weight)
            padding = filtered.kernel_size[0] // 2
            blurred = F.conv2d(rain, filtered.weight, padding=padding, groups=4)
            made += weight.weight.view(1, 4, 1, 1) * blurred
        torch.testing.assert_close(module(x), x + (made + rain))


def test_filters_that_do_nothing_double_the_rain_at_first() -> None:
    module = AuxiliaryRain(3, kernels=[3, 5, 7]).eval()
    x = torch.rand(1, 3, 6, 6)
    with torch.no_grad():
        for filtered in module.filters:
            filtered.weight.copy_(delta(3, filtered.kernel_size[0]))
        torch.testing.assert_close(module(x), x + 2 * module.rain(x))


def test_filters_of_nothing_leave_the_rough_estimate() -> None:
    module = AuxiliaryRain(3).eval()
    x = torch.rand(1, 3, 6, 6)
    with torch.no_grad():
        for filtered in module.filters:
            filtered.weight.zero_()
        torch.testing.assert_close(module(x), x + module.rain(x))
