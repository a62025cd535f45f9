"""Streams of clip patches: aligned, seeded, resumed bit for bit; flow turned with its frames."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from made_clips import put_clip, put_pairs

from nasrestore.data.augment import DIHEDRAL, dihedral, dihedral_flow, dihedral_inverse
from nasrestore.data.clip_layouts import ClipPairSet, open_clips
from nasrestore.data.clip_patches import ClipStream
from nasrestore.data.clipset import ClipSet
from nasrestore.data.patches import Batch
from nasrestore.errors import NasRestoreError
from nasrestore.ops.temporal import warped


@pytest.fixture
def pairs(tmp_path: Path) -> ClipPairSet:
    return open_clips(put_pairs(tmp_path))


@pytest.fixture
def clips(pairs: ClipPairSet) -> ClipSet:
    return ClipSet.from_pairs(pairs, window=3)


def position_flow(clip: torch.Tensor) -> torch.Tensor:
    """A made-up flow that differs from place to place and from frame to frame."""
    count, frames, _, height, width = clip.shape
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    flow = torch.stack([x / 8 + y, y / 4 - x]).expand(count, frames, 2, height, width).clone()
    flow *= torch.arange(frames)[:, None, None, None] - frames // 2
    return flow


def same(one: Batch, other: Batch) -> bool:
    if (one.flow is None) != (other.flow is None):
        return False
    flows = one.flow is None or torch.equal(one.flow, other.flow)
    return (
        flows
        and torch.equal(one.degraded, other.degraded)
        and torch.equal(one.clean, other.clean)
        and one.identities == other.identities
    )


def test_batches_are_aligned_patches_of_the_named_clip(clips: ClipSet) -> None:
    batch = next(ClipStream(clips, patch=8, batch=4))
    assert batch.degraded.shape == (4, 3, 3, 8, 8) and batch.clean.shape == (4, 3, 8, 8)
    assert batch.degraded.dtype == torch.float32 and batch.flow is None
    for degraded, clean, identity in zip(
        batch.degraded, batch.clean, batch.identities, strict=True
    ):
        rainy, target = (planes.float() / 255 for planes in clips.clip(_index(clips, identity)))
        centre, top, left = _place(target, clean)
        window = rainy[centre - 1 : centre + 2]
        assert torch.equal(degraded, window[..., top : top + 8, left : left + 8])


def _index(clips: ClipSet, identity: str) -> int:
    return clips.identities.index(identity)


def _place(target: torch.Tensor, patch: torch.Tensor) -> tuple[int, int, int]:
    """Frame, top and left where a patch was cut; noise occurs once."""
    places = target.unfold(2, 8, 1).unfold(3, 8, 1).movedim(1, 3)
    (found,) = (places == patch).flatten(3).all(-1).nonzero().tolist()
    return found[0], found[1], found[2]


def test_every_frame_is_as_channels_last(clips: ClipSet) -> None:
    batch = next(ClipStream(clips, 8, 4))
    assert batch.degraded.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)
    assert batch.clean.is_contiguous(memory_format=torch.channels_last)
    plain = next(ClipStream(clips, 8, 4, channels_last=False))
    assert plain.degraded.is_contiguous() and torch.equal(plain.degraded, batch.degraded)


def test_an_epoch_sees_the_window_around_every_frame_once(clips: ClipSet) -> None:
    stream = ClipStream(clips, patch=20, batch=5)
    assert len(stream) == 4  # four clips of seven frames: five windows each
    for _ in range(2):
        seen = Counter()
        for _ in range(len(stream)):
            batch = next(stream)
            for clean, identity in zip(batch.clean, batch.identities, strict=True):
                target = clips.clip(_index(clips, identity))[1].float() / 255
                (frame,) = {
                    t
                    for t in range(7)
                    for left in range(9)
                    if torch.equal(target[t, :, :, left : left + 20], clean)
                }
                seen[identity, frame] += 1
        assert seen == {(name, frame): 1 for name in clips.identities for frame in range(1, 6)}


@pytest.mark.parametrize("patches", [None, 7])
@pytest.mark.parametrize("augment", [False, True])
def test_a_resumed_stream_goes_on_bit_for_bit(
    clips: ClipSet, tmp_path: Path, patches: int | None, augment: bool
) -> None:
    clips.add_flow(position_flow)
    stream = ClipStream(clips, 8, 4, patches=patches, augment=augment, seed=3)
    for _ in range(5):
        next(stream)
    torch.save(stream.state_dict(), tmp_path / "state.pt")
    wanted = [next(stream) for _ in range(6)]

    again = ClipStream(clips, 8, 4, patches=patches, augment=augment, seed=3)
    torch.manual_seed(99)  # the global generator is nobody's business here
    again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert all(same(one, next(again)) for one in wanted)


@pytest.mark.parametrize("patches", [None, 9])
def test_the_cache_on_disk_gives_the_same_batches(pairs: ClipPairSet, patches: int | None) -> None:
    streams = []
    for limit in (2**30, 0):
        clips = ClipSet.from_pairs(pairs, window=3, limit_bytes=limit)
        clips.add_flow(position_flow)
        streams.append(ClipStream(clips, 8, 4, patches=patches, augment=True))
    assert all(same(next(streams[0]), next(streams[1])) for _ in range(5))


def test_a_state_of_other_clips_or_frames_is_refused(pairs: ClipPairSet, clips: ClipSet) -> None:
    state = ClipStream(clips, 8, 2).state_dict()
    others = [
        ClipStream(clips.select(clips.identities[:2]), 8, 2),
        ClipStream(ClipSet.from_pairs(pairs, window=5), 8, 2),
        ClipStream(clips, 8, 2, seed=1),
    ]
    for other in others:
        with pytest.raises(NasRestoreError, match="the data changed since the checkpoint"):
            other.load_state_dict(state)


def test_too_large_a_patch_is_refused_at_once(clips: ClipSet) -> None:
    with pytest.raises(NasRestoreError, match="is 28x20, smaller than the patch of 21x21"):
        ClipStream(clips, patch=21, batch=2)


def test_flow_is_cut_at_the_place_of_its_patch(tmp_path: Path) -> None:
    put_clip(tmp_path / "norain/a", 1)
    put_clip(tmp_path / "rain/a", 1)  # degraded as clean, so that places can be found
    clips = ClipSet.from_pairs(open_clips(tmp_path), window=3)
    clips.add_flow(position_flow)
    batch = next(ClipStream(clips, 8, 6))
    assert batch.flow is not None and batch.flow.shape == (6, 3, 2, 8, 8)
    target = clips.clip(0)[1].float() / 255
    whole = position_flow(target[None, :3])[0]
    for flow, clean in zip(batch.flow, batch.clean, strict=True):
        _, top, left = _place(target, clean)
        assert torch.equal(flow, whole[..., top : top + 8, left : left + 8])


@pytest.mark.parametrize("element", range(DIHEDRAL))
def test_a_turned_clip_warped_by_turned_flow_is_the_turned_result(element: int) -> None:
    generator = torch.Generator().manual_seed(1)
    frames = torch.rand(2, 3, 12, 12, generator=generator)
    flow = 6 * torch.rand(2, 2, 12, 12, generator=generator) - 3  # leads out of the frame, too
    turned = warped(dihedral(frames, element), dihedral_flow(flow, element))
    torch.testing.assert_close(turned, dihedral(warped(frames, flow), element))


@pytest.mark.parametrize("element", range(DIHEDRAL))
def test_turning_flow_back_gives_it_again(element: int) -> None:
    flow = torch.randn(1, 3, 2, 5, 7)
    back = dihedral_flow(dihedral_flow(flow, element), dihedral_inverse(element))
    assert torch.equal(back, flow)


def test_flow_to_the_right_is_up_after_a_quarter_and_to_the_left_in_a_mirror() -> None:
    right = torch.tensor([2.0, 0.0])[:, None, None].expand(2, 3, 3)
    assert dihedral_flow(right, 1)[:, 0, 0].tolist() == [0.0, -2.0]
    assert dihedral_flow(right, 4)[:, 0, 0].tolist() == [-2.0, 0.0]


def test_frames_clean_and_flow_of_a_batch_are_turned_alike(tmp_path: Path) -> None:
    put_clip(tmp_path / "norain/a", 1)
    put_clip(tmp_path / "rain/a", 1)
    clips = ClipSet.from_pairs(open_clips(tmp_path), window=3)

    def brightness(clip: torch.Tensor) -> torch.Tensor:
        return clip[:, :, :2] - clip[:, 1:2, :2]  # a vector for every pixel, known by its colour

    clips.add_flow(brightness)
    plain, turned = (next(ClipStream(clips, 8, 16, augment=a)) for a in (False, True))
    elements = []
    for n in range(16):
        assert torch.equal(turned.degraded[n, 1], turned.clean[n])
        fits = [
            k for k in range(DIHEDRAL) if torch.equal(dihedral(plain.clean[n], k), turned.clean[n])
        ]
        assert len(fits) == 1
        assert plain.flow is not None and turned.flow is not None
        assert torch.equal(dihedral_flow(plain.flow[n], fits[0]), turned.flow[n])
        elements += fits
    assert len(set(elements)) > 3
