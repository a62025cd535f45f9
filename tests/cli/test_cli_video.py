"""Videos and folders of frames through the command line."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from command_calls import Call, StandIn
from made_videos import cut_file, make_video, sound_packets
from torch import Tensor, nn

from nasrestore.api.run import decisions_of, open_recipe, write_recipe
from nasrestore.assemble.network import plain_network
from nasrestore.assemble.prepare import prepare
from nasrestore.data import images
from nasrestore.data.images import read_image, write_image
from nasrestore.data.video import open_video
from nasrestore.engine.restore import Restorer
from nasrestore.runtime.checkpoint import save_checkpoint
from nasrestore.runtime.runfolder import RunFolder
from nasrestore.spec.load import overrides_of
from nasrestore.spec.shipped import find

SMALL = {"space.width": 2, "precision": "fp32"}


class Mean(nn.Module):
    """The mean of so many frames; of an image, its negative."""

    def __init__(self, frames: int | None) -> None:
        super().__init__()
        self.multiple, self.channels, self.frames = 8, 3, frames
        self.eval()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"restored": 1 - x if self.frames is None else x.mean(dim=1)}


@pytest.fixture
def network(stand_in: StandIn, run_folder: RunFolder) -> Any:
    """Puts a network in the place of the run's."""

    def place(frames: int | None) -> None:
        stand_in("api.evaluate.load", SimpleNamespace(restorer=Restorer(Mean(frames), tile=64)))

    return place


def put_frames(folder: Path, count: int, suffix: str = ".png") -> list[np.ndarray]:
    pixels = list(np.random.default_rng(3).integers(0, 256, (count, 20, 30, 3), np.uint8))
    for number, frame in enumerate(pixels, start=1):
        write_image(folder / f"{number:05d}{suffix}", frame)
    return pixels


def mean_of_three(frames: list[np.ndarray]) -> np.ndarray:
    padded = np.pad(np.stack(frames).astype(float), [(1, 1), *[(0, 0)] * 3], "reflect")
    return (padded[:-2] + padded[1:-1] + padded[2:]) / 3


def test_a_network_for_images_restores_a_video_with_its_sound(call: Call, network: Any) -> None:
    network(None)
    source = make_video(Path("a.mp4"), [0, 1, 3, 4, 9], sounds=2)
    done = call("restore", "a.mp4", "--out", "out", "--json")
    assert done.status == 0
    (row,) = done.json["files"]
    assert (row["target"], row["frames"], row["size"]) == ("out/a.mp4", 5, [48, 64])
    for one, other in zip(open_video(source), open_video("out/a.mp4"), strict=True):
        assert one.time == other.time
        np.testing.assert_allclose(255 - one.pixels.astype(int), other.pixels, atol=8)
    assert sound_packets(Path("out/a.mp4")) == sound_packets(source)


def test_folders_are_clips_for_a_network_that_reads_clips(call: Call, network: Any) -> None:
    network(3)
    clips = {"a": put_frames(Path("in/a"), 4), "b/c": put_frames(Path("in/b/c"), 1, ".tif")}
    done = call("restore", "in", "--out", "in/out")
    assert (done.status, done.out) == (0, "in/out/a\nin/out/b/c\n")
    assert "restored frames: 5 of 5" in done.err
    for number, expected in enumerate(mean_of_three(clips["a"]), start=1):
        found = read_image(f"in/out/a/{number:05d}.png").pixels
        np.testing.assert_allclose(found.astype(float), expected, atol=0.501)
    (alone,) = clips["b/c"]
    np.testing.assert_array_equal(read_image("in/out/b/c/00001.tif").pixels, alone)


