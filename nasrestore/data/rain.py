"""Synthetic rain: motion-blurred drops as soft, anti-aliased segments over an optional veil.

A drop that falls during the exposure leaves a straight streak; near drops leave long, wide and
bright ones, far drops short, thin and faint ones. Streaks brighten what is behind them, and
accumulated rain veils it: rainy = min(1, clean (1 - veil) + veil * airlight + layer), the additive
model of most deraining sets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import numpy as np

from nasrestore.errors import NasRestoreError
from nasrestore.spec.rain import QUANTITIES

Span = float | tuple[float, float]

AIRLIGHT = 0.8  # brightness of the veil in [0, 1]
_TAPER = 0.25  # share of a streak over which each of its ends fades
_OPAQUE = 0.999  # keeps log(1 - alpha) finite
_BLOCK, _BLOCKS = 256, 64  # streaks drawn at a time, and added at a time: bounds the memory

_LIMITS = {q.field: (q.least, q.most) for q in QUANTITIES.values()} | {"spread": (0.0, 45.0)}


@dataclass(frozen=True)
class RainModel:
    """What rain looks like; a single number stands for a range of no width.

    Args:
        density: mean number of streaks over a pixel, drawn once an image; about
            1 - exp(-density) of the image is covered, whatever its size.
        length: pixels, drawn for every streak, for the nearest drops.
        angle: degrees from vertical, drawn once an image; above 0 rain falls to the right.
        width: pixels, drawn for every streak, for the nearest drops.
        intensity: brightness in [0, 1] that the nearest drops add, drawn for every streak.
        spread: standard deviation of single streaks around the image's angle, in degrees.
        blur: standard deviation in pixels of a Gaussian over the finished layer.
        accumulation: the veil's share of the picture in [0, 1], drawn once an image.
        depths: scales of length, width and intensity; every streak has one of them.

    Raises:
        NasRestoreError: a value outside its limits, or a range whose ends are exchanged.
    """

    density: Span
    length: Span = (15.0, 45.0)
    angle: Span = (-20.0, 20.0)
    width: Span = (1.0, 2.0)
    intensity: Span = (0.3, 0.7)
    spread: Span = 2.0
    blur: Span = 0.0
    accumulation: Span = 0.0
    depths: tuple[float, ...] = (1.0, 0.75, 0.5)

    def __post_init__(self) -> None:
        for item in fields(self):
            if item.name in _LIMITS:
                span = limits(item.name, getattr(self, item.name))
                object.__setattr__(self, item.name, span)
        if not self.depths or not all(0 < depth <= 1 for depth in self.depths):
            raise NasRestoreError(f"rain depths {self.depths}: expected numbers in (0, 1]")
        object.__setattr__(self, "depths", tuple(self.depths))


def rain_layer(
    height: int, width: int, model: RainModel, generator: np.random.Generator
) -> np.ndarray:
    """The brightness that streaks add: ``H W`` float32 in [0, 1].

    Streaks that cross are combined as 1 - (1 - a)(1 - b), so that nothing exceeds 1.
    """
    streaks = _draw_streaks(height, width, model, generator)
    return streaks_layer(height, width, streaks, drawn(model.blur, generator))


def streaks_layer(height: int, width: int, streaks: np.ndarray, blur: float = 0.0) -> np.ndarray:
    """The brightness that given streaks add: ``H W`` float32 in [0, 1].

    Args:
        streaks: rows x, y (of the middle, pixels), angle (radians from vertical), length, width
            (pixels), intensity in [0, 1]; a column for each.
        blur: standard deviation in pixels of a Gaussian over the layer.
    """
    streaks = streaks[:, np.argsort(streaks[3], kind="stable")]  # a block pads to its longest
    steep = np.abs(streaks[2]) <= math.pi / 4
    log_gap = _log_gap(height, width, streaks[:, steep])
    if not steep.all():  # flat rain is steep rain in the transposed picture
        flat = streaks[:, ~steep][[1, 0, 2, 3, 4, 5]]
        flat[2] = np.copysign(math.pi / 2, flat[2]) - flat[2]
        log_gap += _log_gap(width, height, flat).T
    layer = -np.expm1(log_gap)
    layer = _blurred(layer, blur).astype(np.float32)
    return np.clip(layer, 0, 1)


def add_rain(clean: np.ndarray, model: RainModel, generator: np.random.Generator) -> np.ndarray:
    """Rain over a clean image.

    With neither streaks' intensity nor accumulation, the clean image comes back exactly.

    Args:
        clean: ``H W C`` float in [0, 1].

    Returns:
        ``H W C`` float32 in [0, 1].
    """
    veil = drawn(model.accumulation, generator)
    layer = rain_layer(clean.shape[0], clean.shape[1], model, generator)
    return under_rain(clean, layer, veil)


def under_rain(clean: np.ndarray, layer: np.ndarray, veil: float = 0.0) -> np.ndarray:
    """A clean image behind a veil and a layer of streaks: ``H W C`` float32 in [0, 1].

    Args:
        clean: ``H W C`` float in [0, 1].
        layer: ``H W``, the brightness that is added.
        veil: its share of the picture in [0, 1].
    """
    share = np.float32(veil)
    scene = clean.astype(np.float32) * (1 - share) + share * np.float32(AIRLIGHT)
    return np.clip(scene + layer[:, :, None], 0, 1)


def margin_of(model: RainModel) -> float:
    """How far outside of the picture the middles of streaks lie that reach into it, pixels."""
    return limits("length", model.length)[1] / 2 + limits("width", model.width)[1]


def streak_area(model: RainModel) -> float:
    """The mean area of a streak, square pixels: density times the picture over it is their number."""
    mean_square_depth = float(np.mean(np.square(model.depths)))
    return _middle(model.length) * (1 - _TAPER) * _middle(model.width) * mean_square_depth


def _draw_streaks(
    height: int, width: int, model: RainModel, generator: np.random.Generator
) -> np.ndarray:
    """Rows x, y, angle (radians), length, width, intensity; one column a streak."""
    density = drawn(model.density, generator)
    angle = drawn(model.angle, generator)
    spread = drawn(model.spread, generator)
    margin = margin_of(model)  # streaks that reach in from outside: no thinner borders
    frame_height, frame_width = height + 2 * margin, width + 2 * margin
    count = generator.poisson(density * frame_height * frame_width / streak_area(model))
    depth = generator.choice(np.asarray(model.depths), count)
    jitter = np.clip(generator.normal(0, 1, count), -3, 3) * spread
    return np.stack(
        [
            generator.uniform(-margin, width + margin, count),
            generator.uniform(-margin, height + margin, count),
            np.radians(np.clip(angle + jitter, -90, 90)),
            generator.uniform(*limits("length", model.length), count) * depth,
            generator.uniform(*limits("width", model.width), count) * depth,
            generator.uniform(*limits("intensity", model.intensity), count) * depth,
        ]
    )


def _log_gap(height: int, width: int, streaks: np.ndarray) -> np.ndarray:
    """The sum of log(1 - alpha) over steep streaks, ``H W``."""
    total = np.zeros(height * width)
    for first in range(0, streaks.shape[1], _BLOCK * _BLOCKS):
        batch = streaks[:, first : first + _BLOCK * _BLOCKS]
        blocks = [
            _covered(height, width, batch[:, start : start + _BLOCK])
            for start in range(0, batch.shape[1], _BLOCK)
        ]
        places, weights = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
        total += np.bincount(places, weights, height * width)
    return total.reshape(height, width)


def _covered(height: int, width: int, streaks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Flat pixel numbers, and the log(1 - alpha) that a streak has there.

    Every streak is drawn row by row: on a row it covers the few columns around its axis.
    """
    x, y, angle, length, thick, intensity = streaks.astype(np.float32)[:, :, None, None]
    cosine, sine = np.cos(angle), np.sin(angle)
    rows = np.arange(int(np.max(length * cosine)) + 2, dtype=np.float32)[None, :, None]
    columns = np.arange(int(np.max((thick + 1) / cosine)) + 2, dtype=np.float32)[None, None, :]
    row = np.ceil(y - length * cosine / 2) + rows
    axis = x + (row - y) * (sine / cosine)
    column = np.ceil(axis - (thick + 1) / (2 * cosine)) + columns
    across = np.abs(column - axis) * cosine
    along = np.abs((row - y) / cosine + (column - axis) * sine)
    alpha = np.clip((thick + 1) / 2 - across, 0, np.minimum(1, thick))
    alpha = alpha * np.clip((length / 2 - along) / (_TAPER * length), 0, 1)
    alpha = np.minimum(alpha * intensity, _OPAQUE)
    inside = (alpha > 0) & (row >= 0) & (row < height) & (column >= 0) & (column < width)
    places = (row.astype(np.int64) * width + column.astype(np.int64))[inside]
    return places, np.log1p(-alpha[inside])


