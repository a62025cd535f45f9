"""A rewritten network computes what the plain one does, gradients and statistics included."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from test_law import CHAIN, rdmc
from torch import Tensor, nn
from torch.func import functional_call

from nasrestore.graph.compile import compile_space
from nasrestore.graph.ir import SearchGraph
from nasrestore.network.build import GraphNetwork, StageNorm, build
from nasrestore.network.rewrite import activate_in_place
from nasrestore.registry import operation
from nasrestore.spec.space import parse_space

GRAPHS: dict[str, Callable[[], SearchGraph]] = {
    "chain": lambda: compile_space(parse_space(CHAIN)),
    "rdmc": lambda: rdmc(width=4),
    "rdmc, a norm a stage": lambda: rdmc(width=4, **{"recursion.norm": "per_stage"}),
}


@pytest.fixture(params=list(GRAPHS))
def pair(request: pytest.FixtureRequest) -> tuple[GraphNetwork, GraphNetwork]:
    """The plain and the rewritten network with the same parameters."""
    graph = GRAPHS[request.param]()
    plain, rewritten = (
        build(graph, operation.factories(), rewrite=rewrite) for rewrite in (False, True)
    )
    rewritten.load_state_dict(plain.state_dict())
    return plain, rewritten


def step(network: GraphNetwork, **autocast: bool) -> tuple[Tensor, dict[str, Tensor | None]]:
    """One output and the gradients of its mean square in all parameters."""
    torch.manual_seed(0)
    images = torch.rand(2, 3, 16, 32, dtype=next(network.parameters()).dtype)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast.get("bf16", False)):
        output = network(images)["restored"].float() if autocast else network(images)["restored"]
    named = dict(network.named_parameters())
    found = torch.autograd.grad(output.square().mean(), list(named.values()), allow_unused=True)
    return output.detach(), dict(zip(named, found, strict=True))


def assert_same(plain: GraphNetwork, rewritten: GraphNetwork, **autocast: bool) -> None:
    (output, gradients), (found, found_gradients) = (
        step(network, **autocast) for network in (plain, rewritten)
    )
    assert torch.equal(found, output)
    for name, gradient in gradients.items():
        other = found_gradients[name]
        assert (gradient is None) == (other is None)
        assert gradient is None or other is None or torch.equal(gradient, other), name
    for name, buffer in plain.state_dict().items():
        assert torch.equal(rewritten.state_dict()[name], buffer), name


def in_place(network: nn.Module) -> list[bool]:
    return [m.inplace for m in network.modules() if isinstance(m, nn.ReLU)]


def test_every_activation_is_rewritten_and_none_of_a_plain_network(
    pair: tuple[GraphNetwork, GraphNetwork],
) -> None:
    plain, rewritten = pair
    assert in_place(plain)
    assert not any(in_place(plain))
    assert all(in_place(rewritten))


@pytest.mark.parametrize("training", [True, False])
def test_outputs_gradients_and_statistics_are_the_same(
    pair: tuple[GraphNetwork, GraphNetwork], training: bool
) -> None:
    for network in pair:
        network.train(training)
    assert_same(*pair)


def test_they_are_the_same_in_double_precision(pair: tuple[GraphNetwork, GraphNetwork]) -> None:
    assert_same(*(network.double() for network in pair))


def test_they_are_the_same_under_bf16_autocast(pair: tuple[GraphNetwork, GraphNetwork]) -> None:
    assert_same(*pair, bf16=True)


def test_they_are_the_same_channels_last(pair: tuple[GraphNetwork, GraphNetwork]) -> None:
    for network in pair:
        network.to(memory_format=torch.channels_last)
    assert_same(*pair)


def test_parameters_from_outside_count(pair: tuple[GraphNetwork, GraphNetwork]) -> None:
    plain, rewritten = (network.eval() for network in pair)
    images = torch.rand(1, 3, 16, 16)
    others = {
        name: (value + 0.05 * torch.randn_like(value)).requires_grad_(True)
        for name, value in plain.state_dict().items()
        if name in dict(plain.named_parameters())
    }
    results = []
    for network in (plain, rewritten):
        output = functional_call(network, others, (images,))["restored"]
        found = torch.autograd.grad(
            output.square().mean(), list(others.values()), allow_unused=True
        )
        results.append([output, *(g for g in found if g is not None)])
    assert len(results[0]) > 1
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    with torch.no_grad():
        assert not torch.equal(results[0][0], plain(images)["restored"])


def test_a_copy_is_rewritten_too(pair: tuple[GraphNetwork, GraphNetwork]) -> None:
    plain, rewritten = pair
    assert_same(plain, copy.deepcopy(rewritten))


def test_what_somebody_else_reads_is_left_alone() -> None:
    network = nn.ModuleList(
        [
            nn.Sequential(nn.ReLU(), nn.Conv2d(3, 3, 1)),  # its input is somebody else's
            nn.Sequential(nn.Identity(), nn.ReLU()),
            nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sigmoid(), nn.ReLU()),  # needs its own output
            nn.Sequential(StageNorm(nn.BatchNorm2d(3), 2), nn.ReLU()),
        ]
    )
    activate_in_place(network)
    assert not any(in_place(network))
    activate_in_place(network, (StageNorm,))
    assert in_place(network) == [False, False, False, True]
