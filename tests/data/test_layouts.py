from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from made_images import Writer

from nasrestore.data.layouts import LAYOUTS, detect_layout, open_pairs
from nasrestore.data.pairs import load_pair
from nasrestore.errors import NasRestoreError

# as the published archives unpack; three scenes each
ON_DISK = {
    "rain100": [("rainy/rain-00{}.png", "norain-00{}.png")],
    "rain_train": [("rain-{}.png", "norain-{}.png")],
    "rain200": [("rain/X2/norain-{}x2.png", "norain/norain-{}.png")],
    "rain1400": [("rainy_image/{}_14.jpg", "ground_truth/{}.jpg")],
    "rain12": [("rainy/{}.png", "groundtruth/{}.png")],
    "rain1200": [("Rain_Heavy/train2018new/{}.jpg", None)],
    "folders": [
        ("rain/im{}.png", "norain/im{}.png"),
        ("rainy/{}.png", "clean/{}.jpg"),
        ("input/{}.png", "target/{}.png"),
        ("input/{}.png", "gt/{}.png"),
    ],
}
CASES = [(layout, *files) for layout, cases in ON_DISK.items() for files in cases]


def unpack(put: Writer, rainy: str, clean: str | None, below: str = "") -> None:
    for number in (1, 2, 3):
        put(below + rainy.format(number), seed=number)
        if clean is not None:
            put(below + clean.format(number), seed=10 + number)


@pytest.mark.parametrize(("layout", "rainy", "clean"), CASES)
def test_every_layout_is_recognised(
    put: Writer, tmp_path: Path, layout: str, rainy: str, clean: str | None
) -> None:
    unpack(put, rainy, clean)
    assert detect_layout(tmp_path).name == layout
    found = open_pairs(tmp_path)
    assert (found.layout, len(found)) == (layout, 3)
    assert found.notes[0].startswith(f"found {LAYOUTS[layout].title}: 3 pairs in ")
    for number, pair in zip((1, 2, 3), found.pairs, strict=True):
        assert pair.rainy == tmp_path / rainy.format(number)
        assert pair.clean == tmp_path / (clean or rainy).format(number)


@pytest.mark.parametrize("below", ["train/", "training/", "train/small/"])
def test_subsets(put: Writer, tmp_path: Path, below: str) -> None:
    unpack(put, "rain/{}.png", "norain/{}.png", below)
    unpack(put, "rain/{}.png", "norain/{}.png", "test/")
    train = open_pairs(tmp_path, subset="train")
    test = open_pairs(tmp_path, subset="test")
    assert train.pairs[0].clean == tmp_path / below / "norain/1.png"
    assert not set(train.identities) & set(test.identities)
    assert open_pairs(tmp_path / "test", subset="test") == open_pairs(tmp_path / "test")
    with pytest.raises(NasRestoreError, match=r"holds train\w* and test: say which"):
        open_pairs(tmp_path)


def test_a_test_set_is_no_training_set(put: Writer, tmp_path: Path) -> None:
    unpack(put, *ON_DISK["rain100"][0])
    assert len(open_pairs(tmp_path, subset="test")) == 3
    with pytest.raises(NasRestoreError, match=r"no pairs found in .* \(subset train\)"):
        open_pairs(tmp_path, subset="train")


def test_counts_that_are_not_the_published_ones_are_noted(put: Writer, tmp_path: Path) -> None:
    unpack(put, *ON_DISK["rain100"][0])
    assert (
        open_pairs(tmp_path)
        .notes[1]
        .startswith("the old Rain100L or Rain100H has 100 pairs for test, here are 3")
    )
    for number in range(1, 13):
        put(f"twelve/rainy/{number}.png")
        put(f"twelve/groundtruth/{number}.png")
    assert len(open_pairs(tmp_path / "twelve").notes) == 1