def test_a_video_can_be_written_as_frames(call: Call, network: Any) -> None:
    network(3)
    source = make_video(Path("a.mkv"), range(6))
    assert call("restore", "a.mkv", "--out", "out", "--frames").status == 0
    expected = mean_of_three([frame.pixels for frame in open_video(source)])
    for number, frame in enumerate(expected, start=1):
        found = read_image(f"out/a/{number:05d}.png").pixels
        np.testing.assert_allclose(found.astype(float), frame, atol=0.501)
    assert len(list(Path("out/a").iterdir())) == 6
    done = call("restore", "a.mkv", "--out", "out", "--frames")
    assert done.status == 2 and "the output exists already: 1 in out (a)" in done.err
    make_video(Path("a.mkv"), range(4))
    assert call("restore", "a.mkv", "--out", "out", "--frames", "--overwrite").status == 0
    assert len(list(Path("out/a").iterdir())) == 4


def test_a_video_that_stops_half_way_is_kept_so_far_and_said(call: Call, network: Any) -> None:
    network(5)
    cut = cut_file(make_video(Path("a.mkv"), range(40)), 0.5)
    make_video(Path("b.mkv"), range(4))
    frames = int(call("restore", cut, "--out", "one").err.split("after frame ")[1].split()[0])
    assert len(list(open_video("one/a-cut.mkv"))) == frames
    done = call("restore", cut, "b.mkv", "--out", "out")
    assert done.status == 2 and done.out == ""
    assert "1 of 2 inputs could not be read to their end" in done.err
    assert f"stops decoding after frame {frames} (" in done.err
    assert "what comes before is in out/a-cut.mkv" in done.err
    assert len(list(open_video("out/b.mkv"))) == 4


@pytest.mark.parametrize(
    ("number", "advice"),
    [(errno.ENOSPC, "free some space"), (errno.EROFS, "a folder that you may write to")],
)
def test_what_a_full_disk_leaves_is_said(
    call: Call, network: Any, monkeypatch: pytest.MonkeyPatch, number: int, advice: str
) -> None:
    network(None)
    make_video(Path("a.mkv"), range(4))
    make_video(Path("b.mkv"), range(6))
    write, written = images._write_whole, []

    def full(path: Path, data: bytes) -> None:
        if len(written) == 7:
            raise OSError(number, os.strerror(number))
        written.append(path)
        write(path, data)

    monkeypatch.setattr(images, "_write_whole", full)
    done = call("restore", "a.mkv", "b.mkv", "--out", "out", "--frames")
    assert done.status == 2
    assert f"cannot write out/b/00004.png: {os.strerror(number)}" in done.err
    assert "; the 3 frames before it are in out/b; the input before it is done" in done.err
    assert "hint: " in done.err and advice in done.err
    assert len(list(Path("out/a").iterdir())) == 4 and len(list(Path("out/b").iterdir())) == 3


