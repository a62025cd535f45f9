"""What goes wrong in a plugin is told to its author: one message, its name and place, exit status 2."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from command_calls import Call

import nasrestore as nr
from nasrestore import registry
from nasrestore.data.images import write_image
from nasrestore.plugin_errors import raised_by_plugin
from nasrestore.runtime.runlog import read_log
from nasrestore.search.hypergradient.first_order import FirstOrder

PLUGIN = """
import sys
import torch
from torch import nn
import nasrestore as nr


@nr.loss("gives_nothing", signature=nr.Signature("None"))
class GivesNothing(nn.Module):
    def forward(self, restored, clean, degraded):
        return None


@nr.loss("gives_a_map", signature=nr.Signature("an image"))
class GivesAMap(nn.Module):
    def forward(self, restored, clean, degraded):
        return (restored - clean).abs()


@nr.loss("raising_loss", signature=nr.Signature("raises"))
class RaisingLoss(nn.Module):
    def forward(self, restored, clean, degraded):
        return helper(restored)


@nr.loss("leaving_loss", signature=nr.Signature("leaves"))
class LeavingLoss(nn.Module):
    def forward(self, restored, clean, degraded):
        raise SystemExit(0)


@nr.loss("unmade_loss", signature=nr.Signature("leaves"))
class UnmadeLoss(nn.Module):
    def __init__(self):
        sys.exit(0)


def helper(restored):
    return restored.view(-1, 7, 11, 13)


@nr.operation("raising_op", signature=nr.OperationSignature("raises"))
class RaisingOp(nn.Module):
    def __init__(self, in_channels):
        super().__init__()

    def forward(self, x):
        raise KeyError("scale")


@nr.operation("cropping_op", signature=nr.OperationSignature("crops"))
def cropping_op(in_channels):
    return nn.Conv2d(in_channels, in_channels, 3)


@nr.operation("unfit_op", signature=nr.OperationSignature("fits nothing"))
def unfit_op(in_channels):
    return nn.Conv2d(7, in_channels, 1)


@nr.relaxation("raising_relaxation", signature=nr.Signature("raises"))
class RaisingRelaxation:
    def __call__(self, logits, keep, progress):
        return logits.softmax(3)

    def strengths(self, logits, keep):
        return logits.softmax(0)


@nr.hypergradient("gives_none", signature=nr.HypergradientSignature("None"))
class GivesNone:
    def __call__(self, level, below, parameters):
        return None


@nr.hypergradient("raising_gradient", signature=nr.HypergradientSignature("raises"))
class RaisingGradient:
    def __call__(self, level, below, parameters):
        raise ValueError("boom")
"""
RECIPE = """
format: 1
extends: rdmc-quick
recipe: tiny
precision: fp32
threads: 1
plugins: [mine.py]
space:
  format: 1
  space: plugged
  inputs: {rainy: {channels: 3}}
  nodes:
    first: {op: conv, with: {channels: 4}}
    middle: {op: {choice: [identity, residual, OP]}}
    last: {op: conv, with: {channels: 3}}
  outputs: {restored: {from: last, add: rainy}}
data: {rainy: rain, clean: norain, patch: 16, batch: 2}
objectives: {restoration: {l1: 1, LOSS: 1}}
search:
  steps: 2
  budget: null
  relaxation: RELAXATION
  levels: [{name: architecture, start: 0, hypergradient: GRADIENT}]
"""
USUAL = {"OP": "dense", "LOSS": "mse", "RELAXATION": "softmax", "GRADIENT": "first_order"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    generator = np.random.default_rng(0)
    for number in range(6):
        clean = generator.integers(0, 200, (24, 24, 3), dtype=np.uint8)
        write_image(folder / "norain" / f"{number}.png", clean)
        write_image(folder / "rain" / f"{number}.png", clean + 20)
    (folder / "mine.py").write_text(PLUGIN)
    return folder


@pytest.fixture(scope="module", autouse=True)
def _names_go_again() -> Iterator[None]:
    """The registries are everybody's; other tests look at all names."""
    before = {kind: dict(names._entries) for kind, names in registry.KINDS.items()}
    yield
    for kind, names in registry.KINDS.items():
        names._entries = before[kind]


