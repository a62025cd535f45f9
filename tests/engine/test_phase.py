"""Measuring a phase leaves no trace; statistics are averages."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from nasrestore.engine import phase
from nasrestore.engine.statistics import estimate_statistics
from nasrestore.runtime.runlog import RunLog
from nasrestore.search.loop import Loop
from nasrestore.search.schedule import Plan, Replanner

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "search"))
from test_level import level, supernet


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    network = supernet()
    levels = [level(network, "weights", first=True), level(network, "architecture", first=False)]
    with RunLog(tmp_path / "log.jsonl") as log:
        replanner = Replanner(Plan(3), None)
        yield Loop("search", network, levels, replanner, log, tmp_path / "checkpoints")


def test_measuring_takes_real_steps_and_undoes_them(loop: Loop) -> None:
    before = {name: value.clone() for name, value in loop.network.state_dict().items()}
    drawn = loop.levels[0].batches.state_dict()["generator"].clone()
    random = torch.get_rng_state()
    found = phase.measure(loop, "auto")
    assert found.seconds > 0 and found.precision in ("fp32", "bf16")
    after = loop.network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert torch.equal(loop.levels[0].batches.state_dict()["generator"], drawn)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(not one.optimizer.state for one in loop.levels)
    assert all(one.objective.bf16 == (found.precision == "bf16") for one in loop.levels)


@pytest.mark.parametrize(
    ("paces", "expected"),
    [
        ({("fp32", 4): 1.0, ("fp32", 1): 2.0, ("bf16", 4): 0.5}, ("bf16", 4)),
        ({("fp32", 4): 1.0, ("fp32", 1): 0.5, ("bf16", 1): 0.49}, ("fp32", 1)),
        ({("fp32", 4): 1.0, ("fp32", 1): 0.95, ("bf16", 4): 0.95}, ("fp32", 4)),
    ],
)
def test_a_setting_is_taken_where_it_gains_a_tenth(
    loop: Loop,
    monkeypatch: pytest.MonkeyPatch,
    paces: dict[tuple[str, int], float],
    expected: tuple[str, int],
) -> None:
    def pace(_: Loop, __: object, precision: str, threads: int, ___: object) -> phase.Pace:
        return phase.Pace(precision, threads, paces[precision, threads])

    monkeypatch.setattr(phase, "_pace", pace)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(torch, "set_num_threads", lambda n: None)
    found = phase.measure(loop, "auto")
    assert (found.precision, found.threads) == expected


def test_a_budget_shortens_the_plan() -> None:
    assert phase.plan(100, 2.0, None).total == 100
    assert phase.plan(100, 2.0, 50.0).total == 25
    assert phase.plan(100, 2.0, 0.1).total == 1


@dataclass
class Images:
    degraded: Tensor
    clean: Tensor


def test_statistics_are_the_plain_average_over_the_batches() -> None:
    norm = nn.BatchNorm2d(3).double().eval()
    batches = [torch.randn(2, 3, 4, 4, dtype=torch.float64) * k + k for k in (1, 2, 3)]
    estimate_statistics(norm, (Images(batch, batch) for batch in batches), count=3)
    mean = torch.stack([batch.mean((0, 2, 3)) for batch in batches]).mean(0)
    variance = torch.stack([batch.var((0, 2, 3)) for batch in batches]).mean(0)
    torch.testing.assert_close(norm.running_mean, mean)
    torch.testing.assert_close(norm.running_var, variance)
    assert norm.momentum == 0.1 and not norm.training
