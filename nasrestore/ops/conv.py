"""Convolutions with their normalisation and activation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nasrestore.registry import operation


def same_conv(
    in_channels: int,
    channels: int,
    kernel: int = 3,
    *,
    dilation: int = 1,
    groups: int = 1,
    stride: int = 1,
    bias: bool = True,
) -> nn.Conv2d:
    """A convolution that keeps the size: N C H W to N C' H/stride W/stride."""
    padding = dilation * (kernel - 1) // 2
    return nn.Conv2d(
        in_channels,
        channels,
        kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        bias=bias,
    )


@operation("conv")
def conv(
    in_channels: int,
    *,
    channels: int,
    kernel: int = 3,
    dilation: int = 1,
    groups: int = 1,
    bias: bool = True,
) -> nn.Module:
    """A bare convolution."""
    return same_conv(in_channels, channels, kernel, dilation=dilation, groups=groups, bias=bias)


@operation("conv_1x1")
def conv_1x1(in_channels: int, *, channels: int, bias: bool = True) -> nn.Module:
    """A pointwise convolution; it commutes with average and bilinear resampling."""
    return same_conv(in_channels, channels, 1, bias=bias)


@operation("conv_relu")
def conv_relu(
    in_channels: int,
    *,
    channels: int,
    kernel: int = 3,
    dilation: int = 1,
    groups: int = 1,
    bias: bool = True,
) -> nn.Module:
    """Convolution, ReLU."""
    first = same_conv(in_channels, channels, kernel, dilation=dilation, groups=groups, bias=bias)
    return nn.Sequential(first, nn.ReLU())


@operation("conv_bn_relu")
def conv_bn_relu(
    in_channels: int, *, channels: int, kernel: int = 3, dilation: int = 1, groups: int = 1
) -> nn.Sequential:
    """Convolution with bias, batch normalisation, ReLU."""
    first = same_conv(in_channels, channels, kernel, dilation=dilation, groups=groups)
    return nn.Sequential(first, nn.BatchNorm2d(channels), nn.ReLU())


@operation("conv_stride_2")
def conv_stride_2(in_channels: int, *, channels: int, kernel: int = 3) -> nn.Module:
    """Convolution to half the size, batch normalisation, ReLU."""
    first = same_conv(in_channels, channels, kernel, stride=2)
    return nn.Sequential(first, nn.BatchNorm2d(channels), nn.ReLU())


@operation("separable_conv")
def separable_conv(
    in_channels: int, *, channels: int, kernel: int = 3, dilation: int = 1
) -> nn.Module:
    """Depthwise, then pointwise convolution, batch normalisation, ReLU."""
    return nn.Sequential(
        same_conv(in_channels, in_channels, kernel, dilation=dilation, groups=in_channels),
        same_conv(in_channels, channels, 1),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )


@operation("dilated_paths")
class DilatedPaths(nn.Module):
    """Parallel convolutions of several dilations (RDMC's multi-scale extraction, Eq. 2 to 5).

    N C H W to N (paths * channels) H W. With ``split``, path p reads slice p of the input, so that a
    chain of these keeps its paths apart until its features leave it.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        channels: int,
        dilations: Sequence[int] = (1, 2, 3),
        kernel: int = 3,
        split: bool = False,
    ) -> None:
        super().__init__()
        self.split = bool(split)
        own = in_channels // len(dilations) if self.split else in_channels
        self.paths = nn.ModuleList(
            conv_bn_relu(own, channels=channels, kernel=kernel, dilation=dilation)
            for dilation in dilations
        )

    def forward(self, x: Tensor) -> Tensor:
        inputs = x.chunk(len(self.paths), dim=1) if self.split else [x] * len(self.paths)
        return torch.cat([path(part) for path, part in zip(self.paths, inputs)], dim=1)  # noqa: B905
