"""Blocks of three convolutions, each with batch normalisation and ReLU (TMICS, section III-B-4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nasrestore.ops.conv import conv_bn_relu
from nasrestore.registry import operation


@operation("dilated")
def dilated(in_channels: int, *, kernel: int = 3, dilation: int = 2) -> nn.Sequential:
    """Three dilated convolutions in a row; N C H W to the same."""
    return nn.Sequential(
        *(
            conv_bn_relu(in_channels, channels=in_channels, kernel=kernel, dilation=dilation)
            for _ in range(3)
        )
    )


@operation("residual")
class Residual(nn.Module):
    """Its input plus three convolutions of it; N C H W to the same."""

    def __init__(self, in_channels: int, *, kernel: int = 3) -> None:
        super().__init__()
        self.body = dilated(in_channels, kernel=kernel, dilation=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


@operation("dense")
class Dense(nn.Module):
    """Three convolutions, each reading the input and all before it; N C H W to the same."""

    def __init__(self, in_channels: int, *, kernel: int = 3) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            conv_bn_relu(in_channels * count, channels=in_channels, kernel=kernel)
            for count in (1, 2, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        features = [x]
        for layer in self.layers:
            features.append(layer(features[0] if len(features) == 1 else torch.cat(features, 1)))
        return features[-1]
