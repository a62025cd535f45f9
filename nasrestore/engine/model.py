"""A derived network as its users have it: images in, images out."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from nasrestore.engine.restore import Restorer
from nasrestore.network.inference import for_inference


class RestorationModel:
    """A derived network ready to restore.

    Batch normalisation is folded into the convolutions and the memory format is channels-last.

    Attributes:
        network: the plain PyTorch module, N C H W in [0, 1] to a mapping of named outputs.
        description: what it is and where its weights come from.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        device: str | torch.device = "cpu",
        precision: str = "fp32",
        tile: int | None = None,
        overlap: int = 32,
        description: str = "",
    ) -> None:
        self.network = network
        self.description = description
        self.restorer = Restorer(
            for_inference(network), device=device, precision=precision, tile=tile, overlap=overlap
        )

    def restore(self, image: np.ndarray) -> np.ndarray:
        """A restored image of the same shape and type.

        Args:
            image: H W C or H W, uint8 or uint16, any size from 1x1; C is 1 or 3.
        """
        return self.restorer(image)

    def __call__(self, images: torch.Tensor, **options: Any) -> torch.Tensor:
        """N C H W in [0, 1] to the same, clamped, on the CPU; any size."""
        return self.restorer.tensor(images, **options)

    def __repr__(self) -> str:
        parameters = sum(p.numel() for p in self.network.parameters())
        return f"RestorationModel({self.description}, {parameters:,} parameters)"
