"""Frames of a clip: which of them go where, and clips that do not fit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nasrestore import registry
from nasrestore.graph.catalog_clips import temporal_group_frames
from nasrestore.graph.signature import SignatureError


def made(name: str, channels: int, frames: int, **params: Any) -> nn.Module:
    import nasrestore.ops  # noqa: F401  attaches the factories

    module: nn.Module = registry.operation.factory(name)(channels, frames=frames, **params)
    return module


def numbered(frames: int, channels: int = 2) -> Tensor:
    """A clip whose every frame shows its number: 1 T C 1 1."""
    return torch.arange(float(frames)).view(1, frames, 1, 1, 1).expand(1, frames, channels, 2, 3)


def test_all_frames_side_by_side_keep_frame_and_channel() -> None:
    clip = torch.rand(2, 3, 4, 5, 6)
    image = made("frames_to_channels", 4, 3)(clip)
    assert image.shape == (2, 12, 5, 6)
    for frame in range(3):
        assert torch.equal(image[:, 4 * frame : 4 * frame + 4], clip[:, frame])


@pytest.mark.parametrize("frames", [1, 3, 5])
def test_the_centre_frame_is_in_the_middle(frames: int) -> None:
    assert (made("centre_frame", 2, frames)(numbered(frames)) == frames // 2).all()


@pytest.mark.parametrize(
    ("frames", "even", "odd"),
    [
        (3, (1, 1, 1), (0, 1, 2)),
        (5, (0, 2, 4), (1, 2, 3)),
        (7, (1, 3, 3, 3, 5), (0, 2, 3, 4, 6)),
        (9, (0, 2, 4, 6, 8), (1, 3, 4, 5, 7)),
    ],
)
def test_groups_of_even_and_odd_distances(
    frames: int, even: tuple[int, ...], odd: tuple[int, ...]
) -> None:
    groups = made("temporal_groups", 2, frames)(numbered(frames))
    assert groups.shape == (1, 2, 2 * len(even), 2, 3)
    found = groups[0, :, ::2, 0, 0]
    assert found.tolist() == [list(even), list(odd)]


@pytest.mark.parametrize("frames", range(3, 33, 2))
def test_groups_hold_every_frame_and_mirror_themselves(frames: int) -> None:
    even, odd = temporal_group_frames(frames)
    assert len(even) == len(odd)
    assert set(even) | set(odd) == set(range(frames))
    assert set(even) & set(odd) == {frames // 2}
    for group in (even, odd):
        assert list(group) == sorted(group)
        assert [frames - 1 - t for t in reversed(group)] == list(group)


@pytest.mark.parametrize(
    ("name", "frames", "channels", "out"),
    [
        ("frames_to_channels", 4, 3, (None, 12)),
        ("centre_frame", 5, 3, (None, 3)),
        ("temporal_groups", 3, 3, (2, 9)),
        ("temporal_groups", 7, 3, (2, 15)),
        ("warp", 5, 5, (5, 3)),
        ("warp", 2, 3, (2, 1)),
    ],
)
def test_shapes_are_told_before_anything_is_built(
    name: str, frames: int, channels: int, out: tuple[int | None, int]
) -> None:
    assert registry.operation.signature(name).clip(frames, channels, {}) == out


@pytest.mark.parametrize(
    ("name", "frames", "channels", "message"),
    [
        ("centre_frame", 4, 3, "4 frames has no centre frame .* an odd number$"),
        ("temporal_groups", 6, 3, "6 frames has no centre frame .* an odd number and at least 3"),
        ("temporal_groups", 1, 3, "1 frame has no centre frame .* at least 3"),
        ("warp", 5, 2, "2 channels more than the clip has, got 2 in all"),
    ],
)
def test_clips_that_do_not_fit_are_refused(
    name: str, frames: int, channels: int, message: str
) -> None:
    with pytest.raises(SignatureError, match=message):
        registry.operation.signature(name).clip(frames, channels, {})
