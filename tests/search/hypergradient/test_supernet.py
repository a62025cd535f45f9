"""Hypergradients on a small real supernet with batch normalisation, in float64."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

import nasrestore.ops  # noqa: F401  attaches the operations' factories
from nasrestore.graph.compile import compile_tree
from nasrestore.losses.pixel import MeanSquaredError
from nasrestore.losses.structure import StructuralDissimilarity
from nasrestore.losses.variables import WeightDecay
from nasrestore.network.build import GraphNetwork, build
from nasrestore.registry import operation
from nasrestore.search.hyper import HyperParameters, HyperScalar
from nasrestore.search.hypergradient.aggregation import Aggregation
from nasrestore.search.hypergradient.conjugate_gradient import ConjugateGradient
from nasrestore.search.hypergradient.curvature import UnrolledResponse
from nasrestore.search.hypergradient.finite_difference import FiniteDifference
from nasrestore.search.hypergradient.neumann import Neumann
from nasrestore.search.hypergradient.problem import Hypergradient
from nasrestore.search.hypergradient.unrolled import Unrolled
from nasrestore.search.hypergradient.value_function import ValueFunction
from nasrestore.search.level import Level
from nasrestore.search.objective import Augmentation, Objective, Term
from nasrestore.search.scope import norms_of_any_order
from nasrestore.spec.source import parse_yaml

METHODS: list[Hypergradient] = [
    FiniteDifference(),
    Unrolled(2),
    Neumann(3),
    ConjugateGradient(3, damping=1.0),
    Aggregation(2),
    ValueFunction(2),
]


def named(one: object) -> str:
    return type(one).__name__


@dataclass
class Patch:
    degraded: Tensor
    clean: Tensor


class Patches:
    """The same few patches again and again."""

    def __init__(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        clean = torch.rand(3, 2, 3, 8, 8, generator=generator, dtype=torch.float64)
        rain = torch.rand(3, 2, 3, 8, 8, generator=generator, dtype=torch.float64)
        self.patches = [Patch(c + 0.3 * r, c) for c, r in zip(clean, rain, strict=True)]
        self.place = 0

    def __next__(self) -> Patch:
        self.place += 1
        return self.patches[self.place % 3]

    def __len__(self) -> int:
        return 3

    def state_dict(self) -> dict[str, Any]:
        return {"place": self.place}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.place = state["place"]


SPACE = """
format: 1
space: small
inputs: {rainy: {channels: 3}}
recursion: {stages: 2, state: restored, start: rainy, weights: shared}
nodes:
  encoder: {repeat: 2, reads: [restored, rainy], op: conv_bn_relu, with: {channels: 3}, between: max_pool_2}
  middle: {op: {choice: [residual, spatial_attention, identity]}}
  decoder: {repeat: 2, op: conv_bn_relu, with: {channels: 3}, between: bilinear_2}
  head: {op: conv, with: {channels: 3}}
links:
  any: {from: encoder, to: decoder, direction: any, adapter: conv_1x1, join: add, keep: 2}
