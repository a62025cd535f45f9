"""Small images on disk for the data tests, and the real ones where a machine has them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from made_images import Writer, random_pixels


@pytest.fixture
def put(tmp_path: Path) -> Writer:
    """``put("rain/1.png", seed=3, height=.., width=..)`` writes noise and gives its pixels."""

    def write(name: str, seed: int = 0, height: int = 12, width: int = 16) -> np.ndarray:
        pixels = random_pixels(seed, height, width)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(pixels).save(path)
        return pixels

    return write


@pytest.fixture
def real_data() -> Path:
    """The folder of real images that the machine names, never part of the project."""
    folder = os.environ.get("NASRESTORE_TEST_DATA")
    if not folder:
        pytest.skip("NASRESTORE_TEST_DATA names no folder of real images")
    return Path(folder)
