"""The doctor's words on runs that ended, were interrupted, stopped themselves, and on recipes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from command_calls import Call

import nasrestore as nr
from nasrestore.data.images import write_image
from nasrestore.errors import RunStopped
from nasrestore.report import plots
from nasrestore.runtime.runfolder import RunFolder
from nasrestore.runtime.runlog import read_log
from nasrestore.search.loop import Interrupted

RECIPE = """
format: 1
extends: rdmc-quick
recipe: tiny
precision: fp32
threads: 1
data: {rainy: rain, clean: norain, patch: 16, batch: 2}
search:
  steps: 4
  budget: null
  levels: [{name: architecture, start: 0}]
  health: {eigenvalue_every: 2}
train: {steps: 2, budget: null}
"""
WIDTH = {"space.width": 2}


def write_pairs(folder: Path, first: int, count: int) -> None:
    for number in range(first, first + count):
        generator = np.random.default_rng(number)
        clean = generator.integers(0, 200, (34, 36, 3), dtype=np.uint8)
        rain = (generator.random((34, 36, 1)) > 0.9) * 50
        write_image(folder / "norain" / f"{number}.png", clean)
        write_image(folder / "rain" / f"{number}.png", (clean + rain).astype(np.uint8))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe and eight pairs of made images."""
    folder = tmp_path_factory.mktemp("place")
    write_pairs(folder, 0, 8)
    (folder / "tiny.yaml").write_text(RECIPE)
    return folder


@pytest.fixture(scope="module")
def run(place: Path) -> Path:
    """A search that ended."""
    nr.search(place / "tiny.yaml", WIDTH, out=place / "run")
    return place / "run"


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    shutil.copytree(run, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "DPI", 30)


# -- runs -------------------------------------------------------------------------------------


def test_a_healthy_search_has_no_hard_finding(call: Call, run: Path) -> None:
    before = sorted(run.rglob("*"))
    done = call("doctor", run)
    assert done.status == 0
    assert "hard: nothing may be decided" not in done.out
    assert f"run: {run}; 0 hard, " in done.out
    for sentence in (
        "the search ended after 4 turns",
        "every variable of level 'architecture' received a gradient",
        "the logits of all choices are parameters of the network",
        "level 'architecture' decides by validation, level 'weights' trains on train",
        "no scene is in two splits by its name",
        "the largest eigenvalue of the validation Hessian",
        "deciding takes the objective from",
        "8 steps were watched",
    ):
        assert sentence in " ".join(done.out.split()), sentence
    assert sorted(run.rglob("*")) == before  # it writes nothing


def test_advice_stands_once_below_all_that_ask_for_it(call: Call, run: Path) -> None:
    out = " ".join(call("doctor", run, "--no-data").out.split())
    first, second = (
        out.index(f"entropy: the strengths of {name} have") for name in ("skip_up", "skip_down")
    )
    advice = "The supernet computes with all candidates and the decision with a few"
    assert out.count(advice) == 1 and first < second < out.index(advice)


def test_json(call: Call, run: Path) -> None:
    found = call("doctor", run, "--json", "--no-data").json
    assert found["run"] == str(run) and found["ok"] is True
    assert {"kind", "check", "subject", "sentence", "advice", "value"} == set(found["findings"][0])
    assert [choice["name"] for choice in found["choices"]] == ["skip_up", "skip_down"]
    first = found["choices"][0]
    assert len(first["leading"]) == 2 and 0 < first["entropy"] <= 1 and first["margin"] >= 0
    assert "gap" not in {finding["check"] for finding in found["findings"]}  # not yet derived


def test_the_newest_run_is_looked_at(call: Call, here: Path, copied: Path) -> None:
    (here / "runs").mkdir()
    shutil.move(copied, here / "runs" / "first")
    done = call("doctor", "--no-data")
    assert done.status == 0 and "run: runs/first" in done.out


def test_a_derived_run_has_its_gap_measured_already(call: Call, copied: Path) -> None:
    nr.derive(copied)
    checks = {f["check"] for f in call("doctor", copied, "--json", "--no-data").json["findings"]}
    assert "gap" in checks