outputs: {restored: {from: head, add: rainy}}
"""


def supernet() -> GraphNetwork:
    """Choices of operations and of links, batch normalisation, recursion."""
    torch.manual_seed(0)
    graph = compile_tree(parse_yaml(SPACE, "small.yaml"))
    return build(graph, operation.factories(), spread=0.5).double()


def chain(network: GraphNetwork, method: Hypergradient, **more: Any) -> list[Level]:
    """Weights with learned loss weights and decay, logits, and these hyper-parameters."""
    hyper = HyperParameters(
        [
            HyperScalar("gamma", 0.3, transform="log"),
            HyperScalar("decay", 0.01, 0.0, 1.0, transform="logit"),
            HyperScalar("noise", 0.05),
        ]
    ).double()
    groups = {**network.parameter_groups(), **hyper.groups()}
    weights = tuple(groups["weights"])
    training = Objective(
        network,
        {
            "ssim": Term(StructuralDissimilarity()),
            "mse": Term(MeanSquaredError(), "gamma"),
            "decay": Term(WeightDecay(), "decay", variables=weights),
        },
        hyper=hyper,
        augmentation=Augmentation(noise="noise"),
    )
    validation = Objective(network, {"mse": Term(MeanSquaredError())}, hyper=hyper)

    def level(group: str, objective: Objective, seed: int, **options: Any) -> Level:
        optimizer = torch.optim.SGD(list(groups[group].values()), lr=0.05, momentum=0.5)
        return Level(
            group,
            dict(groups[group]),
            objective,
            Patches(seed),
            optimizer,
            lambda progress: 1.0,
            keeps_statistics=seed == 0,
            **options,
        )

    from nasrestore.search.hypergradient.first_order import FirstOrder

    return [
        level("weights", training, 0, hypergradient=FirstOrder()),
        level("architecture", validation, 1, hypergradient=method),
        level("hyper", validation, 2, hypergradient=method, **more),
    ]


def central(value: Callable[[Tensor], float], at: Tensor, step: float = 1e-6) -> Tensor:
    """Central differences, entry by entry; a longer step would cross the corners of ReLU."""
    found = torch.zeros_like(at)
    for i in range(at.numel()):
        h = torch.zeros_like(at)
        h.view(-1)[i] = step
        found.view(-1)[i] = (value(at + h) - value(at - h)) / (2 * step)
    return found


@pytest.mark.parametrize("own", ["architecture", "hyper"])
def test_unrolled_equals_central_differences_of_the_whole_map(own: str) -> None:
    """Steps of SGD with momentum on the weights, then the upper loss; BN in between."""
    levels = chain(supernet(), Unrolled(2))
    lower = levels[0]
    lower.step(0.0)  # so that there is a momentum
    upper = levels[1] if own == "architecture" else levels[2]
    batch = next(upper.batches)
    place = lower.batches.state_dict()
    problem, below = upper.problem(0.0, batch), lower.problem(0.0)
    parameters = upper.objective.parameters()
    found = Unrolled(2)(problem, [below], parameters)
    assert lower.batches.state_dict() != place  # it drew batches of its own

    def value_at(name: str) -> Callable[[Tensor], float]:
        def value(moved: Tensor) -> float:
            at = {n: p.detach() for n, p in parameters.items()} | {name: moved}
            inner = {n: at[n].clone().requires_grad_() for n in below.variables}
            descent = below.descent
            assert descent is not None
            for step in range(2):
                total = below.terms({**at, **inner}, step).total
                slope = torch.autograd.grad(total, list(inner.values()), allow_unused=True)
                filled = {
                    n: torch.zeros_like(inner[n]) if g is None else g
                    for n, g in zip(inner, slope, strict=True)
                }
                inner, descent = descent.step(inner, filled)
                inner = {n: w.detach().requires_grad_() for n, w in inner.items()}
            return float(problem.terms({**at, **inner}).total.detach())

        return value

    for name in problem.variables:
        gradient = found.of[name]
        assert gradient is not None
        expected = central(value_at(name), parameters[name].detach())
        torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("method", METHODS, ids=named)
def test_nothing_moves_but_the_places_in_the_data(method: Hypergradient) -> None:
    network = supernet()
    levels = chain(network, method, curvature=UnrolledResponse())
    for index, level in enumerate(levels):
        level.step(0.0, levels[:index])

    def everything() -> dict[str, Tensor]:
        found = {n: t.clone() for n, t in network.state_dict().items()}
        found |= {n: t.detach().clone() for n, t in levels[0].objective.hyper.named().items()}
        for level in levels:
            for name, variable in level.variables.items():
                for key, value in level.optimizer.state[variable].items():
                    found[f"{name} {key}"] = value.clone()
        return found

    before = everything()
    for index in (1, 2):
        levels[index].gradient(0.0, levels[:index])
    after = everything()
    assert before.keys() == after.keys()
    assert [name for name in before if not torch.equal(before[name], after[name])] == []
    assert all(p.grad is None for p in network.parameters())


@pytest.mark.parametrize("method", METHODS, ids=named)
def test_memory_is_level_over_many_calls(method: Hypergradient) -> None:
    """As many tensors live after many calls as after a few: no graph is kept by anybody."""
    levels = chain(supernet(), method)

    def alive() -> int:
        gc.collect()
        return sum(issubclass(type(one), Tensor) for one in gc.get_objects())

    for _ in range(3):
        levels[1].gradient(0.0, levels[:1])
    before = alive()
    for _ in range(20):
        levels[1].gradient(0.0, levels[:1])
    assert alive() <= before


def test_three_levels_with_nested_unrolling_equal_central_differences() -> None:
    """A weight step inside a logit step inside the hyper-parameters' loss: third derivatives."""
    method = Unrolled(1, optimizer="sgd", rate=0.5)
    levels = chain(supernet(), method, curvature=UnrolledResponse(1, "sgd", 0.1))
    from nasrestore.search.hypergradient.curvature import Present, reduced
    from nasrestore.search.hypergradient.problem import constants

    top = levels[2]
    batch = next(top.batches)
    parameters = top.objective.parameters()
    below = [level.problem(0.0) for level in levels[:2]]
    by = UnrolledResponse(1, "sgd", 0.1)
    upper, lower = reduced(top.problem(0.0, batch), below, by, Present(constants(parameters)))
    network = top.network
    with norms_of_any_order(network, wanted=True):
        found = method(upper, [below[0], lower], parameters)

    def value_at(name: str) -> Callable[[Tensor], float]:
        def value(moved: Tensor) -> float:
            at: Mapping[str, Tensor] = {n: p.detach() for n, p in parameters.items()} | {
                name: moved
            }
            own = {n: at[n].clone().requires_grad_() for n in lower.variables}
            total = lower.terms({**at, **own}).total
            slope = torch.autograd.grad(total, list(own.values()))
            stepped = {n: own[n].detach() - 0.5 * g for n, g in zip(own, slope, strict=True)}
            return float(upper.terms({**at, **stepped}).total.detach())

        return value

    for name in upper.variables:
        gradient = found.of[name]
        assert gradient is not None and gradient.abs() > 0
        expected = central(value_at(name), parameters[name].detach())
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-8)


def test_hyper_parameters_move_stay_in_range_and_come_back_from_a_checkpoint() -> None:
    levels = chain(supernet(), Unrolled(1), curvature=UnrolledResponse())
    hyper = levels[0].objective.hyper
    before = hyper.plain_values()
    for _ in range(3):
        levels[2].step(0.0, levels[:2])
    after = hyper.plain_values()
    assert all(after[name] != before[name] for name in before)
    assert after["gamma"] > 0 and 0 < after["decay"] < 1
    again = HyperParameters(hyper.scalars.values()).double()
    again.load_state_dict(hyper.state_dict())
    assert again.plain_values() == after
