"""Rain that falls through a clip: the streaks of :mod:`nasrestore.data.rain`, moving.

A streak is the way of a drop during the exposure; until the next frame the drop goes on in the same
direction. Near drops are fast, far drops slow, in proportion to their nearness. A drop that leaves
at one end of the picture enters at the other as a new one: another place, length, width and
brightness. So rain is as dense at any time as at any other, never repeats itself, and the frame at a
time is a pure function of seed and time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nasrestore.data.auxiliary_rain import AuxiliaryRain, mixed_layer
from nasrestore.data.rain import (
    RainModel,
    drawn,
    limits,
    margin_of,
    streak_area,
    streaks_layer,
    under_rain,
)

EXPOSURE = 0.5  # of the time from frame to frame: a shutter of 180 degrees
_LENGTH, _WIDTH, _INTENSITY, _PLACE = range(4)  # what a drop is given anew


class RainClip:
    """One rain, seen at any time.

    Args:
        height, width: of the frames, pixels.
        model: what is drawn once an image there is drawn once a clip here.
        seed: of everything random.
        exposure: the share of the time between frames during which a drop leaves its streak: the
            nearest drops go by the mean streak's length over ``exposure`` from frame to frame.
        auxiliary: the second kind of streaks of TMICS's Eq. 1; None: the additive model.

    Attributes:
        angle: of the rain, degrees from vertical; above 0 it falls to the right.
        speed: of the nearest drops, pixels a frame; of others, in proportion to their depth.
        veil: share of the picture that accumulated rain takes, in [0, 1].
    """

    def __init__(
        self,
        height: int,
        width: int,
        model: RainModel,
        seed: int | Sequence[int],
        *,
        exposure: float = EXPOSURE,
        auxiliary: AuxiliaryRain | None = None,
    ) -> None:
        if not 0 < exposure <= 1:
            raise ValueError(f"an exposure in (0, 1] expected, got {exposure}")
        generator = np.random.default_rng(seed)
        self.height, self.width, self.model = height, width, model
        self.angle = drawn(model.angle, generator)
        self.speed = sum(limits("length", model.length)) / 2 / exposure
        self.veil = drawn(model.accumulation, generator)
        self._blur = drawn(model.blur, generator)
        self._margin = margin_of(model)
        self._box = np.array([width, height]) + 2 * self._margin
        self._make_drops(generator)
        self._mixture = None
        if auxiliary is not None:
            self._mixture = auxiliary.drawn(height, width, self.angle, generator)

    def layer(self, time: float) -> np.ndarray:
        """The brightness that rain adds to the frame at a time: ``H W`` float32 in [0, 1].

        Args:
            time: in frames; fractions and negative times are times as well.
        """
        layer = streaks_layer(self.height, self.width, self._streaks(time), self._blur)
        if self._mixture is None:
            return layer
        return np.clip(mixed_layer(layer, *self._mixture), 0, 1)

    def over(self, clean: np.ndarray, time: float) -> np.ndarray:
        """A clean frame, ``H W C`` float in [0, 1], in this rain: ``H W C`` float32 in [0, 1]."""
        return under_rain(clean, self.layer(time), self.veil)

    def _make_drops(self, generator: np.random.Generator) -> None:
        """What a drop keeps for ever: nearness, direction, and where on its way it is at time 0."""
        mean = drawn(self.model.density, generator) * self._box.prod() / streak_area(self.model)
        spread = drawn(self.model.spread, generator)
        count = int(generator.poisson(mean))
        self._depth = generator.choice(np.asarray(self.model.depths), count)
        jitter = np.clip(generator.normal(0, 1, count), -3, 3) * spread
        self._angle = np.radians(np.clip(self.angle + jitter, -90, 90))
        self._start = generator.uniform(0, 1, count)
        self._key = generator.integers(0, 2**64, count, dtype=np.uint64)
        self._main = 1 if abs(self.angle) <= 45 else 0  # the axis on which drops leave: y or x

    def _streaks(self, time: float) -> np.ndarray:
        """Rows x, y, angle, length, width, intensity, as :func:`streaks_layer` takes them."""
        velocity = self.speed * self._depth * np.stack([np.sin(self._angle), np.cos(self._angle)])
        main, side = self._main, 1 - self._main
        way = self._start * self._box[main] + velocity[main] * time
        life = np.floor(way / self._box[main])
        way -= life * self._box[main]
        given = _uniform_numbers(self._key, life)
        moving = np.abs(velocity[main]) > 1e-9  # a drop that never leaves on this axis
        age = np.where(moving, way / np.where(moving, velocity[main], 1), time)
        aside = (given[_PLACE] * self._box[side] + velocity[side] * age) % self._box[side]
        place = np.empty_like(velocity)
        place[main], place[side] = way, aside
        shape = [
            _scaled(number, limits(name, value)) * self._depth
            for number, name, value in (
                (given[_LENGTH], "length", self.model.length),
                (given[_WIDTH], "width", self.model.width),
                (given[_INTENSITY], "intensity", self.model.intensity),
            )
        ]
        return np.stack([*(place - self._margin), self._angle, *shape])


def _uniform_numbers(key: np.ndarray, life: np.ndarray) -> np.ndarray:
    """Four numbers in [0, 1) for every drop in every life: splitmix64 over both, no state."""
    step = np.uint64(0x9E3779B97F4A7C15)
    state = key ^ _mixed(life.astype(np.int64).view(np.uint64) + step)
    numbers = [_mixed(state + place) for place in step * np.arange(1, 5, dtype=np.uint64)]
    return np.stack(numbers) / np.float64(2**64)


def _mixed(bits: np.ndarray) -> np.ndarray:
    """The finaliser of splitmix64 (Steele, Lea, Flood 2014)."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def _scaled(share: np.ndarray, span: tuple[float, float]) -> np.ndarray:
    return span[0] + share * (span[1] - span[0])
