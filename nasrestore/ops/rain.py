"""Rain that is made out of the rain that a feature shows (TMICS, section III-B-3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nasrestore.ops.conv import same_conv
from nasrestore.ops.residual import Residual
from nasrestore.registry import operation


@operation("auxiliary_rain")
class AuxiliaryRain(nn.Module):
    """Its input plus auxiliary rain streaks; N C H W to the same.

    ``x + R^`` with ``R^ = sum_i W_i * (K_i (x) R~) + R~`` and ``R~ = residual(x)``, a residual block of
    three 3x3 convolutions. K_i is a learned group of filters, one for each channel, since it stands
    for a blur of the streaks ("small/large, blur rain streaks") and Eq. 1 has it act on a rain map by
    itself; W_i is a learned weight for each channel. The weights start at 1/N, so that the N groups
    begin as their mean. The paper leaves open whether filters mix channels and how many weights there
    are.

    Args:
        kernels: sizes of the N groups of filters.
    """

    def __init__(self, in_channels: int, *, kernels: Sequence[int] = (3, 5)) -> None:
        super().__init__()
        self.rain = Residual(in_channels)
        self.filters = nn.ModuleList(
            same_conv(in_channels, in_channels, kernel, groups=in_channels, bias=False)
            for kernel in kernels
        )
        self.weights = nn.ModuleList(
            same_conv(in_channels, in_channels, 1, groups=in_channels, bias=False) for _ in kernels
        )
        for weight in self.weights:
            nn.init.constant_(weight.weight, 1 / len(kernels))

    def forward(self, x: Tensor) -> Tensor:
        rain = self.rain(x)
        pairs = zip(self.weights, self.filters, strict=True)
        made = torch.stack([weight(filtered(rain)) for weight, filtered in pairs]).sum(0)
        return x + made + rain
