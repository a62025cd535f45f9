from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_images import Writer

from nasrestore.data.pairs import Pair, PairRule, find_pairs, load_pair, pair_size, read_pair_list
from nasrestore.errors import NasRestoreError

SAME_NAMES = PairRule("rainy/*.*", "(.+)", "clean/{key}.*")


def test_numbers_sort_as_numbers(put: Writer, tmp_path: Path) -> None:
    for number in (10, 9, 1, 100):
        put(f"rainy/im{number}.png")
        put(f"clean/im{number}.png")
    names = [pair.clean.stem for pair in find_pairs(tmp_path, SAME_NAMES)]
    assert names == ["im1", "im9", "im10", "im100"]


def test_leading_zeros_and_suffixes_do_not_matter(put: Writer, tmp_path: Path) -> None:
    put("rainy/007.jpg")
    put("clean/7.png")
    (pair,) = find_pairs(tmp_path, SAME_NAMES)
    assert (pair.rainy, pair.clean) == (tmp_path / "rainy/007.jpg", tmp_path / "clean/7.png")


def test_equal_names_win_over_equal_numbers(put: Writer, tmp_path: Path) -> None:
    for name in ("1", "01"):
        put(f"rainy/{name}.png")
        put(f"clean/{name}.png")
    pairs = find_pairs(tmp_path, SAME_NAMES)
    assert all(pair.rainy and pair.rainy.name == pair.clean.name for pair in pairs)
    put("rainy/001.png")
    with pytest.raises(NasRestoreError, match=r"1 rainy image \(001\.png\) without a clean one"):
        find_pairs(tmp_path, SAME_NAMES)


def test_many_rainy_versions_share_a_scene(put: Writer, tmp_path: Path) -> None:
    put("clean/901.jpg")
    for version in range(1, 15):
        put(f"rainy/901_{version}.jpg")
    rule = PairRule("rainy/*.*", r"(\d+)_\d+", "clean/{key}.*")
    pairs = find_pairs(tmp_path, rule)
    assert len(pairs) == 14
    assert {pair.identity for pair in pairs} == {f"{tmp_path.name}/clean/901"}


def test_identity_survives_a_move_and_tells_train_from_test(put: Writer, tmp_path: Path) -> None:
    found = set()
    for place in ("here/Set/train", "there/Set/train", "here/Set/test"):
        put(f"{place}/rainy/1.png")
        put(f"{place}/clean/1.png")
        found.add(find_pairs(tmp_path / place, SAME_NAMES)[0].identity)
    assert found == {"Set/train/clean/1", "Set/test/clean/1"}


def test_unpaired_files_are_counted_and_named(put: Writer, tmp_path: Path) -> None:
    put("clean/1.png")
    put("rainy/1.png")
    put("clean/only.png")
    for number in range(2, 7):
        put(f"rainy/{number}.png")
    with pytest.raises(NasRestoreError) as caught:
        find_pairs(tmp_path, SAME_NAMES)
    assert "5 rainy images (2.png, 3.png, 4.png, ...) without a clean one" in str(caught.value)
    assert "1 clean image (only.png) without a rainy one" in str(caught.value)


def test_empty_and_missing_folders(put: Writer, tmp_path: Path) -> None:
    with pytest.raises(NasRestoreError, match="nowhere: no such folder"):
        find_pairs(tmp_path / "nowhere", SAME_NAMES)
    with pytest.raises(NasRestoreError, match=r"no rainy image in .*: looked for rainy/\*\.\*"):
        find_pairs(tmp_path, SAME_NAMES)
    put("rainy/1.png")
    (tmp_path / "rainy" / ".hidden.png").write_bytes(b"")
    (tmp_path / "rainy" / "notes.txt").write_text("no image")
    with pytest.raises(NasRestoreError, match=r"no clean image in .*: looked for clean/\*\.\*"):
        find_pairs(tmp_path, SAME_NAMES)


def test_names_without_a_key_are_refused(put: Writer, tmp_path: Path) -> None:
    put("rainy/rain-1.png")
    put("rainy/other.png")
    put("clean/1.png")
    with pytest.raises(NasRestoreError, match=r"1 rainy image \(other\.png\) without a key"):
        find_pairs(tmp_path, PairRule("rainy/*.*", r"rain-(\d+)", "clean/{key}.*"))


def test_two_clean_images_for_a_key(put: Writer, tmp_path: Path) -> None:
    for name in ("rainy/1.png", "clean/1.png", "clean/1.jpg"):
        put(name)
    with pytest.raises(NasRestoreError, match="two clean images for '1'"):
        find_pairs(tmp_path, SAME_NAMES)


def test_every_pair_of_two_sizes_is_named(put: Writer, tmp_path: Path) -> None:
    for number in range(7):
        put(f"rainy/{number}.png", height=10, width=20)
        put(f"clean/{number}.png", height=10, width=20 + number)
    with pytest.raises(NasRestoreError) as caught:
        find_pairs(tmp_path, SAME_NAMES)
    message = str(caught.value)
    assert message.startswith("6 pairs cannot be used")
    assert "1.png is 20x10, its clean image" in message
    assert "21x10" in message
    assert "and 1 more" in message
    assert len(find_pairs(tmp_path, SAME_NAMES, check_sizes=False)) == 7


@pytest.mark.parametrize("half", ["left-clean", "left-rainy"])
def test_halves_side_by_side(put: Writer, tmp_path: Path, half: str) -> None:
    both = put("1.png", height=6, width=16)
    (pair,) = find_pairs(tmp_path, PairRule("*.*", r"(\d+)", half=half))  # type: ignore[arg-type]
    assert pair_size(pair) == (6, 8)
    rainy, clean = load_pair(pair)
    left, right = both[:, :8], both[:, 8:]
    np.testing.assert_array_equal(clean, left if half == "left-clean" else right)
    np.testing.assert_array_equal(rainy, right if half == "left-clean" else left)


def test_an_odd_width_has_no_halves(put: Writer, tmp_path: Path) -> None:
    put("1.png", width=15)
    with pytest.raises(NasRestoreError, match=r"1\.png is 15 wide: .* even width"):
        find_pairs(tmp_path, PairRule("*.*", half="left-clean"))


def test_a_clean_image_alone(put: Writer, tmp_path: Path) -> None:
    pixels = put("1.png")
    rainy, clean = load_pair(Pair("x", None, tmp_path / "1.png"))
    assert rainy is None
    np.testing.assert_array_equal(clean, pixels)


def test_a_list_of_pairs(put: Writer, tmp_path: Path) -> None:
    put("real/1.png")
    put("gt/1gt.png")
    listing = tmp_path / "pairs.txt"
    listing.write_text("/real/1.png /gt/1gt.png\n\n real/1.png  gt/1gt.png \n")
    first, second = read_pair_list(listing)
    assert first == second
    assert first.clean == tmp_path / "gt/1gt.png"
    listing.write_text("real/1.png\n")
    with pytest.raises(NasRestoreError, match=r"pairs\.txt:1: expected 'rainy clean', found 1"):
        read_pair_list(listing)
    listing.write_text("real/1.png gt/2gt.png\nreal/2.png gt/1gt.png\n")
    with pytest.raises(NasRestoreError, match=r"2 missing files \(2gt\.png, 2\.png\)"):
        read_pair_list(listing)
    listing.write_text("\n")
    with pytest.raises(NasRestoreError, match="names no pair"):
        read_pair_list(listing)
    with pytest.raises(NasRestoreError, match="cannot read the list"):
        read_pair_list(tmp_path / "none.txt")
