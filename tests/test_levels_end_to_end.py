"""Searches on three levels and four from YAML alone: log, checkpoints, resumption, what training takes over."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import nasrestore as nr
from nasrestore.data.images import write_image
from nasrestore.errors import RunStopped
from nasrestore.runtime.runlog import read_log
from nasrestore.search.loop import Interrupted, Silent

TRILEVEL = """
format: 1
extends: rdmc-quick
recipe: tiny
precision: fp32
threads: 1
data: {rainy: rain, clean: norain, patch: 16, batch: 2}
hyper:
  gamma: {start: 0.5, range: [0.01, 5], transform: log}
  decay: {start: 1e-3, range: [0, 1], transform: logit, group: decay}
  strength: {start: 0.1, range: [0, 1], group: strength}
objectives:
  training: {ssim: 1, mse: $gamma, weight_decay: $decay}
search:
  steps: 3
  budget: null
  memory: plain
  levels:
    - {name: weights, objective: training, augment: {noise: $strength, degradation: 0.1}}
    - {name: architecture, start: 0, hypergradient: {name: neumann, terms: 2, rate: 1e-3}}
    - name: scalars
      variables: [hyper, decay, strength]
      objective: restoration
      data: validation
      optimizer: {name: adam, rate: 0.1}
      hypergradient: unrolled
      curvature: unrolled
train:
  steps: 2
  budget: null
  levels:
    - {name: weights, objective: training}
"""
FOURTH = """
    - name: strengths
      variables: strength
      objective: restoration
      data: validation
      hypergradient: {name: unrolled, optimizer: sgd, rate: 0.1}
      curvature: {name: unrolled, optimizer: sgd, rate: 0.1, steps: 1}
train:"""
WIDTH = {"space.width": 1, "space.stages": 1}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("levels")
    generator = np.random.default_rng(0)
    for number in range(6):
        clean = generator.integers(0, 255, (24, 24, 3)).astype(np.uint8)
        streaks = (generator.random((24, 24, 1)) > 0.9) * 80
        write_image(folder / "norain" / f"{number}.png", clean)
        rainy = (clean.astype(int) + streaks).clip(0, 255).astype(np.uint8)
        write_image(folder / "rain" / f"{number}.png", rainy)
    (folder / "three.yaml").write_text(TRILEVEL)
    four = TRILEVEL.replace("[hyper, decay, strength]", "[hyper, decay]").replace(
        "\ntrain:", FOURTH
    )
    (folder / "four.yaml").write_text(four)
    return folder


@pytest.fixture(scope="module")
def run(place: Path) -> Path:
    out = place / "three"
    nr.search(place / "three.yaml", WIDTH, out=out)
    nr.derive(out)
    nr.train(out)
    return out


def steps(run: Path, level: str, phase: str = "search") -> list[dict]:
    lines = read_log(run / "log.jsonl")
    return [x for x in lines if x.get("level") == level and x.get("phase") == phase]


def test_what_each_level_did_is_in_the_log(run: Path) -> None:
    for level in ("weights", "architecture", "scalars"):
        found = steps(run, level)
        assert len(found) == 3
        assert all(x["seconds"] > 0 and np.isfinite(x["gradient_norm"]) for x in found)
    assert all("residual" in x for x in steps(run, "architecture"))
    assert all("hypergradient_norm" in x for x in steps(run, "scalars"))
    values = [x["hyper"] for x in steps(run, "scalars")]
    assert all(0.01 <= x["gamma"] <= 5 and 0 < x["decay"] < 1 for x in values)
    for name in ("gamma", "decay", "strength"):
        assert len({x[name] for x in values}) == 3  # it moves at every step


def test_training_takes_the_searched_values_over(run: Path) -> None:
    result = json.loads((run / "result.json").read_text())
    last = steps(run, "scalars")[-1]["hyper"]
    assert result["search"]["hyper"] == pytest.approx(last)
    assert result["train"]["hyper"] == pytest.approx(last)
    assert last["gamma"] != pytest.approx(0.5)


def test_an_interrupted_search_goes_on_bit_for_bit(place: Path, run: Path, tmp_path: Path) -> None:
    class Stop(Silent):
        turns = 0

        def turn(self, report: object) -> None:
            self.turns += 1

    observer = Stop()
    out = tmp_path / "part"
    with pytest.raises(Interrupted):
        nr.search(
            place / "three.yaml", WIDTH, out=out, observer=observer,
            should_stop=lambda: observer.turns >= 1,
        )  # fmt: skip
    nr.search(place / "three.yaml", out=out, resume=True)
    for level in ("weights", "architecture", "scalars"):
        whole, parts = steps(run, level), steps(out, level)
        for key in ("terms", "gradient_norm", "hyper"):
            assert [x.get(key) for x in whole] == [x.get(key) for x in parts]


def test_a_chain_of_four_is_a_longer_list(place: Path, tmp_path: Path) -> None:
    nr.search(place / "four.yaml", {**WIDTH, "search.steps": 1}, out=tmp_path / "four")
    found = steps(tmp_path / "four", "strengths")
    assert len(found) == 1 and found[0]["gradient_norm"] > 0


def test_a_solver_that_must_converge_stops_the_search(place: Path, tmp_path: Path) -> None:
    solver = {"name": "conjugate_gradient", "steps": 1, "unsolved": "stop"}
    settings = {**WIDTH, "search.levels[1].hypergradient": solver}
    with pytest.raises(RunStopped, match="level 'architecture': the solver left a residual of"):
        nr.search(place / "three.yaml", settings, out=tmp_path / "stopped")


def test_a_response_that_must_come_out_stops_the_search(place: Path, tmp_path: Path) -> None:
    curvature = {"name": "resolved", "steps": 2, "unsolved": "stop"}
    settings = {**WIDTH, "search.levels[2].curvature": curvature}
    message = "level 'scalars': the response of level 'weights' is solved for to a residual of"
    with pytest.raises(RunStopped, match=message):
        nr.search(place / "three.yaml", settings, out=tmp_path / "stopped")


def test_one_that_may_go_on_says_so_once(place: Path, tmp_path: Path) -> None:
    said: list[str] = []

    class Listening(Silent):
        def message(self, text: str) -> None:
            said.append(text)

    solver = {"name": "conjugate_gradient", "steps": 1}
    settings = {**WIDTH, "search.levels[1].hypergradient": solver}
    nr.search(place / "three.yaml", settings, out=tmp_path / "on", observer=Listening())
    assert sum("the solver left a residual" in text for text in said) == 1
