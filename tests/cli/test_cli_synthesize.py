"""Rainy pairs and clips through the command line, and readers that take them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_calls import Call
from made_videos import cut_file, frame_pixels, make_video

from nasrestore.data.auxiliary_rain import AuxiliaryRain, add_auxiliary_rain
from nasrestore.data.camera import moved
from nasrestore.data.frames import open_frames
from nasrestore.data.images import read_image, write_image
from nasrestore.data.layouts import open_pairs
from nasrestore.data.pairs import load_pair
from nasrestore.data.rain import PRESETS, RainModel, add_rain
from nasrestore.data.rain_clip import RainClip


def put_photos(folder: Path, names: tuple[str, ...], dtype: type = np.uint8) -> list[np.ndarray]:
    generator = np.random.default_rng(3)
    top = np.iinfo(dtype).max
    photos = [generator.integers(0, top, (48, 64, 3), dtype) for _ in names]
    for name, pixels in zip(names, photos, strict=True):
        write_image(folder / name, pixels)
    return photos


def rainy(path: str) -> np.ndarray:
    return read_image(path).pixels


def test_pairs_are_read_by_the_readers_of_the_project(call: Call) -> None:
    photos = put_photos(Path("in"), ("a.png", "b/c.tif"))
    done = call("synthesize", "in", "--out", "out", "--preset", "heavy", "--json")
    assert done.status == 0
    assert done.json == {"out": "out", "pairs": 2, "clips": [], "frames": 0}
    pairs = open_pairs(Path("out")).pairs
    assert [pair.clean.name for pair in pairs] == ["a.png", "b-c.png"]
    for pair, photo in zip(pairs, photos, strict=True):
        wet, clean = load_pair(pair)
        np.testing.assert_array_equal(clean, photo)
        assert wet is not None and (wet >= clean).all() and (wet > clean).mean() > 0.1


def test_a_pair_is_a_function_of_seed_and_name(call: Call) -> None:
    put_photos(Path("in"), ("a.png", "b.png"))
    for out, inputs, seed in (("x", ["in"], 1), ("y", ["in/b.png"], 1), ("z", ["in"], 2)):
        assert call("synthesize", *inputs, "--out", out, "--seed", seed).status == 0
    np.testing.assert_array_equal(rainy("x/rain/b.png"), rainy("y/rain/b.png"))
    assert (rainy("x/rain/b.png") != rainy("z/rain/b.png")).any()
    np.testing.assert_array_equal(rainy("x/norain/b.png"), rainy("z/norain/b.png"))


def test_options_reach_the_model_and_the_record(call: Call) -> None:
    (photo,) = put_photos(Path("in"), ("a.png",), np.uint16)
    arguments = ("--density", 0.4, "--direction", "-12:-4", "--length", "9:20", "--blur", 0.5)
    arguments += (
        "--accumulation",
        0.2,
        "--intensity",
        0.5,
        "--model",
        "auxiliary",
        "--width",
        "1.5:3",
    )
    assert call("synthesize", "in", "--out", "out", *arguments).status == 0
    (record,) = json.loads(Path("out/synthesis.json").read_text())["calls"]
    assert (record["model"], record["seed"], record["sources"]) == (
        "auxiliary", 0, {"a": "in/a.png"},
    )  # fmt: skip
    model = RainModel(**{name: _tuples(value) for name, value in record["rain"].items()})
    assert model.angle == (-12, -4) and model.density == (0.4, 0.4) and model.length == (9, 20)
    assert model.width == (1.5, 3) and model.spread == PRESETS["mixed"].spread
    found = rainy("out/rain/a.png")
    assert found.dtype == np.uint16
    from nasrestore.api.synthesize import _words

    generator = np.random.default_rng([0, *_words("a")])
    unit = photo.astype(np.float32) / np.float32(65535)
    expected = add_auxiliary_rain(unit, model, AuxiliaryRain(), generator)
    np.testing.assert_allclose(found, expected * 65535, atol=0.51)
    assert (add_rain(unit, model, np.random.default_rng(0)) * 65535 != found).any()


def _tuples(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def test_folders_of_frames_become_clips(call: Call) -> None:
    frames = {name: put_photos(Path(f"in/{name}"), ("7.png", "8.png", "9.png")) for name in "ab"}
    done = call("synthesize", "in", "--sequences", "--out", "out", "--preset", "medium")
    assert (done.status, done.out) == (0, "clips: 2 of 6 frames in out/rain and out/norain\n")
    from nasrestore.api.synthesize import _words

    for name, clean in frames.items():
        rain = RainClip(48, 64, PRESETS["medium"], [0, *_words(name)])
        made = open_frames(f"out/rain/{name}")
        assert [file.name for file in made.files] == ["00001.png", "00002.png", "00003.png"]
        for time, (wet, dry) in enumerate(zip(made, clean, strict=True)):
            expected = rain.over(dry / np.float32(255), time) * 255
            np.testing.assert_allclose(wet.pixels, expected, atol=0.51)
            np.testing.assert_array_equal(rainy(f"out/norain/{name}/{time + 1:05d}.png"), dry)


def test_a_video_becomes_a_clip_at_its_times(call: Call) -> None:
    make_video(Path("film.mkv"), [0, 1, 2, 5])
    assert call("synthesize", "film.mkv", "--out", "out", "--density", 0).status == 0
    clean = [frame.pixels for frame in open_frames("out/norain/film")]
    assert len(clean) == len(open_frames("out/rain/film")) == 4
    for number, pixels in enumerate(clean):
        assert np.abs(pixels.astype(int) - frame_pixels(number)).mean() < 3
        np.testing.assert_array_equal(rainy(f"out/rain/film/{number + 1:05d}.png"), pixels)


def test_photographs_become_clips_under_a_moving_camera(call: Call) -> None:
    (photo,) = put_photos(Path("in"), ("a.png",))
    arguments = ("--clips", 5, "--size", "24x32", "--density", 0)
    assert call("synthesize", "in", "--out", "out", *arguments).status == 0
    from nasrestore.api.synthesize import _words

    expected = list(moved(photo, 5, [0, *_words("a")], (24, 32)))
    found = [frame.pixels for frame in open_frames("out/norain/a")]
    np.testing.assert_array_equal(found, expected)
    assert call("synthesize", "in", "--out", "other", "--clips", 2).status == 0
    assert open_frames("other/rain/a").size == (36, 48)


def test_results_are_replaced_when_asked_and_inputs_never(call: Call) -> None:
    put_photos(Path("in"), ("1.png", "2.png", "3.png"))
    assert call("synthesize", "in", "--sequences", "--out", "out").status == 0
    Path("in/3.png").unlink()
    done = call("synthesize", "in", "--sequences", "--out", "out")
    assert done.status == 2 and "out holds results already: in\n" in done.err
    assert call("synthesize", "in", "--sequences", "--out", "out", "--overwrite").status == 0
    assert len(open_frames("out/rain/in")) == len(open_frames("out/norain/in")) == 2
    done = call("synthesize", "out/norain", "--out", "out", "--overwrite")
    assert done.status == 2 and "inputs are never overwritten" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none"], "no such file or folder: none"),
        (["empty"], "no image and no video in the folder empty"),
        (["notes.txt"], "notes.txt is not known as an image or a video"),
        (["in", "--preset", "hevy"], "unknown rain 'hevy'"),
        (["in", "--density", "wet"], "--density: expected a number, or low:high, got 'wet'"),
        (["in", "--direction", "120"], "rain direction 120: expected"),
        (["in", "--width", "60"], "rain width 60: expected"),
        (["in", "--blur", "3:1"], "rain blur 3 to 1: expected"),
        (["in", "--model", "eq1"], "--model: expected additive or auxiliary, got 'eq1'"),
        (["in", "in/1.png"], "would both be called '1'"),
        (["in", "--size", "8x8"], "--size belongs to --clips"),
        (["in", "--pan", "5"], "--pan belongs to --clips"),
        (["in", "--pan", "fast"], "--pan: expected a number from 0 to 100, got 'fast'"),
        (["in", "--sequences", "--clips", "3"], "--clips moves a camera over photographs"),
        (["in/1.png", "--sequences"], "in/1.png is no folder of frames"),
        (["in", "--clips", "3", "--size", "80x80"], "in/1.png: a photograph of 64x48 shows no"),
        (["gap", "--sequences"], "1 frame missing"),
        (["broken.mp4"], "cannot read broken.mp4"),
    ],
)
def test_what_cannot_be_made_is_one_message(call: Call, arguments: list[str], message: str) -> None:
    put_photos(Path("in"), ("1.png",))
    put_photos(Path("gap"), ("1.png", "2.png", "4.png"))
    Path("empty").mkdir()
    Path("notes.txt").touch()
    Path("broken.mp4").write_bytes(b"no video")
    done = call("synthesize", *arguments, "--out", "out")
    assert (done.status, done.out) == (2, "")
    assert message in done.err and not Path("out").exists()


def test_a_video_that_stops_half_way_leaves_what_it_had(call: Call) -> None:
    cut = cut_file(make_video(Path("a.mkv"), range(40)), 0.5)
    done = call("synthesize", cut, "--out", "out")
    assert done.status == 2 and "stops decoding after frame" in done.err
    frames = int(done.err.split("after frame ")[1].split()[0])
    assert len(open_frames("out/rain/a-cut")) == len(open_frames("out/norain/a-cut")) == frames
