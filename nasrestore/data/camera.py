"""A photograph seen by a moving camera: a clean clip with smooth movement, finer than a pixel."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nasrestore.errors import NasRestoreError

PAN = 3.0  # at most, along either axis, pixels of the photograph a frame
ZOOM = 0.004  # at most, share of the size a frame
TURN = 0.25  # at most, degrees a frame
_SWING = (24, 60)  # frames from one turning point of a movement to the next
_CLOSEST = 0.75  # pixels of the photograph that a pixel of a frame is wide, when zoomed in


@dataclass(frozen=True)
class View:
    """What a frame shows of a photograph.

    Attributes:
        x, y: the middle of the view, pixels from the photograph's left and upper edge.
        scale: pixels of the photograph that a pixel of the frame is wide.
        turn: degrees by which the camera is turned clockwise.
    """

    x: float
    y: float
    scale: float
    turn: float


def camera_path(
    photo: tuple[int, int],
    size: tuple[int, int],
    frames: int,
    seed: int | Sequence[int],
    pan: float = PAN,
) -> list[View]:
    """A smooth pan, zoom and rotation whose every view lies inside of the photograph.

    Args:
        photo: height and width of the photograph.
        size: height and width of the frames.
        seed: of the movement.
        pan: the fastest along either axis, pixels of the photograph a frame, from 0; slower where a
            photograph is too small for it.

    Raises:
        NasRestoreError: the photograph is smaller than a frame.
    """
    if photo[0] < size[0] or photo[1] < size[1]:
        raise NasRestoreError(
            f"a photograph of {photo[1]}x{photo[0]} shows no frames of {size[1]}x{size[0]}",
            hint="ask for smaller frames, or take a larger photograph",
        )
    generator = np.random.default_rng(seed)
    turn = _swinging(frames, TURN, generator)
    scale = np.exp(_swinging(frames, ZOOM, generator))
    ways = [_swinging(frames, pan, generator) for _ in range(2)]
    reach_y, reach_x = _reach(size, turn)
    largest = min(photo[0] / (2 * reach_y.max()), photo[1] / (2 * reach_x.max()), 1.0)
    scale = scale / scale.max() * largest * generator.uniform(_CLOSEST, 1.0)
    place = [
        _inside(way, reach * scale, length, generator)
        for way, reach, length in zip(ways, (reach_y, reach_x), photo, strict=True)
    ]
    return [
        View(*map(float, values)) for values in zip(place[1], place[0], scale, turn, strict=True)
    ]


def moved(
    photo: np.ndarray,
    frames: int,
    seed: int | Sequence[int],
    size: tuple[int, int],
    pan: float = PAN,
) -> Iterator[np.ndarray]:
    """The frames that a moving camera sees of a photograph; a pure function of the arguments.

    Args:
        photo: ``H W C``, uint8 or uint16.
        frames: how many.
        size: their height and width, at most the photograph's.
        pan: as :func:`camera_path` has it.

    Yields:
        ``H W C`` of the photograph's type, sampled by bicubic interpolation.

    Raises:
        NasRestoreError: the photograph is smaller than a frame.
    """
    path = camera_path(photo.shape[:2], size, frames, seed, pan)
    pixels = photo.astype(np.float32)
    return (_seen(pixels, view, size, photo.dtype) for view in path)


def _seen(photo: np.ndarray, view: View, size: tuple[int, int], dtype: np.dtype) -> np.ndarray:
    height, width = size
    cosine, sine = (view.scale * f(math.radians(view.turn)) for f in (math.cos, math.sin))
    down = (np.arange(height) + 0.5 - height / 2)[:, None]
    right = (np.arange(width) + 0.5 - width / 2)[None, :]
    y = view.y + sine * right + cosine * down - 0.5
    x = view.x + cosine * right - sine * down - 0.5
    values = np.rint(_sampled(photo, y, x).clip(0, np.iinfo(dtype).max))
    return values.astype(dtype)


def _sampled(photo: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """``H W C`` float32 at positions ``h w`` (pixels, 0 the middle of the first), by Catmull-Rom.

    Unlike Pillow's bicubic it leaves a ramp a ramp, so that movement is as even as the path is.
    """
    height, width, channels = photo.shape
    row, column = np.floor(y).astype(int), np.floor(x).astype(int)
    total = np.zeros((*y.shape, channels), np.float32)
    across = _catmull_rom(x - column)
    for i, weight_down in enumerate(_catmull_rom(y - row)):
        rows = (row + i - 1).clip(0, height - 1)
        for j, weight_across in enumerate(across):
            columns = (column + j - 1).clip(0, width - 1)
            total += photo[rows, columns] * (weight_down * weight_across)[:, :, None]
    return total


def _catmull_rom(d: np.ndarray) -> list[np.ndarray]:
    """The weights of four neighbours, ``d`` in [0, 1) after the second (Catmull, Rom 1974)."""
    d = d.astype(np.float32)
    return [
        d * (-0.5 + d * (1 - 0.5 * d)),
        1 + d * d * (-2.5 + 1.5 * d),
        d * (0.5 + d * (2 - 1.5 * d)),
        d * d * (-0.5 + 0.5 * d),
    ]


def _swinging(frames: int, fastest: float, generator: np.random.Generator) -> np.ndarray:
    """A way that changes by at most ``fastest`` a frame, and its speed smoothly: a sum of two sines."""
    time = np.arange(frames)
    speed = np.zeros(frames)
    for share in (0.6, 0.4):
        period = 2 * generator.uniform(*_SWING)
        phase = generator.uniform(0, 2 * math.pi)
        speed += share * generator.uniform(0.5, 1.0) * np.sin(2 * math.pi * time / period + phase)
    return np.concatenate([[0.0], np.cumsum(fastest * speed)[:-1]]) if frames else speed


def _reach(size: tuple[int, int], turn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Half the height and width of the box around a turned frame, in its own pixels."""
    height, width = size
    cosine, sine = np.abs(np.cos(np.radians(turn))), np.abs(np.sin(np.radians(turn)))
    return (height * cosine + width * sine) / 2, (width * cosine + height * sine) / 2


def _inside(
    way: np.ndarray, reach: np.ndarray, length: int, generator: np.random.Generator
) -> np.ndarray:
    """A way along an axis of the photograph, made smaller if need be and put where it fits."""
    first, last = reach.max(), length - reach.max()
    room = max(last - first, 0.0)
    extent = np.ptp(way)
    if extent > room:
        way = way * (room / extent)
    slack = room - np.ptp(way)
    return np.asarray(way - way.min() + first + generator.uniform(0, 1) * slack)
