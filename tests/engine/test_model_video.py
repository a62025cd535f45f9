"""What Python users call: clips, streams and videos through a model."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from made_videos import make_video, sound_packets
from torch import Tensor, nn

import nasrestore as nr
from nasrestore.data.video import open_video
from nasrestore.data.video_writer import VideoWriter
from nasrestore.engine.model import RestorationModel
from nasrestore.errors import NasRestoreError


class Darker(nn.Module):
    """Half of the middle frame, or of the image."""

    def __init__(self, frames: int | None) -> None:
        super().__init__()
        self.multiple, self.channels, self.frames = 8, 3, frames

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        middle = x if self.frames is None else x[:, self.frames // 2]
        return {"restored": middle / 2}


@pytest.mark.parametrize("frames", [None, 5])
def test_clips_and_streams(frames: int | None) -> None:
    model = RestorationModel(Darker(frames))
    assert model.frames == frames
    clip = list(np.random.default_rng(0).integers(0, 128, (4, 9, 10, 3), np.uint8) * 2)
    restored = model.restore_clip(clip)
    np.testing.assert_array_equal(np.stack(restored) * 2, clip)
    stream = model.restore_stream(iter(clip))
    np.testing.assert_array_equal(next(stream), restored[0])
    assert len(list(stream)) == 3 and model.restore_clip([]) == []


def test_a_model_for_clips_refuses_an_image() -> None:
    with pytest.raises(NasRestoreError, match="restores video") as caught:
        RestorationModel(Darker(3)).restore(np.zeros((4, 4, 3), np.uint8))
    assert "restore_clip" in (caught.value.hint or "")


@pytest.mark.parametrize("frames", [None, 3])
def test_a_video_is_restored_into_another(tmp_path: Path, frames: int | None) -> None:
    model = RestorationModel(Darker(frames))
    source, target = make_video(tmp_path / "a.mp4", range(6)), tmp_path / "new" / "b.mp4"
    done = model.restore_video(source, target)
    assert (done.target, done.frames, done.size) == (target, 6, (48, 64))
    for one, other in zip(open_video(source), open_video(target), strict=True):
        assert one.time == other.time
        np.testing.assert_allclose(one.pixels / 2, other.pixels, atol=6)
    assert sound_packets(source) == sound_packets(target)
    with pytest.raises(NasRestoreError, match="exists already"):
        model.restore_video(source, target)
    assert model.restore_video(source, target, overwrite=True).frames == 6
    with pytest.raises(NasRestoreError, match="never overwritten"):
        model.restore_video(source, source, overwrite=True)


def test_a_restored_video_shows_its_last_frame_as_long(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", (48, 64), Fraction(1)) as writer:
        for number in range(3):
            writer.write(np.full((48, 64, 3), 60 * number, np.uint8), duration=Fraction(4))
    RestorationModel(Darker(3)).restore_video(tmp_path / "a.mp4", tmp_path / "b.mkv")
    assert [(f.time, f.duration) for f in open_video(tmp_path / "b.mkv")][2] == (2, 4)


def test_another_container_may_begin_later_but_picture_and_sound_together(tmp_path: Path) -> None:
    source, target = make_video(tmp_path / "a.mp4", range(6)), tmp_path / "b.mkv"
    RestorationModel(Darker(None)).restore_video(source, target)
    (before,), (after,) = sound_packets(source), sound_packets(target)
    assert [data for _, data in before] == [data for _, data in after]
    shift = next(iter(open_video(target))).time  # sound begins before 0, which Matroska has not
    assert 0 <= shift < 0.03
    for (one, _), (other, _) in zip(before, after, strict=True):
        assert abs(one + shift - other) <= 0.001


def test_synthesize_from_python(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", range(3))
    made = nr.synthesize(
        tmp_path / "a.mp4", tmp_path / "out", density=0.2, direction=(-9, 9), seed=3
    )
    assert (made.pairs, made.clips, made.frames) == (0, ("a",), 3)
    assert sorted(path.name for path in (tmp_path / "out/rain/a").iterdir()) == [
        "00001.png", "00002.png", "00003.png",
    ]  # fmt: skip
    (made_so,) = json.loads((tmp_path / "out/synthesis.json").read_text())["calls"]
    assert made_so["rain"]["angle"] == [-9, 9]
    for options, message in (
        ({"model": "eq1"}, "unknown model"),
        ({"preset": "x"}, "unknown rain"),
    ):
        with pytest.raises(NasRestoreError, match=message):
            nr.synthesize(tmp_path / "a.mp4", tmp_path / "other", **options)  # type: ignore[arg-type]
