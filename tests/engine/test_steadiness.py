"""Warping errors of clips that go by frame after frame, against figures by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from nasrestore.engine.steadiness import Steadiness
from nasrestore.ops.temporal import warped


def still(first: Tensor, second: Tensor) -> Tensor:
    return first.new_zeros(len(first), 2, *first.shape[2:])


def grey(value: float) -> np.ndarray:
    return np.full((8, 10, 3), value, np.uint8)


def as_float(pixels: np.ndarray) -> np.ndarray:
    return pixels.astype(np.float32) / 255


def test_still_clips_differ_by_what_flickers() -> None:
    steadiness = Steadiness(still)
    for name, values in (("a", (51, 102, 102)), ("b", (0, 51))):
        for value in values:
            steadiness.frame(name, grey(value), as_float(grey(value)) / 2, grey(100))
    found = steadiness.summary()
    # three channels of 0.2 each: 0.12 in the first pair of a, nothing in the second, 0.12 in b
    assert found["warping_before"] == pytest.approx((0.06 + 0.12) / 2, abs=1e-6)
    assert found["warping_after"] == pytest.approx(found["warping_before"] / 4, abs=1e-6)
    assert found["warping_clean"] == 0


def test_what_moves_as_the_flow_says_is_steady() -> None:
    """A picture that moves two pixels to the right; rain stands still in it."""
    wide = np.random.default_rng(0).integers(0, 256, (8, 40, 3), dtype=np.uint8)
    frames = [np.ascontiguousarray(wide[:, 20 - 2 * t : 36 - 2 * t]) for t in range(3)]

    def right(first: Tensor, second: Tensor) -> Tensor:
        forward = torch.equal(warped(second, shift(first, 2))[..., :14], first[..., :14])
        return shift(first, 2 if forward else -2)

    def shift(frame: Tensor, pixels: float) -> Tensor:
        flow = frame.new_zeros(1, 2, *frame.shape[2:])
        flow[:, 0] = pixels
        return flow

    steadiness = Steadiness(right)
    for frame in frames:
        steadiness.frame("a", grey16(frame), as_float(frame), frame)
    found = steadiness.summary()
    assert found["warping_clean"] == found["warping_after"] == 0
    assert found["warping_before"] > 0.05


def grey16(frame: np.ndarray) -> np.ndarray:
    """The frame with a pattern over it that does not move, of 16 bits."""
    pattern = np.arange(frame.shape[1])[None, :, None] % 5 * 12000
    return np.clip(frame.astype(np.int64) * 150 + pattern, 0, 65535).astype(np.uint16)


def test_without_a_pair_nothing_is_said() -> None:
    steadiness = Steadiness(still)
    assert steadiness.summary() == {}
    steadiness.frame("a", grey(1), as_float(grey(1)), grey(1))
    steadiness.frame("b", grey(1), as_float(grey(1)), grey(1))
    assert steadiness.summary() == {}
