"""A test folder with cropped JPEG copies of training images: refused, named, or accepted aloud."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from command_calls import Call

from nasrestore.data.images import write_image
from nasrestore.report import plots

RECIPE = """
format: 1
extends: rdmc-quick
recipe: tiny
precision: fp32
threads: 1
data: {rainy: mine/rain, clean: mine/norain, test_rainy: theirs/rain, test_clean: theirs/norain,
       patch: 16, batch: 2}
search: {steps: 2, budget: null, levels: [{name: architecture, start: 0}]}
train: {steps: 2, budget: null}
"""
COPIED = (1, 4)
NARROW = ("--set", "space.width=2")
ACCEPTED = ("--set", "data.overlap=accepted")


def scene(seed: int) -> np.ndarray:
    """80 x 96, with more in the large than in the small, as photographs are."""
    generator = np.random.default_rng(seed)
    total = np.full((80, 96, 3), 128.0)
    for cells, contrast in ((3, 45), (6, 25), (12, 15), (24, 8)):
        drawn = generator.uniform(-1, 1, (cells, cells)).astype(np.float32)
        octave = PIL.Image.fromarray(drawn).resize((96, 80), PIL.Image.Resampling.BICUBIC)
        total += contrast * np.asarray(octave)[..., None]
    return total.clip(0, 255).astype(np.uint8)


def write_pair(folder: Path, name: str, clean: np.ndarray) -> None:
    """Saved with loss where the name says so."""
    for kind, pixels in (("norain", clean), ("rain", clean // 2 + 60)):
        place = folder / kind
        place.mkdir(parents=True, exist_ok=True)
        if name.endswith(".jpg"):
            PIL.Image.fromarray(pixels).save(place / name, quality=60)
        else:
            write_image(place / name, pixels)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight training scenes; of three test scenes two are crops of them under other names."""
    folder = tmp_path_factory.mktemp("place")
    for number in range(8):
        write_pair(folder / "mine", f"{number}.png", scene(number))
    for name, number in zip("ab", COPIED, strict=True):
        write_pair(folder / "theirs", f"{name}.jpg", scene(number)[6:-8, 9:-11])
    write_pair(folder / "theirs", "c.jpg", scene(99))
    (folder / "tiny.yaml").write_text(RECIPE)
    return folder


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "DPI", 30)


def names_both(text: str) -> bool:
    said = " ".join(text.split())
    shown = [f"mine/norain/{number} in" in said for number in COPIED]
    shown += [
        f"shows the scene of theirs/norain/{name} in test (correlation 0.9" in said for name in "ab"
    ]
    return all(shown) and "norain/c" not in said


def test_a_search_is_refused(call: Call, here: Path, place: Path) -> None:
    done = call("search", place / "tiny.yaml", *NARROW, "--out", here / "run")
    assert done.status == 3 and names_both(done.err)
    assert "test images (data.test_clean: " in done.err and "theirs/norain) show scenes" in done.err
    assert "hint: leave these images out" in done.err and "data.overlap=accepted" in done.err
    assert "Traceback" not in done.err and not (here / "run").exists()


def test_training_a_given_architecture_is_refused(call: Call, here: Path, place: Path) -> None:
    given = ("--recipe", place / "tiny.yaml", *NARROW, "--genotype", "rdmc-paper")
    done = call("train", *given, "--out", here / "run")
    assert done.status == 3 and names_both(done.err) and not (here / "run").exists()


def test_the_doctor_names_them(call: Call, place: Path) -> None:
    done = call("doctor", place / "tiny.yaml", *NARROW)
    assert done.status == 3 and names_both(done.out) and "leak: " in done.out
    kinds = {
        f["kind"] for f in call("doctor", place / "tiny.yaml", *NARROW, "--json").json["findings"]
    }
    assert "hard" in kinds


def test_the_doctor_names_them_in_a_run_searched_before(
    call: Call, place: Path, tmp_path: Path
) -> None:
    """The test folder was filled after the search."""
    shutil.copytree(place, tmp_path / "work")
    work = tmp_path / "work"
    for file in [*work.glob("theirs/*/a.jpg"), *work.glob("theirs/*/b.jpg")]:
        file.unlink()
    assert call("search", work / "tiny.yaml", *NARROW, "--out", work / "run").status == 0
    assert call("doctor", work / "run").status == 0
    shutil.copytree(place / "theirs", work / "theirs", dirs_exist_ok=True)
    done = call("doctor", work / "run")
    assert done.status == 3 and names_both(done.out)


def test_accepted_it_goes_on_and_every_figure_says_so(
    call: Call, place: Path, tmp_path: Path
) -> None:
    done = call("search", place / "tiny.yaml", *NARROW, *ACCEPTED, "--out", tmp_path / "run")
    assert done.status == 0 and "data.overlap is accepted" in done.out + done.err
    assert call("derive", tmp_path / "run").status == 0
    measured = call("evaluate", tmp_path / "run")
    assert measured.status == 0 and "overlap: accepted" in measured.out
    rows = json.loads((tmp_path / "run" / "result.json").read_text())["evaluations"]
    assert rows and all(row["overlap"] == "accepted" for row in rows)
    assert "overlap: accepted" in (tmp_path / "run" / "report.html").read_text()
    given = ("--rainy", place / "theirs" / "rain", "--clean", place / "theirs" / "norain")
    assert (
        "overlap" not in call("evaluate", tmp_path / "run", *given, "--json").json["evaluations"][0]
    )
    looked = call("doctor", tmp_path / "run", "--json")
    (leak,) = [f for f in looked.json["findings"] if f["check"] == "leak" and f["kind"] != "ok"][:1]
    assert looked.status == 0 and leak["kind"] == "soft" and "say so" in leak["advice"]


def test_accepted_even_by_name(call: Call, place: Path, tmp_path: Path) -> None:
    """The monitor of batches does not take a scene of both for one of the test's."""
    same = ("--set", f"data.test_rainy={place / 'mine' / 'rain'}")
    same += ("--set", f"data.test_clean={place / 'mine' / 'norain'}")
    refused = call("search", place / "tiny.yaml", *NARROW, *same, "--out", tmp_path / "no")
    assert refused.status == 3 and "is in train and in test" in refused.err
    done = call("search", place / "tiny.yaml", *NARROW, *same, *ACCEPTED, "--out", tmp_path / "run")
    assert done.status == 0
    assert call("doctor", tmp_path / "run").status == 0
    assert call("doctor", tmp_path / "run", "--no-data").status == 0


def test_a_word_that_is_neither(call: Call, place: Path) -> None:
    done = call("check", place / "tiny.yaml", *NARROW, "--set", "data.overlap=yes")
    assert done.status == 2
    assert call("search", place / "tiny.yaml", *NARROW, "--set", "data.overlap=allowed").status == 2