def _blurred(layer: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian over both axes, cut at three sigma, edges repeated."""
    radius = math.ceil(3 * sigma)
    if radius == 0:
        return layer
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        pad = [(radius, radius) if axis == a else (0, 0) for a in (0, 1)]
        windows = np.lib.stride_tricks.sliding_window_view(
            np.pad(layer, pad, mode="edge"), len(kernel), axis=axis
        )
        layer = windows @ kernel
    return layer


def limits(name: str, value: Span) -> tuple[float, float]:
    """Low and high of a field of a model.

    Raises:
        NasRestoreError: they are outside of what the field may be, or exchanged.
    """
    return within(name, value, *_LIMITS[name])


def within(name: str, value: Span, least: float, most: float) -> tuple[float, float]:
    """Low and high of a value of rain that has a name.

    Raises:
        NasRestoreError: they are outside of the limits, or exchanged.
    """
    low, high = (value, value) if isinstance(value, (int, float)) else value
    if not least <= low <= high <= most:
        found = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        raise NasRestoreError(
            f"rain {name} {found}: expected a number, or low and high, from {least:g} to {most:g}"
        )
    return float(low), float(high)


def _middle(value: Span) -> float:
    low, high = (value, value) if isinstance(value, (int, float)) else value
    return (low + high) / 2


def drawn(value: Span, generator: np.random.Generator) -> float:
    """One value from a range."""
    low, high = (value, value) if isinstance(value, (int, float)) else value
    return float(generator.uniform(low, high))


# input PSNR on typical photographs: about 27, 21, 15 dB, and 21 to 24 dB on average
light = RainModel(
    density=(0.04, 0.14), length=(20, 60), angle=(-35, 35), width=(1, 2.5), intensity=(0.1, 0.32)
)
medium = RainModel(
    density=(0.15, 0.35), length=(20, 70), angle=(-35, 35), width=(1, 2.5), intensity=(0.1, 0.36)
)
heavy = RainModel(
    density=(0.5, 0.9), length=(25, 80), angle=(-25, 25), intensity=(0.1, 0.42), spread=6
)
mixed = RainModel(
    density=(0.03, 0.4), length=(12, 80), angle=(-40, 40), width=(0.8, 3.5), intensity=(0.08, 0.4)
)

PRESETS: dict[str, RainModel] = {
    "light": light,
    "medium": medium,
    "heavy": heavy,
    "mixed": mixed,
}


def rain_like(preset: str, **changes: Span) -> RainModel:
    """A preset with some of it changed.

    Args:
        changes: by what users call it (``direction``) or by the field of the model (``angle``).

    Raises:
        NasRestoreError: a value outside its limits, or a range whose ends are exchanged.
    """
    spans = {}
    for name, span in changes.items():
        known = QUANTITIES.get(name)  # by the user's word, which an error has to be about
        field = name if known is None else known.field
        spans[field] = span if known is None else within(name, span, known.least, known.most)
    return replace(PRESETS[preset], **spans)
