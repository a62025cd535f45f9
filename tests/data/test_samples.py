from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_images import Writer

from nasrestore.data import samples
from nasrestore.data.samples import clean_folder, sample_photographs
from nasrestore.errors import NasRestoreError


def test_installed_photographs_are_colour_and_distinct() -> None:
    pytest.importorskip("skimage")
    photographs = sample_photographs()
    assert {"sample/astronaut", "sample/chelsea", "sample/coffee"} <= {
        photograph.identity for photograph in photographs
    }
    assert len({photograph.identity for photograph in photographs}) == len(photographs)
    for photograph in photographs:
        pixels = photograph.load()
        assert pixels.dtype == np.uint8
        assert pixels.shape[2] == 3
        assert min(pixels.shape[:2]) >= 256
        assert (pixels.max(axis=2) != pixels.min(axis=2)).any()


def test_no_package_has_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "find_spec", lambda name: None)
    with pytest.raises(NasRestoreError, match="give a folder of clean photographs"):
        sample_photographs()


def test_a_folder_of_clean_photographs(put: Writer, tmp_path: Path) -> None:
    for name in ("10.png", "9.jpg"):
        put(f"mine/{name}")
    found = clean_folder(tmp_path / "mine")
    assert [photograph.identity for photograph in found] == ["mine/9", "mine/10"]
    assert found[1].load().shape == (12, 16, 3)
    put("mine/10.bmp")
    with pytest.raises(NasRestoreError, match="have one name"):
        clean_folder(tmp_path / "mine")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NasRestoreError, match="no image in"):
        clean_folder(tmp_path / "empty")
