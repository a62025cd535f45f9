"""A derived network as its users have it: images in, images out; frames in, frames out."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from nasrestore.data.video import open_video
from nasrestore.engine.files import check_outputs
from nasrestore.engine.frame_flow import Flow, Tell
from nasrestore.engine.jobs import VideoJob
from nasrestore.engine.restore import Restorer
from nasrestore.engine.restore_files import Restored, restore_jobs
from nasrestore.errors import NasRestoreError
from nasrestore.network.inference import for_inference


class RestorationModel:
    """A derived network ready to restore.

    Batch normalisation is folded into the convolutions and the memory format is channels-last.

    Attributes:
        network: the plain PyTorch module, N C H W in [0, 1] (N T C H W where it reads clips) to a
            mapping of named outputs.
        frames: how many it reads at a time; None where it reads images.
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
        flow: Flow | None = None,
        tell: Tell = warnings.warn,
    ) -> None:
        self.network = network
        self.description = description
        self.restorer = Restorer(
            for_inference(network),
            device=device,
            precision=precision,
            tile=tile,
            overlap=overlap,
            flow=flow,
            tell=tell,
        )
        self.frames = self.restorer.frames

    def restore(self, image: np.ndarray) -> np.ndarray:
        """A restored image of the same shape and type.

        Args:
            image: H W C or H W, uint8 or uint16, any size from 1x1; C is 1 or 3.

        Raises:
            NasRestoreError: the network restores clips.
        """
        if self.frames is not None:
            raise NasRestoreError(
                f"this network restores video: it reads {self.frames} frames at a time",
                hint="restore_clip(frames) takes a list of frames, one too, and restore_video a file",
            )
        return self.restorer(image)

    def restore_clip(self, frames: Sequence[np.ndarray]) -> list[np.ndarray]:
        """All frames of a clip restored: same shapes and types; one frame is a clip too.

        Args:
            frames: H W C or H W each, uint8 or uint16, of one size.
        """
        return list(self.restorer.stream(frames))

    def restore_stream(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Like :meth:`restore_clip`, frame by frame: it holds no more than the network reads."""
        return self.restorer.stream(frames)

    def restore_video(
        self, source: str | Path, target: str | Path, *, overwrite: bool = False
    ) -> Restored:
        """Restores a video file into another, with its times and its sound.

        Args:
            target: ``.mp4``, ``.mov``, ``.mkv``, ``.webm`` or ``.avi``.

        Raises:
            NasRestoreError: no video; the target exists, without ``overwrite``, or cannot be written;
                the video stops half way: the target then holds what could be decoded.
        """
        job = VideoJob(open_video(source), Path(target))
        check_outputs(job.outputs(), job.target.parent, overwrite=overwrite)
        return restore_jobs(self.restorer, [job])[0]

    def __call__(self, images: torch.Tensor, **options: Any) -> torch.Tensor:
        """N C H W (N T C H W for clips) in [0, 1] to N C H W, clamped, on the CPU; any size."""
        return self.restorer.tensor(images, **options)

    def __repr__(self) -> str:
        parameters = sum(p.numel() for p in self.network.parameters())
        return f"RestorationModel({self.description}, {parameters:,} parameters)"
