"""Changes of resolution, without parameters, and the resampling that links insert."""

from __future__ import annotations

from fractions import Fraction

import torch.nn.functional as F
from torch import Tensor, nn

from nasrestore.registry import operation


@operation("max_pool_2")
def max_pool_2(in_channels: int) -> nn.Module:
    """2x2 maximum; N C H W to N C H/2 W/2."""
    return nn.MaxPool2d(2)


@operation("average_pool_2")
def average_pool_2(in_channels: int) -> nn.Module:
    """2x2 mean; N C H W to N C H/2 W/2."""
    return nn.AvgPool2d(2)


@operation("bilinear_2")
def bilinear_2(in_channels: int) -> nn.Module:
    """Bilinear interpolation to twice the size, pixel corners not aligned."""
    return nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)


@operation("nearest_2")
def nearest_2(in_channels: int) -> nn.Module:
    """Repetition to twice the size."""
    return nn.Upsample(scale_factor=2, mode="nearest")


@operation("pixel_unshuffle_2")
def pixel_unshuffle_2(in_channels: int) -> nn.Module:
    """2x2 pixels to channels; N C H W to N 4C H/2 W/2."""
    return nn.PixelUnshuffle(2)


@operation("pixel_shuffle_2")
def pixel_shuffle_2(in_channels: int) -> nn.Module:
    """Channels to 2x2 pixels; N 4C H W to N C 2H 2W."""
    return nn.PixelShuffle(2)


class Resample(nn.Module):
    """Between resolutions: averages on the way down, bilinear on the way up.

    Args:
        factor: output size over input size.
    """

    def __init__(self, factor: Fraction) -> None:
        super().__init__()
        self.factor = factor
        whole = factor.numerator == 1 and factor < 1
        self.pool = factor.denominator if whole else 0

    def forward(self, x: Tensor) -> Tensor:
        if self.factor == 1:
            return x
        if self.pool:
            return F.avg_pool2d(x, self.pool)
        if self.factor.denominator == 1:  # a number, so that tracing keeps the size open
            scale = float(self.factor)
            return F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)
        up, down = self.factor.numerator, self.factor.denominator
        size = [side * up // down for side in x.shape[-2:]]
        return F.interpolate(x, size=size, mode="bilinear", align_corners=False)

    def extra_repr(self) -> str:
        return f"factor={self.factor}"
