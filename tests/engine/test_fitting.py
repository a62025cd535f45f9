"""The memory setting of a search is the first that fits, and nothing moves in finding it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from nasrestore.engine import fitting, phase
from nasrestore.errors import RunStopped
from nasrestore.graph.compile import compile_space
from nasrestore.network.build import build
from nasrestore.registry import operation
from nasrestore.runtime import memory
from nasrestore.runtime.memory import Kept
from nasrestore.runtime.runlog import RunLog
from nasrestore.search.loop import Loop
from nasrestore.search.schedule import Plan, Replanner
from nasrestore.spec.space import parse_space

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "network"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "search"))
from test_law import CHAIN
from test_level import level


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    network = build(compile_space(parse_space(CHAIN)), operation.factories(), spread=0.5)
    levels = [level(network, "weights", first=True), level(network, "architecture", first=False)]
    with RunLog(tmp_path / "log.jsonl") as log:
        replanner = Replanner(Plan(3), None)
        yield Loop("search", network, levels, replanner, log, tmp_path / "checkpoints")


def kept(loop: Loop, setting: str) -> int:
    """The most that a step keeps."""
    network: Any = loop.network
    network.memory = setting
    with Kept([*network.parameters(), *network.buffers()]) as count:
        for one in loop.levels:
            one.step(0.0)
    network.memory = "plain"
    return count.peak


@pytest.mark.parametrize("expected", ["plain", "operation", "mixture", None])
def test_auto_takes_the_first_that_fits_on_a_cpu(
    loop: Loop, monkeypatch: pytest.MonkeyPatch, expected: str | None
) -> None:
    sizes = [kept(loop, setting) for setting in ("plain", "operation", "mixture")]
    assert sizes == sorted(sizes, reverse=True)
    names = ["plain", "operation", "mixture", None]
    room = ([*sizes, 0][names.index(expected)] + 1) / fitting.SHARE
    monkeypatch.setattr(fitting, "free_bytes", lambda device: room)
    before = {name: value.clone() for name, value in loop.network.state_dict().items()}
    random, place = torch.get_rng_state(), loop.levels[0].batches.state_dict()["generator"]
    if expected is None:
        with pytest.raises(RunStopped, match="memory: mixture is the last setting"):
            phase.measure(loop, "fp32", 1, "auto")
        return
    phase.measure(loop, "fp32", 1, "auto")
    assert loop.network.memory == expected
    after = loop.network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.equal(loop.levels[0].batches.state_dict()["generator"], place)


def test_a_named_setting_is_not_measured(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "free_bytes", lambda device: 1)
    assert fitting.fit_memory(loop, "operation", lambda: None) == "operation"


def test_where_the_system_does_not_tell_everything_is_kept(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "free_bytes", lambda device: None)
    assert fitting.fit_memory(loop, "auto", lambda: None) == "plain"


@pytest.mark.parametrize(
    ("peaks", "expected"),
    [((80, 50, 20), "plain"), ((90, 84, 20), "operation"), ((90, 86, 99), "mixture")],
)
def test_auto_goes_by_the_peak_on_a_gpu(
    loop: Loop, monkeypatch: pytest.MonkeyPatch, peaks: tuple[int, ...], expected: str
) -> None:
    """Of 100 bytes that are free 85 may be used; the last setting is taken as it runs."""
    by_setting = dict(zip(("plain", "operation", "mixture"), peaks, strict=True))
    monkeypatch.setattr(fitting, "free_bytes", lambda device: 100)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 7)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: None)
    monkeypatch.setattr(
        torch.cuda, "max_memory_allocated", lambda device: 7 + by_setting[loop.step_down.setting]
    )
    monkeypatch.setattr(fitting, "_take_steps", lambda loop, times: None)
    fitting._fit_peak(loop, torch.device("cuda"), lambda: None)
    assert loop.network.memory == expected


def test_a_peak_in_which_memory_ran_out_is_measured_again(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    peaks = iter([99, 80])
    monkeypatch.setattr(fitting, "free_bytes", lambda device: 100)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 0)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: None)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: next(peaks))

    def steps(loop: Loop, times: int) -> None:
        if loop.network.memory == "plain":
            loop.step_down.less("CUDA out of memory")

    monkeypatch.setattr(fitting, "_take_steps", steps)
    fitting._fit_peak(loop, torch.device("cuda"), lambda: None)
    assert loop.network.memory == "operation"


def test_more_may_fit_in_half_the_bytes(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where bf16 turns out faster, the setting is looked for again."""
    tried = []

    def fit(loop: Any, wanted: str, undo: Any) -> str:
        bf16 = loop.levels[0].objective.bf16
        tried.append(bf16)
        loop.network.memory = "plain" if bf16 else "mixture"
        return str(loop.network.memory)

    def pace(_: Loop, __: object, precision: str, threads: int, ___: object) -> phase.Pace:
        return phase.Pace(precision, threads, 1.0 if precision == "fp32" else 0.5)

    monkeypatch.setattr(phase, "fit_memory", fit)
    monkeypatch.setattr(phase, "_pace", pace)
    assert phase.measure(loop, "auto", 1, "auto").precision == "bf16"
    assert tried == [False, True]
    assert loop.network.memory == "plain"


def test_what_is_kept_counts_each_storage_once_as_long_as_it_is_there() -> None:
    x = torch.rand(10, 10, requires_grad=True)
    with Kept([x]) as count:
        squares = x * x  # keeps its operands, which are there anyway
        assert count.now == 0
        first, second = squares.exp(), squares.view(5, 20).exp()
        total = (first.view(5, 20) * second).sum()  # keeps what both keep already
        assert count.now == 2 * x.nbytes
    total.backward()
    assert (count.now, count.peak) == (0, 2 * x.nbytes)
    with Kept(limit=3 * x.nbytes) as count, pytest.raises(memory.TooMuchKept, match="GiB kept"):
        y = x
        for _ in range(9):
            y = y.exp()
    assert count.peak == 4 * x.nbytes
    del y
    assert count.now == 0


def test_free_memory_heeds_a_containers_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    monkeypatch.setattr(memory, "_available", lambda: 500)
    cpu = torch.device("cpu")
    assert memory.free_bytes(cpu) == 500
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("100\n")
    (tmp_path / "memory.stat").write_text("anon 60\ninactive_file 30\n")
    assert memory.free_bytes(cpu) == 500
    (tmp_path / "memory.max").write_text("400\n")
    assert memory.free_bytes(cpu) == 330
