"""Endless batches of random patches, whose order survives a stop and a resume bit for bit.

Shapes: N images a batch, C channels, P the patch's height and width; of clips, T frames.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from nasrestore.data.augment import dihedral
from nasrestore.data.imageset import ImageSet
from nasrestore.data.sampler import PatchSampler

if TYPE_CHECKING:
    from typing_extensions import Self


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


class BatchesOfPatches(PatchSampler, Iterator[Batch]):
    """What is drawn and cut from uint8 tensors, as float batches where they are wanted.

    Args:
        device: where batches go.
        channels_last: the memory format of the batches, of every frame.
        drawn: the arguments of :class:`nasrestore.data.sampler.PatchSampler`.
    """

    def __init__(self, *drawn: Any, device: str | torch.device, channels_last: bool) -> None:
        super().__init__(*drawn)
        self.device = torch.device(device)
        self._channels_last = channels_last

    def __iter__(self) -> Self:
        return self

    def _inside(self, top: int, left: int) -> tuple[slice, slice]:
        """The rows and the columns of a patch."""
        return slice(top, top + self.patch), slice(left, left + self.patch)

    def _stacked(self, patches: Sequence[torch.Tensor]) -> torch.Tensor:
        """``... C P P`` in [0, 1]."""
        stacked = torch.stack(list(patches)).to(self.device)
        plain = torch.contiguous_format
        if self._channels_last:
            made = stacked.movedim(-3, -1).to(torch.float32, memory_format=plain).movedim(-1, -3)
        else:
            made = stacked.to(torch.float32, memory_format=plain)
        return made.div_(255)


class PatchStream(BatchesOfPatches):
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
        drawn = (images.identities, images.sizes, patch, batch, patches, augment, seed)
        super().__init__(*drawn, device=device or images.device, channels_last=channels_last)
        self.images = images
        self._cut = self._cut_pool()

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
        rows, columns = self._inside(top, left)
        degraded, clean = self.images.pair(image)
        return degraded[:, rows, columns], clean[:, rows, columns]
