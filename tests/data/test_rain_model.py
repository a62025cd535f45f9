from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measured_rain import dominant_angle

from nasrestore.data import rain
from nasrestore.data.rain import AIRLIGHT, PRESETS, RainModel, add_rain, rain_layer
from nasrestore.data.samples import sample_photographs
from nasrestore.errors import NasRestoreError


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("angle", [-80, -45, -30, -10, 0, 20, 45, 70])
def test_streaks_lie_as_asked(angle: float) -> None:
    model = RainModel(density=0.15, length=(25, 50), angle=angle, spread=2)
    layer = rain_layer(240, 240, model, generator())
    assert dominant_angle(layer) == pytest.approx(angle, abs=3)


def test_positive_angles_fall_to_the_right() -> None:
    model = RainModel(density=0.02, length=40, angle=30, width=2, spread=0)
    layer = rain_layer(200, 200, model, generator())
    right = (layer[:-10, :-6] * layer[10:, 6:]).sum()
    left = (layer[:-10, 6:] * layer[10:, :-6]).sum()
    assert right > 5 * left


@pytest.mark.parametrize(("height", "width"), [(80, 400), (300, 300), (500, 60)])
@pytest.mark.parametrize("density", [0.05, 0.2, 0.8])
def test_covered_share_is_the_density_whatever_the_size(
    density: float, height: int, width: int
) -> None:
    model = RainModel(density=density, length=30, width=2, intensity=1.0, depths=(1.0,))
    shares = [(rain_layer(height, width, model, generator(i)) > 0.5).mean() for i in range(8)]
    assert np.mean(shares) == pytest.approx(1 - math.exp(-density), rel=0.2)


def test_borders_are_as_wet_as_the_middle() -> None:
    model = RainModel(density=0.3, length=40, angle=20, intensity=1.0)
    mean = np.mean([rain_layer(120, 120, model, generator(i)) for i in range(60)], axis=0)
    border = np.concatenate([mean[:8].ravel(), mean[-8:].ravel(), mean[:, :8].ravel()])
    assert border.mean() == pytest.approx(mean[30:90, 30:90].mean(), rel=0.1)


def test_one_seed_one_layer() -> None:
    for model in PRESETS.values():
        first = rain_layer(70, 90, model, generator(5))
        np.testing.assert_array_equal(first, rain_layer(70, 90, model, generator(5)))
        assert (first != rain_layer(70, 90, model, generator(6))).any()


def test_blocks_do_not_change_the_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    model = RainModel(density=0.5, angle=(-60, 60), spread=20)
    whole = rain_layer(80, 80, model, generator())
    monkeypatch.setattr(rain, "_BLOCK", 7)
    monkeypatch.setattr(rain, "_BLOCKS", 2)
    np.testing.assert_allclose(rain_layer(80, 80, model, generator()), whole, atol=1e-6)


def test_no_intensity_no_rain() -> None:
    clean = generator().random((40, 50, 3), dtype=np.float32)
    rainy = add_rain(clean, RainModel(density=1.0, intensity=0, blur=1), generator())
    np.testing.assert_array_equal(rainy, clean)
    np.testing.assert_array_equal(add_rain(clean, RainModel(density=0), generator()), clean)


def test_a_veil_alone_is_a_mixture_with_the_airlight() -> None:
    clean = generator().random((20, 20, 1), dtype=np.float32)
    rainy = add_rain(clean, RainModel(density=0, accumulation=0.25), generator())
    np.testing.assert_allclose(rainy, 0.75 * clean + 0.25 * AIRLIGHT, atol=1e-6)


def test_blur_moves_brightness_and_keeps_its_sum() -> None:
    sharp = RainModel(density=0.1, intensity=0.5)
    soft = RainModel(density=0.1, intensity=0.5, blur=1.5)
    one, other = (rain_layer(200, 200, model, generator()) for model in (sharp, soft))
    assert other.max() < one.max()
    assert other.mean() == pytest.approx(one.mean(), rel=0.05)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.floats(0, 3),
    st.floats(-90, 90),
    st.floats(0.1, 8),
    st.integers(0, 99),
)
def test_always_within_bounds(
    height: int, width: int, density: float, angle: float, thick: float, seed: int
) -> None:
    model = RainModel(density, angle=angle, width=thick, intensity=(0, 1), spread=20)
    layer = rain_layer(height, width, model, generator(seed))
    assert (layer.shape, layer.dtype) == ((height, width), np.float32)
    assert 0 <= layer.min() <= layer.max() <= 1
    rainy = add_rain(np.ones((height, width, 3)), model, generator(seed))
    assert (rainy == 1).all()


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("light", 25, 29), ("medium", 19, 23), ("heavy", 13, 17), ("mixed", 20, 24.5)],
)
def test_presets_are_as_heavy_as_they_say(name: str, low: float, high: float) -> None:
    pytest.importorskip("skimage")
    found = []
    for seed, photograph in enumerate(sample_photographs()[:4] * 2):
        clean = photograph.load()[:256, :256] / np.float32(255)
        rainy = add_rain(clean, PRESETS[name], generator(seed))
        found.append(-10 * np.log10(np.mean((rainy - clean) ** 2)))
    assert low < np.mean(found) < high


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("density", -0.1),
        ("angle", (10, -10)),
        ("intensity", 1.5),
        ("length", (0, 5)),
        ("accumulation", float("nan")),
        ("depths", (0.0,)),
        ("depths", ()),
    ],
)
def test_impossible_models_are_refused(field: str, value: object) -> None:
    with pytest.raises(NasRestoreError, match=f"rain {field} .*: expected"):
        RainModel(**{"density": 0.1, field: value})  # type: ignore[arg-type]
