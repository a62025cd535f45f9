"""Whole images and clips of a set, one at a time, for evaluation; pixels are ``H W C`` uint8."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from nasrestore.data.clipset import ClipSet
from nasrestore.data.imageset import ImageSet, to_pixels


def full_pairs(images: ImageSet) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """``(identity, rainy, clean)`` of every image, whole, ``H W C`` uint8, for evaluation."""
    for index, identity in enumerate(images.identities):
        rainy, clean = images.pair(index)
        yield identity, to_pixels(rainy), to_pixels(clean)


@dataclass(frozen=True)
class FullClip:
    """A pair of whole clips for evaluation; frames are ``H W C`` uint8, made one at a time."""

    name: str
    rainy: Iterable[np.ndarray]
    clean: Iterable[np.ndarray]
    length: int


def full_clips(clips: ClipSet) -> Iterator[FullClip]:
    """Every rainy clip whole, with its clean one."""
    for index, name in enumerate(clips.names):
        rainy, clean = clips.clip(index)
        yield FullClip(name, _Pixels(rainy), _Pixels(clean), len(rainy))


class _Pixels:
    """``T C H W`` as frames ``H W C``, as often as wanted."""

    def __init__(self, planes: torch.Tensor) -> None:
        self._planes = planes

    def __iter__(self) -> Iterator[np.ndarray]:
        return map(to_pixels, self._planes)