def line_of(text: str) -> int:
    return PLUGIN[: PLUGIN.index(text)].count("\n") + 1


@pytest.mark.parametrize(
    ("of", "name", "message"),
    [
        (
            "LOSS", "gives_nothing",
            "the plugin's loss 'gives_nothing' (mine.py:{def forward}) gave nothing, expected",
        ),
        ("LOSS", "gives_a_map", "gave a tensor of shape (2, 3, 16, 16), expected a tensor of one"),
        (
            "LOSS", "raising_loss",
            "the plugin's loss 'raising_loss' failed at mine.py:{return restored.view}: RuntimeError",
        ),
        (
            "LOSS", "leaving_loss",
            "the plugin's loss 'leaving_loss' failed at mine.py:{raise SystemExit}: SystemExit: 0",
        ),
        ("LOSS", "unmade_loss", "the plugin's loss 'unmade_loss' cannot be made: SystemExit: 0"),
        (
            "OP", "raising_op",
            "the plugin's operation 'raising_op' failed at mine.py:{raise KeyError}: KeyError: 'sc",
        ),
        (
            "OP", "cropping_op",
            "node 'middle', candidate 'cropping_op': the plugin's operation 'cropping_op' "
            "(mine.py:{@nr.operation(\"cropping_op\"}) put out 4x30x46 for 4x32x48, its signature says",
        ),
        (
            "OP", "unfit_op",
            "operation 'unfit_op' (mine.py:{@nr.operation(\"unfit_op\"}) failed: RuntimeError: Given g",
        ),
        (
            "RELAXATION", "raising_relaxation",
            "the plugin's relaxation 'raising_relaxation' failed at mine.py:{return logits.softmax(3)}",
        ),
        (
            "GRADIENT", "gives_none",
            "'gives_none' (mine.py:{def __call__(self, level}) gave nothing, expected a Gradient",
        ),
        (
            "GRADIENT", "raising_gradient",
            "'raising_gradient' failed at mine.py:{raise ValueError}: ValueError: boom",
        ),
    ],
)  # fmt: skip
def test_one_message_names_the_plugin(
    call: Call, place: Path, tmp_path: Path, of: str, name: str, message: str
) -> None:
    text = RECIPE
    for key, usual in USUAL.items():
        text = text.replace(key, name if key == of else usual)
    recipe = place / f"{name}.yaml"
    recipe.write_text(text)
    done = call("search", recipe, "--out", tmp_path / "out")
    assert done.status == 2, done.err
    assert "Traceback" not in done.err and "bug" not in done.err
    start, brace, rest = message.partition("{")
    code, _, end = rest.partition("}")
    expected = f"{start}{line_of(code)}{end}" if brace else message
    assert expected in done.err
    assert done.err.count("error: ") == 1 and "hint: " in done.err


def test_the_doctor_says_that_the_search_crashed(call: Call, place: Path, tmp_path: Path) -> None:
    text = RECIPE.replace("LOSS", "raising_loss")
    for key, usual in USUAL.items():
        text = text.replace(key, usual)
    (place / "crashing.yaml").write_text(text)
    assert call("search", place / "crashing.yaml", "--out", tmp_path / "out").status == 2
    (event,) = [x for x in read_log(tmp_path / "out" / "log.jsonl") if x.get("event") == "crashed"]
    assert event["turn"] == 0 and event["reason"].startswith("RuntimeError: ")
    found = call("doctor", tmp_path / "out", "--json", "--no-data")
    assert found.status == 3
    hard = [one for one in found.json["findings"] if one["kind"] == "hard"]
    assert [one["check"] for one in hard] == ["crashed"]
    assert "the search crashed in turn 0: RuntimeError" in hard[0]["sentence"]


def test_an_error_of_this_package_is_no_plugin_s() -> None:
    """Also one below a plugin: it may have been called with what it had every right to give."""
    assert raised_by_plugin(ValueError("nowhere raised")) is None
    try:
        FirstOrder()(None, [], {})  # type: ignore[arg-type]
    except AttributeError as error:
        assert raised_by_plugin(error) is None
    assert raised_by_plugin(nr.NasRestoreError("said already")) is None
    assert raised_by_plugin(KeyboardInterrupt()) is None
