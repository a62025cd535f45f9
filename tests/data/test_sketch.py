"""Laws of sketches: means of cells, positions of a square, and agreement of what shows one thing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_images import random_pixels
from made_scenes import made_scene, scaled

from nasrestore.data import sketch as sk

LUMA = np.array([0.299, 0.587, 0.114])


def test_a_sketch_is_the_mean_luma_of_its_cells() -> None:
    pixels = random_pixels(0, 3 * 64, 2 * 64)
    cells = (pixels @ LUMA).reshape(64, 3, 64, 2).mean((1, 3))
    found = sk.sketch(pixels)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, cells, atol=1e-3)


@given(st.integers(1, 200), st.integers(1, 200), st.sampled_from([1, 3]), st.integers(0, 99))
def test_of_any_size_the_mean_stays(height: int, width: int, channels: int, seed: int) -> None:
    pixels = random_pixels(seed, height, width, channels)
    grey = pixels @ LUMA if channels == 3 else pixels[..., 0]
    found = sk.sketch(pixels)
    assert found.shape == (64, 64) and found.min() >= 0 and found.max() <= 255.001
    assert found.mean() == pytest.approx(grey.mean(), abs=1e-3)


def test_a_row_on_an_edge_counts_by_its_share() -> None:
    ramp = np.arange(96, dtype=np.uint8)[:, None, None].repeat(64, 1)
    # A cell is 1.5 rows high: (2 * 0 + 1) / 3, then (1 + 2 * 2) / 3, and so on every three rows.
    expected = np.add.outer(3 * np.arange(32), [1 / 3, 5 / 3]).ravel()
    np.testing.assert_allclose(sk.sketch(ramp)[:, 0], expected, atol=1e-4)


def test_the_eight_positions_of_a_square() -> None:
    one = np.arange(9.0).reshape(1, 3, 3)
    positions = {sk.turned(one, turn).tobytes() for turn in range(sk.TURNS)}
    assert len(positions) == 8
    np.testing.assert_array_equal(sk.turned(one, 0), one)
    np.testing.assert_array_equal(sk.turned(one, 4), one[..., ::-1])


def test_through_a_window_a_part_is_seen() -> None:
    one = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    window = np.array([[0.25, 0.75, 0.5, 1.0]])
    (seen,) = sk.seen(one, sk.lenses(window, 32))
    np.testing.assert_allclose(seen, one[16:48, 32:], atol=1e-6)
    (coarse,) = sk.seen(one, sk.lenses(sk.WHOLE[None], 16))
    np.testing.assert_allclose(coarse, one.reshape(16, 4, 16, 4).mean((1, 3)), atol=1e-5)


def test_products_of_unit_vectors_are_correlations() -> None:
    pictures = np.random.default_rng(0).normal(100, 20, (2, 8, 8))
    one, other = sk.unit(pictures)
    expected = np.corrcoef(pictures.reshape(2, -1))[0, 1]
    assert one @ other == pytest.approx(expected, abs=1e-6)
    np.testing.assert_array_equal(sk.unit(np.full((1, 8, 8), 99.0)), 0)


def test_detail_knows_no_slope() -> None:
    slope = np.add.outer(3 * np.arange(9.0), 5 * np.arange(9.0))[None]
    np.testing.assert_allclose(sk.detail(slope), 0, atol=1e-5)


def test_agreement_finds_where_a_part_lies() -> None:
    scene = made_scene(0, 256, 256)
    whole = sk.sketch(scene)
    part = sk.sketch(scene[40:220, 30:240])  # a window of (0.16, 0.86, 0.12, 0.94)
    near = np.array([0.12, 0.82, 0.16, 0.98])
    as_it_lies = sk.unit(sk.detail(sk.seen(whole, sk.lenses(near[None], 24))))
    target = sk.unit(sk.detail(sk.seen(part, sk.lenses(sk.WHOLE[None], 24))))
    assert (as_it_lies * target).sum() < 0.5
    assert sk.agreement(whole, part, near) > 0.9
    assert sk.agreement(whole, whole, sk.WHOLE) == pytest.approx(1, abs=1e-6)


def test_agreement_cares_neither_for_brightness_nor_for_scale() -> None:
    scene = made_scene(1, 192, 256)
    darker = (scene * 0.6 + 30).astype(np.uint8)
    one, other = sk.sketch(scene), sk.sketch(scaled(darker, 0.5))
    assert sk.agreement(one, other, sk.WHOLE) > 0.97


def test_flat_images_and_other_scenes_agree_in_nothing() -> None:
    flat, scene = np.full((64, 64), 200, np.float32), sk.sketch(made_scene(2))
    assert sk.agreement(flat, flat, sk.WHOLE) == sk.agreement(scene, flat, sk.WHOLE) == 0
    assert sk.agreement(scene, sk.sketch(made_scene(3)), sk.WHOLE) < 0.45
