"""Pairs decoded once and kept as uint8, or decoded when needed if they would not fit.

Both ways give the same pixels: what is decoded is deterministic, synthetic rain included, whose
randomness depends on the seed, the clean scene's identity and the variant, and on nothing else.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from nasrestore.data.auxiliary_rain import AuxiliaryRain
from nasrestore.data.files import Failures
from nasrestore.data.image_sources import ImageSource, PairSource, RainSource
from nasrestore.data.images import to_eight_bit, with_channels
from nasrestore.data.layouts import PairSet
from nasrestore.data.leaks import Fingerprint
from nasrestore.data.pairs import Pair
from nasrestore.data.rain import RainModel
from nasrestore.data.samples import Photograph
from nasrestore.data.scenes import SceneSet
from nasrestore.data.sketch import sketch
from nasrestore.data.split import content_hash
from nasrestore.errors import NasRestoreError

DEFAULT_LIMIT_BYTES = 4 * 2**30

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _Item:
    number: int
    source: ImageSource
    height: int
    width: int


_Seen = tuple[str, np.ndarray | None]  # content hash and sketch of a clean image


class ImageSet(SceneSet[_Item]):
    """Rainy images and their clean scenes as uint8 ``C H W`` tensors.

    Use :meth:`from_pairs` or :meth:`with_rain`.

    Args:
        sources: one for every rainy image; several may share a clean scene.
        channels: 3 (grey is repeated) or 1 (colour becomes luma).
        device: where the tensors live.
        limit_bytes: up to this, all images are decoded now; beyond it, when needed, and the latest
            are kept within it.
        progress: called with (done, total) while decoding.

    Raises:
        NasRestoreError: no image, or some cannot be read (up to five are named).
    """

    what = "images"

    def __init__(
        self,
        sources: Sequence[ImageSource],
        *,
        channels: int = 3,
        device: str | torch.device = "cpu",
        limit_bytes: int = DEFAULT_LIMIT_BYTES,
        progress: Progress | None = None,
    ) -> None:
        if not sources:
            raise NasRestoreError("there is no image in the data", hint="check the data's folder")
        self.channels = channels
        self.device = torch.device(device)
        self.limit_bytes = limit_bytes
        self._items = _measured(sources)
        self.in_memory = self.bytes <= limit_bytes
        self._decoded = _Recent(None if self.in_memory else limit_bytes)
        self._seen: dict[Hashable, _Seen] = {}
        if self.in_memory:
            self._decode_all(progress)

    @classmethod
    def from_pairs(
        cls,
        pairs: PairSet | Iterable[Pair],
        *,
        channels: int = 3,
        device: str | torch.device = "cpu",
        limit_bytes: int = DEFAULT_LIMIT_BYTES,
        progress: Progress | None = None,
    ) -> ImageSet:
        """The pairs of files as a set; see :class:`ImageSet`."""
        chosen = pairs.pairs if isinstance(pairs, PairSet) else tuple(pairs)
        for pair in chosen:
            if pair.rainy is None:
                raise NasRestoreError(f"{pair.clean} has no rainy image", hint="use synthetic rain")
        sources = [PairSource(pair) for pair in chosen]
        return cls(
            sources, channels=channels, device=device, limit_bytes=limit_bytes, progress=progress
        )

    @classmethod
    def with_rain(
        cls,
        photographs: Iterable[Photograph],
        model: RainModel,
        *,
        auxiliary: AuxiliaryRain | None = None,
        variants: int = 1,
        recolour: bool = False,
        seed: int = 0,
        channels: int = 3,
        device: str | torch.device = "cpu",
        limit_bytes: int = DEFAULT_LIMIT_BYTES,
        progress: Progress | None = None,
    ) -> ImageSet:
        """Photographs, each ``variants`` times under synthetic rain; see :class:`ImageSet`."""
        sources = [
            RainSource(photograph, model, seed, variant, recolour, auxiliary)
            for photograph in photographs
            for variant in range(variants)
        ]
        return cls(
            sources, channels=channels, device=device, limit_bytes=limit_bytes, progress=progress
        )

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Height and width of every image."""
        return [(item.height, item.width) for item in self._items]

    @property
    def bytes(self) -> int:
        """What all images of the set take decoded; a shared clean image counts once."""
        clean = {item.source.clean_key: item.height * item.width for item in self._items}
        rainy = sum(item.height * item.width for item in self._items)
        return self.channels * (rainy + sum(clean.values()))

    def pair(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The rainy and the clean image, uint8 ``C H W``; they are shared, so do not write to them.

        Raises:
            NasRestoreError: a file that is decoded only now cannot be read.
        """
        item = self._items[index]
        clean = self._clean(item)
        rainy = self._decoded.get(
            ("rainy", item.number),
            lambda: self._tensor(item, item.source.rainy(to_pixels(clean))),
        )
        return rainy, clean

    def fingerprints(self, *, sketched: bool = True) -> list[Fingerprint]:
        """What every clean scene is compared by, for the check that splits share none.

        Every clean image is looked at once, by this set and by all that are selected from it.

        Args:
            sketched: whether scenes are to be compared by looks, too.

        Raises:
            NasRestoreError: a file that is decoded only now cannot be read.
        """
        versions: dict[str, dict[Hashable, _Seen]] = {}
        for item in self._items:
            key, of_scene = item.source.clean_key, versions.setdefault(item.source.identity, {})
            if key not in of_scene:
                of_scene[key] = self._look_at(item, sketched and not of_scene)
        found = []
        for identity, of_scene in versions.items():
            seen = list(of_scene.values())
            contents = tuple(content for content, _ in seen)
            found.append(Fingerprint(identity, contents, seen[0][1] if sketched else None))
        return found

    def _look_at(self, item: _Item, sketched: bool) -> _Seen:
        key = item.source.clean_key
        if key not in self._seen or (sketched and self._seen[key][1] is None):
            pixels = to_pixels(self._clean(item))
            self._seen[key] = content_hash(pixels), sketch(pixels) if sketched else None
        return self._seen[key]

    def _clean(self, item: _Item) -> torch.Tensor:
        return self._decoded.get(
            ("clean", item.source.clean_key), lambda: self._tensor(item, item.source.clean())
        )

    def _decode_all(self, progress: Progress | None) -> None:
        failures = Failures()
        for index in range(len(self)):
            with failures:
                self.pair(index)
            if progress is not None:
                progress(index + 1, len(self))
        failures.raise_any("images cannot be used")

    def _tensor(self, item: _Item, pixels: np.ndarray) -> torch.Tensor:
        if pixels.shape[:2] != (item.height, item.width):
            raise NasRestoreError(
                f"{item.source.identity}: expected {item.width}x{item.height} pixels, "
                f"decoded {pixels.shape[1]}x{pixels.shape[0]}"
            )
        pixels = with_channels(to_eight_bit(pixels), self.channels)
        planes = np.array(pixels.transpose(2, 0, 1), order="C")
        return torch.from_numpy(planes).to(self.device)


def to_pixels(image: torch.Tensor) -> np.ndarray:
    """``C H W`` uint8 tensor to ``H W C`` uint8 array."""
    return np.ascontiguousarray(image.cpu().numpy().transpose(1, 2, 0))


class _Recent:
    """Tensors by key; the least recently used go when there are more bytes than the limit."""

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.used = 0
        self._kept: OrderedDict[Hashable, torch.Tensor] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], torch.Tensor]) -> torch.Tensor:
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            return kept
        made = self._kept[key] = make()
        self.used += made.numel()
        while self.limit is not None and self.used > self.limit and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self.used -= oldest.numel()
        return made


def _measured(sources: Sequence[ImageSource]) -> list[_Item]:
    failures = Failures()
    items = []
    for number, source in enumerate(sources):
        with failures:
            items.append(_Item(number, source, *source.size()))
    failures.raise_any("images cannot be used")
    return items
