"""Losses of parameters: their values, what they read, and whom they give a gradient."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from nasrestore.assemble.network import objective, supernet
from nasrestore.data.patches import Batch
from nasrestore.graph.compile import compile_space
from nasrestore.graph.ir import SearchGraph
from nasrestore.graph.recipe_check import check_recipe
from nasrestore.losses.variables import ArchitectureEntropy
from nasrestore.network.build import GraphNetwork
from nasrestore.search.objective import Objective
from nasrestore.spec.load import LoadedRecipe, resolve_recipe
from nasrestore.spec.source import parse_yaml

RECIPE = """
format: 1
recipe: mine
data: {patch: 64}
objectives:
  whole: {l1: 1, architecture_entropy: 0.5}
  alpha: {l1: 1, architecture_entropy: {weight: 0.5, variables: alpha}}
  decay: {l1: 1, weight_decay: 0.5}
search:
  steps: 1
  levels:
    - {name: weights, variables: weights, objective: decay}
    - {name: decisions, variables: [alpha, beta], objective: whole, data: validation}
train: {steps: 1, levels: [{name: weights, variables: weights, objective: whole}]}
space:
  format: 1
  space: two
  inputs: {rainy: {channels: 3}}
  nodes:
    stem: {op: conv, with: {channels: 4}, group: alpha}   # a name that a choice has, too
    first: {op: {choice: [residual, dilated, identity], group: alpha}, repeat: 2}
    second: {op: {choice: [residual, identity], group: beta}}
    tail: {op: conv, with: {channels: 3}}
  outputs: {restored: {from: tail, add: rainy}}
"""


def made(name: str) -> tuple[GraphNetwork, Objective]:
    loaded, graph = checked()
    network = supernet(loaded.recipe, graph)
    return network, objective(loaded.recipe, name, network, torch.device("cpu"))


def checked() -> tuple[LoadedRecipe, SearchGraph]:
    loaded = resolve_recipe(parse_yaml(RECIPE, "mine.yaml"))
    graph = compile_space(loaded.space)
    check_recipe(loaded.recipe, graph)
    return loaded, graph


def batch() -> Batch:
    return Batch(torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8), ("one",))


def test_the_entropy_of_each_choice_is_added_up() -> None:
    two = {"a": torch.zeros(8), "b": torch.tensor([math.log(3.0), 0.0])}
    expected = math.log(8) - 0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    assert float(ArchitectureEntropy()(two)) == pytest.approx(expected)


@pytest.mark.parametrize(
    "name, expected", [("whole", 2 * math.log(3) + math.log(2)), ("alpha", 2 * math.log(3))]
)
def test_the_entropy_reads_all_that_decides_or_one_group(name: str, expected: float) -> None:
    network, goal = made(name)
    with torch.no_grad():
        assert float(goal(batch(), 0.0).parts["architecture_entropy"]) == pytest.approx(expected)
    assert network.architecture is not None
    for logits in network.architecture.logits.values():
        torch.nn.init.normal_(logits)
    logits = dict(network.architecture.logits.items())
    network.zero_grad()
    goal(batch(), 0.0).parts["architecture_entropy"].backward()
    moved = {key for key, value in logits.items() if value.grad is not None}
    assert moved == set(logits) - (set() if name == "whole" else {"second"})
    others = [p for key, p in network.named_parameters() if not key.startswith("architecture.")]
    assert all(parameter.grad is None for parameter in others)


def test_weight_decay_reads_the_weights() -> None:
    network, goal = made("decay")
    weights = network.parameter_groups()["weights"].values()
    expected = sum(float(w.detach().square().sum()) for w in weights) / 2
    found = goal(batch(), 0.0).parts["weight_decay"].detach()
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_what_is_decided_has_no_entropy() -> None:
    loaded, graph = checked()
    decided = replace(
        graph,
        choices=(),
        nodes=tuple(replace(n, candidates=n.candidates[:1], choice=None) for n in graph.nodes),
    )
    network = supernet(loaded.recipe, decided)
    goal = objective(loaded.recipe, "whole", network, torch.device("cpu"))
    assert list(goal.terms) == ["l1"]