def test_images_that_are_gone_are_said_to_be_so(call: Call, place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "rain", tmp_path / "rain")
    shutil.copytree(place / "norain", tmp_path / "norain")
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    nr.search(tmp_path / "tiny.yaml", WIDTH, out=tmp_path / "run")
    write_image(tmp_path / "norain" / "0.png", np.zeros((34, 36, 3), np.uint8))
    assert "their content has changed" in " ".join(call("doctor", tmp_path / "run").out.split())
    shutil.rmtree(tmp_path / "rain")
    done = call("doctor", tmp_path / "run")
    assert done.status == 0 and "the images cannot be looked at" in done.out


def test_an_interrupted_search(call: Call, place: Path, tmp_path: Path) -> None:
    asked = iter([False, True])
    with pytest.raises(Interrupted):
        nr.search(
            place / "tiny.yaml", WIDTH, out=tmp_path / "part", should_stop=lambda: next(asked)
        )
    done = call("doctor", tmp_path / "part")
    assert done.status == 0
    assert "the search was interrupted: its last checkpoint is of turn 2 of 4" in done.out
    part = tmp_path / "part"
    command = f"nasrestore search {part}/recipe.yaml --resume --out {part}"
    assert command in " ".join(done.out.split())


def test_a_search_that_became_infinite(call: Call, place: Path, tmp_path: Path) -> None:
    with pytest.raises(RunStopped):
        nr.search(
            place / "tiny.yaml",
            {**WIDTH, "search.levels[0].optimizer.rate": 1e30, "search.steps": 30},
            out=tmp_path / "bad",
        )
    done = call("doctor", tmp_path / "bad", "--json")
    assert done.status == 3 and done.json["ok"] is False
    first = done.json["findings"][0]
    assert (first["kind"], first["check"]) == ("hard", "finite")
    assert "not finite" in first["sentence"] and "learning rate" in first["advice"]


def test_a_run_without_anything_yet(call: Call, run_folder: RunFolder) -> None:
    done = call("doctor", "--no-data")
    assert done.status == 0 and "has left no checkpoint yet" in done.out


def test_a_run_that_was_only_trained(call: Call, place: Path, tmp_path: Path) -> None:
    done = call(
        *("train", "--recipe", place / "tiny.yaml", "--genotype", "rdmc-paper"),
        *("--set", "space.width=2", "--out", tmp_path / "trained"),
    )
    assert done.status == 0
    assert "it has no search to look at" in call("doctor", tmp_path / "trained").out


CARELESS = """
import nasrestore as nr
from nasrestore.search.hypergradient.problem import Gradient

@nr.hypergradient("careless", signature=nr.Signature("as the published code takes it"))
class Careless:
    def __call__(self, level, below, parameters):
        for parameter in parameters.values():
            parameter.requires_grad_(True)
        terms = level.terms(None)
        terms.total.backward()
        return Gradient(terms, {name: parameters[name].grad for name in level.variables})
"""


def test_a_search_stopped_by_a_hard_finding(call: Call, place: Path, tmp_path: Path) -> None:
    """The published code leaves the architecture step's gradients in the weights."""
    work = tmp_path / "work"
    shutil.copytree(place, work, ignore=shutil.ignore_patterns("run"))
    (work / "careless.py").write_text(CARELESS)
    (work / "careless.yaml").write_text(
        "format: 1\nextends: tiny.yaml\nrecipe: careless\nplugins: [careless.py]\n"
        "search: {levels: [{name: architecture, hypergradient: careless}]}\n"
    )
    out = tmp_path / "out"
    done = call("search", work / "careless.yaml", "--set", "space.width=2", "--out", out)
    assert done.status == 3
    assert "a step of level 'architecture' left gradients on" in done.err
    assert "step-00000000.pt" in done.err and "hint: compute gradients with" in done.err
    assert not (out / "genotype.yaml").exists()
    found = call("doctor", out, "--json", "--no-data")
    hard = [finding for finding in found.json["findings"] if finding["kind"] == "hard"]
    assert found.status == 3 and [finding["check"] for finding in hard] == ["crossing", "stopped"]
    tried = call("doctor", work / "careless.yaml", "--set", "space.width=2", "--json")
    assert tried.status == 3 and tried.json["findings"][0]["check"] == "crossing"


# -- recipes ----------------------------------------------------------------------------------


