"""Rain with auxiliary streaks: the second kind of streaks in TMICS's model of a rainy frame.

    I = lambda o (B + R) + (1 - lambda) o (B + K (x) R)                              (TMICS, Eq. 1)

B is the clean frame, R the streaks, K a filter that makes auxiliary streaks of them, lambda the weight
between the two kinds at every pixel, o the product by element and (x) a convolution. The paper leaves
K and lambda open; here K is a motion blur along the rain that spreads a streak and keeps its sum, and
lambda varies smoothly over the picture. Both stay as they are through a clip.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from nasrestore.data.rain import RainModel, Span, drawn, rain_layer, under_rain, within

_SOFTNESS = 0.8  # standard deviation across the blur, pixels
_CELL = 96  # pixels between the nodes of a map of weights


@dataclass(frozen=True)
class AuxiliaryRain:
    """What auxiliary streaks look like.

    Args:
        weight: lambda's range in [0, 1]; 1 leaves no auxiliary streaks. A number is the same at
            every pixel.
        reach: length of the motion blur, pixels, drawn once an image or clip.

    Raises:
        NasRestoreError: a value outside its limits, or a range whose ends are exchanged.
    """

    weight: Span = (0.2, 0.8)
    reach: Span = (15.0, 35.0)

    def __post_init__(self) -> None:
        for name, least, most in (("weight", 0.0, 1.0), ("reach", 1.0, 200.0)):
            object.__setattr__(self, name, within(name, getattr(self, name), least, most))

    def drawn(
        self, height: int, width: int, angle: float, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """A map of weights, ``H W`` in [0, 1], and a filter for rain of an angle in degrees."""
        assert isinstance(self.weight, tuple) and isinstance(self.reach, tuple)
        kernel = streak_filter(float(generator.uniform(*self.reach)), angle)
        return weight_map(height, width, self.weight, generator), kernel


def add_auxiliary_rain(
    clean: np.ndarray, model: RainModel, auxiliary: AuxiliaryRain, generator: np.random.Generator
) -> np.ndarray:
    """Both kinds of streaks over a clean image, and the model's veil.

    Args:
        clean: ``H W C`` float in [0, 1].

    Returns:
        ``H W C`` float32 in [0, 1].
    """
    height, width = clean.shape[:2]
    veil, angle = drawn(model.accumulation, generator), drawn(model.angle, generator)
    layer = rain_layer(height, width, replace(model, angle=angle), generator)
    weight, kernel = auxiliary.drawn(height, width, angle, generator)
    return under_rain(clean, mixed_layer(layer, weight, kernel), veil)


def mixed_layer(layer: np.ndarray, weight: np.ndarray | float, kernel: np.ndarray) -> np.ndarray:
    """What both kinds of streaks add to the clean frame: lambda o R + (1 - lambda) o (K (x) R).

    Args:
        layer: R, ``H W``; beyond its borders it goes on as at them.
        weight: lambda, ``H W`` or a number.
        kernel: K, odd in height and width.

    Returns:
        ``H W`` float32.
    """
    mixed = weight * layer + (1 - weight) * convolved(layer, kernel)
    return mixed.astype(np.float32)


def convolved(layer: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """``H W`` convolved with a filter of odd size, borders repeated."""
    down, across = (size // 2 for size in kernel.shape)
    padded = np.pad(layer, ((down, down), (across, across)), mode="edge")
    spectrum = np.fft.rfft2(padded) * np.fft.rfft2(kernel, padded.shape)
    whole = np.fft.irfft2(spectrum, padded.shape)
    return np.asarray(whole[2 * down :, 2 * across :])


def streak_filter(length: float, angle: float) -> np.ndarray:
    """A motion blur: a soft line of some pixels, ``angle`` degrees from vertical; its sum is 1."""
    radius = math.ceil(length / 2 + 3 * _SOFTNESS)
    rows, columns = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float64)
    sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    along = np.abs(rows * cosine + columns * sine)
    across = columns * cosine - rows * sine
    ends = np.clip(length / 2 + 0.5 - along, 0, 1)
    kernel = ends * np.exp(-0.5 * (across / _SOFTNESS) ** 2)
    return np.asarray(kernel / kernel.sum())


def weight_map(
    height: int, width: int, span: tuple[float, float], generator: np.random.Generator
) -> np.ndarray:
    """A smooth map between two values, ``H W`` float32: random nodes, cubic steps between them."""
    low, high = span
    nodes = generator.uniform(low, high, (height // _CELL + 3, width // _CELL + 3))
    for axis, size in ((0, height), (1, width)):
        place = np.arange(size) / _CELL
        before = place.astype(int)
        share = place - before
        share = share * share * (3 - 2 * share)
        share = share[:, None] if axis == 0 else share[None, :]
        nodes = nodes.take(before, axis) * (1 - share) + nodes.take(before + 1, axis) * share
    return np.clip(nodes, low, high).astype(np.float32)