def test_a_frame_that_cannot_be_read_ends_its_clip(call: Call, network: Any) -> None:
    network(3)
    put_frames(Path("in"), 5)
    data = Path("in/00004.png").read_bytes()
    Path("in/00004.png").write_bytes(data[: len(data) // 2])
    done = call("restore", "in", "--out", "out")
    assert done.status == 2
    assert "in/00004.png: truncated" in done.err and "the 3 frames before it are in out" in done.err
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "00001.png", "00002.png", "00003.png",
    ]  # fmt: skip


def test_an_interrupted_video_can_be_played(
    call: Call, network: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    network(3)
    make_video(Path("a.mp4"), range(20))
    whole = Restorer.stream

    def interrupted(self: Restorer, frames: Any, **options: Any) -> Iterator[np.ndarray]:
        yield from itertools.islice(whole(self, frames, **options), 7)
        raise KeyboardInterrupt

    monkeypatch.setattr(Restorer, "stream", interrupted)
    done = call("restore", "a.mp4", "--out", "out")
    assert done.status == 130 and "what was restored so far is in out" in done.err
    assert [frame.time for frame in open_video("out/a.mp4")] == [
        Fraction(number, 25) for number in range(7)
    ]
    assert [path.name for path in Path("out").iterdir()] == ["a.mp4"]


def test_a_clip_and_a_video_of_one_name_are_not_mixed(call: Call, network: Any) -> None:
    network(3)
    put_frames(Path("clip"), 3, ".jpg")
    make_video(Path("clip.mp4"), range(5))
    done = call("restore", "--out", "out", "--frames", "clip", "clip.mp4")
    assert done.status == 2 and "clip and clip.mp4 would both be written to out/clip" in done.err
    assert not Path("out").exists()


def test_several_folders_have_a_folder_each(call: Call, network: Any) -> None:
    network(3)
    put_frames(Path("clip"), 3)
    put_frames(Path("in/other"), 3)
    assert call("restore", "--out", "one", "clip").status == 0
    assert call("restore", "--out", "both", "clip", "in/").status == 0
    names = [f"{number:05}.png" for number in (1, 2, 3)]
    assert sorted(path.name for path in Path("one").iterdir()) == names
    for folder in ("both/clip", "both/in/other"):
        assert sorted(path.name for path in Path(folder).iterdir()) == names


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["00001.png"], "00001.png is a single image, and this network restores video"),
        (["notes.txt"], "notes.txt is not known as an image or a video"),
        (["empty.mp4"], "cannot read empty.mp4: the file is empty"),
        (["gap"], "gap: 1 frame missing between 00001.png and 00004.png: 2"),
        (["none"], "no image and no video in the folder none"),
        (["notes.txt", "empty.mp4"], "2 inputs cannot be restored:\n  notes.txt is not known"),
        (["clip", "--frames"], "--frames writes the frames of videos, and no input is one"),
        (["clip", "in/clip"], "clip/00001.png and in/clip/00001.png would both be written to"),
        (["clip", "--out", "clip"], "clip/00001.png is an input, and inputs are never overwritten"),
    ],
)
def test_what_cannot_be_restored_is_one_message(
    call: Call, network: Any, arguments: list[str], message: str
) -> None:
    network(3)
    for folder, count in (("clip", 3), ("in/clip", 3), ("gap", 4), (".", 1)):
        put_frames(Path(folder), count)
    Path("gap/00002.png").unlink()
    Path("none").mkdir()
    Path("notes.txt").touch()
    Path("empty.mp4").touch()
    done = call("restore", "--out", "out", *arguments)
    assert (done.status, done.out) == (2, "")
    assert f"error: {message}" in done.err
    assert not Path("out").exists()


# -- a real network --------------------------------------------------------------------------


@pytest.fixture
def random_run(run_folder: RunFolder) -> RunFolder:
    """A run whose derived network, the paper's at width 2, has random weights."""
    write_recipe(run_folder, prepare("rdmc-quick", overrides_of((), SMALL)), {})
    shutil.copy(find("rdmc-paper", "genotype"), run_folder.genotype)
    opened = open_recipe(run_folder)
    content = {
        "network": plain_network(opened.derived).state_dict(),
        "extra": {"decisions": decisions_of(opened)},
    }
    save_checkpoint(run_folder.path / "checkpoints" / "derive", content, step=0, kind="derive")
    return run_folder


def test_a_run_restores_a_video(call: Call, random_run: RunFolder) -> None:
    make_video(Path("a.mp4"), range(4))
    done = call("restore", "a.mp4", "--out", "out", "--tile", "32")
    assert (done.status, done.out) == (0, "out/a.mp4\n")
    assert len(list(open_video("out/a.mp4"))) == 4


@pytest.mark.shared
def test_real_rainy_frames_as_images_and_as_a_video(
    call: Call, random_run: RunFolder, shared_data: Path
) -> None:
    from nasrestore.data.video_writer import VideoWriter

    frames = sorted((shared_data / "ntu" / "a1_Rain").iterdir())[:3]
    pixels = [read_image(frame).pixels for frame in frames]
    with VideoWriter("rainy.mp4", pixels[0].shape[:2], Fraction(25)) as writer:
        for frame in pixels:
            writer.write(frame)
    assert call("restore", *frames, "rainy.mp4", "--out", "out").status == 0
    seen = [frame.pixels for frame in open_video("out/rainy.mp4")]
    assert len(seen) == 3
    for frame, file in zip(seen, frames, strict=True):
        restored = read_image(Path("out") / file.name).pixels
        assert restored.shape == frame.shape
        difference = restored.astype(int) - frame
        assert np.abs(difference).mean() < 10  # the video was encoded twice, the image once