def test_a_recipe_is_tried_in_memory(call: Call, here: Path, place: Path) -> None:
    done = call("doctor", place / "tiny.yaml", "--set", "space.width=2")
    assert done.status == 0
    assert "4 turns were tried: no level wrote to another" in done.out
    assert "recipe tiny; 0 hard, 0 soft" in done.out
    assert list(here.iterdir()) == []


def test_a_recipe_without_its_images(call: Call, place: Path) -> None:
    done = call("doctor", place / "tiny.yaml", "--no-data", "--json")
    assert done.status == 0 and done.json["recipe"] == "tiny" and done.json["run"] is None
    assert [finding["check"] for finding in done.json["findings"]] == ["reading"]


def test_deciding_by_what_trains_is_soft(call: Call, place: Path) -> None:
    same = ("--set", "search.levels[1].data=train")
    done = call("doctor", place / "tiny.yaml", "--set", "space.width=2", *same, "--no-data")
    assert done.status == 0 and "what overfits looks good to it" in " ".join(done.out.split())


def test_test_images_among_those_that_decide(call: Call, place: Path, tmp_path: Path) -> None:
    """CLEARER's deraining chooses its architecture by test images."""
    write_pairs(tmp_path / "test", 3, 2)  # two scenes of the training set under a new folder
    test = ("--set", f"data.test_rainy={tmp_path / 'test' / 'rain'}")
    test += ("--set", f"data.test_clean={tmp_path / 'test' / 'norain'}")
    done = call("doctor", place / "tiny.yaml", "--set", "space.width=2", *test, "--json")
    assert done.status == 3
    hard = [finding for finding in done.json["findings"] if finding["kind"] == "hard"]
    assert {finding["check"] for finding in hard} == {"leak"}
    said = " ".join(finding["sentence"] for finding in hard)
    for number in (3, 4):
        assert re.search(
            rf"norain/{number} in (train|validation) has the same pixels as \S*/norain/{number} in test",
            said,
        )
    assert "figures on the test images would be worth nothing" in said
    assert "data.overlap=accepted" in hard[0]["advice"]


def test_a_space_with_nothing_to_decide(call: Call, place: Path) -> None:
    fixed = ("--set", "space.links.skip_up.keep=0", "--set", "space.links.skip_down.keep=0")
    done = call("doctor", place / "tiny.yaml", *fixed)
    assert done.status == 0 and "has nothing to decide: there is no search" in done.out


# -- the picture and the page -----------------------------------------------------------------


@pytest.mark.parametrize(("name", "starts"), [("h.svg", b"<?xml"), ("h.png", b"\x89PNG")])
def test_the_picture(call: Call, run: Path, tmp_path: Path, name: str, starts: bytes) -> None:
    done = call("doctor", run, "--no-data", "--picture", tmp_path / name)
    assert done.status == 0 and f"picture: {tmp_path / name}" in done.out
    first = (tmp_path / name).read_bytes()
    assert first.startswith(starts)
    call("doctor", run, "--no-data", "--picture", tmp_path / name)
    assert (tmp_path / name).read_bytes() == first


def test_the_page_of_a_run_has_the_findings(call: Call, copied: Path) -> None:
    assert call("report", copied).status == 0
    page = (copied / "report.html").read_text()
    assert "<h2>Health</h2>" in page and "received a gradient" in page


def test_a_search_ends_with_what_is_to_be_known(call: Call, place: Path, tmp_path: Path) -> None:
    done = call(
        *("search", place / "tiny.yaml", "--set", "space.width=2", "--out", tmp_path / "mine")
    )
    (line,) = [line for line in done.out.splitlines() if line.startswith("health: ")]
    assert "things to know" in line and f"nasrestore doctor {tmp_path / 'mine'} says more" in line
    events = [line.get("event") for line in read_log(tmp_path / "mine" / "log.jsonl")]
    assert events.count("eigenvalue") == 2


# -- what is given ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["runs/none"], "runs/none is not there"),
        (["nonsense"], "nonsense is not there"),
        (["none.yaml"], "none.yaml"),
        (["rdmc", "--picture", "a.svg"], "--picture draws what a search did"),
        (["rdmc", "--picture", "a.gif"], "expected a file ending in .svg or .png"),
        (["--set", "seed=1"], "--set changes a recipe"),
    ],
)
def test_wrong_arguments(call: Call, arguments: list[str], message: str) -> None:
    done = call("doctor", *arguments)
    assert done.status == 2 and message in done.err
