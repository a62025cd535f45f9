"""Noise images for the data tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Writer = Callable[..., np.ndarray]  # the fixture ``put``


def random_pixels(
    seed: int, height: int = 12, width: int = 16, channels: int = 3, dtype: type = np.uint8
) -> np.ndarray:
    """``H W C`` noise over the whole range of the type."""
    top = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(
        0, top, (height, width, channels), dtype=dtype, endpoint=True
    )
