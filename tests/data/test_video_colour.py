"""Colours of videos: against ITU-R BT.601 and BT.709 in closed form, and that none drift over passes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from nasrestore.data.video import open_video
from nasrestore.data.video_writer import VideoWriter

BLUE_AND_RED = {6: (0.114, 0.299), 1: (0.0722, 0.2126)}  # weights in luma, by the matrix of H.273
LIMITED, FULL = 1, 2
BLOCK = 16  # pixels: chroma, of half the size, is read up to some pixels away


def scales(limits: int) -> tuple[float, float, float]:
    """Offset and range of luma, range of chroma."""
    return (16, 219, 224) if limits == LIMITED else (0, 255, 255)


def to_yuv(colours: np.ndarray, matrix: int, limits: int) -> np.ndarray:
    blue, red = BLUE_AND_RED[matrix]
    r, g, b = np.moveaxis(colours / 255, -1, 0)
    y = red * r + (1 - red - blue) * g + blue * b
    offset, luma, chroma = scales(limits)
    u, v = (b - y) / 2 / (1 - blue), (r - y) / 2 / (1 - red)
    return np.stack([offset + luma * y, 128 + chroma * u, 128 + chroma * v], -1)


def to_rgb(values: np.ndarray, matrix: int, limits: int) -> np.ndarray:
    blue, red = BLUE_AND_RED[matrix]
    offset, luma, chroma = scales(limits)
    y, u, v = np.moveaxis(values.astype(float), -1, 0)
    y, u, v = (y - offset) / luma, (u - 128) / chroma, (v - 128) / chroma
    r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
    g = (y - red * r - blue * b) / (1 - red - blue)
    return np.clip(255 * np.stack([r, g, b], -1), 0, 255)


def blocks(values: np.ndarray, size: int = BLOCK) -> np.ndarray:
    """A square of 64 values, 8 by 8, as blocks of ``size`` pixels."""
    return values.reshape(8, 8, *values.shape[1:]).repeat(size, 0).repeat(size, 1)


def centres(pixels: np.ndarray) -> np.ndarray:
    return pixels[BLOCK // 2 :: BLOCK, BLOCK // 2 :: BLOCK].reshape(64, -1)


def lossless(path: Path, yuv: np.ndarray, matrix: int, limits: int) -> Path:
    """64 flat blocks as 4:2:0, kept to the bit."""
    side = 8 * BLOCK
    planes = [blocks(yuv[:, 0])] + [blocks(yuv[:, i], BLOCK // 2) for i in (1, 2)]
    stacked = np.concatenate([plane.reshape(-1, side) for plane in planes]).astype(np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height = stream.width = side
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.colorspace, context.color_range = matrix, limits
        frame = av.VideoFrame.from_ndarray(stacked, format="yuv420p")
        frame.colorspace, frame.color_range = matrix, limits
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("matrix", [6, 1])
@pytest.mark.parametrize("limits", [LIMITED, FULL])
def test_colours_are_read_as_the_standard_says(tmp_path: Path, matrix: int, limits: int) -> None:
    colours = np.random.default_rng(1).integers(0, 256, (64, 3))
    yuv = np.rint(to_yuv(colours, matrix, limits))
    video = open_video(lossless(tmp_path / "a.mkv", yuv, matrix, limits))
    error = centres(next(iter(video)).pixels) - to_rgb(yuv, matrix, limits)
    assert np.abs(error).max() < 0.6  # it rounds to the nearest, by fixed point
    assert np.abs(error.mean(0)).max() < 0.15


@pytest.mark.parametrize("height", [8 * BLOCK, 720])  # written as BT.601, as BT.709
def test_colours_are_written_as_the_standard_says(tmp_path: Path, height: int) -> None:
    colours = np.random.default_rng(2).integers(0, 256, (64, 3)).astype(np.uint8)
    square = np.zeros((height, 8 * BLOCK, 3), np.uint8)
    square[: 8 * BLOCK] = blocks(colours)
    with VideoWriter(tmp_path / "a.avi", square.shape[:2], Fraction(25)) as writer:
        writer.write(square)
    restored = centres(next(iter(open_video(tmp_path / "a.avi"))).pixels[: 8 * BLOCK])
    error = restored.astype(int) - colours
    assert np.abs(error).max() <= 6  # of 8 bits of chroma at most 2, the others are the codec's
    assert np.abs(error.mean(0)).max() < 0.4


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".avi"])
@pytest.mark.parametrize("size", [(48, 64), (33, 47), (720, 32)])
def test_flat_colours_come_back(tmp_path: Path, suffix: str, size: tuple[int, int]) -> None:
    colours = [(128, 128, 128), (0, 0, 0), (255, 255, 255), (200, 30, 60), (16, 100, 250)]
    with VideoWriter(tmp_path / f"a{suffix}", size, Fraction(25)) as writer:
        for colour in colours:
            writer.write(np.full((*size, 3), colour, np.uint8))
    for colour, frame in zip(colours, open_video(tmp_path / f"a{suffix}"), strict=True):
        np.testing.assert_allclose(
            frame.pixels.astype(int)[4:-4, 4:-4].mean((0, 1)), colour, atol=1
        )


@pytest.mark.parametrize(("suffix", "most"), [(".mp4", 1), (".webm", 0.2), (".avi", 0.5)])
def test_five_passes_do_not_drift(tmp_path: Path, suffix: str, most: float) -> None:
    y, x = np.mgrid[:96, :128]
    waves = [np.sin(x / 9 + y / 15), np.cos(x / 14 - y / 8), np.sin(y / 11)]
    photograph = np.rint(128 + 90 * np.stack(waves, -1)).astype(np.uint8)
    pixels = photograph
    for _ in range(5):
        with VideoWriter(tmp_path / f"a{suffix}", (96, 128), Fraction(25)) as writer:
            writer.write(pixels)
        pixels = next(iter(open_video(tmp_path / f"a{suffix}"))).pixels
    drift = (pixels.astype(float) - photograph).mean((0, 1))
    assert np.abs(drift).max() < most  # levels; what is left is the codec's
