"""Which patches come next: an endless order that survives a stop and a resume bit for bit.

What a patch is cut from, an image or the frames around a moment of a clip, is a place's *view*; all
that is known of it here is its size.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import torch

from nasrestore.data.augment import DIHEDRAL
from nasrestore.errors import NasRestoreError


class PatchSampler:
    """Draws places for ever: one random permutation of the epoch's entries after another.

    An epoch's entries are the places of the pool or, without a pool, the views, each as often as its
    area is in the mean area (at least once), with a fresh place every time. A batch that an epoch
    cannot fill is filled from the next one, so every batch is full and nothing is dropped.

    Args:
        identities: the clean scene of every view.
        sizes: height and width of every view.
        patch: height and width of a patch in pixels.
        batch: places a batch.
        patches: size of a pool of places that is drawn once from the seed, every place in every view
            equally likely; None draws fresh places.
        augment: a random one of the eight flips and turns for every place.
        seed: of the sampler's own generator; nothing else influences it.

    Raises:
        NasRestoreError: a view is smaller than the patch.
        ValueError: a size below 1.
    """

    def __init__(
        self,
        identities: Sequence[str],
        sizes: Sequence[tuple[int, int]],
        patch: int,
        batch: int,
        patches: int | None,
        augment: bool,
        seed: int,
    ) -> None:
        if min(patch, batch, 1 if patches is None else patches) < 1:
            raise ValueError(f"patch {patch}, batch {batch}, patches {patches}: expected above 0")
        _check_patch_fits(identities, sizes, patch)
        self.patch, self.batch, self.augment = patch, batch, augment
        self._sizes = torch.tensor(sizes)
        self._identities = identities
        self._generator = torch.Generator().manual_seed(seed)
        self._queue = torch.empty(0, dtype=torch.int64)
        self._settings = {
            "patch": patch,
            "patches": 0 if patches is None else patches,
            "augment": int(augment),
            "seed": seed,
            "images": _digest(identities, sizes),
        }
        self._pool = None if patches is None else self._draw_pool(patches)
        self._entries = self._weighted_views() if patches is None else torch.arange(patches)

    def __len__(self) -> int:
        """Batches an epoch, the last of which may reach into the next epoch."""
        return math.ceil(len(self._entries) / self.batch)

    def draw(self) -> tuple[list[int], list[list[int]], list[int]]:
        """The next batch: entries, their places (view, top, left), and their flips and turns."""
        entries = self._take(self.batch)
        places = self._random_places(entries) if self._pool is None else self._pool[entries]
        turns = torch.zeros(self.batch, dtype=torch.int64)
        if self.augment:
            turns = torch.randint(DIHEDRAL, (self.batch,), generator=self._generator)
        return entries.tolist(), places.tolist(), turns.tolist()

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

    def _weighted_views(self) -> torch.Tensor:
        areas = self._sizes.prod(dim=1).double()
        times = (areas / areas.mean()).round().clamp(min=1).long()
        return torch.repeat_interleave(torch.arange(len(times)), times)

    def _draw_pool(self, count: int) -> torch.Tensor:
        places = (self._sizes - self.patch + 1).prod(dim=1).double()
        views = torch.multinomial(places, count, replacement=True, generator=self._generator)
        return self._random_places(views)

    def _random_places(self, views: torch.Tensor) -> torch.Tensor:
        """View, top and left of a uniformly drawn patch in each of ``views``."""
        room = self._sizes[views] - self.patch + 1
        share = torch.rand(len(views), 2, generator=self._generator, dtype=torch.float64)
        return torch.cat([views[:, None], (share * room).long()], dim=1)


def _check_patch_fits(
    identities: Sequence[str], sizes: Sequence[tuple[int, int]], patch: int
) -> None:
    for identity, (height, width) in zip(identities, sizes, strict=True):
        if min(height, width) < patch:
            raise NasRestoreError(
                f"{identity} is {width}x{height}, smaller than the patch of {patch}x{patch}",
                hint=f"choose a patch of at most {min(min(size) for size in sizes)}",
            )


def _digest(identities: Sequence[str], sizes: Sequence[tuple[int, int]]) -> str:
    listing = repr(list(zip(identities, sizes, strict=True)))
    return hashlib.sha256(listing.encode()).hexdigest()
