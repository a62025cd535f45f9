from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile
import torch
from hypothesis import given
from hypothesis import strategies as st

from nasrestore.data import images
from nasrestore.data.images import (
    Image,
    from_tensor,
    image_size,
    read_image,
    to_eight_bit,
    to_tensor,
    with_channels,
    write_image,
)
from nasrestore.errors import NasRestoreError


def noise(channels: int, dtype: type = np.uint8, height: int = 17, width: int = 23) -> np.ndarray:
    top = np.iinfo(dtype).max
    generator = np.random.default_rng(channels)
    return generator.integers(0, top, (height, width, channels), dtype=dtype, endpoint=True)


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".TIFF"])
def test_lossless_formats_give_back_every_bit(
    tmp_path: Path, suffix: str, dtype: type, channels: int, alpha: bool
) -> None:
    if suffix != ".png" and channels == 1 and dtype == np.uint16 and alpha:
        pytest.skip("grey with alpha of 16 bits becomes RGBA in a TIFF")
    pixels, mask = noise(channels, dtype), noise(2, dtype)[:, :, 0] if alpha else None
    write_image(tmp_path / f"a{suffix}", pixels, like=Image(pixels, mask, "PNG"))
    back = read_image(tmp_path / f"a{suffix}")
    assert back.pixels.dtype == dtype
    assert back.bits == 8 * np.dtype(dtype).itemsize
    assert back.mode == ("grey" if channels == 1 else "rgb")
    np.testing.assert_array_equal(back.pixels, pixels)
    if mask is None:
        assert back.alpha is None
    else:
        np.testing.assert_array_equal(back.alpha, mask)


def test_grey_with_alpha_of_sixteen_bits_survives_a_tiff_as_rgb(tmp_path: Path) -> None:
    pixels, mask = noise(1, np.uint16), noise(2, np.uint16)[:, :, 0]
    write_image(tmp_path / "a.tif", pixels, like=Image(pixels, mask, "PNG"))
    back = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(back.pixels, np.repeat(pixels, 3, axis=2))
    np.testing.assert_array_equal(back.alpha, mask)


@pytest.mark.parametrize("name", ["a.bmp", "a.jpg", "a.webp"])
def test_eight_bit_formats(tmp_path: Path, name: str) -> None:
    smooth = np.add.outer(np.arange(24), np.arange(40))[:, :, None].repeat(3, 2).astype(np.uint8)
    write_image(tmp_path / name, smooth, quality=95)
    back = read_image(tmp_path / name)
    assert back.format == {"a.bmp": "BMP", "a.jpg": "JPEG", "a.webp": "WEBP"}[name]
    assert np.abs(back.pixels.astype(int) - smooth).max() <= (0 if name == "a.bmp" else 4)
    with pytest.raises(NasRestoreError, match=r"holds 8 bits a channel, the image has 16"):
        write_image(tmp_path / name, smooth.astype(np.uint16))


def test_alpha_follows_the_depth_of_the_result(tmp_path: Path) -> None:
    mask = noise(1)[:, :, 0]
    write_image(tmp_path / "a.png", noise(3, np.uint16), like=Image(noise(3), mask, "PNG"))
    np.testing.assert_array_equal(
        read_image(tmp_path / "a.png").alpha, mask.astype(np.uint16) * 257
    )


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_pixels_are_upright_and_the_tag_is_gone(
    tmp_path: Path, suffix: str, orientation: int
) -> None:
    upright = noise(3)
    undo = {  # how a camera held that way stores the upright scene (Exif 2.32)
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }
    exif = PIL.Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "maker"
    options = {"lossless": True} if suffix == ".webp" else {}
    stored = np.ascontiguousarray(undo[orientation](upright))
    PIL.Image.fromarray(stored).save(tmp_path / f"a{suffix}", exif=exif, **options)
    image = read_image(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(image.pixels, upright)
    assert image_size(tmp_path / f"a{suffix}") == upright.shape[:2]

    write_image(tmp_path / "again.png", image.pixels, like=image)
    np.testing.assert_array_equal(read_image(tmp_path / "again.png").pixels, upright)
    if suffix != ".tif":
        with PIL.Image.open(tmp_path / "again.png") as again:
            assert dict(again.getexif()) == {0x010F: "maker"}


def test_a_turned_tiff_of_sixteen_bits(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    pixels = noise(3, np.uint16)
    tags = [(274, "H", 1, 6, True)]
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", extratags=tags)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, np.rot90(pixels, -1))
    assert image_size(tmp_path / "a.tif") == (23, 17)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_colour_profile_and_exif_are_kept(tmp_path: Path, dtype: type) -> None:
    from PIL import ImageCms

    exif = PIL.Image.Exif()
    exif[0x0131] = "software"
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    like = Image(noise(3), None, "JPEG", exif=exif.tobytes(), icc=icc)
    for name in ["a.png"] + ["a.jpg"] * (dtype == np.uint8):
        write_image(tmp_path / name, noise(3, dtype), like=like)
        back = read_image(tmp_path / name)
        assert back.icc == icc
        assert back.exif is not None
        assert b"software" in back.exif
    write_image(tmp_path / "grey.png", noise(1, dtype), like=like)
    assert read_image(tmp_path / "grey.png").icc is None  # it describes colours


def test_palette_bits_and_cmyk(tmp_path: Path) -> None:
    colours = PIL.Image.fromarray(noise(3))
    colours.quantize(16).save(tmp_path / "palette.png")
    colours.quantize(16).save(tmp_path / "clear.png", transparency=0)
    colours.convert("1").save(tmp_path / "bits.png")
    colours.convert("CMYK").save(tmp_path / "print.jpg")
    assert read_image(tmp_path / "palette.png").pixels.shape == (17, 23, 3)
    assert read_image(tmp_path / "palette.png").alpha is None
    alpha = read_image(tmp_path / "clear.png").alpha
    assert alpha is not None
    assert set(np.unique(alpha)) == {0, 255}
    assert set(np.unique(read_image(tmp_path / "bits.png").pixels)) == {0, 255}
    assert read_image(tmp_path / "print.jpg").mode == "rgb"


@pytest.mark.parametrize(
    "name", ["a.png", "a.jpg", "a.tif", "a.bmp", "a.webp", "deep.png", "deep.tif"]
)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.9])
def test_truncated_files_are_refused_by_name(tmp_path: Path, name: str, share: float) -> None:
    path = tmp_path / name
    deep = name.startswith("deep")
    write_image(path, noise(3, np.uint16 if deep else np.uint8, 64, 64))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    reason = "empty" if share == 0 else "truncated"
    with pytest.raises(NasRestoreError, match=rf"cannot read .*{name}: .*{reason}"):
        read_image(path)


