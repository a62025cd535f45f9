"""Turns, checkpoints, resumption, interruption."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_level import level, supernet

from nasrestore.errors import RunStopped
from nasrestore.runtime.runlog import RunLog, read_log
from nasrestore.search.hypergradient.first_order import FirstOrder
from nasrestore.search.hypergradient.problem import Gradient, LevelProblem, Parameters
from nasrestore.search.loop import Interrupted, Loop, Silent, TurnReport
from nasrestore.search.schedule import Plan, Replanner


class Seen(Silent):
    def __init__(self) -> None:
        self.reports: list[TurnReport] = []

    def turn(self, report: TurnReport) -> None:
        self.reports.append(report)


@pytest.fixture(autouse=True)
def _closed_logs() -> Iterator[None]:
    yield
    while LOGS:
        LOGS.pop().close()


LOGS: list[RunLog] = []


def loop(folder: Path, turns: int, *, start: float = 0.0, steps: int = 1) -> Loop:
    torch.manual_seed(3)
    network = supernet()
    levels = [
        level(network, "weights", first=True, steps=steps),
        level(network, "architecture", first=False, rate=0.1, start=start),
    ]
    log = RunLog(folder / "log.jsonl")
    LOGS.append(log)
    replanner = Replanner(Plan(turns), None)
    return Loop("search", network, levels, replanner, log, folder / "checkpoints", Seen())


def losses(folder: Path) -> list[tuple[int, str, float]]:
    lines = [line for line in read_log(folder / "log.jsonl") if "event" not in line]
    return [(line["step"], line["level"], line["terms"]["total"]) for line in lines]


def test_a_level_stands_by_before_its_start_and_after_its_end(tmp_path: Path) -> None:
    one = loop(tmp_path, 8, start=0.75)
    one.levels[0].end = 0.5
    one.run()
    assert [(step, name) for step, name, _ in losses(tmp_path)] == [
        *((turn, "weights") for turn in range(4)),
        *((turn, "architecture") for turn in (6, 7)),
    ]
    assert [level.share for level in one.levels] == [0.5, 0.25]


def test_a_turn_is_every_level_innermost_first(tmp_path: Path) -> None:
    one = loop(tmp_path, 2, steps=2)
    one.run()
    assert [(step, name) for step, name, _ in losses(tmp_path)] == [
        (turn, name) for turn in (0, 1) for name in ("weights", "weights", "architecture")
    ]


def test_a_level_waits_for_its_start(tmp_path: Path) -> None:
    one = loop(tmp_path, 4, start=0.5)
    one.run()
    assert [step for step, name, _ in losses(tmp_path) if name == "architecture"] == [2, 3]


def test_a_resumed_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    whole = loop(tmp_path / "whole", 6)
    whole.run()
    part = loop(tmp_path / "part", 6)
    part.should_stop = lambda: part.turn == 3
    with pytest.raises(Interrupted):
        part.run()
    part.log.step(3, "weights", {"total": 9.9}, phase="search")  # a turn that was not saved
    part.log.close()
    again = loop(tmp_path / "part", 6)
    torch.manual_seed(999)
    assert again.resume()
    again.run()
    assert losses(tmp_path / "part") == losses(tmp_path / "whole")
    ours, theirs = again.network.state_dict(), whole.network.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


class Unsolved(FirstOrder):
    """Solvers that never converge."""

    def __call__(
        self, level: LevelProblem, below: Sequence[LevelProblem], parameters: Parameters
    ) -> Gradient:
        found = super().__call__(level, below, parameters)
        return replace(found, unsolved="the solver left a residual of 1")


def lines_of(folder: Path) -> list[dict[str, Any]]:
    """The log but for what differs from run to run."""
    varying = ("time", "elapsed", "seconds")
    lines = read_log(folder / "log.jsonl")
    return [{k: v for k, v in line.items() if k not in varying} for line in lines]


@pytest.mark.parametrize("saved", [0, 2])
def test_the_log_of_a_killed_and_resumed_run_is_that_of_one_that_was_not(
    tmp_path: Path, saved: int
) -> None:
    """Each level says once that it is not solved, before the checkpoint or after it."""

    def made(folder: Path) -> Loop:
        one = loop(folder, 6, start=0.5)
        for each in one.levels:
            each.hypergradient = Unsolved()
        return one

    whole = made(tmp_path / "whole")
    whole.run()
    part = made(tmp_path / "part")

    class Killed(Exception):
        pass

    def kill() -> bool:
        if part.turn == saved:
            part.save()
        if part.turn == 5:
            raise Killed
        return False

    part.should_stop = kill
    if saved == 0:
        part.save()
    with pytest.raises(Killed):
        part.run()
    part.log.close()
    again = made(tmp_path / "part")
    assert again.resume()
    again.run()
    found = lines_of(tmp_path / "part")
    assert found == lines_of(tmp_path / "whole")
    assert sum(line.get("event") == "unsolved" for line in found) == 2
    assert [x["turn"] for x in found if x.get("event") == "strengths"] == [1, 2, 3, 4, 5, 6]


def test_the_observer_hears_the_leading_candidates_and_the_time_left(tmp_path: Path) -> None:
    one = loop(tmp_path, 3)
    one.run()
    assert isinstance(one.observer, Seen)
    reports = one.observer.reports
    assert [r.turn for r in reports] == [1, 2, 3]
    assert reports[-1].left == 0.0 and reports[0].left > 0
    name, strength = reports[-1].leading["skip_up"]
    assert "->" in name and 0 < strength <= 1


def test_a_loss_that_is_not_finite_names_turn_term_and_checkpoint(tmp_path: Path) -> None:
    one = loop(tmp_path, 4)
    one.save()

    def poison() -> bool:
        with torch.no_grad():
            next(iter(one.levels[0].variables.values())).fill_(math.nan)
        return False

    one.should_stop = poison
    with pytest.raises(RunStopped) as caught:
        one.run()
    message = caught.value.message
    assert "search turn 1" in message and "mse is nan" in message and "step-00000000.pt" in message
    assert caught.value.exit_status == 3
    assert any(line.get("event") == "stopped" for line in read_log(tmp_path / "log.jsonl"))
