"""Endless batches of random patches, whose order survives a stop and a resume bit for bit.

Shapes: N images a batch, C channels, P the patch's height and width; of clips, T frames.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from nasrestore.data.augment import dihedral
from nasrestore.data.imageset import ImageSet
from nasrestore.data.sampler import PatchSampler


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch.

    Attributes:
        degraded: N C P P float32 in [0, 1]; of clips N T C P P.
        clean: the same places of the clean images; of clips, of their centre frames.
        identities: N clean scenes.
        flow: of clips whose network reads it, N T 2 P P: the displacement from the centre frame to
            each, in pixels, x first.
    """

    degraded: torch.Tensor
    clean: torch.Tensor
    identities: tuple[str, ...]
    flow: torch.Tensor | None = None


class PatchStream(PatchSampler, Iterator[Batch]):
    """Patches of images, in the order of :class:`nasrestore.data.sampler.PatchSampler`.

    Args:
        images: where the patches come from.
        patch: P in pixels.
        batch: N.
        patches: size of a pool of places that is drawn once from the seed, every place in every
            image equally likely; None draws fresh places.
        augment: a random one of the eight flips and turns for every patch.
        seed: of the stream's own generator; nothing else influences it.
        device: where batches go; None is where the images are.
        channels_last: the memory format of the batches.

    Raises:
        NasRestoreError: an image is smaller than the patch.
        ValueError: a size below 1.
    """

    def __init__(
        self,
        images: ImageSet,
        patch: int,
        batch: int,
        patches: int | None = None,
        augment: bool = False,
        seed: int = 0,
        device: str | torch.device | None = None,
        channels_last: bool = True,
    ) -> None:
        super().__init__(images.identities, images.sizes, patch, batch, patches, augment, seed)
        self.images = images
        self.device = images.device if device is None else torch.device(device)
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        self._cut = self._cut_pool()

    def __iter__(self) -> PatchStream:
        return self

    def __next__(self) -> Batch:
        entries, places, turns = self.draw()
        cut = [
            self._patch(entry, place, turn)
            for entry, place, turn in zip(entries, places, turns, strict=True)
        ]
        degraded, clean = (self._stacked(side) for side in zip(*cut, strict=True))
        return Batch(degraded, clean, tuple(self._identities[image] for image, _, _ in places))

    def _cut_pool(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        """The pool's pixels, where images are decoded on demand and the pool is small enough."""
        if self._pool is None or self.images.in_memory:
            return None
        shape = (len(self._pool), self.images.channels, self.patch, self.patch)
        if 2 * math.prod(shape) > self.images.limit_bytes:
            return None
        degraded = torch.empty(shape, dtype=torch.uint8, device=self.images.device)
        clean = torch.empty_like(degraded)
        for entry in self._pool[:, 0].argsort(stable=True).tolist():  # every image decoded once
            degraded[entry], clean[entry] = self._window(self._pool[entry].tolist())
        return degraded, clean

    def _patch(self, entry: int, place: list[int], turn: int) -> tuple[torch.Tensor, torch.Tensor]:
        if self._cut is None:
            degraded, clean = self._window(place)
        else:
            degraded, clean = self._cut[0][entry], self._cut[1][entry]
        return dihedral(degraded, turn), dihedral(clean, turn)

    def _window(self, place: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        image, top, left = place
        rows, columns = slice(top, top + self.patch), slice(left, left + self.patch)
        degraded, clean = self.images.pair(image)
        return degraded[:, rows, columns], clean[:, rows, columns]

    def _stacked(self, patches: tuple[torch.Tensor, ...]) -> torch.Tensor:
        stacked = torch.stack(patches).to(self.device)
        return stacked.to(torch.float32, memory_format=self._format).div_(255)
