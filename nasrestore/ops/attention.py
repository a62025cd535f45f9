"""Attention blocks: features of two convolutions, weighed by a third (TMICS, section III-B-4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nasrestore.ops.conv import conv_bn_relu, same_conv
from nasrestore.registry import operation


def _features(channels: int, kernel: int) -> nn.Sequential:
    layers = (conv_bn_relu(channels, channels=channels, kernel=kernel) for _ in range(2))
    return nn.Sequential(*layers)


@operation("spatial_attention")
class SpatialAttention(nn.Module):
    """Its input plus features weighed pixel by pixel; N C H W to the same.

    The weights in [0, 1] come from the features' mean and maximum over the channels.
    """

    def __init__(self, in_channels: int, *, kernel: int = 3) -> None:
        super().__init__()
        self.features = _features(in_channels, kernel)
        self.weigh = nn.Sequential(same_conv(2, 1, kernel), nn.BatchNorm2d(1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        summary = torch.cat([features.mean(1, keepdim=True), features.amax(1, keepdim=True)], 1)
        return x + features * self.weigh(summary)


@operation("channel_attention")
class ChannelAttention(nn.Module):
    """Its input plus features weighed channel by channel; N C H W to the same.

    The weights in [0, 1] come from the features' global means.
    """

    def __init__(self, in_channels: int, *, kernel: int = 3) -> None:
        super().__init__()
        self.features = _features(in_channels, kernel)
        self.weigh = nn.Sequential(same_conv(in_channels, in_channels, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        return x + features * self.weigh(features.mean((2, 3), keepdim=True))
