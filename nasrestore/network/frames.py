"""Operations on images, applied to clips."""

from __future__ import annotations

from torch import Tensor, nn


class EachFrame(nn.Module):
    """The frames of a clip through an operation on images, with the same weights.

    Batch normalisation sees all frames of a batch together.
    """

    def __init__(self, image: nn.Module) -> None:
        super().__init__()
        self.image = image

    def forward(self, clip: Tensor) -> Tensor:
        """N T C H W to N T C' H' W'."""
        through: Tensor = self.image(clip.flatten(0, 1))
        return through.unflatten(0, clip.shape[:2])
