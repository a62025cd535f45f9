"""The curvature in the architecture: closed forms, an independent Hessian, and the early stop."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from test_level import level, supernet
from torch import Tensor
from torch.func import functional_call

from nasrestore.runtime.checkpoint import load_checkpoint
from nasrestore.runtime.runlog import RunLog, read_log
from nasrestore.search.health import eigenvalue
from nasrestore.search.health.eigenvalue import (
    EigenvalueRule,
    architecture_eigenvalue,
    judge_eigenvalues,
    largest_eigenvalue,
)
from nasrestore.search.health.monitor import HealthMonitor
from nasrestore.search.loop import Loop
from nasrestore.search.schedule import Plan, Replanner


@pytest.mark.parametrize(
    ("values", "largest"),
    [
        ([3.0, 1.0, 0.5], 3.0),
        ([-3.0, 1.0, 0.5], 1.0),
        ([-3.0, -1.0, -2.0], -1.0),
        ([0.0, 0.0], 0.0),
    ],
)
def test_the_largest_not_the_largest_in_size(values: list[float], largest: float) -> None:
    turn, _ = torch.linalg.qr(torch.randn(len(values), len(values), dtype=torch.float64))
    matrix = turn @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ turn.T
    start = torch.randn(len(values), dtype=torch.float64)
    found = largest_eigenvalue(lambda v: matrix @ v, start, most=200, tolerance=1e-9)
    assert found == pytest.approx(largest, abs=1e-6)


def test_against_the_whole_hessian_of_a_supernet() -> None:
    network = supernet().double()
    one = level(network, "architecture", first=False)
    for logits in one.variables.values():
        logits.data.normal_(std=0.5)

    class Doubled(type(one.batches)):  # type: ignore[misc]
        def __next__(self):  # type: ignore[no-untyped-def]
            batch = super().__next__()
            batch.degraded, batch.clean = batch.degraded.double(), batch.clean.double()
            return batch

    one.batches = Doubled(1)
    found = architecture_eigenvalue(one, 0.5)
    batch = next(Doubled(1))
    names = list(one.variables)
    sizes = [one.variables[name].numel() for name in names]
    rest = {n: p.detach() for n, p in network.named_parameters()}
    buffers = {n: b.clone() for n, b in network.named_buffers()}

    def objective(vector: Tensor) -> Tensor:
        own = dict(zip(names, vector.split(sizes), strict=True))
        outputs = functional_call(network, {**rest, **buffers, **own}, (batch.degraded,))
        return ((outputs["restored"] - batch.clean) ** 2).mean()

    network.train()
    at = torch.cat([one.variables[name].detach() for name in names])
    hessian = torch.autograd.functional.hessian(objective, at)
    assert found == pytest.approx(torch.linalg.eigvalsh(hessian)[-1].item(), rel=0.02)


def test_a_look_changes_nothing() -> None:
    network = supernet()
    one = level(network, "architecture", first=False)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    random = torch.get_rng_state()
    place = one.batches.state_dict()["generator"]
    architecture_eigenvalue(one, 0.0)
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.equal(one.batches.state_dict()["generator"], place)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in network.parameters())


def test_the_rise_is_of_means_over_windows() -> None:
    rule = EigenvalueRule(1, 0.75, window=2)
    assert not rule.risen([1, 1, 9])  # not two windows yet
    assert not rule.risen([1, 1, 1, 1.6])  # 1 / 1.3 is above 0.75
    assert rule.risen([1, 1, 1, 1.7])
    assert rule.risen([50, 50, 1, 1, 1, 1.7])  # the last windows count
    assert not rule.risen([0, 0, 1, 1])  # nothing to compare with
    assert not EigenvalueRule(1, None, window=1).risen([1, 100])


def test_the_judgement_is_the_papers() -> None:
    (well,) = judge_eigenvalues([5, 10], [2.0, 2.1], 1)
    assert well.kind == "ok" and well.value == 2.1
    (rose,) = judge_eigenvalues([5, 10], [2.0, 3.0], 1)
    assert rose.kind == "soft" and "1.33 times" in rose.sentence
    assert judge_eigenvalues([], [], 5) == []


def test_a_rise_ends_the_search_and_goes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = supernet()
    levels = [
        level(network, "weights", first=True),
        level(network, "architecture", first=False, rate=0.1),
    ]
    logits = network.architecture.logits["skip_up"]  # type: ignore[union-attr]
    seen: list[Tensor] = []
    values = iter([1.0, 1.0, 1.0, 9.0])

    def measured(one: object, progress: float) -> float:
        seen.append(logits.detach().clone())
        return next(values)

    monkeypatch.setattr(eigenvalue, "architecture_eigenvalue", measured)
    with RunLog(tmp_path / "log.jsonl") as log:
        loop = Loop("search", network, levels, Replanner(Plan(20), None), log, tmp_path / "points")
        loop.monitor = HealthMonitor(eigenvalue=EigenvalueRule(2, 0.75, window=2), event=log.event)
        loop.run()
        assert loop.turn == loop.plan.total == 8
        assert loop.plan.progress(8) == 1.0
    lines = read_log(tmp_path / "log.jsonl")
    assert [line["turn"] for line in lines if line.get("event") == "eigenvalue"] == [2, 4, 6, 8]
    assert [line["of"] for line in lines if line.get("event") == "ended_early"] == [20]
    (finding,) = [line for line in lines if line.get("event") == "finding"]
    assert finding["kind"] == "soft" and "architecture is that of turn 4" in finding["sentence"]
    assert torch.equal(logits, seen[1])  # one window of two looks before the last
    state = load_checkpoint(tmp_path / "points")
    assert torch.equal(state["network"]["architecture.logits.skip_up"], seen[1])
    assert state["monitor"]["eigenvalue"]["values"] == [1.0, 1.0, 1.0, 9.0]
    again = HealthMonitor(eigenvalue=EigenvalueRule(2, 0.75, window=2))
    again.load_state_dict(state["monitor"])
    assert again.state_dict()["eigenvalue"]["turns"] == [2, 4, 6, 8]
