"""Small clips on disk for tests: noise in folders of frames."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from nasrestore.data.images import write_image

SIZE = (20, 28)


def frame(seed: int, number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """``H W 3`` noise, another for every seed and number."""
    return np.random.default_rng([seed, number]).integers(0, 256, (*size, 3), dtype=np.uint8)


def put_clip(
    folder: Path,
    seed: int = 0,
    numbers: Iterable[int] = range(1, 8),
    name: str = "{:05d}.png",
    size: tuple[int, int] = SIZE,
) -> Path:
    """Writes frames under those numbers."""
    for number in numbers:
        write_image(folder / name.format(number), frame(seed, number, size))
    return folder


def put_pairs(root: Path, clips: int = 4, length: int = 7) -> Path:
    """``rain/a`` and ``norain/a`` and so on: another noise each."""
    for number in range(clips):
        name = chr(ord("a") + number)
        put_clip(root / "norain" / name, number, range(1, length + 1))
        put_clip(root / "rain" / name, 100 + number, range(1, length + 1))
    return root
