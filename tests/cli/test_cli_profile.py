"""``nasrestore profile`` from end to end, on a space with cells and choices."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from command_calls import Call

from nasrestore.assemble.prepare import prepare
from nasrestore.graph.genotype import Genotype, random_genotype
from nasrestore.runtime.runfolder import RunFolder

RECIPE = """
format: 1
extends: rdmc-quick
recipe: tiny
space:
  format: 1
  space: celled
  inputs: {rainy: {channels: 3}}
  cells:
    block: {nodes: {inner: {op: {choice: [conv, separable_conv]}, with: {channels: 4}}}}
    plain: {nodes: {inner: {op: conv, with: {channels: 4, kernel: 5}}}}
  nodes:
    stem: {op: conv, with: {channels: 4}}
    chain: {cell: block, repeat: 2}
    either: {cell: {choice: [block, plain]}}
    last: {op: conv, with: {channels: 3}}
  outputs: {restored: {from: last, add: rainy}}
data: {rainy: rain, clean: norain}
"""
SIZE = ("--size", "16x24", "--json")
PIXELS = 16 * 24


@pytest.fixture
def decided(here: Path) -> Genotype:
    """``tiny.yaml`` and ``genotype.yaml``, in which every choice is its first candidate."""
    Path("tiny.yaml").write_text(RECIPE)
    graph = prepare("tiny.yaml").graph
    drawn = random_genotype(graph, random.Random(0))
    first = {choice.name: choice.candidates[:1] for choice in graph.choices}
    made = Genotype(drawn.space, drawn.digest, {name: first[name] for name in drawn.decisions})
    Path("genotype.yaml").write_text(made.dump())
    return made


def counted() -> tuple[int, int]:
    """Parameters and multiply-adds per pixel: five convolutions of 3x3 with their biases."""
    sides = ((3, 4), (4, 4), (4, 4), (4, 4), (4, 3))
    weights = sum(9 * before * after for before, after in sides)
    return weights + sum(after for _, after in sides), weights


def test_profile_of_a_recipe_and_a_genotype(call: Call, decided: Genotype) -> None:
    done = call("profile", "tiny.yaml", "--genotype", "genotype.yaml", *SIZE)
    assert done.status == 0, done.err
    parameters, weights = counted()
    assert done.json["parameters"] == parameters
    assert done.json["macs"] == done.json["analytic_macs"] == weights * PIXELS
    assert done.json["latency_seconds"] > 0


def test_profile_of_what_a_run_decided(
    call: Call, decided: Genotype, run_folder: RunFolder
) -> None:
    run_folder.recipe.write_text(RECIPE)
    run_folder.genotype.write_text(decided.dump())
    done = call("profile", "runs/first", *SIZE)
    assert done.status == 0, done.err
    assert done.json["parameters"] == counted()[0]


@pytest.mark.parametrize(
    ("size", "shown"),
    [("99999x99999", "over the limit of 500"), ("1000000x5", "each from 1 to 999999")],
)
def test_profile_says_how_large_images_may_be(
    call: Call, decided: Genotype, size: str, shown: str
) -> None:
    done = call("profile", "tiny.yaml", "--genotype", "genotype.yaml", "--size", size)
    assert done.status == 2 and shown in done.err


def test_profile_wants_open_choices_decided(call: Call, decided: Genotype) -> None:
    done = call("profile", "tiny.yaml", *SIZE)
    assert done.status == 2 and "leaves choices open" in done.err and "--genotype FILE" in done.err
