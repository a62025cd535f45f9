"""Images of a scene, whatever their names and pixels, never end up on two sides."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from nasrestore.assemble import scenes
from nasrestore.assemble.data import Splits, open_splits
from nasrestore.data.images import write_image
from nasrestore.data.split import content_hash
from nasrestore.errors import NasRestoreError, RunStopped
from nasrestore.spec.load import load_recipe, overrides_of


def scene(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (24, 24, 3), dtype=np.uint8)


def pairs(folder: Path, seeds: dict[str, int]) -> None:
    for name, seed in seeds.items():
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
        name: {c for scene in found.image_set(name).fingerprints() for c in scene.contents}
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
    with pytest.raises(
        RunStopped, match=r"mine/norain/3 in \w+ has the same pixels as theirs/norain/b in test"
    ):
        found.check_disjoint()


def test_nothing_but_copies_is_refused(tmp_path: Path) -> None:
    pairs(tmp_path, {str(n): 1 for n in range(8)})
    with pytest.raises(NasRestoreError, match="its images show the scenes of others") as caught:
        splits(tmp_path).check_disjoint()
    assert str(tmp_path) in caught.value.message and "norain/" in caught.value.message
    assert caught.value.exit_status == 2 and "data.overlap=accepted" in str(caught.value)


def smooth(seed: int) -> np.ndarray:
    """A scene that survives being saved as JPEG and scaled."""
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    return np.asarray(PIL.Image.fromarray(coarse).resize((72, 60), PIL.Image.Resampling.BICUBIC))


def smooth_pairs(folder: Path, shown: dict[str, np.ndarray]) -> None:
    for name, pixels in shown.items():
        for kind, image in (("norain", pixels), ("rain", pixels // 2 + 60)):
            write_image(folder / kind / f"{name}.png", image)


def test_near_duplicates_are_dealt_to_one_side(tmp_path: Path) -> None:
    shown = {str(n): smooth(n) for n in range(12)}
    shown |= {str(n + 12): smooth(n)[:, ::-1] for n in range(6)}
    shown |= {str(n + 18): smooth(n)[4:-6, 5:-7] for n in range(6)}
    smooth_pairs(tmp_path, shown)
    found = splits(tmp_path)
    found.check_disjoint()
    assert found.leaks() == []
    split_of = {name: split for split, names in found.members.items() for name in names}
    for number in range(6):
        same = (f"{tmp_path.name}/norain/{number + more}" for more in (0, 12, 18))
        assert len({split_of[name] for name in same if name in split_of}) == 1
    assert len(split_of) < 24  # copies of test images were left out
    assert [note.split(":")[0] for note in found.notes[-2:]] == [
        "left out of training, as copies of test images",
        "put with the copies of the same scene",
    ]
    accepted = splits(tmp_path, **{"data.overlap": "accepted"})
    before = {split: list(names) for split, names in accepted.members.items()}
    accepted.check_disjoint()
    assert accepted.members == before and accepted.leaks()
    assert "data.overlap is accepted" in accepted.notes[-1]


def test_what_is_not_looked_for_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = {str(n): smooth(n) for n in range(8)}
    smooth_pairs(tmp_path, shown | {"8": smooth(0)[:, ::-1]})
    whole = splits(tmp_path)
    whole.check_disjoint()
    assert not any("too many" in note for note in whole.notes)
    for limit, said in (("MOST_CUT", "to look for parts"), ("MOST_WHOLE", "to compare by looks")):
        monkeypatch.setattr(scenes, limit, 8)
        found = splits(tmp_path)
        found.check_disjoint()
        assert any(f"9 images are too many {said}" in note for note in found.notes)
    assert sum(map(len, found.members.values())) == 9


def test_the_digest_is_of_names_and_contents_alone(tmp_path: Path) -> None:
    """What resumption compares: SHA-256 of all clean images' identities and content hashes."""
    pairs(tmp_path, {str(n): n for n in range(8)})
    found = splits(tmp_path)
    found.check_disjoint()
    listing = sorted((f"{tmp_path.name}/norain/{n}", content_hash(scene(n))) for n in range(8))
    assert found.digest == hashlib.sha256(repr(listing).encode()).hexdigest()[:16]


@pytest.mark.parametrize(("limit", "train", "validation"), [(2, 1, 1), (5, 3, 2), (40, 22, 18)])
def test_a_search_on_so_many_scenes(
    tmp_path: Path, limit: int, train: int, validation: int
) -> None:
    pairs(tmp_path, {f"{n:02}": n for n in range(16)})
    found = splits(tmp_path, **{"data.validation": 0.45, "data.batch": 4})
    found.check_disjoint()
    kept = {split: found.first(limit, split) for split in ("train", "validation")}
    assert [len(names) for names in kept.values()] == [
        min(train, len(found.members["train"])),
        min(validation, len(found.members["validation"])),
    ]
    assert found.first(limit) == kept["train"] + kept["validation"]
    levels = {level.data: level for level in found._recipe.search.levels}
    for split, level in levels.items():
        stream = found.stream(level, 3, limit)
        seen = {name for _ in range(20) for name in next(stream).identities}
        assert seen == set(kept[split])
        assert len(stream) <= len(found.stream(level, 3))  # epochs count what is searched on