def test_side_by_side_sets_must_be_named(put: Writer, tmp_path: Path) -> None:
    both = put("7.jpg")
    with pytest.raises(NasRestoreError, match=r"rain800 \(clean left\) or rain1200") as caught:
        open_pairs(tmp_path)
    assert "data.layout=photographs" in str(caught.value.hint)
    rainy, clean = load_pair(open_pairs(tmp_path, layout="rain800").pairs[0])
    assert rainy is not None
    assert rainy.shape == clean.shape == (both.shape[0], both.shape[1] // 2, 3)
    other_rainy, other_clean = load_pair(open_pairs(tmp_path, layout="rain1200").pairs[0])
    assert (other_rainy == clean).all()
    assert (other_clean == rainy).all()


def test_rain13k_is_told_by_its_size_or_by_name(put: Writer, tmp_path: Path) -> None:
    unpack(put, "input/{}.png", "target/{}.png")
    assert open_pairs(tmp_path).layout == "folders"
    named = open_pairs(tmp_path, layout="rain13k")
    assert "98 or 100 or 1200 or 2800 or 13712" in named.notes[1]


def test_lists(put: Writer, tmp_path: Path) -> None:
    put("real/1.png")
    put("real_gt/1gt.png")
    listing = tmp_path / "real_world.txt"
    listing.write_text("/real/1.png /real_gt/1gt.png\n")
    assert detect_layout(tmp_path).name == "spa"
    assert open_pairs(tmp_path) == open_pairs(listing) == open_pairs(tmp_path, layout="spa")
    (tmp_path / "other.txt").write_text("a.png b.png\n")
    with pytest.raises(NasRestoreError, match=r"found other\.txt, real_world\.txt"):
        open_pairs(tmp_path)


def test_nothing_found_says_what_was_looked_for(put: Writer, tmp_path: Path) -> None:
    put("pictures/1.png")
    with pytest.raises(NasRestoreError) as caught:
        open_pairs(tmp_path)
    for layout in LAYOUTS:
        assert f"\n  {layout}: " in str(caught.value)
    with pytest.raises(NasRestoreError, match="did you mean 'rain100'"):
        open_pairs(tmp_path, layout="rain10")
    with pytest.raises(NasRestoreError, match="no such folder"):
        open_pairs(tmp_path / "missing")


def test_two_folders_of_the_user(put: Writer, tmp_path: Path) -> None:
    unpack(put, "a/wet [x]/{}.png", "a/dry/{}.png")
    with pytest.raises(NasRestoreError, match="the folder's name has one of"):
        open_pairs(rainy=tmp_path / "a/wet [x]", clean=tmp_path / "a/dry")
    (tmp_path / "a/wet [x]").rename(tmp_path / "a/wet")
    found = open_pairs(rainy=tmp_path / "a/wet", clean=tmp_path / "a/dry")
    assert (len(found), found.layout) == (3, "given")
    assert found.identities == ["a/dry/1", "a/dry/2", "a/dry/3"]
    assert found.select(["a/dry/3", "unknown"]).pairs == found.pairs[2:]
    with pytest.raises(NasRestoreError, match="the same folder"):
        open_pairs(rainy=tmp_path / "a/dry", clean=tmp_path / "a/dry")
    with pytest.raises(ValueError, match="either root, or rainy and clean"):
        open_pairs(rainy=tmp_path)


def test_looking_for_pairs_needs_no_torch() -> None:
    code = "import sys, nasrestore.data.layouts, nasrestore.data.rain, nasrestore.data.samples"
    check = f"{code}; assert not {{'torch', 'skimage', 'av', 'tifffile'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)


@pytest.mark.shared
def test_real_sets(real_data: Path) -> None:
    for rain in ("heavy", "light"):
        found = open_pairs(rainy=real_data / "rain100" / rain, clean=real_data / "rain100/clean")
        assert len(found) == 30
    train = open_pairs(real_data / "rain800", layout="rain800", subset="train")
    test = open_pairs(real_data / "rain800", layout="rain800", subset="test")
    assert (len(train), len(test)) == (240, 101)
    rainy, clean = load_pair(test.pairs[0])
    assert rainy is not None
    assert rainy.mean() > clean.mean()  # rain brightens: the clean half is on the left
