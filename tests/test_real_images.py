"""The whole way on real pairs: found, split, searched, trained, restored. A few steps, no quality."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nasrestore as nr
from nasrestore.data.images import read_image
from nasrestore.engine.restore_files import restore_files

pytestmark = pytest.mark.shared

SMALL = {
    "space.width": 2, "precision": "fp32", "threads": 1, "data.limit": 8, "data.patch": 32,
    "search.budget": None, "search.steps": 2, "train.budget": None, "train.steps": 2,
    "evaluate": {"protocols": ["basicsr"], "limit": 2},
}  # fmt: skip


def test_side_by_side_pairs_end_to_end(shared_data: Path, tmp_path: Path) -> None:
    place = shared_data / "rain800"
    data = {
        "data.root": str(place / "train"), "data.layout": "rain800",
        "data.test_root": str(place / "test"),
    }  # fmt: skip
    nr.search("rdmc-quick", {**SMALL, **data}, out=tmp_path / "run")
    nr.derive(tmp_path / "run")
    nr.train(tmp_path / "run")
    summary = nr.evaluate(tmp_path / "run").summaries[0]
    assert summary["data"] == "rain800/test" and summary["images"] == 2
    assert 10 < summary["psnr_before"] < 40 and np.isfinite(summary["psnr_after"])


def test_two_folders_and_a_real_rainy_photograph(shared_data: Path, tmp_path: Path) -> None:
    pairs = shared_data / "rain100"
    data = {"data.rainy": str(pairs / "heavy"), "data.clean": str(pairs / "clean")}
    nr.search("rdmc-quick", {**SMALL, **data}, out=tmp_path / "run")
    nr.derive(tmp_path / "run")
    photograph = next(iter(sorted((shared_data / "real_rain" / "rainy").iterdir())))
    (restored,) = restore_files(nr.load(tmp_path / "run").restorer, [photograph], tmp_path / "out")
    assert read_image(restored.target).pixels.shape == read_image(photograph).pixels.shape
