"""Rain that moves: where drops are from frame to frame, and that it is always the same rain."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nasrestore.data.auxiliary_rain import (
    AuxiliaryRain,
    convolved,
    mixed_layer,
    streak_filter,
    weight_map,
)
from nasrestore.data.rain import AIRLIGHT, PRESETS, RainModel
from nasrestore.data.rain_clip import RainClip
from nasrestore.errors import NasRestoreError


def steady(angle: float, **options: object) -> RainModel:
    """Drops of one nearness that all fall the same way."""
    fields = {"density": 0.1, "length": 12, "width": 1.5, "spread": 0, "depths": (1.0,)}
    return RainModel(**{**fields, "angle": angle, **options})  # type: ignore[arg-type]


def displacement(before: np.ndarray, after: np.ndarray) -> tuple[int, int]:
    """Where the cross-correlation of two layers is largest: (down, right) in pixels."""
    size = [2 * n for n in before.shape]
    spectra = [np.fft.rfft2(layer - layer.mean(), size) for layer in (after, before)]
    correlation = np.fft.irfft2(spectra[0] * spectra[1].conj(), size)
    peak = np.unravel_index(correlation.argmax(), size)
    down, right = (int(p) - (n if p >= n // 2 else 0) for p, n in zip(peak, size, strict=True))
    return down, right


@pytest.mark.parametrize("angle", [-90, -60, -20, 0, 15, 40, 75, 90])
@pytest.mark.parametrize("depth", [1.0, 0.5])
def test_drops_move_by_their_speed_along_their_direction(angle: float, depth: float) -> None:
    rain = RainClip(160, 150, steady(angle, depths=(depth,)), seed=1)
    assert rain.speed == 12 / 0.5
    for time in (0, 7, 100):
        down, right = displacement(rain.layer(time), rain.layer(time + 1))
        assert down == pytest.approx(depth * 24 * math.cos(math.radians(angle)), abs=1)
        assert right == pytest.approx(depth * 24 * math.sin(math.radians(angle)), abs=1)


def test_frames_are_the_ones_before_moved_on() -> None:
    rain = RainClip(120, 90, steady(0, length=(5, 15)), seed=3)
    assert rain.speed == 20
    for time in range(8):
        before, after = rain.layer(time), rain.layer(time + 1)
        np.testing.assert_allclose(after[20:], before[:-20], atol=1e-4)


def test_half_a_frame_is_half_the_way() -> None:
    rain = RainClip(160, 150, steady(0), seed=1)
    assert displacement(rain.layer(3), rain.layer(3.5)) == (12, 0)


def test_near_drops_are_faster_than_far_ones() -> None:
    near, far = (RainClip(160, 150, steady(0, depths=(d,)), seed=1) for d in (1.0, 0.25))
    assert displacement(near.layer(0), near.layer(1)) == (24, 0)
    assert displacement(far.layer(0), far.layer(1)) == (6, 0)


@pytest.mark.parametrize("angle", [0, 30, -70])
@pytest.mark.parametrize("density", [0.05, 0.4])
def test_rain_is_as_dense_at_any_time(angle: float, density: float) -> None:
    model = RainModel(density, length=20, width=2, intensity=1.0, angle=angle, depths=(1.0,))
    shares = [
        [(rain.layer(time) > 0.5).mean() for time in (0, 3, 50.3, 999)]
        for rain in (RainClip(120, 120, model, seed) for seed in range(12))
    ]
    expected = 1 - math.exp(-density)
    np.testing.assert_allclose(np.mean(shares, axis=0), expected, rtol=0.25)
    assert np.mean(shares) == pytest.approx(expected, rel=0.15)


def test_borders_are_as_wet_as_the_middle_at_any_time() -> None:
    model = RainModel(density=0.3, length=30, angle=25, intensity=1.0)
    mean = np.mean([RainClip(100, 100, model, i).layer(40) for i in range(60)], axis=0)
    border = np.concatenate([mean[:8].ravel(), mean[-8:].ravel(), mean[:, :8].ravel()])
    assert border.mean() == pytest.approx(mean[30:70, 30:70].mean(), rel=0.12)


def test_a_frame_is_a_function_of_seed_and_time() -> None:
    first, second = (RainClip(60, 70, PRESETS["mixed"], seed=5) for _ in range(2))
    later = first.layer(9)
    first.layer(2)
    np.testing.assert_array_equal(first.layer(9), later)
    np.testing.assert_array_equal(second.layer(9), later)
    assert (RainClip(60, 70, PRESETS["mixed"], seed=6).layer(9) != later).any()


def test_rain_does_not_repeat_itself() -> None:
    rain = RainClip(70, 80, steady(0, length=10), seed=2)
    lap = rain._box[1] / rain.speed  # every drop has come round once
    first, second = rain.layer(0), rain.layer(lap)
    overlap = (first * second).mean() / (first.mean() * second.mean())
    assert overlap == pytest.approx(1, abs=0.6)
    assert (first * first).mean() / first.mean() ** 2 > 4


def test_a_veil_alone_is_a_mixture_with_the_airlight() -> None:
    clean = np.random.default_rng(0).random((20, 20, 3)).astype(np.float32)
    rain = RainClip(20, 20, RainModel(density=0, accumulation=0.25), seed=0)
    np.testing.assert_allclose(rain.over(clean, 4), 0.75 * clean + 0.25 * AIRLIGHT, atol=1e-6)


# -- Eq. 1 -----------------------------------------------------------------------------------


def by_hand(layer: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """sum over (i, j) of K(i, j) R(y - i, x - j), borders repeated."""
    result = np.zeros(layer.shape)
    for (y, x), _ in np.ndenumerate(layer):
        for (i, j), k in np.ndenumerate(kernel):
            row = min(max(y - (i - kernel.shape[0] // 2), 0), layer.shape[0] - 1)
            column = min(max(x - (j - kernel.shape[1] // 2), 0), layer.shape[1] - 1)
            result[y, x] += k * layer[row, column]
    return result


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (7, 3)])
def test_equation_1_by_hand(size: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    layer, weight = generator.random((9, 8)), generator.random((9, 8))
    kernel, clean = generator.random(size), generator.random((9, 8))
    auxiliary = by_hand(layer, kernel)
    np.testing.assert_allclose(convolved(layer, kernel), auxiliary, atol=1e-12)
    rainy = weight * (clean + layer) + (1 - weight) * (clean + auxiliary)
    np.testing.assert_allclose(clean + mixed_layer(layer, weight, kernel), rainy, atol=1e-6)


def test_a_weight_of_one_is_the_additive_model() -> None:
    clean = np.random.default_rng(0).random((40, 50, 3)).astype(np.float32)
    model = PRESETS["medium"]
    plain = RainClip(40, 50, model, seed=4)
    same = RainClip(40, 50, model, seed=4, auxiliary=AuxiliaryRain(weight=1.0))
    np.testing.assert_allclose(plain.over(clean, 3), same.over(clean, 3), atol=1e-6)
    other = RainClip(40, 50, model, seed=4, auxiliary=AuxiliaryRain(weight=0.0))
    expected = convolved(plain.layer(3), other._mixture[1])  # type: ignore[index]
    np.testing.assert_allclose(other.layer(3), expected, atol=1e-6)


@pytest.mark.parametrize("angle", [-60, 0, 30])
def test_the_filter_blurs_along_the_rain_and_keeps_the_sum(angle: float) -> None:
    kernel = streak_filter(25, angle)
    assert kernel.sum() == pytest.approx(1) and kernel.min() >= 0
    radius = kernel.shape[0] // 2
    rows, columns = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    moments = np.cov(np.stack([rows.ravel(), columns.ravel()]), aweights=kernel.ravel())
    along = np.array([math.cos(math.radians(angle)), math.sin(math.radians(angle))])
    assert along @ moments @ along == pytest.approx(25**2 / 12, rel=0.1)
    across = np.array([-along[1], along[0]])
    assert across @ moments @ across < 1


def test_weights_vary_smoothly_within_their_range() -> None:
    found = weight_map(200, 300, (0.2, 0.8), np.random.default_rng(0))
    assert found.shape == (200, 300) and 0.2 <= found.min() < found.max() <= 0.8
    assert np.abs(np.diff(found, axis=0)).max() < 0.02 and np.ptp(found) > 0.2
    assert (weight_map(5, 7, (0.4, 0.4), np.random.default_rng(0)) == np.float32(0.4)).all()


@pytest.mark.parametrize(
    ("field", "value"), [("weight", 1.5), ("weight", (0.8, 0.2)), ("reach", 0)]
)
def test_impossible_auxiliary_rain_is_refused(field: str, value: object) -> None:
    with pytest.raises(NasRestoreError, match=f"rain {field} .*: expected"):
        AuxiliaryRain(**{field: value})  # type: ignore[arg-type]
