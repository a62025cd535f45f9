"""What only a CUDA device can show: a search step, restoring, and resuming there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import nasrestore as nr
from nasrestore.data.images import write_image
from nasrestore.engine.model import RestorationModel
from nasrestore.runtime.runlog import read_log
from nasrestore.search.loop import Interrupted, Silent, TurnReport

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device"),
]

RECIPE = """
format: 1
extends: rdmc-quick
recipe: tiny
device: cuda
precision: fp32
data: {rainy: rain, clean: norain, patch: 32, batch: 2}
search: {steps: 4, budget: null, levels: [{name: architecture, start: 0}]}
train: {steps: 4, budget: null}
"""
WIDTH = {"space.width": 4}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe for CUDA beside eight pairs of made images."""
    folder = tmp_path_factory.mktemp("gpu")
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[0:48, 0:40]
    for number in range(8):
        plane = 127 + 100 * np.sin(rows / (3 + number) + columns / 5)
        clean = np.stack([plane, plane / 2 + 60, 255 - plane], -1).clip(0, 255).astype(np.uint8)
        streaks = (generator.random((48, 40, 1)) > 0.9) * 80
        rainy = (clean.astype(int) + streaks).clip(0, 255).astype(np.uint8)
        write_image(folder / "norain" / f"{number}.png", clean)
        write_image(folder / "rain" / f"{number}.png", rainy)
    (folder / "tiny.yaml").write_text(RECIPE)
    return folder / "tiny.yaml"


class StopAfter(Silent):
    """Asks to stop once a turn is done."""

    def __init__(self, turn: int) -> None:
        self.at, self.now = turn, 0

    def turn(self, report: TurnReport) -> None:
        self.now = report.turn

    def asked(self) -> bool:
        return self.now >= self.at


def losses(run: Path) -> list[float]:
    lines = [line for line in read_log(run / "log.jsonl") if line.get("phase") == "search"]
    return [line["terms"]["total"] for line in lines if "event" not in line]


def state(run: Path) -> dict[str, torch.Tensor]:
    from nasrestore.api.run import open_recipe, searched_state

    return {name: value.cpu() for name, value in searched_state(open_recipe(run)).items()}


def test_a_search_step_on_cuda_moves_logits_and_weights(recipe: Path, tmp_path: Path) -> None:
    stop = StopAfter(1)
    out = tmp_path / "run"
    with pytest.raises(Interrupted):
        nr.search(recipe, WIDTH, out=out, observer=stop, should_stop=stop.asked)
    first = state(out)
    nr.search(recipe, out=out, resume=True)
    last = state(out)
    logits = [name for name in last if name.startswith("architecture.")]
    kernels = [name for name, value in last.items() if value.ndim == 4]
    assert logits and kernels
    assert all(not torch.equal(first[name], last[name]) for name in logits)
    assert all(not torch.equal(first[name], last[name]) for name in kernels)
    assert np.isfinite(losses(out)).all()


def test_restoring_on_cuda_is_restoring_on_a_cpu() -> None:
    network = nr.build("rdmc", "rdmc-paper").train()
    with torch.no_grad():
        for _ in range(5):
            network(torch.rand(2, 3, 32, 32))
    network.eval()
    pixels = np.random.default_rng(0).integers(0, 256, (65, 97, 3), dtype=np.uint8)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # its 10 bits are too few
        there = RestorationModel(network, device="cuda").restorer.unquantised(pixels)
    here = RestorationModel(network, device="cpu").restorer.unquantised(pixels)
    np.testing.assert_allclose(there, here, rtol=0, atol=1e-3)


def test_an_interrupted_search_goes_on_on_cuda(recipe: Path, tmp_path: Path) -> None:
    """Not bit for bit: some of CUDA's kernels add in another order each time."""
    nr.search(recipe, WIDTH, out=tmp_path / "whole")
    stop = StopAfter(2)
    part = tmp_path / "part"
    with pytest.raises(Interrupted):
        nr.search(recipe, WIDTH, out=part, observer=stop, should_stop=stop.asked)
    nr.search(recipe, out=part, resume=True)
    assert losses(part) == pytest.approx(losses(tmp_path / "whole"), rel=1e-3)
    assert nr.load_genotype(part / "genotype.yaml").decisions


@pytest.mark.parametrize("bf16", [False, True])
def test_recomputation_on_cuda_draws_and_computes_the_same(bf16: bool) -> None:
    from torch import nn

    from nasrestore.network.recompute import recomputed

    torch.manual_seed(0)
    layers = nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3), nn.ReLU(inplace=True), nn.Dropout(0.5)
    module = nn.Sequential(*layers).cuda()
    x = torch.rand(2, 3, 16, 16, device="cuda", requires_grad=True)
    share = torch.tensor(0.5, device="cuda", requires_grad=True)
    sides = []
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        for again in (True, False):
            torch.manual_seed(1)
            with torch.autocast("cuda", torch.bfloat16, enabled=bf16):
                result = recomputed(module, x, share) if again else share * module(x)
            of = [x, share, *module.parameters()]
            found = torch.autograd.grad(result.float().square().sum(), of)
            sides.append([result.float(), *found, torch.rand(3, device="cuda")])
    for one, other in zip(*sides, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
