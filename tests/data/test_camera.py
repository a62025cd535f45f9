from __future__ import annotations

import math

import numpy as np
import pytest

from nasrestore.data.camera import PAN, TURN, ZOOM, camera_path, moved
from nasrestore.errors import NasRestoreError


def ramps(height: int, width: int) -> np.ndarray:
    """A photograph whose channels say 100 times x, 100 times y, and nothing."""
    rows, columns = np.mgrid[0:height, 0:width] + 0.5
    return np.stack([100 * columns, 100 * rows, 0 * rows], axis=2).astype(np.uint16)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("photo", "size"), [((200, 300), (60, 80)), ((64, 80), (64, 80))])
def test_every_pixel_comes_from_where_the_view_says(
    seed: int, photo: tuple[int, int], size: tuple[int, int]
) -> None:
    frames = list(moved(ramps(*photo), 12, seed, size))
    path = camera_path(photo, size, 12, seed)
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]] + 0.5
    for frame, view in zip(frames, path, strict=True):
        cosine, sine = math.cos(math.radians(view.turn)), math.sin(math.radians(view.turn))
        right, down = columns - size[1] / 2, rows - size[0] / 2
        x = view.x + view.scale * (cosine * right - sine * down)
        y = view.y + view.scale * (sine * right + cosine * down)
        inner = (x > 2) & (x < photo[1] - 2) & (y > 2) & (y < photo[0] - 2)
        np.testing.assert_allclose(frame[..., 0][inner], 100 * x[inner], atol=2)
        np.testing.assert_allclose(frame[..., 1][inner], 100 * y[inner], atol=2)
        assert frame.dtype == np.uint16 and frame.shape == (*size, 3)
        assert x.min() > 0 and x.max() < photo[1] and y.min() > 0 and y.max() < photo[0]


def test_movement_is_slow_smooth_and_there() -> None:
    for seed in range(10):
        path = camera_path((400, 500), (120, 160), 60, seed)
        ways = np.array([(v.x, v.y, v.turn, math.log(v.scale)) for v in path])
        steps = np.abs(np.diff(ways, axis=0))
        assert (steps.max(axis=0) <= [PAN, PAN, TURN, ZOOM]).all()
        assert (steps.max(axis=0) > np.array([PAN, PAN, TURN, ZOOM]) / 10).all()
        turns = np.abs(np.diff(ways, n=2, axis=0)).max(axis=0)
        assert (turns <= 0.2 * np.array([PAN, PAN, TURN, ZOOM])).all()
        assert all(0.5 < v.scale <= 1 for v in path)


@pytest.mark.parametrize("pan", [0.0, 1.5, 9.0])
def test_the_pan_is_the_fastest_and_changes_nothing_else(pan: float) -> None:
    usual, other = (camera_path((900, 900), (120, 160), 20, 3, fast) for fast in (PAN, pan))
    for before, after, then, now in zip(usual, usual[1:], other, other[1:], strict=False):
        assert now.x - then.x == pytest.approx((after.x - before.x) * pan / PAN, abs=1e-9)
        assert now.y - then.y == pytest.approx((after.y - before.y) * pan / PAN, abs=1e-9)
        assert (now.scale, now.turn) == (after.scale, after.turn)


def test_frames_move_by_parts_of_pixels() -> None:
    path = camera_path((400, 500), (120, 160), 30, 1)
    shares = {round(view.x % 1, 1) for view in path}
    assert len(shares) > 5


def test_one_seed_one_clip() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (90, 110, 3), np.uint8)
    first, same, other = (list(moved(photo, 5, seed, (40, 60))) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, same)
    assert (np.stack(first) != np.stack(other)).any() and first[0].dtype == np.uint8


def test_a_single_frame_and_grey_photographs_work() -> None:
    (frame,) = moved(np.full((50, 50, 1), 77, np.uint8), 1, 0, (50, 50))
    assert frame.shape == (50, 50, 1) and (frame == 77).all()


def test_photographs_smaller_than_a_frame_are_refused() -> None:
    with pytest.raises(NasRestoreError, match="80x60 shows no frames of 100x40"):
        moved(np.zeros((60, 80, 3), np.uint8), 3, 0, (40, 100))
