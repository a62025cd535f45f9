"""Where clips come from: pairs on disk, or clean clips and photographs in synthetic rain that moves.

Frames are ``H W 3`` uint8, made one at a time. What is synthetic is a pure function of the seed, the
clean clip's identity and the variant.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

from nasrestore.data.augment import recoloured
from nasrestore.data.auxiliary_rain import AuxiliaryRain
from nasrestore.data.camera import PAN, moved
from nasrestore.data.clips import (
    Clip,
    ClipPair,
    clips_below,
    frames_of,
    length_of,
    open_clip,
    place_of,
)
from nasrestore.data.files import Failures
from nasrestore.data.images import image_size
from nasrestore.data.pairs import identity_of
from nasrestore.data.rain import RainModel
from nasrestore.data.rain_clip import RainClip
from nasrestore.data.samples import Photograph
from nasrestore.data.scenes import identity_words
from nasrestore.errors import NasRestoreError


class CleanSource(Protocol):
    """A clean clip that is read or made when it is needed."""

    @property
    def identity(self) -> str: ...
    @property
    def length(self) -> int | None:
        """Number of frames, None where it is not known; of a video it need not be true."""

    def size(self) -> tuple[int, int]: ...
    def frames(self) -> Iterator[np.ndarray]: ...


class ClipSource(Protocol):
    """One rainy clip and the clean one it shows."""

    @property
    def identity(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def clean_key(self) -> Hashable:
        """Equal for sources that share their clean clip."""

    @property
    def length(self) -> int | None: ...
    def size(self) -> tuple[int, int]: ...
    def clean(self) -> Iterator[np.ndarray]: ...
    def rainy(self, clean: Iterable[np.ndarray]) -> Iterator[np.ndarray]: ...


@dataclass(frozen=True)
class CleanClip:
    """Clean frames in a folder, or a video without rain."""

    identity: str
    clip: Clip

    @property
    def length(self) -> int | None:
        return length_of(self.clip)

    def size(self) -> tuple[int, int]:
        return self.clip.size

    def frames(self) -> Iterator[np.ndarray]:
        return frames_of(self.clip)


@dataclass(frozen=True)
class MovedPhotograph:
    """A photograph as a moving camera sees it.

    Attributes:
        shape: height and width of the frames.
        pan: the fastest of the camera, pixels a frame.
    """

    photograph: Photograph
    length: int
    shape: tuple[int, int]
    seed: int
    pan: float = PAN

    @property
    def identity(self) -> str:
        return self.photograph.identity

    def size(self) -> tuple[int, int]:
        height, width = image_size(self.photograph.path)
        if height < self.shape[0] or width < self.shape[1]:
            raise NasRestoreError(
                f"{self.photograph.path} is {width}x{height}: it shows no frames of "
                f"{self.shape[1]}x{self.shape[0]}",
                hint="ask for smaller frames (data.clip), or leave it out",
            )
        return self.shape

    def frames(self) -> Iterator[np.ndarray]:
        return iter(_moved_frames(self))


@lru_cache(maxsize=1)
def _moved_frames(clip: MovedPhotograph) -> tuple[np.ndarray, ...]:
    """The frames, once for all versions that follow one another in other colours."""
    seeds = _words(clip.seed, clip.identity, 1)
    return tuple(moved(clip.photograph.load(), clip.length, seeds, clip.shape, clip.pan))


@dataclass(frozen=True)
class PairedClip:
    """A pair of clips on disk."""

    pair: ClipPair

    @property
    def identity(self) -> str:
        return self.pair.identity

    @property
    def name(self) -> str:
        return self.pair.name

    @property
    def clean_key(self) -> Hashable:
        return place_of(self.pair.clean), self.pair.identity

    @property
    def length(self) -> int | None:
        return length_of(self.pair.clean)

    def size(self) -> tuple[int, int]:
        return self.pair.clean.size

    def clean(self) -> Iterator[np.ndarray]:
        return frames_of(self.pair.clean)

    def rainy(self, clean: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        return frames_of(self.pair.rainy)


@dataclass(frozen=True)
class RainyClip:
    """A clean clip in synthetic rain that falls through it.

    With ``recolour``, variants after the first show the clip in other colours and brightness.
    """

    source: CleanSource
    model: RainModel
    seed: int
    variant: int = 0
    recolour: bool = False
    auxiliary: AuxiliaryRain | None = None

    @property
    def identity(self) -> str:
        return self.source.identity

    @property
    def name(self) -> str:
        return f"{self.identity}-{self.variant + 1}"

    @property
    def clean_key(self) -> Hashable:
        return (self.identity, self.variant if self.recolour else 0)

    @property
    def length(self) -> int | None:
        return self.source.length

    def size(self) -> tuple[int, int]:
        return self.source.size()

    def clean(self) -> Iterator[np.ndarray]:
        for frame in self.source.frames():
            if self.recolour and self.variant:  # every frame alike
                words = _words(self.seed, self.identity, 3, self.variant)
                yield recoloured(frame, np.random.default_rng(words))
            else:
                yield frame

    def rainy(self, clean: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        words = _words(self.seed, self.identity, 2, self.variant)
        rain = RainClip(*self.size(), self.model, words, auxiliary=self.auxiliary)
        for time, frame in enumerate(clean):
            rainy = rain.over(frame.astype(np.float32) / np.float32(255), time)
            yield np.rint(rainy * 255).astype(np.uint8)


def clean_clips(root: str | Path) -> list[CleanClip]:
    """All clips below a folder, folders of frames and videos, as clean ones.

    Raises:
        NasRestoreError: no folder, nothing in it, or clips that cannot be opened.
    """
    root = Path(root)
    failures, found = Failures(), []
    for name, place in clips_below(root).items():
        with failures:
            identity = identity_of(root, root / name / "_").removesuffix("/_")
            found.append(CleanClip(identity, open_clip(place)))
    failures.raise_any("clips cannot be used")
    return found


def _words(seed: int, identity: str, *purpose: int) -> list[int]:
    return [seed, *identity_words(identity), *purpose]
