"""A network made ready to restore computes the same, from fewer modules."""

from __future__ import annotations

import pytest
import torch
from test_law import CONCATENATED, networks, rdmc
from torch import nn

from nasrestore.graph.compile import compile_space
from nasrestore.network.inference import ConvolutionOfParts, for_inference
from nasrestore.spec.space import parse_space


def test_folding_keeps_the_function_and_the_original() -> None:
    _, derived = networks(rdmc(), 0)
    derived.eval()
    before = {name: value.clone() for name, value in derived.state_dict().items()}
    made = for_inference(derived)
    images = torch.rand(2, 3, 32, 48)
    with torch.no_grad():
        expected, found = derived(images)["restored"], made(images)["restored"]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in made.modules())
    assert not any(p.requires_grad for p in made.parameters())
    assert all(torch.equal(derived.state_dict()[name], value) for name, value in before.items())


def test_a_normalisation_of_its_own_for_each_stage_stays() -> None:
    _, derived = networks(rdmc(width=4, **{"recursion.norm": "per_stage"}), 0)
    derived.eval()
    images = torch.rand(1, 3, 16, 32)
    with torch.no_grad():
        expected, found = derived(images)["restored"], for_inference(derived)(images)["restored"]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_what_is_concatenated_is_read_part_by_part() -> None:
    graph = compile_space(parse_space(CONCATENATED))
    for seed in range(3):
        _, derived = networks(graph, seed)
        derived.eval()
        made = for_inference(derived)
        images = torch.rand(1, 3, 16, 24)
        with torch.no_grad():
            torch.testing.assert_close(
                made(images)["restored"], derived(images)["restored"], rtol=1e-5, atol=1e-5
            )
        assert any(isinstance(m, ConvolutionOfParts) for m in made.modules())
        assert not any(isinstance(m, ConvolutionOfParts) for m in derived.modules())


# Copies with one kernel: read alike by all; read alike by all but the first.
ALIKE = """
nodes:
  stem: {op: conv_bn_relu, with: {channels: 4}}
  a: {op: conv_bn_relu, repeat: 3, weights: node, with: {channels: 4}}
  tail: {op: conv, with: {channels: 3}}
links: {skip: {from: stem, to: [a.1, a.2, a.3], join: concat}}
outputs: {restored: tail}
"""
APART = """
nodes:
  stem: {op: conv_bn_relu, with: {channels: 8}}
  a: {op: conv_bn_relu, repeat: 3, weights: node, with: {channels: 4}}
  side: {reads: stem, op: conv, with: {channels: 4}}
  tail: {reads: a, op: conv, with: {channels: 3}}
links: {skip: {from: side, to: [a.2, a.3], join: concat}}
outputs: {restored: tail}
"""


@pytest.mark.parametrize("text, convolutions", [(ALIKE, 1), (APART, 0)], ids=["alike", "apart"])
def test_copies_with_one_kernel_read_it_alike_or_whole(text: str, convolutions: int) -> None:
    head = "format: 1\nspace: made\ninputs: {rainy: {channels: 3}}\n"
    network, _ = networks(compile_space(parse_space(head + text)), 0)
    network.eval()
    made = for_inference(network)
    images = torch.rand(2, 3, 16, 24)
    with torch.no_grad():
        torch.testing.assert_close(
            made(images)["restored"], network(images)["restored"], rtol=1e-5, atol=1e-5
        )
    assert sum(isinstance(m, ConvolutionOfParts) for m in made.modules()) == convolutions


def test_a_supernet_keeps_its_concatenations() -> None:
    supernet, _ = networks(compile_space(parse_space(CONCATENATED)), 0)
    supernet.eval()
    made = for_inference(supernet)
    images = torch.rand(1, 3, 16, 24)
    with torch.no_grad():
        torch.testing.assert_close(
            made(images)["restored"], supernet(images)["restored"], rtol=1e-5, atol=1e-5
        )
    assert not any(isinstance(m, ConvolutionOfParts) for m in made.modules())
