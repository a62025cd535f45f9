"""Copies of a scene under several names never end up on two sides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nasrestore.assemble.data import Splits, open_splits
from nasrestore.data.images import write_image
from nasrestore.errors import NasRestoreError
from nasrestore.spec.load import load_recipe, overrides_of


def scene(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (24, 24, 3), dtype=np.uint8)


def pairs(folder: Path, scenes: dict[str, int]) -> None:
    for name, seed in scenes.items():
        write_image(folder / "norain" / f"{name}.png", scene(seed))
        write_image(folder / "rain" / f"{name}.png", scene(seed) // 2 + 100)


def splits(folder: Path, **more: object) -> Splits:
    values = {"data.root": str(folder), "data.patch": 16, **more}
    recipe = load_recipe("rdmc-quick", overrides_of((), values)).recipe
    return open_splits(recipe, torch.device("cpu"))


def test_copies_are_dealt_to_one_side(tmp_path: Path) -> None:
    pairs(tmp_path, {str(n): n % 16 for n in range(24)})  # half of the scenes have two names
    found = splits(tmp_path)
    found.check_disjoint()
    hashes = {
        name: {content for _, content in found.image_set(name).content_hashes()}
        for name in ("train", "validation", "test")
    }
    assert not hashes["train"] & hashes["validation"]
    assert not (hashes["train"] | hashes["validation"]) & hashes["test"]
    assert any("copies" in note for note in found.notes)
    again = splits(tmp_path)
    again.check_disjoint()
    assert again.members == found.members


def test_a_test_set_given_apart_may_not_hold_training_images(tmp_path: Path) -> None:
    pairs(tmp_path / "mine", {str(n): n for n in range(6)})
    pairs(tmp_path / "theirs", {"a": 99, "b": 3})
    found = splits(tmp_path / "mine", **{"data.test_root": str(tmp_path / "theirs")})
    with pytest.raises(NasRestoreError, match="same pixels"):
        found.check_disjoint()


def test_nothing_but_copies_is_refused(tmp_path: Path) -> None:
    pairs(tmp_path, {str(n): 1 for n in range(8)})
    with pytest.raises(NasRestoreError, match="copies of others"):
        splits(tmp_path).check_disjoint()
