"""The whole way on a tiny space and made images: search, derive, train, evaluate, restore, resume."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import nasrestore as nr
from nasrestore.data.images import write_image
from nasrestore.errors import NasRestoreError, RunStopped
from nasrestore.runtime.runfolder import read_result
from nasrestore.runtime.runlog import read_log
from nasrestore.search.loop import Interrupted, Silent

RECIPE = """
format: 1
extends: rdmc-quick
recipe: tiny
precision: fp32
threads: 1
data: {rainy: rain, clean: norain, patch: 16, batch: 2}
search: {steps: 4, budget: null, levels: [{name: architecture, start: 0}]}
train: {steps: 4, budget: null}
evaluate: {protocols: [prenet, rgb]}
"""
WIDTH = {"space.width": 2}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe and eight pairs of made images."""
    folder = tmp_path_factory.mktemp("place")
    generator = np.random.default_rng(0)
    for number in range(8):
        rows, columns = np.mgrid[0:40, 0:36]
        own = np.kron(generator.uniform(-50, 50, (10, 9)), np.ones((4, 4)))  # waves are all alike
        clean = 127 + 60 * np.sin(rows / (3 + number) + columns / 5) + own
        clean = np.stack([clean, clean / 2 + 60, 255 - clean], -1).clip(0, 255).astype(np.uint8)
        streaks = (generator.random((40, 36, 1)) > 0.9) * 80
        rainy = (clean.astype(int) + streaks).clip(0, 255).astype(np.uint8)
        write_image(folder / "norain" / f"{number}.png", clean)
        write_image(folder / "rain" / f"{number}.png", rainy)
    (folder / "tiny.yaml").write_text(RECIPE)
    return folder


@pytest.fixture(scope="module")
def run(place: Path) -> Path:
    """A finished run."""
    out = place / "run"
    nr.search(place / "tiny.yaml", WIDTH, out=out)
    nr.derive(out)
    nr.train(out)
    nr.evaluate(out)
    return out


def test_a_run_folder_is_the_contract(run: Path) -> None:
    for name in ("recipe.yaml", "genotype.yaml", "log.jsonl", "result.json", "checkpoints/search",
                 "checkpoints/train", "pictures/test.png"):  # fmt: skip
        assert (run / name).exists(), name
    assert len(list((run / "checkpoints" / "search").glob("*.pt"))) <= 2
    result = json.loads((run / "result.json").read_text())
    assert result["format"] == 1
    assert {"protocol", "psnr_before", "psnr_after", "ssim_before", "ssim_after"} <= result.keys()
    first = result["evaluations"][0]
    assert first["split"] == "test" and first["images"] == 2
    assert result["protocol"] == first["protocol"] == "prenet"
    assert result["psnr_after"] == first["psnr_after"]
    for phase in ("search", "train"):
        assert result[phase]["environment"]["versions"]["torch"] == str(torch.__version__)
        assert result[phase]["seed"] == 0 and result[phase]["turns"] == 4
    gap = result["derive"]["discretisation_gap"]
    assert gap["gap"] == pytest.approx(gap["derived"] - gap["supernet"])


def test_the_recipe_of_a_run_is_complete(run: Path, tmp_path: Path) -> None:
    data = yaml.safe_load((run / "recipe.yaml").read_text())
    assert data["space"]["constants"]["width"] == 2 and "extends" not in data
    for phase in ("search", "train"):  # what was measured when it began
        assert data[phase]["precision"] == "fp32" and data[phase]["threads"] == 1
    assert data["search"]["memory"] == "plain"
    moved = tmp_path / "moved"
    import shutil

    shutil.copytree(run, moved)
    image = np.full((20, 30, 3), 99, np.uint8)
    assert np.array_equal(nr.load(moved).restore(image), nr.load(run).restore(image))


def test_every_level_is_in_the_log(run: Path) -> None:
    lines = [line for line in read_log(run / "log.jsonl") if "event" not in line]
    assert {(line["phase"], line["level"]) for line in lines} == {
        ("search", "weights"), ("search", "architecture"), ("train", "weights")
    }  # fmt: skip
    assert all({"ssim", "mse", "l1", "total"} == set(line["terms"]) for line in lines)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 7, 3), (17, 33, 3), (50, 20), (33, 16, 1)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_restore_takes_any_size(run: Path, shape: tuple[int, ...], dtype: type) -> None:
    model = nr.load(run)
    image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape).astype(dtype)
    restored = model.restore(image)
    assert restored.shape == image.shape and restored.dtype == image.dtype


def test_the_same_seed_gives_the_same_run(place: Path, run: Path, tmp_path: Path) -> None:
    again = nr.search(place / "tiny.yaml", WIDTH, out=tmp_path / "again")
    assert again.genotype.decisions == nr.load_genotype(run / "genotype.yaml").decisions
    assert _losses(tmp_path / "again") == _losses(run)


