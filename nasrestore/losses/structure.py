"""Losses of structure: SSIM, in the two forms that the reference papers use.

Called as every loss, ``loss(output, target, degraded)``; the last is not read. Computed in float32
or better, under autocast too.
"""

from __future__ import annotations

from torch import Tensor, nn

from nasrestore.metrics.fidelity import ssim
from nasrestore.registry import loss


@loss("ssim")
class StructuralDissimilarity(nn.Module):
    """1 - SSIM, the mean over images in [0, 1]: 0 for a perfect output (RDMC, Eq. 9)."""

    def forward(self, output: Tensor, target: Tensor, degraded: Tensor) -> Tensor:
        return 1 - ssim(output, target, data_range=1.0, reduction="mean")


@loss("negative_ssim")
class NegativeSimilarity(nn.Module):
    """-SSIM, the mean over images in [0, 1]: -1 for a perfect output, as in TMICS's losses."""

    def forward(self, output: Tensor, target: Tensor, degraded: Tensor) -> Tensor:
        return -ssim(output, target, data_range=1.0, reduction="mean")
