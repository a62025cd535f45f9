"""Clips decoded once and kept as uint8: in memory, or in mapped files where they would not fit.

Whatever is asked for later is a slice of what is there, so that decoding never keeps a device waiting;
and both ways give the same pixels.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from nasrestore.data.auxiliary_rain import AuxiliaryRain
from nasrestore.data.clip_checks import check_lengths, expected_bytes, measured
from nasrestore.data.clip_flow import Flow, window_flows
from nasrestore.data.clip_layouts import ClipPairSet
from nasrestore.data.clip_sources import CleanSource, ClipSource, PairedClip, RainyClip
from nasrestore.data.clip_store import ClipStore, StoreError
from nasrestore.data.clips import ClipPair
from nasrestore.data.files import Failures
from nasrestore.data.images import with_channels
from nasrestore.data.imageset import DEFAULT_LIMIT_BYTES, to_pixels
from nasrestore.data.leaks import Fingerprint
from nasrestore.data.rain import RainModel
from nasrestore.data.scenes import SceneSet
from nasrestore.data.segments import Segment, segments
from nasrestore.data.sketch import sketch
from nasrestore.data.split import content_hash
from nasrestore.errors import NasRestoreError

Progress = Callable[[int, int], None]


@dataclass
class _Item:
    source: ClipSource | Segment
    size: tuple[int, int]
    rainy: torch.Tensor
    clean: torch.Tensor
    flow: torch.Tensor | None = None  # of every window, without its centre frame


class ClipSet(SceneSet[_Item]):
    """Rainy clips and the clean ones they show, as uint8 ``T C H W`` tensors.

    Use :meth:`from_pairs` or :meth:`with_rain`.

    Args:
        sources: one for every rainy clip; several may share a clean one.
        window: frames that are looked at together, odd; shorter clips are refused.
        channels: 3 (grey is repeated) or 1 (colour becomes luma).
        device: where clips in memory live.
        limit_bytes: clips of more than this are kept on disk.
        progress: called with (clips decoded, clips).

    Attributes:
        in_memory: they are not on disk.
        on_disk: the folder that they are in otherwise.

    Raises:
        NasRestoreError: clips that cannot be read, are shorter than the window, or differ in length
            from their clean ones, all in one message; or the disk is full.
    """

    what = "clips"

    def __init__(
        self,
        sources: Sequence[ClipSource],
        *,
        window: int = 1,
        channels: int = 3,
        device: str | torch.device = "cpu",
        limit_bytes: int = DEFAULT_LIMIT_BYTES,
        progress: Progress | None = None,
    ) -> None:
        if window < 1 or window % 2 == 0:
            raise ValueError(f"an odd number of frames expected, got {window}")
        self.window, self.channels = window, channels
        self.limit_bytes = limit_bytes
        sizes = measured(sources, window)
        expected = expected_bytes(sources, sizes, channels)
        self.in_memory = expected is not None and expected <= limit_bytes
        store = ClipStore(torch.device(device), on_disk=not self.in_memory)
        self._stores = [store]  # shared with selections: the last of them closes it
        self.device, self.on_disk = store.device, store.folder
        self._items = self._decoded(sources, sizes, progress)

    @classmethod
    def from_pairs(cls, pairs: ClipPairSet | Iterable[ClipPair], **settings: Any) -> ClipSet:
        """Pairs of clips on disk, or some of them as a set; see :class:`ClipSet`."""
        chosen = pairs.pairs if isinstance(pairs, ClipPairSet) else tuple(pairs)
        return cls([PairedClip(pair) for pair in chosen], **settings)

    @classmethod
    def with_rain(
        cls,
        clean: Iterable[CleanSource],
        model: RainModel,
        *,
        auxiliary: AuxiliaryRain | None = None,
        variants: int = 1,
        recolour: bool = False,
        seed: int = 0,
        **settings: Any,
    ) -> ClipSet:
        """Clean clips, each ``variants`` times in synthetic rain; see :class:`ClipSet`."""
        sources = [
            RainyClip(source, model, seed, variant, recolour, auxiliary)
            for source in clean
            for variant in range(variants)
        ]
        return cls(sources, **settings)

    @property
    def names(self) -> list[str]:
        """Of every rainy clip, each once."""
        return [item.source.name for item in self._items]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Height and width of every clip."""
        return [item.size for item in self._items]

    @property
    def lengths(self) -> list[int]:
        """Number of frames of every clip."""
        return [len(item.rainy) for item in self._items]

    @property
    def bytes(self) -> int:
        """What all clips of the set take decoded; a shared clean clip counts once."""
        clean = {item.source.clean_key: item.clean.numel() for item in self._items}
        return sum(clean.values()) + sum(item.rainy.numel() for item in self._items)

    def clip(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The rainy and the clean clip, uint8 ``T C H W``; they are shared: do not write to them."""
        item = self._items[index]
        return item.rainy, item.clean

    def window_at(
        self,
        index: int,
        centre: int,
        rows: slice = slice(None),
        columns: slice = slice(None),
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Those rows and columns of the window around a frame, its clean frame, its flow to each.

        Returns:
            ``T C H W`` and ``C H W`` uint8; ``T 2 H W`` float16, in pixels, x first, zero for the
            centre frame; or None, where no flow was added.

        Raises:
            IndexError: the window reaches beyond the clip.
        """
        item, radius = self._items[index], self.window // 2
        if not radius <= centre < len(item.rainy) - radius:
            raise IndexError(f"no window of {self.window} around frame {centre}")
        window = item.rainy[centre - radius : centre + radius + 1, :, rows, columns]
        flow = None
        if item.flow is not None:
            others = item.flow[centre - radius, ..., rows, columns]
            still = others.new_zeros(1, 2, *window.shape[2:])
            flow = torch.cat([others[:radius], still, others[radius:]])
        return window, item.clean[centre, :, rows, columns], flow

    def in_segments(self, frames: int) -> ClipSet:
        """Every clip cut into consecutive :func:`nasrestore.data.segments.segments`; none is copied.

        Each is a clip of its own, with its own identity and name; no window reaches beyond it.

        Raises:
            ValueError: segments that are shorter than the window.
        """
        if frames < self.window:
            raise ValueError(f"segments of {frames} frames hold no window of {self.window}")
        items = []
        for item in self._items:
            parts = segments(len(item.rainy), frames)
            items += [self._cut(item, part) for part in parts] if len(parts) > 1 else [item]
        return self._of(items)

    def _cut(self, item: _Item, part: range) -> _Item:
        assert not isinstance(item.source, Segment), "a segment is not cut again"
        inside = slice(part.start, part.stop)
        windows = slice(part.start, part.stop - self.window + 1)
        return _Item(
            Segment(item.source, part),
            item.size,
            item.rainy[inside],
            item.clean[inside],
            None if item.flow is None else item.flow[windows],
        )

    def fingerprints(self, *, sketched: bool = True) -> list[Fingerprint]:
        """What every clean clip is compared by, for the check that splits share none.

        Its contents are those of all its frames but those of one colour: a black frame would make two
        clips the same. It looks like its middle frame.

        Args:
            sketched: whether clips are to be compared by looks, too.
        """
        contents: dict[str, dict[str, None]] = {}
        sketches: dict[str, np.ndarray] = {}
        seen: set[Hashable] = set()
        for item in self._items:
            if item.source.clean_key in seen:
                continue
            seen.add(item.source.clean_key)
            identity = item.source.identity
            contents.setdefault(identity, {}).update(dict.fromkeys(_contents(item.clean)))
            if sketched and identity not in sketches:
                sketches[identity] = sketch(to_pixels(item.clean[len(item.clean) // 2]))
        return [
            Fingerprint(identity, tuple(found), sketches.get(identity))
            for identity, found in contents.items()
        ]

    def add_flow(
        self,
        flow: Flow | None,
        device: str | torch.device = "cpu",
        progress: Progress | None = None,
    ) -> None:
        """Computes the optical flow of all windows once, on whole rainy frames.

        It is kept as float16 beside the clips. Sets that were selected from this one have it, too.

        Args:
            flow: from N T C H W in [0, 1] on ``device`` to N T 2 H W in pixels, such as
                :meth:`nasrestore.ops.flow.OpticalFlow.of`; None: zeros, which take no room.
            progress: called with (windows done, windows).

        Raises:
            NasRestoreError: as ``flow``; or the disk is full.
        """
        total = sum(length - self.window + 1 for length in self.lengths)
        pixels = (
            2
            * (self.window - 1)
            * sum(
                (length - self.window + 1) * height * width
                for length, (height, width) in zip(self.lengths, self.sizes, strict=True)
            )
        )
        fits = self.in_memory and self.bytes + 2 * pixels <= self.limit_bytes
        store = self._stores[0]
        if flow is not None and not fits and self.in_memory:
            store = ClipStore(self.device, on_disk=True)
            self._stores.append(store)
        done = itertools.count(1)
        for item in self._items:
            if flow is None:
                shape = (len(item.rainy) - self.window + 1, self.window - 1, 2, *item.size)
                item.flow = torch.zeros((), dtype=torch.float16, device=self.device).expand(shape)
                continue
            flows = window_flows(item.rainy, self.window, flow, torch.device(device))
            try:
                item.flow = store.put(_told(flows, done, total, progress))
            except NasRestoreError as error:
                error.message = f"{item.source.name}: {error.message}"
                raise

    def _decoded(
        self,
        sources: Sequence[ClipSource],
        sizes: Sequence[tuple[int, int]],
        progress: Progress | None,
    ) -> list[_Item]:
        failures, items = Failures(), []
        clean: dict[Hashable, torch.Tensor] = {}
        for number, (source, size) in enumerate(zip(sources, sizes, strict=True), start=1):
            with failures:
                key = source.clean_key
                if key not in clean:
                    clean[key] = self._kept(source.clean(), source.identity, size)
                shown = map(to_pixels, clean[key])
                rainy = self._kept(source.rainy(shown), source.name, size)
                check_lengths(source, len(rainy), len(clean[key]), self.window)
                items.append(_Item(source, size, rainy, clean[key]))
            if failures.errors and isinstance(failures.errors[-1], StoreError):
                raise failures.errors[-1]  # the disk is full for all that follow, too
            if progress is not None:
                progress(number, len(sources))
        failures.raise_any("clips cannot be used")
        return items

    def _kept(self, frames: Iterable[np.ndarray], name: str, size: tuple[int, int]) -> torch.Tensor:
        def planes() -> Iterator[np.ndarray]:
            for number, frame in enumerate(frames, start=1):
                if frame.shape[:2] != size:
                    raise NasRestoreError(
                        f"{name}: frame {number} is {frame.shape[1]}x{frame.shape[0]}, "
                        f"expected {size[1]}x{size[0]}"
                    )
                yield np.ascontiguousarray(with_channels(frame, self.channels).transpose(2, 0, 1))

        return self._stores[0].put(planes())


def _told(
    flows: Iterable[np.ndarray], done: Iterator[int], total: int, progress: Progress | None
) -> Iterator[np.ndarray]:
    """The same, and after each word of how many there were."""
    for made in flows:
        yield made
        if progress is not None:
            progress(next(done), total)


def _contents(clean: torch.Tensor) -> Iterator[str]:
    """Hashes of the frames, ``T C H W``, that are not of one colour."""
    for frame in clean:
        if frame.min() != frame.max():
            yield content_hash(to_pixels(frame))