def _losses(run: Path, phase: str = "search") -> list[tuple[int, str, float]]:
    lines = [line for line in read_log(run / "log.jsonl") if line.get("phase") == phase]
    return [(x["step"], x["level"], x["terms"]["total"]) for x in lines if "event" not in x]


class StopAfter(Silent):
    """Asks to stop once a turn is done."""

    def __init__(self, turn: int) -> None:
        self.at, self.now = turn, 0

    def turn(self, report: object) -> None:
        self.now = report.turn  # type: ignore[attr-defined]

    def asked(self) -> bool:
        return self.now >= self.at


def test_an_interrupted_search_goes_on_bit_for_bit(place: Path, run: Path, tmp_path: Path) -> None:
    stop = StopAfter(2)
    out = tmp_path / "part"
    with pytest.raises(Interrupted):
        nr.search(place / "tiny.yaml", WIDTH, out=out, observer=stop, should_stop=stop.asked)
    assert not (out / "genotype.yaml").exists()
    with pytest.raises(NasRestoreError, match="its search has not ended"):
        nr.train(out)
    nr.search(place / "tiny.yaml", out=out, resume=True)
    assert _losses(out) == _losses(run)
    ended = nr.search(place / "tiny.yaml", out=out, resume=True)
    assert ended.notes == ("this search has ended already",)
    stop = StopAfter(2)
    nr.derive(out)
    with pytest.raises(Interrupted):
        nr.train(out, observer=stop, should_stop=stop.asked)
    with pytest.raises(NasRestoreError, match="trained already"):
        nr.train(out)
    nr.train(out, resume=True)
    assert _losses(out, "train") == _losses(run, "train")


def test_a_search_in_which_nothing_was_searched_says_so(place: Path, tmp_path: Path) -> None:
    late = {**WIDTH, "search.steps": 1, "search.levels[1].start": 0.5}
    found = nr.search(place / "tiny.yaml", late, out=tmp_path / "late")
    assert found.unsearched == ("skip_up", "skip_down")
    assert any(f.check == "gradient" and "took no step" in f.sentence for f in found.health)
    longer = {**late, "search.steps": 2}
    assert nr.search(place / "tiny.yaml", longer, out=tmp_path / "longer").unsearched == ()