def test_files_that_are_no_images(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("a" * 500)
    PIL.Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "float.tif")
    for name, message in [
        ("text.png", "text.png: not an image"),
        ("float.tif", "float.tif: 32-bit float channels are not supported"),
        ("missing.png", "missing.png: no such file"),
        (".", "it is a folder"),
    ]:
        with pytest.raises(NasRestoreError, match=message):
            read_image(tmp_path / name)
        if name != "float.tif":
            with pytest.raises(NasRestoreError, match=message):
                image_size(tmp_path / name)


@pytest.mark.parametrize(
    ("kind", "shown"), [("float32", "32-bit float"), ("uint32", "32-bit integer")]
)
def test_tiffs_of_other_channels_are_not_called_damaged(
    tmp_path: Path, kind: str, shown: str
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.ones((4, 4, 3), kind), photometric="rgb")
    with pytest.raises(NasRestoreError, match=f"a.tif: {shown} channels are not supported"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_the_first_of_several_pages_is_read_and_all_are_counted(tmp_path: Path, kind: str) -> None:
    pages = np.stack([noise(3).astype(kind), noise(3).astype(kind) // 2])
    tifffile.imwrite(tmp_path / "a.tif", pages, photometric="rgb")
    found = read_image(tmp_path / "a.tif")
    assert found.pages == 2
    np.testing.assert_array_equal(found.pixels, pages[0])


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    for read in (read_image, image_size):
        with pytest.raises(NasRestoreError, match=r"a\.png: it is not a regular file"):
            read(tmp_path / "a.png")


def test_our_limit_replaces_pillows_and_nothing_leaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(tmp_path / "a.png", noise(3))
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 10)  # Pillow would raise from 20 on
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(tmp_path / "a.png").pixels.shape == (17, 23, 3)
    assert PIL.Image.MAX_IMAGE_PIXELS == 10
    monkeypatch.setattr(images, "MAX_PIXELS", 300)
    with pytest.raises(NasRestoreError, match="23x17 is 0 megapixels, over the limit"):
        read_image(tmp_path / "a.png")


def test_damaged_exif_does_not_refuse_the_picture(tmp_path: Path) -> None:
    PIL.Image.fromarray(noise(3)).save(tmp_path / "a.png", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    assert read_image(tmp_path / "a.png").pixels.shape == (17, 23, 3)


def test_a_file_appears_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(tmp_path / "new" / "a.png", noise(3))
    before = (tmp_path / "new" / "a.png").read_bytes()

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(images.os, "replace", no_space)
    with pytest.raises(NasRestoreError, match=r"cannot write .*a\.png: No space left"):
        write_image(tmp_path / "new" / "a.png", noise(1))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.png"]
    assert (tmp_path / "new" / "a.png").read_bytes() == before


def test_what_write_image_refuses(tmp_path: Path) -> None:
    with pytest.raises(NasRestoreError, match=r"suffix '\.xyz' names no image format"):
        write_image(tmp_path / "a.xyz", noise(3))
    with pytest.raises(ValueError, match="expected H W C uint8"):
        write_image(tmp_path / "a.png", noise(3).astype(np.float32))
    with pytest.raises(ValueError, match="1 or 3 channels"):
        write_image(tmp_path / "a.png", noise(2))
    with pytest.raises(ValueError, match="alpha"):
        write_image(tmp_path / "a.png", noise(3), like=Image(noise(3), np.zeros((2, 2)), "PNG"))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_value_survives_the_way_through_a_tensor(dtype: type) -> None:
    values = np.arange(np.iinfo(dtype).max + 1, dtype=dtype).reshape(16, -1, 1)
    tensor = to_tensor(values)
    assert tensor.shape == (1, 16, values.shape[1])
    assert tensor.dtype == torch.float32
    assert (tensor.min(), tensor.max()) == (0, 1)
    np.testing.assert_array_equal(from_tensor(tensor, dtype), values)


def test_from_tensor_clamps_and_rounds() -> None:
    tensor = torch.tensor([-0.5, 0.4 / 255, 0.6 / 255, 1.5]).reshape(1, 2, 2)
    assert from_tensor(tensor).ravel().tolist() == [0, 0, 1, 255]


@given(st.integers(0, 65535))
def test_sixteen_to_eight_bits_rounds_to_nearest(value: int) -> None:
    found = int(to_eight_bit(np.array([[[value]]], np.uint16))[0, 0, 0])
    assert abs(found * 257 - value) <= 128


def test_channels() -> None:
    grey = noise(1)
    np.testing.assert_array_equal(with_channels(with_channels(grey, 3), 1), grey)
    red = np.array([[[255, 0, 0]]], np.uint8)
    assert with_channels(red, 1).tolist() == [[[76]]]
