"""Where images come from: pairs on disk, or photographs in synthetic rain.

Pixels are ``H W 3`` uint8. What is synthetic is a pure function of the seed, the clean scene's identity
and the variant.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from nasrestore.data.augment import recoloured
from nasrestore.data.auxiliary_rain import AuxiliaryRain, add_auxiliary_rain
from nasrestore.data.images import image_size
from nasrestore.data.pairs import Pair, load_clean, load_rainy, pair_size
from nasrestore.data.rain import RainModel, add_rain
from nasrestore.data.samples import Photograph
from nasrestore.data.scenes import identity_words


class ImageSource(Protocol):
    """One rainy image and its clean scene, still on the disk; pixels are ``H W C``."""

    @property
    def identity(self) -> str: ...
    @property
    def clean_key(self) -> Hashable:
        """Equal for sources that share their clean image."""

    def size(self) -> tuple[int, int]: ...
    def clean(self) -> np.ndarray: ...
    def rainy(self, clean: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class PairSource:
    """A pair of files."""

    pair: Pair

    @property
    def identity(self) -> str:
        return self.pair.identity

    @property
    def clean_key(self) -> Hashable:
        return self.pair.clean

    def size(self) -> tuple[int, int]:
        return pair_size(self.pair)

    def clean(self) -> np.ndarray:
        return load_clean(self.pair)

    def rainy(self, clean: np.ndarray) -> np.ndarray:
        pixels = load_rainy(self.pair)
        assert pixels is not None  # ImageSet.from_pairs refuses pairs without
        return pixels


@dataclass(frozen=True)
class RainSource:
    """A photograph under synthetic rain, rounded to uint8 as a file would be.

    With ``recolour``, variants after the first show the scene in other colours and brightness.
    """

    photograph: Photograph
    model: RainModel
    seed: int
    variant: int
    recolour: bool = False
    auxiliary: AuxiliaryRain | None = None

    @property
    def identity(self) -> str:
        return self.photograph.identity

    @property
    def clean_key(self) -> Hashable:
        return (self.photograph.identity, self.variant if self.recolour else 0)

    def size(self) -> tuple[int, int]:
        return image_size(self.photograph.path)

    def clean(self) -> np.ndarray:
        pixels = self.photograph.load()
        return recoloured(pixels, self._generator(1)) if self.recolour and self.variant else pixels

    def rainy(self, clean: np.ndarray) -> np.ndarray:
        dry, generator = clean.astype(np.float32) / np.float32(255), self._generator()
        if self.auxiliary is None:
            rainy = add_rain(dry, self.model, generator)
        else:
            rainy = add_auxiliary_rain(dry, self.model, self.auxiliary, generator)
        pixels: np.ndarray = np.rint(rainy * 255).astype(np.uint8)
        return pixels

    def _generator(self, *purpose: int) -> np.random.Generator:
        words = identity_words(self.identity)
        return np.random.default_rng([self.seed, self.variant, *words, *purpose])