def test_derive_respects_limits_and_gives_alternatives(run: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    found = nr.derive(copy, top=3)
    assert len(found.alternatives) == 3
    scores = [d.score for d in found.alternatives]
    assert scores == sorted(scores, reverse=True)
    least = min(cost.macs for cost in found.costs if cost is not None)
    limited = nr.derive(copy, macs=int(least), overwrite=True)
    assert limited.costs[0] is not None and limited.costs[0].macs <= least
    with pytest.raises(NasRestoreError, match="no architecture"):
        nr.derive(copy, macs=1000)
    assert nr.load_genotype(copy / "genotype.yaml").decisions == (
        limited.alternatives[0].genotype.decisions
    )
    if limited.alternatives[0].genotype.decisions != found.alternatives[0].genotype.decisions:
        assert "carried over from the search" in nr.load(copy).description


def test_weights_carried_over_start_lower_than_fresh_ones(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "carry"
    nr.search(place / "tiny.yaml", {**WIDTH, "search.steps": 30}, out=out)
    nr.derive(out)
    nr.train(out, weights="search")
    carried = _losses(out, "train")[0][2]
    nr.train(out, weights="fresh", overwrite=True)
    assert carried < _losses(out, "train")[0][2]


def test_a_loss_that_is_not_finite_stops_with_the_term_named(place: Path, tmp_path: Path) -> None:
    with pytest.raises(RunStopped, match="not finite") as caught:
        nr.search(
            place / "tiny.yaml",
            {**WIDTH, "search.levels[0].optimizer.rate": 1e30, "search.steps": 30},
            out=tmp_path / "bad",
        )
    assert caught.value.exit_status == 3


def test_bad_input_leaves_nothing_behind(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "new"
    cases: list[tuple[dict[str, object], str]] = [
        ({"data.rainy": str(tmp_path / "nowhere")}, "nowhere"),
        ({"data.patch": 64}, "smaller than the patch"),
        ({"device": "cuda:7"}, "not there"),
        ({"objectives.restoration.contrastive": {"weight": 1, "weights": "no.pth"}}, "no.pth"),
        ({"search.levels[0].objective": "restauration"}, "did you mean 'restoration'"),
        ({"space.links.skip_up.keep": 11}, "cannot keep 11"),
    ]
    for overrides, message in cases:
        with pytest.raises(NasRestoreError) as caught:
            nr.search(place / "tiny.yaml", {**WIDTH, **overrides}, out=out)
        assert message in str(caught.value)
        assert not out.exists()


def test_an_out_that_exists_is_refused(place: Path, run: Path) -> None:
    before = read_result(nr.api.run.RunFolder(run)) if hasattr(nr, "api") else None
    with pytest.raises(NasRestoreError, match="exists and is not empty"):
        nr.search(place / "tiny.yaml", WIDTH, out=run)
    assert before is None or read_result(nr.api.run.RunFolder(run)) == before


def test_a_genotype_trains_without_a_search(place: Path, tmp_path: Path) -> None:
    from nasrestore.api.train import train_genotype
    from nasrestore.spec.load import overrides_of

    options = nr.api.public._options(None, None, None)  # type: ignore[attr-defined]
    out = tmp_path / "paper"
    train_genotype(
        place / "tiny.yaml", "rdmc-paper", overrides_of((), WIDTH), options=options, out=out
    )
    assert "paper" not in str(nr.load(out).description)
    assert nr.load_genotype(out / "genotype.yaml").decisions == (
        nr.load_genotype("rdmc-paper").decisions
    )


PLUGIN = """
import torch
from torch import nn
import nasrestore as nr

@nr.operation("shift", signature=nr.OperationSignature("its input plus one number a channel"))
class Shift(nn.Module):
    def __init__(self, in_channels):
        super().__init__()
        self.amount = nn.Parameter(torch.zeros(1, in_channels, 1, 1))

    def forward(self, x):
        return x + self.amount

@nr.loss("brightness", signature=nr.Signature("difference of the means"))
class Brightness(nn.Module):
    def forward(self, output, target, degraded):
        return (output.mean() - target.mean()).abs()
"""

PLUGIN_RECIPE = """
format: 1
extends: tiny.yaml
recipe: plugged
plugins: [my_ops.py]
objectives: {restoration: {brightness: 0.5}}
space:
  format: 1
  space: plugged
  inputs: {rainy: {channels: 3}}
  nodes:
    first: {op: conv, with: {channels: 4}}
    middle: {op: {choice: [shift, identity, residual]}}
    last: {op: conv, with: {channels: 3}}
  outputs: {restored: {from: last, add: rainy}}
"""


def test_a_plugin_travels_with_its_run(place: Path, tmp_path: Path) -> None:
    import shutil

    work = tmp_path / "work"
    shutil.copytree(place, work, ignore=shutil.ignore_patterns("run"))
    (work / "my_ops.py").write_text(PLUGIN)
    (work / "plugged.yaml").write_text(PLUGIN_RECIPE)
    result = nr.search(work / "plugged.yaml", out=tmp_path / "out")
    assert set(result.genotype.decisions) == {"middle"}
    (work / "my_ops.py").unlink()
    (work / "plugged.yaml").unlink()
    nr.derive(tmp_path / "out")
    assert nr.load(tmp_path / "out").restore(np.zeros((8, 8, 3), np.uint8)).shape == (8, 8, 3)
    assert list((tmp_path / "out" / "plugins").glob("my_ops-*.py"))


def test_results_are_plain_dataclasses(run: Path) -> None:
    found = nr.evaluate(run, protocols=["rgb"])
    assert dataclasses.is_dataclass(found) and found.summaries[0]["protocol"] == "rgb"


def test_a_search_that_runs_out_of_memory_goes_on_and_resumes_with_less(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nasrestore.network.build import GraphNetwork

    used: list[str] = []
    forward, stop = GraphNetwork.forward, StopAfter(3)

    def starved(network: GraphNetwork, *inputs: object, **more: object) -> object:
        if network.memory == "plain" and stop.now == 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB. GPU 0")
        used.append(network.memory)
        return forward(network, *inputs, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(GraphNetwork, "forward", starved)
    out = tmp_path / "starved"
    with pytest.raises(Interrupted):
        nr.search(place / "tiny.yaml", WIDTH, out=out, observer=stop, should_stop=stop.asked)
    assert used[-1] == "mixture" and "plain" in used
    assert yaml.safe_load((out / "recipe.yaml").read_text())["search"]["memory"] == "mixture"
    used.clear()
    nr.search(place / "tiny.yaml", out=out, resume=True)
    assert set(used) == {"mixture"}


def test_a_plugin_that_cannot_be_made_is_named(place: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(
        "import nasrestore as nr\n\n"
        '@nr.loss("broken", signature=nr.Signature("fails"))\n'
        "class Broken:\n    def __init__(self):\n        raise KeyError('no such thing')\n"
    )
    settings = {
        **WIDTH,
        "plugins": [str(tmp_path / "broken.py")],
        "objectives.restoration.broken": 1,
    }
    with pytest.raises(NasRestoreError, match="plugin's loss 'broken' cannot be made: KeyError"):
        nr.search(place / "tiny.yaml", settings, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
