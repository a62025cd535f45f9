"""Endless batches of random patches, whose order survives a stop and a resume bit for bit.

Shapes: N images a batch, C channels, P the patch's height and width.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from nasrestore.data.augment import DIHEDRAL, dihedral
from nasrestore.data.imageset import ImageSet, full_pairs
from nasrestore.errors import NasRestoreError

__all__ = ["Batch", "ImageSet", "PatchStream", "full_pairs"]


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch.

    Attributes:
        degraded: N C P P float32 in [0, 1].
        clean: the same places of the clean images.
        identities: N clean scenes.
    """

    degraded: torch.Tensor
    clean: torch.Tensor
    identities: tuple[str, ...]


class PatchStream(Iterator[Batch]):
    """Draws patches for ever: one random permutation of the epoch's entries after another.

    An epoch's entries are the patches of the pool or, without a pool, the images, each as often as
    its area is in the mean area (at least once), with a fresh place every time. A batch that an
    epoch cannot fill is filled from the next one, so every batch is full and nothing is dropped.

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
        if min(patch, batch, 1 if patches is None else patches) < 1:
            raise ValueError(f"patch {patch}, batch {batch}, patches {patches}: expected above 0")
        _check_patch_fits(images, patch)
        self.images, self.patch, self.batch, self.augment = images, patch, batch, augment
        self.device = images.device if device is None else torch.device(device)
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        self._sizes = torch.tensor(images.sizes)
        self._identities = images.identities
        self._generator = torch.Generator().manual_seed(seed)
        self._queue = torch.empty(0, dtype=torch.int64)
        self._settings = {
            "patch": patch,
            "patches": 0 if patches is None else patches,
            "augment": int(augment),
            "seed": seed,
            "images": _digest(images),
        }
        self._pool = None if patches is None else self._draw_pool(patches)
        self._entries = self._weighted_images() if patches is None else torch.arange(patches)
        self._cut = self._cut_pool()

    def __len__(self) -> int:
        """Batches an epoch, the last of which may reach into the next epoch."""
        return math.ceil(len(self._entries) / self.batch)

    def __iter__(self) -> PatchStream:
        return self

    def __next__(self) -> Batch:
        entries = self._take(self.batch)
        places = self._random_places(entries) if self._pool is None else self._pool[entries]
        turns = torch.zeros(self.batch, dtype=torch.int64)
        if self.augment:
            turns = torch.randint(DIHEDRAL, (self.batch,), generator=self._generator)
        cut = [
            self._patch(entry, place, turn)
            for entry, place, turn in zip(
                entries.tolist(), places.tolist(), turns.tolist(), strict=True
            )
        ]
        degraded, clean = (self._stacked(side) for side in zip(*cut, strict=True))
        names = tuple(self._identities[image] for image in places[:, 0].tolist())
        return Batch(degraded, clean, names)

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands: integers, strings and tensors, for ``weights_only`` loading."""
        return {
            "settings": dict(self._settings),
            "generator": self._generator.get_state(),
            "queue": self._queue.clone(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on as the stream did from which the state is.

        Raises:
            NasRestoreError: that stream had other images or settings.
        """
        for name, value in self._settings.items():
            if state["settings"].get(name) != value:
                raise NasRestoreError(
                    f"the data changed since the checkpoint: {name} was "
                    f"{state['settings'].get(name)}, is {value}",
                    hint="resume with the same data and settings, or start a new run",
                )
        self._generator.set_state(state["generator"].cpu())
        self._queue = state["queue"].cpu().clone()

    def _take(self, count: int) -> torch.Tensor:
        while len(self._queue) < count:
            order = torch.randperm(len(self._entries), generator=self._generator)
            self._queue = torch.cat([self._queue, self._entries[order]])
        taken, self._queue = self._queue[:count], self._queue[count:]
        return taken

    def _weighted_images(self) -> torch.Tensor:
        areas = self._sizes.prod(dim=1).double()
        times = (areas / areas.mean()).round().clamp(min=1).long()
        return torch.repeat_interleave(torch.arange(len(times)), times)

    def _draw_pool(self, count: int) -> torch.Tensor:
        places = (self._sizes - self.patch + 1).prod(dim=1).double()
        images = torch.multinomial(places, count, replacement=True, generator=self._generator)
        return self._random_places(images)

    def _random_places(self, images: torch.Tensor) -> torch.Tensor:
        """Image, top and left of a uniformly drawn patch in each of ``images``."""
        room = self._sizes[images] - self.patch + 1
        share = torch.rand(len(images), 2, generator=self._generator, dtype=torch.float64)
        return torch.cat([images[:, None], (share * room).long()], dim=1)

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


def _check_patch_fits(images: ImageSet, patch: int) -> None:
    for identity, (height, width) in zip(images.identities, images.sizes, strict=True):
        if min(height, width) < patch:
            raise NasRestoreError(
                f"{identity} is {width}x{height}, smaller than the patch of {patch}x{patch}",
                hint=f"choose a patch of at most {min(min(size) for size in images.sizes)}",
            )


def _digest(images: ImageSet) -> str:
    listing = repr(list(zip(images.identities, images.sizes, strict=True)))
    return hashlib.sha256(listing.encode()).hexdigest()
