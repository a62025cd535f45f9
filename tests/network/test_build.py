"""Adapters, parameter groups, recursion, and what a network refuses."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F

import nasrestore as nr
from nasrestore.graph.compile import compile_space
from nasrestore.network.build import build
from nasrestore.network.mixture import Link
from nasrestore.ops.conv import conv_1x1
from nasrestore.registry import operation
from nasrestore.spec.space import parse_space

TWO_GROUPS = """
format: 1
space: two_groups
inputs: {rainy: {channels: 3}}
nodes:
  first: {op: conv_bn_relu, with: {channels: 4}, group: front}
  second: {op: conv, with: {channels: 3}}
outputs: {restored: second}
"""


@pytest.mark.parametrize("factor", [Fraction(1, 4), Fraction(1, 2), Fraction(2), Fraction(4)])
def test_an_adapter_commuted_with_resampling_equals_the_plain_one(factor: Fraction) -> None:
    adapter = conv_1x1(6, channels=5).double()
    x = torch.randn(2, 6, 16, 24, dtype=torch.float64)
    link = Link(adapter, factor)
    if factor < 1:  # plain: adapt where the source is, then average
        plain = F.avg_pool2d(adapter(x), factor.denominator)
    else:  # plain: enlarge, then adapt where the target is
        size = [int(s * factor) for s in x.shape[-2:]]
        plain = adapter(F.interpolate(x, size=size, mode="bilinear", align_corners=False))
    torch.testing.assert_close(link(x), plain, rtol=1e-12, atol=1e-12)


def test_architecture_parameters_are_parameters_and_in_the_state_dict() -> None:
    network = nr.build("rdmc")
    groups = network.parameter_groups()
    assert set(groups) == {"weights", "architecture"}
    logits = [p for n, p in network.named_parameters() if "logits" in n]
    assert sum(p.numel() for p in logits) == 20
    assert all(isinstance(p, torch.nn.Parameter) and p.requires_grad for p in logits)
    assert sum("logits" in name for name in network.state_dict()) == 2
    assert all((p == 0).all() for p in logits)


def test_a_node_may_put_its_parameters_into_a_group() -> None:
    network = build(compile_space(parse_space(TWO_GROUPS)), operation.factories())
    groups = network.parameter_groups()
    assert {name.split(".")[3] for name in groups["front"]} == {"first"}
    assert {name.split(".")[3] for name in groups["weights"]} == {"second"}
    everything = sum(len(group) for group in groups.values())
    assert everything == len(list(network.parameters()))


def test_own_weights_have_one_set_a_stage_and_shared_ones_one() -> None:
    paper = nr.load_genotype("rdmc-paper")
    graph = nr.load_space("rdmc")
    shared = nr.build(graph, paper)
    assert sum(p.numel() for p in shared.parameters()) == 249_891
    import dataclasses

    recursion = dataclasses.replace(graph.recursion, weights="own")
    own = nr.build(dataclasses.replace(graph, recursion=recursion), paper)
    assert sum(p.numel() for p in own.parameters()) == 3 * 249_891


def test_stages_read_the_state_of_the_stage_before() -> None:
    network = nr.build("rdmc", "rdmc-paper").eval()
    x = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        state = x
        for _ in range(3):
            state = network.stages[0]({"rainy": x, "restored": state}, {})["restored"]
        assert torch.equal(network(x)["restored"], state)


def test_sizes_that_the_poolings_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 16"):
        nr.build("rdmc", "rdmc-paper")(torch.rand(1, 3, 20, 32))


CLIP_AND_FLOW = """
format: 1
space: clip
inputs: {rainy: {channels: 3, frames: 3}, flow: {flow_of: rainy}}
nodes:
  aligned: {reads: [rainy, flow], op: warp}
  flat: {op: frames_to_channels}
  last: {op: conv, with: {channels: 3}}
outputs: {restored: last}
"""


@pytest.mark.parametrize(
    ("rainy", "flow", "message"),
    [
        (
            (1, 3, 3, 8, 8),
            None,
            "'flow' is missing: the network reads 'rainy', N 3 3 H W and 'flow'",
        ),
        ((1, 5, 3, 8, 8), (1, 3, 2, 8, 8), "'rainy': N 3 3 H W is expected, got (1, 5, 3, 8, 8)"),
        ((1, 3, 8, 8), (1, 3, 2, 8, 8), "'rainy': N 3 3 H W is expected, got (1, 3, 8, 8)"),
        ((1, 3, 3, 8, 8), (1, 3, 3, 8, 8), "'flow': N 3 2 H W is expected, got (1, 3, 3, 8, 8)"),
    ],
)
def test_inputs_that_are_missing_or_of_another_shape(
    rainy: tuple[int, ...], flow: tuple[int, ...] | None, message: str
) -> None:
    network = build(compile_space(parse_space(CLIP_AND_FLOW)), operation.factories())
    given = {"rainy": torch.rand(rainy)} | ({} if flow is None else {"flow": torch.rand(flow)})
    with pytest.raises(ValueError, match=re.escape(message)):
        network(given)
    with pytest.raises(ValueError, match="give each by name"):
        network(torch.rand(1, 3, 3, 8, 8))
    good = {"rainy": torch.rand(1, 3, 3, 8, 8), "flow": torch.zeros(1, 3, 2, 8, 8)}
    assert network(good)["restored"].shape == (1, 3, 8, 8)


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 4, 16, 16), (1, 5, 3, 16, 16), (16,)])
def test_an_image_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="'rainy': N 3 H W is expected"):
        nr.build("rdmc", "rdmc-paper")(torch.rand(shape))


def test_names_that_a_module_dict_has_itself() -> None:
    text = TWO_GROUPS.replace("first", "keys").replace("second", "forward")
    network = build(compile_space(parse_space(text)), operation.factories())
    assert network(torch.rand(1, 3, 8, 8))["restored"].shape == (1, 3, 8, 8)
    choice = TWO_GROUPS.replace(
        "{op: conv_bn_relu, with: {channels: 4}, group: front}",
        "{op: {choice: [{op: identity, name: half}, {op: residual, name: training}]}}",
    )
    supernet = build(compile_space(parse_space(choice)), operation.factories())
    assert supernet(torch.rand(1, 3, 8, 8))["restored"].shape == (1, 3, 8, 8)
