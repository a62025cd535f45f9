"""Endless batches of random patches of clips: several frames, the centre one's clean, their flow.

Shapes: N clips a batch, T frames, C channels, P the patch's height and width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from nasrestore.data.augment import dihedral, dihedral_flow
from nasrestore.data.clipset import ClipSet
from nasrestore.data.patches import Batch, BatchesOfPatches


@dataclass(frozen=True, slots=True)
class _View:
    clip: int
    centre: int


class ClipStream(BatchesOfPatches):
    """Patches of clips, in the order of :class:`nasrestore.data.sampler.PatchSampler`.

    Its views are the windows of T frames that lie inside of a clip, each around its centre frame.

    Args:
        clips: where the patches come from.
        patch: P in pixels.
        batch: N.
        patches: size of a pool of places; None draws fresh ones.
        augment: a random one of the eight flips and turns for every patch; the flow's vectors are
            turned with it.
        seed: of the stream's own generator; nothing else influences it.
        device: where batches go; None is where the clips are.
        channels_last: the memory format of every frame.

    Raises:
        NasRestoreError: a clip is smaller than the patch.
        ValueError: a size below 1.
    """

    def __init__(
        self,
        clips: ClipSet,
        patch: int,
        batch: int,
        patches: int | None = None,
        augment: bool = False,
        seed: int = 0,
        device: str | torch.device | None = None,
        channels_last: bool = True,
    ) -> None:
        radius = clips.window // 2
        self._views = [
            _View(clip, centre)
            for clip, length in enumerate(clips.lengths)
            for centre in range(radius, length - radius)
        ]
        identities = [clips.identities[view.clip] for view in self._views]
        sizes = [clips.sizes[view.clip] for view in self._views]
        drawn = (identities, sizes, patch, batch, patches, augment, seed)
        super().__init__(*drawn, device=device or clips.device, channels_last=channels_last)
        self._settings |= {"frames": clips.window}
        self.clips = clips

    def __next__(self) -> Batch:
        _, places, turns = self.draw()
        degraded, clean, flows = [], [], []
        for (view, top, left), turn in zip(places, turns, strict=True):
            at, inside = self._views[view], self._inside(top, left)
            window, target, flow = self.clips.window_at(at.clip, at.centre, *inside)
            degraded.append(dihedral(window, turn))
            clean.append(dihedral(target, turn))
            if flow is not None:
                flows.append(dihedral_flow(flow.float(), turn))
        return Batch(
            self._stacked(degraded),
            self._stacked(clean),
            tuple(self._identities[view] for view, _, _ in places),
            torch.stack(flows).to(self.device) if flows else None,
        )
