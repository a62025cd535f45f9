from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nasrestore.report.images import MARK, comparison, comparison_png, most_different


def plain(height: int, width: int, value: int = 90, channels: int = 3) -> np.ndarray:
    return np.full((height, width, channels), value, dtype=np.uint8)


def opened(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png)).convert("RGB")


def colour_box(image: Image.Image, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of where a colour is found."""
    rows, columns = np.nonzero((np.asarray(image) == colour).all(axis=2))
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def test_the_most_different_crop_holds_the_difference() -> None:
    clean = plain(60, 80)
    rainy = clean.copy()
    rainy[41:45, 63:66] = 200
    crop = most_different(rainy, clean, 10, 12)
    assert (crop.height, crop.width) == (10, 12)
    assert crop.top <= 41 and crop.top + 10 >= 45
    assert crop.left <= 63 and crop.left + 12 >= 66


def test_the_most_different_crop_against_every_place() -> None:
    generator = np.random.default_rng(0)
    first, last = generator.integers(0, 256, (2, 9, 11, 3), dtype=np.uint8)
    difference = np.abs(first.astype(int) - last.astype(int)).sum(axis=2)
    places = {
        (top, left): difference[top : top + 4, left : left + 3].sum()
        for top in range(6)
        for left in range(9)
    }
    crop = most_different(first, last, 4, 3)
    assert (crop.top, crop.left) == max(places, key=lambda place: places[place])


def test_a_crop_may_be_the_whole_image() -> None:
    crop = most_different(plain(5, 7), plain(5, 7), 5, 7)
    assert (crop.top, crop.left) == (0, 0)


def test_images_stand_beside_each_other_at_their_size() -> None:
    # Three columns of 300 with gaps of 12, margins of 20.
    sheet = opened(comparison_png([("t", [("a", plain(200, 300))] * 3)]))
    assert sheet.width == 3 * 300 + 2 * 12 + 2 * 20


@pytest.mark.parametrize(
    ("height", "width", "shown"),
    [
        (400, 1600, (480, 120)),
        (1600, 400, (120, 480)),
        (64, 64, (256, 256)),
        (300, 300, (300, 300)),
    ],
)
def test_large_images_are_made_smaller_and_tiny_ones_larger(
    height: int, width: int, shown: tuple[int, int]
) -> None:
    sheet = opened(comparison_png([("", [("", plain(height, width, 10))])]))
    left, top, right, bottom = colour_box(sheet, (10, 10, 10))
    assert (right - left, bottom - top) == shown


def test_the_crop_is_marked_and_shown_enlarged() -> None:
    clean = plain(240, 320, 90)
    rainy = clean.copy()
    rainy[75:135, 165:245] = 110  # the one crop of 60 x 80 that holds all of the difference
    rainy[100:110, 200:210] = (0, 0, 250)
    sheet = opened(comparison_png([("", [("", rainy), ("", clean)])]))
    assert colour_box(sheet, MARK)[3] > 240 + 100
    blue = (np.asarray(sheet) == (0, 0, 250)).all(axis=2)
    above, below = blue[: 20 + 240].sum(), blue[20 + 240 :].sum()
    assert above == 100
    assert below == 100 * 16


def test_a_single_image_has_no_crop_and_grey_is_grey() -> None:
    one = opened(comparison_png([("", [("", plain(50, 300, 33, channels=1))])]))
    assert one.height < 20 + 50 + 20 + 10
    assert (np.asarray(one) == 33).all(axis=2).sum() == 50 * 300


def test_a_long_caption_takes_more_lines_and_keeps_the_width() -> None:
    short = opened(comparison_png([("", [("one", plain(50, 300))])]))
    long = opened(comparison_png([("", [("many words " * 12, plain(50, 300))])]))
    assert long.width == short.width
    assert long.height >= short.height + 19


def test_any_text_can_be_written() -> None:
    assert comparison_png([("雨 \x07 ☃", [("\ud800 $x^$ &lt;", plain(20, 20))])])


def test_a_sheet_is_written_as_png(tmp_path: Path) -> None:
    comparison(tmp_path / "new" / "sheet.png", [("a", [("b", plain(20, 30))])])
    with Image.open(tmp_path / "new" / "sheet.png") as image:
        assert image.format == "PNG"
    with pytest.raises(ValueError, match=r"\.png"):
        comparison(tmp_path / "sheet.jpg", [("a", [("b", plain(20, 30))])])


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ([], "at least one row"),
        ([("t", [])], "'t': expected images of one size, got no image"),
        ([("t", [("a", plain(4, 5)), ("b", plain(5, 4))])], r"\(4, 5, 3\), \(5, 4, 3\)"),
        ([("t", [("a", np.zeros((4, 5, 3)))])], "uint8 pixels H W C"),
        ([("t", [("a", np.zeros((4, 5), np.uint8))])], "uint8 pixels H W C"),
    ],
)
def test_other_arrays_are_refused(rows: list, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        comparison_png(rows)
