"""The builder's law: a supernet under a decision's zeros and ones is the derived network."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from nasrestore.graph.compile import compile_space
from nasrestore.graph.derive import derive
from nasrestore.graph.genotype import random_genotype
from nasrestore.graph.ir import SearchGraph
from nasrestore.network.build import GraphNetwork, build, carried_state
from nasrestore.ops import conv  # noqa: F401  attaches the factories
from nasrestore.registry import operation
from nasrestore.spec.load import load_recipe, overrides_of
from nasrestore.spec.shipped import shipped
from nasrestore.spec.space import load_space_spec, parse_space

CHAIN = """
format: 1
space: chain
inputs: {rainy: {channels: 3}}
nodes:
  head: {op: conv, with: {channels: 8}}
  layer:
    repeat: 3
    op: {choice: [residual, dense, dilated, spatial_attention, channel_attention, identity, none,
                  {op: residual, with: {kernel: 5}}]}
  tail: {op: conv, with: {channels: 3}}
outputs: {restored: {from: tail, add: rainy}}
"""

CONCATENATED = """
format: 1
space: concatenated
inputs: {rainy: {channels: 3}}
nodes:
  down: {repeat: 3, op: conv_bn_relu, with: {channels: 4}, between: average_pool_2}
  up: {repeat: 3, op: conv_bn_relu, with: {channels: 4}, between: bilinear_2}
  head: {op: conv, with: {channels: 3}}
links:
  any: {from: [down.1, rainy], to: up, direction: any, join: concat, keep: 3}
  extra: {from: down, to: up, direction: up, join: add, keep: {per: node, k: 1}}
outputs: {restored: head}
"""


# One kernel for all copies of the cell, which lose the same input channels of it.
SHARED = """
format: 1
space: shared
inputs: {rainy: {channels: 3}}
cells:
  block:
    nodes:
      inner: {op: conv_bn_relu, with: {channels: 4}}
      outer: {op: conv_bn_relu, with: {channels: 4}}
    links:
      skip: {from: [x, inner], to: outer, join: concat, keep: 1}
nodes:
  stem: {op: conv, with: {channels: 4}}
  chain: {cell: block, repeat: 3, weights: node, decisions: cell}
  tail: {op: conv, with: {channels: 3}}
outputs: {restored: tail}
"""


def rdmc(**values: object) -> SearchGraph:
    overrides = overrides_of((), {f"space.{k}": v for k, v in values.items()})
    return compile_space(load_recipe("rdmc", overrides).space)


def networks(graph: SearchGraph, seed: int) -> tuple[GraphNetwork, GraphNetwork]:
    """A supernet with one-hot weights ready, and the derived network with the same parameters."""
    supernet = build(graph, operation.factories())
    genotype = random_genotype(graph, random.Random(seed))
    derived = build(derive(graph, genotype), operation.factories())
    for module in supernet.modules():  # statistics that differ from channel to channel
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias)
    derived.load_state_dict(carried_state(graph, supernet.state_dict(), derived, Path("here")))
    return supernet, derived


def inputs_of(graph: SearchGraph) -> dict[str, torch.Tensor]:
    """Two random items for every input, as small as they may be; of clips all frames."""
    return {
        name: torch.rand(
            2,
            *([] if shape.frames is None else [shape.frames]),
            shape.channels,
            2 * graph.multiple,
            graph.multiple,
        )
        for name, shape in graph.inputs.items()
    }


def assert_law(
    graph: SearchGraph, seed: int, tolerance: float = 0.0, modes: tuple[bool, ...] = (True, False)
) -> None:
    supernet, derived = networks(graph, seed)
    weights = supernet.decisions_weights(derived.graph.decisions)
    images = inputs_of(graph)
    for training in modes:
        supernet.train(training)
        derived.train(training)
        with torch.no_grad():
            ours, theirs = supernet(images, weights), derived(images)
        assert ours.keys() == theirs.keys()
        for name, image in ours.items():
            assert image.shape == theirs[name].shape
            if tolerance:
                torch.testing.assert_close(image, theirs[name], rtol=0, atol=tolerance)
            else:
                assert torch.equal(image, theirs[name]), (name, training)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("space", [p.stem for p in shipped("space")])
def test_law_of_every_shipped_space(space: str, seed: int) -> None:
    path = next(p for p in shipped("space") if p.stem == space)
    assert_law(compile_space(load_space_spec(path)), seed)


@pytest.mark.parametrize("seed", range(4))
def test_law_of_a_chain_of_operations(seed: int) -> None:
    assert_law(compile_space(parse_space(CHAIN)), seed)


@pytest.mark.parametrize("seed", range(4))
def test_law_where_links_are_concatenated(seed: int) -> None:
    # A convolution over channels that are zero sums in another order than one without them.
    assert_law(compile_space(parse_space(CONCATENATED)), seed, tolerance=2e-5)


@pytest.mark.parametrize(
    "text",
    [
        SHARED,
        SHARED.replace("decisions: cell", "decisions: node"),
        SHARED.replace("weights: node, decisions: cell", "decisions: copy"),
        SHARED.replace("decisions: cell", "decisions: copy").replace("keep: 1", "keep: 2"),
    ],
    ids=["tied", "tied in the chain", "weights apart", "all links kept"],
)
def test_law_where_copies_share_what_concatenated_links_bring(text: str) -> None:
    for seed in range(4):
        # a shared normalisation moves with every copy that trains
        assert_law(compile_space(parse_space(text)), seed, tolerance=2e-5, modes=(False,))


@pytest.mark.parametrize(
    "values",
    [
        {"stages": 1},
        {"recursion.weights": "own", "width": 4},
        {"recursion.norm": "per_stage", "width": 4},
        {"links.skip_up.keep": 0, "width": 4},
        {"links.skip_down.keep": {"per": "node", "k": 1}, "width": 4},
    ],
    ids=str,
)
def test_law_of_variants(values: dict[str, object]) -> None:
    assert_law(rdmc(**values), 0)


def test_derived_parameters_are_a_subset_by_name() -> None:
    supernet, derived = networks(rdmc(width=4), 0)
    assert derived.state_dict().keys() < supernet.state_dict().keys()
    assert not any(name.startswith("architecture") for name in derived.state_dict())
