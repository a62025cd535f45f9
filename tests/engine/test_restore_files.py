from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from nasrestore.data.images import read_image, write_image
from nasrestore.engine.restore_files import restore_files
from nasrestore.errors import NasRestoreError, RunStopped

ORIENTATION = 0x0112


def same(pixels: np.ndarray) -> np.ndarray:
    return pixels


def negative(pixels: np.ndarray) -> np.ndarray:
    return np.iinfo(pixels.dtype).max - pixels


def save(path: Path, shape: tuple[int, ...] = (6, 9, 3), dtype: type = np.uint8) -> np.ndarray:
    pixels = np.random.default_rng(len(path.name)).integers(0, np.iinfo(dtype).max, shape, dtype)
    path.parent.mkdir(parents=True, exist_ok=True)
    PillowImage.fromarray(pixels).save(path)
    return pixels


def load(path: Path) -> np.ndarray:
    with PillowImage.open(path) as image:
        return np.asarray(image)


@pytest.mark.parametrize("name", ["deep.png", "deep.tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_stay_16_bits(tmp_path: Path, name: str, channels: int) -> None:
    pixels = np.random.default_rng(5).integers(0, 65536, (6, 9, channels), np.uint16)
    write_image(tmp_path / name, pixels)
    restore_files(negative, [tmp_path / name], tmp_path / "out")
    np.testing.assert_array_equal(read_image(tmp_path / "out" / name).pixels, 65535 - pixels)


@pytest.mark.parametrize(
    ("name", "shape", "dtype"),
    [
        ("colour.png", (6, 9, 3), np.uint8),
        ("grey.png", (6, 9), np.uint8),
        ("deep.png", (6, 9), np.uint16),
        ("tiny.bmp", (1, 1, 3), np.uint8),
        ("UPPER.PNG", (6, 9, 3), np.uint8),
    ],
)
def test_a_file_keeps_name_size_and_depth(
    tmp_path: Path, name: str, shape: tuple[int, ...], dtype: type
) -> None:
    pixels = save(tmp_path / name, shape, dtype)
    (done,) = restore_files(negative, [tmp_path / name], tmp_path / "out")
    assert (done.source, done.target) == (tmp_path / name, tmp_path / "out" / name)
    assert done.size == shape[:2] and done.seconds >= 0
    restored = load(done.target)
    assert restored.dtype == dtype
    np.testing.assert_array_equal(restored, np.iinfo(dtype).max - pixels)
    np.testing.assert_array_equal(load(tmp_path / name), pixels)


def test_alpha_passes_through(tmp_path: Path) -> None:
    pixels = save(tmp_path / "a.png", (6, 9, 4))
    restore_files(negative, [tmp_path / "a.png"], tmp_path / "out")
    restored = load(tmp_path / "out" / "a.png")
    np.testing.assert_array_equal(restored[..., :3], 255 - pixels[..., :3])
    np.testing.assert_array_equal(restored[..., 3], pixels[..., 3])


def test_a_rotated_photograph_comes_out_upright(tmp_path: Path) -> None:
    stored = np.zeros((16, 48, 3), np.uint8)
    stored[:, :16] = 255
    exif = PillowImage.Exif()
    exif[ORIENTATION] = 6  # to be turned by 90 degrees clockwise: left becomes top
    PillowImage.fromarray(stored).save(tmp_path / "turned.jpg", exif=exif)
    (done,) = restore_files(same, [tmp_path / "turned.jpg"], tmp_path / "out")
    assert done.size == (48, 16)
    with PillowImage.open(done.target) as image:
        assert image.format == "JPEG" and image.size == (16, 48)
        assert image.getexif().get(ORIENTATION, 1) == 1
    np.testing.assert_allclose(read_image(done.target).pixels[:12], 255, atol=8)
    np.testing.assert_allclose(read_image(done.target).pixels[20:], 0, atol=8)


def test_folders_are_searched_in_natural_order_and_keep_their_shape(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "in" / "restored"
    for name in ("rain-10.png", "rain-2.png", "sub/deep/rain-1.PNG", ".hidden.png", ".no/a.png"):
        save(source / name)
    (source / "notes.txt").write_text("not an image")
    save(out / "earlier.png")
    seen: list[tuple[int, int]] = []
    done = restore_files(same, [source], out, progress=lambda *at: seen.append(at))
    names = [item.target.relative_to(out).as_posix() for item in done]
    assert names == ["rain-2.png", "rain-10.png", "sub/deep/rain-1.PNG"]
    assert all((out / name).is_file() for name in names)
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_file_named_twice_is_done_once(tmp_path: Path) -> None:
    save(tmp_path / "in" / "a.png")
    inputs = [tmp_path / "in", tmp_path / "in" / "a.png"]
    assert len(restore_files(same, inputs, tmp_path / "out")) == 1


def test_unreadable_files_are_named_after_the_others_are_done(tmp_path: Path) -> None:
    for name in ("a.png", "c.png"):
        save(tmp_path / "in" / name, (60, 90, 3))
    (tmp_path / "in" / "b.png").write_bytes((tmp_path / "in" / "a.png").read_bytes()[:600])
    (tmp_path / "in" / "d.jpg").write_text("hello")
    seen: list[tuple[int, int]] = []
    with pytest.raises(NasRestoreError, match="2 of 4 images") as caught:
        restore_files(
            same, [tmp_path / "in"], tmp_path / "out", progress=lambda *at: seen.append(at)
        )
    assert "b.png" in caught.value.message and "d.jpg" in caught.value.message
    assert "a.png" not in caught.value.message
    assert sorted(os.listdir(tmp_path / "out")) == ["a.png", "c.png"]
    assert seen[-1] == (4, 4)


def test_what_the_restorer_refuses_is_named_with_its_file(tmp_path: Path) -> None:
    def stopped(pixels: np.ndarray) -> np.ndarray:
        raise RunStopped("out of memory", hint="smaller")

    save(tmp_path / "a.png")
    with pytest.raises(RunStopped, match=r"a\.png: out of memory\n  hint: smaller"):
        restore_files(stopped, [tmp_path / "a.png"], tmp_path / "out")


def in_place(root: Path) -> tuple[list[Path], Path]:
    return [root / "in"], root / "in"


def linked_back(root: Path) -> tuple[list[Path], Path]:
    (root / "out").symlink_to(root / "in")
    return [root / "in" / "a.png"], root / "out"


def clash(root: Path) -> tuple[list[Path], Path]:
    save(root / "other" / "a.png")
    return [root / "in", root / "other"], root / "out"


def existing(root: Path) -> tuple[list[Path], Path]:
    save(root / "out" / "a.png")
    return [root / "in"], root / "out"


def empty(root: Path) -> tuple[list[Path], Path]:
    (root / "void").mkdir()
    return [root / "in", root / "void"], root / "out"


def missing(root: Path) -> tuple[list[Path], Path]:
    return [root / "in", root / "gone.png"], root / "out"


def no_image(root: Path) -> tuple[list[Path], Path]:
    (root / "a.doc").write_text("")
    return [root / "a.doc"], root / "out"


def out_is_a_file(root: Path) -> tuple[list[Path], Path]:
    (root / "out").write_text("")
    return [root / "in"], root / "out"


def pipe(root: Path) -> tuple[list[Path], Path]:
    os.mkfifo(root / "pipe.png")
    return [root / "pipe.png"], root / "out"


def nothing(root: Path) -> tuple[list[Path], Path]:
    return [], root / "out"


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (in_place, r"a\.png is an input, and inputs are never overwritten"),
        (linked_back, r"a\.png is an input, and inputs are never overwritten"),
        (clash, r"in/a\.png and .*other/a\.png would both be written to"),
        (existing, r"the output exists already: 1 in .*out \(a\.png\)"),
        (empty, "no image in the folder .*void"),
        (missing, r"no such file or folder: .*gone\.png"),
        (no_image, r"a\.doc is not known as an image"),
        (out_is_a_file, "out is a file, a folder was expected"),
        (pipe, r"pipe\.png is not a regular file"),
        (nothing, "no input was given"),
    ],
)
def test_what_cannot_be_met_is_said_before_work_starts(
    tmp_path: Path, case: Callable[[Path], tuple[list[Path], Path]], message: str
) -> None:
    for name in ("a.png", "b.png"):
        save(tmp_path / "in" / name)
    inputs, out = case(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    with pytest.raises(NasRestoreError, match=message):
        restore_files(negative, inputs, out)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_overwrite_replaces_outputs_but_never_inputs(tmp_path: Path) -> None:
    pixels = save(tmp_path / "in" / "a.png")
    save(tmp_path / "out" / "a.png", (3, 3, 3))
    restore_files(same, [tmp_path / "in"], tmp_path / "out", overwrite=True)
    np.testing.assert_array_equal(load(tmp_path / "out" / "a.png"), pixels)
    with pytest.raises(NasRestoreError, match="never overwritten"):
        restore_files(negative, [tmp_path / "in"], tmp_path / "in", overwrite=True)
    np.testing.assert_array_equal(load(tmp_path / "in" / "a.png"), pixels)


def test_a_disk_that_refuses_is_one_message(tmp_path: Path) -> None:
    save(tmp_path / "in" / "sub" / "a.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sub").write_text("a file where a folder has to be")
    with pytest.raises(NasRestoreError, match=r"cannot write .*a\.png"):
        restore_files(same, [tmp_path / "in"], tmp_path / "out")
