from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_images import Writer

from nasrestore.data.frames import open_frames
from nasrestore.errors import NasRestoreError


def test_frames_come_in_the_order_of_their_numbers(tmp_path: Path, put: Writer) -> None:
    pixels = {number: put(f"f-{number}.png", seed=number) for number in (10, 9, 8, 11)}
    clip = open_frames(tmp_path, least=3)
    assert [file.name for file in clip.files] == ["f-8.png", "f-9.png", "f-10.png", "f-11.png"]
    assert (len(clip), clip.size) == (4, (12, 16))
    for frame, number in zip(clip, (8, 9, 10, 11), strict=True):
        np.testing.assert_array_equal(frame.pixels, pixels[number])


def test_missing_numbers_are_named(tmp_path: Path, put: Writer) -> None:
    for number in (1, 2, 4, 5, 8):
        put(f"{number:05d}.png")
    with pytest.raises(NasRestoreError, match=r"3 frames missing .*: 3, 6, 7\n"):
        open_frames(tmp_path)


def test_many_missing_numbers_are_not_all_named(tmp_path: Path, put: Writer) -> None:
    for number in (1, 2, 3000):
        put(f"{number}.png")
    with pytest.raises(NasRestoreError, match=r"2997 frames missing .* 10 and 2989 more"):
        open_frames(tmp_path)


@pytest.mark.parametrize(
    "names",
    [
        ["a.png", "b.png", "c.png"],
        ["0.png", "5.png", "10.png"],
        ["take2_frame7.png", "take2_frame8.png", "take2_frame9.jpg"],
        ["s1-f1.png", "s1-f2.png", "s2-f1.png"],
        ["7.png"],
    ],
)
def test_what_else_is_a_clip(tmp_path: Path, put: Writer, names: list[str]) -> None:
    for name in names:
        put(name)
    assert [file.name for file in open_frames(tmp_path).files] == names


def test_two_sequences_in_a_folder_are_refused(tmp_path: Path, put: Writer) -> None:
    for name in ("gtc-1.png", "gtc-2.png", "rfc-1.png"):
        put(name)
    with pytest.raises(NasRestoreError, match="several sequences"):
        open_frames(tmp_path)


def test_two_files_of_one_number_are_refused(tmp_path: Path, put: Writer) -> None:
    for name in ("1.png", "01.png", "2.png"):
        put(name)
    with pytest.raises(NasRestoreError, match="both frame 1"):
        open_frames(tmp_path)


def test_another_size_is_named(tmp_path: Path, put: Writer) -> None:
    put("1.png")
    put("2.png")
    put("3.png", width=20)
    with pytest.raises(NasRestoreError, match=r"3\.png is 20x12, the frames before it are 16x12"):
        open_frames(tmp_path)


def test_too_short_a_clip_is_refused(tmp_path: Path, put: Writer) -> None:
    put("1.png")
    with pytest.raises(NasRestoreError, match="holds 1 frame, 5 are needed"):
        open_frames(tmp_path, least=5)
    (tmp_path / "empty").mkdir()
    with pytest.raises(NasRestoreError, match="no image"):
        open_frames(tmp_path / "empty")
