"""Recomputation changes what is kept, never what is computed: values, gradients of any order, noise."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from test_law import CHAIN, CONCATENATED, networks, rdmc
from torch import Tensor, nn
from torch.func import functional_call

from nasrestore.graph.compile import compile_space
from nasrestore.graph.ir import SearchGraph
from nasrestore.network import recompute
from nasrestore.network.build import GraphNetwork, build
from nasrestore.network.mixture import Operations
from nasrestore.network.recompute import recomputed
from nasrestore.registry import operation
from nasrestore.runtime.memory import Kept
from nasrestore.spec.space import parse_space

Gradients = list["Tensor | None"]
MODES = ["operation", "mixture"]


def chain() -> SearchGraph:
    return compile_space(parse_space(CHAIN))


GRAPHS = {
    "chain": chain,
    "links that are concatenated": lambda: compile_space(parse_space(CONCATENATED)),
    "rdmc": lambda: rdmc(width=2),
    "rdmc, a norm a stage": lambda: rdmc(width=2, **{"recursion.norm": "per_stage"}),
}


def supernet(graph: SearchGraph, memory: str = "plain", **options: Any) -> GraphNetwork:
    torch.manual_seed(0)
    made = build(graph, operation.factories(), spread=0.5, **options).double()
    made.memory = memory  # type: ignore[assignment]
    return made


def images(size: int = 16) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, 3, size, size, generator=generator, dtype=torch.float64)


def again(values: Gradients, of: list[Tensor], *, create_graph: bool) -> Gradients:
    """The gradient of a random combination of ``values``."""
    generator = torch.Generator().manual_seed(2)
    total = torch.zeros((), dtype=torch.float64)
    for value in values:
        if value is not None and value.requires_grad:
            noise = torch.randn(value.shape, generator=generator, dtype=value.dtype)
            total = total + (noise * value).sum()
    return list(torch.autograd.grad(total, of, create_graph=create_graph, allow_unused=True))


def derivatives(network: GraphNetwork, parameters: Mapping[str, Tensor], order: int) -> Gradients:
    """The output, and the gradients up to an order in all parameters."""
    output = functional_call(network, dict(parameters), (images(),))["restored"]
    of = list(parameters.values())
    found: Gradients = [output.square().mean()]
    gathered: Gradients = [output]
    for number in range(order):
        found = again(found, of, create_graph=number < order - 1)
        gathered += found
    return gathered


def assert_close(found: Gradients, expected: Gradients, tolerance: float = 1e-10) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        here = torch.zeros(()) if one is None else one.detach()
        there = torch.zeros(()) if other is None else other.detach()
        scale = max(1.0, float(there.abs().max()))
        assert float((here - there).abs().max()) <= tolerance * scale


# -- the same numbers ------------------------------------------------------------------------


@pytest.mark.parametrize("memory", MODES)
@pytest.mark.parametrize("name", list(GRAPHS))
@pytest.mark.parametrize("whose", ["own", "others"])
def test_values_and_two_gradients_are_those_of_the_plain_form(
    name: str, memory: str, whose: str
) -> None:
    plain = supernet(GRAPHS[name](), rewrite=False)  # no activation in place either
    network = supernet(GRAPHS[name](), memory)
    torch.manual_seed(3)
    others = {
        n: (p.detach() + 0.1 * torch.randn_like(p)).requires_grad_()
        for n, p in plain.named_parameters()
    }
    sides = [
        derivatives(one, dict(one.named_parameters()) if whose == "own" else others, 2)
        for one in (network, plain)
    ]
    assert sides[0][0] is not None and sides[1][0] is not None
    assert torch.equal(sides[0][0], sides[1][0])
    assert_close(*sides)
    for buffer, state in plain.state_dict().items():  # statistics moved once
        assert torch.equal(network.state_dict()[buffer], state), buffer


@pytest.mark.parametrize("memory", MODES)
def test_third_derivatives_are_the_same(memory: str) -> None:
    # In eval mode: torch has no third derivative of normalisation by the batch.
    plain, network = supernet(chain()).eval(), supernet(chain(), memory).eval()
    sides = [derivatives(one, dict(one.named_parameters()), 3) for one in (network, plain)]
    assert_close(*sides)


@pytest.mark.parametrize("memory", MODES)
@pytest.mark.parametrize("name", ["chain", "rdmc"])
def test_the_law_holds_bit_for_bit(name: str, memory: str) -> None:
    made, derived = networks(GRAPHS[name](), 0)
    made.memory = memory  # type: ignore[assignment]
    weights = made.decisions_weights(derived.graph.decisions)
    x = images(derived.multiple).float()
    for training in (True, False):
        outputs = [one.train(training)(x, w) for one, w in ((made, weights), (derived, None))]
        assert torch.equal(outputs[0]["restored"], outputs[1]["restored"])
        assert outputs[0]["restored"].requires_grad


class Sines(nn.Module):
    """A smooth operation with a parameter for each pixel, which is a gradient of its own, too."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(4)
        self.phase = nn.Parameter(torch.rand(1, 2, 3, 3, generator=generator, dtype=torch.float64))
        self.shift = nn.Parameter(torch.rand(1, 2, 3, 3, generator=generator, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.phase).sin() + x + self.shift


def test_gradients_are_those_of_finite_differences() -> None:
    sines = Sines()
    inputs = [torch.rand(1, 2, 3, 3, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    share = torch.rand((), dtype=torch.float64, requires_grad=True)

    def value(share: Tensor, x: Tensor, onto: Tensor, *own: Tensor) -> Tensor:
        class Holder(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.sines = sines

            def forward(self) -> Tensor:
                return recomputed(self.sines, x, share, onto)

        named = {"sines.phase": own[0], "sines.shift": own[1]}
        return functional_call(Holder(), named, ())

    arguments = (share, *inputs, sines.phase, sines.shift)
    assert torch.autograd.gradcheck(value, arguments)
    assert torch.autograd.gradgradcheck(value, arguments)


def test_an_input_that_was_computed_from_the_same_parameters_keeps_its_own_path() -> None:
    """Recursive stages share their weights: what a stage reads depends on them already."""
    sines = Sines()
    x = torch.rand(1, 2, 3, 3, dtype=torch.float64)
    of = [sines.phase, sines.shift]
    sides = []
    for call in (recomputed, lambda module, x: module(x)):
        found: Gradients = [call(sines, call(sines, call(sines, x))).square().sum()]
        gathered: Gradients = []
        for number in range(3):
            found = again(found, of, create_graph=number < 2)
            gathered += found
        sides.append(gathered)
    assert_close(*sides)


# -- what is computed and kept -----------------------------------------------------------------


def test_a_gradient_that_is_not_wanted_is_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[bool, ...]] = []
    original = recompute.Pullback.__init__

    def spy(self: Any, function: Any, results: int, needed: tuple[bool, ...]) -> None:
        asked.append(needed)
        original(self, function, results, needed)

    monkeypatch.setattr(recompute.Pullback, "__init__", spy)
    mixture = Operations({"one": nn.Sequential(nn.Conv2d(2, 2, 1)), "two": nn.Conv2d(2, 2, 1)})
    mixture.memory = "mixture"
    x, weights = torch.rand(1, 2, 4, 4), torch.rand(2, requires_grad=True)
    mixture.requires_grad_(False)
    (found,) = torch.autograd.grad(mixture(x, weights).sum(), weights)
    assert found.shape == (2,)
    assert asked == [(True, False, False, False)] * 2  # the share; not the input, kernel, bias
    asked.clear()
    mixture.requires_grad_(True)
    torch.autograd.grad(mixture(x, weights.detach()).sum(), list(mixture.parameters()))
    assert asked == [(False, False, True, True)] * 2


@pytest.mark.parametrize(("memory", "kept"), [("mixture", 1), ("operation", 4), ("plain", 7)])
def test_what_is_kept_is_the_input_or_the_results_beside_it(memory: str, kept: int) -> None:
    def block() -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(2, 2, 1), nn.Sigmoid(), nn.Conv2d(2, 2, 1), nn.Sigmoid())

    mixture = Operations({name: block() for name in ("one", "two", "three")})
    mixture.memory = memory  # type: ignore[assignment]
    x, weights = torch.rand(1, 2, 32, 32), torch.rand(3, requires_grad=True)
    with Kept([*mixture.parameters(), weights]) as count:
        result = mixture(x, weights)
    # Of each candidate in plain form: both activations; what follows shares them.
    assert count.now == x.nbytes * kept
    result.sum().backward()
    assert count.now == 0


def test_the_chain_keeps_a_fifth_and_a_twentieth_of_the_mixtures_activations() -> None:
    kept = {}
    for memory in ("plain", "operation", "mixture"):
        network = supernet(chain(), memory)
        with Kept(network.parameters()) as count:
            output = network(images())["restored"]
        kept[memory] = count.now
        del output
    assert kept["operation"] < 0.35 * kept["plain"]  # of three layers, head and tail count
    assert kept["mixture"] < 0.12 * kept["plain"]


def test_nothing_is_recomputed_without_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    network = supernet(chain(), "mixture")
    monkeypatch.setattr(recompute.Recomputed, "apply", None)
    with torch.no_grad():
        network(images())


def test_transforms_that_it_cannot_serve_raise() -> None:
    network = supernet(chain(), "mixture")

    def value(parameters: dict[str, Tensor]) -> Tensor:
        return functional_call(network, parameters, (images(),))["restored"].sum()

    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.track_running_stats = False
    with pytest.raises(RuntimeError, match="setup_context"):
        torch.func.grad(value)(dict(network.named_parameters()))


# -- the setting -------------------------------------------------------------------------------


def test_the_setting_reaches_all_mixtures_and_changes_no_name() -> None:
    network = supernet(chain())
    names = list(network.state_dict())
    network.memory = "mixture"
    assert {m.memory for m in network.modules() if isinstance(m, Operations)} == {"mixture"}
    assert copy.deepcopy(network).memory == "mixture"
    assert list(network.state_dict()) == names
    with pytest.raises(ValueError, match="'less': expected one of"):
        network.memory = "less"  # type: ignore[assignment]


def test_settings_that_do_the_same_are_not_offered() -> None:
    supernet_of_links, derived = networks(rdmc(width=2), 0)
    assert supernet_of_links.memory_settings == ("plain", "mixture")
    assert supernet(chain()).memory_settings == ("plain", "operation", "mixture")
    assert derived.memory_settings == ("plain",)
