"""The average of two images, in shares that are found or given (TMICS, section III-B-1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nasrestore.ops.conv import same_conv
from nasrestore.registry import operation


@operation("attention_average")
class AttentionAverage(nn.Module):
    """``lambda * first + (1 - lambda) * second``; N 2C H W, two images of C channels, to N C H W.

    Both images pass the same two 3x3 convolutions; their global means are one logit for each image
    and channel, and lambda is the first image's share of the softmax over the two, so that equal
    images give 1/2. The paper says no more than that; here a ReLU, and no batch normalisation, is
    between the convolutions, and the second is bare, since logits have either sign.

    Args:
        share: a fixed lambda in [0, 1] instead, and then nothing is learned.
        features: channels between the two convolutions.
    """

    def __init__(self, in_channels: int, *, share: float | None = None, features: int = 32) -> None:
        super().__init__()
        self.share = share
        self.logits: nn.Sequential | None = None
        if share is None:
            channels = in_channels // 2
            self.logits = nn.Sequential(
                same_conv(channels, features), nn.ReLU(), same_conv(features, channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        first, second = x.chunk(2, dim=1)
        share: Tensor | float | None = self.share
        if self.logits is not None:
            both = self.logits(torch.cat([first, second])).mean((2, 3), keepdim=True)
            share = torch.stack(both.chunk(2)).softmax(0)[0]
        return share * first + (1 - share) * second

    def extra_repr(self) -> str:
        return "" if self.share is None else f"share={self.share}"
