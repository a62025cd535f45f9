"""Steps of a level: who gets a gradient, who moves, what a published search got wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nasrestore as nr
from nasrestore.errors import RunStopped
from nasrestore.graph.compile import compile_space
from nasrestore.graph.decide import decide
from nasrestore.losses.pixel import MeanSquaredError
from nasrestore.network.build import GraphNetwork, build
from nasrestore.registry import operation
from nasrestore.search.hypergradient.first_order import FirstOrder
from nasrestore.search.level import Level
from nasrestore.search.objective import Objective, Term
from nasrestore.spec.load import load_recipe, overrides_of


@dataclass
class Patch:
    degraded: Tensor
    clean: Tensor


class Patches(Iterator[Patch]):
    """Random patches from a generator of their own."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def __next__(self) -> Patch:
        clean = torch.rand(2, 3, 16, 16, generator=self.generator)
        return Patch((clean + 0.3).clamp(max=1), clean)

    def __len__(self) -> int:
        return 4

    def state_dict(self) -> dict[str, Any]:
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.generator.set_state(state["generator"])


def supernet() -> GraphNetwork:
    import nasrestore.ops  # noqa: F401

    loaded = load_recipe("rdmc", overrides_of(["space.width=2"]))
    return build(compile_space(loaded.space), operation.factories())


def level(network: nn.Module, group: str, *, first: bool, rate: float = 1e-2, **more: Any) -> Level:
    variables = network.parameter_groups()[group]
    return Level(
        group,
        variables,
        Objective(network, {"mse": Term(MeanSquaredError())}),
        Patches(0 if first else 1),
        torch.optim.Adam(list(variables.values()), lr=rate),
        lambda progress: 1.0,
        FirstOrder(),
        keeps_statistics=first,
        **more,
    )


def snapshot(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def changed(network: nn.Module, before: dict[str, Tensor]) -> set[str]:
    return {n for n, v in network.state_dict().items() if not torch.equal(v, before[n])}


def test_a_weight_step_moves_weights_and_statistics_alone() -> None:
    network = supernet()
    before = snapshot(network)
    level(network, "weights", first=True).step(0.0)
    moved = changed(network, before)
    assert moved
    assert not any(name.startswith("architecture") for name in moved)
    assert any("running_mean" in name for name in moved)
    assert all(p.grad is None for p in network.parameters())


def test_an_architecture_step_moves_the_architecture_alone() -> None:
    network = supernet()
    before = snapshot(network)
    level(network, "architecture", first=False).step(0.0)
    moved = {name for name in changed(network, before) if "num_batches" not in name}
    assert moved == {n for n, _ in network.named_parameters() if n.startswith("architecture")}
    assert all(p.grad is None for p in network.parameters())


def test_every_architecture_parameter_has_a_gradient_and_moves() -> None:
    """The published code builds its network without skips, so that they get no gradient at all."""
    network = supernet()
    architecture = level(network, "architecture", first=False)
    gradients: dict[str, Tensor] = {}
    descend = architecture.optimizer.step

    def spy() -> None:
        gradients.update({n: v.grad.clone() for n, v in architecture.variables.items()})
        descend()

    architecture.optimizer.step = spy  # type: ignore[method-assign]
    before = snapshot(network)
    architecture.step(0.0)
    for name, gradient in gradients.items():
        assert torch.isfinite(gradient).all() and (gradient != 0).all(), name
        assert (network.state_dict()[name] != before[name]).all(), name


def test_a_level_below_is_not_touched_and_computes_no_gradient() -> None:
    """The published code leaves the architecture step's gradients in the weights."""
    network = supernet()
    weights = level(network, "weights", first=True)
    architecture = level(network, "architecture", first=False)
    asked: list[bool] = []
    forward = network.forward

    def spy(*args: Any, **kwargs: Any) -> Any:
        asked.append(any(p.requires_grad for p in weights.variables.values()))
        return forward(*args, **kwargs)

    network.forward = spy  # type: ignore[method-assign]
    architecture.step(0.0, [weights])
    weights.step(0.0)
    assert asked == [False, True]
    assert all(p.requires_grad for p in network.parameters())


def test_loading_gives_the_same_decisions() -> None:
    """The published test script derives from fresh random skips: they are not in its state dict."""
    network = supernet()
    architecture = level(network, "architecture", first=False, rate=0.3)
    for _ in range(5):
        architecture.step(0.0)
    again = supernet()
    assert again.architecture is not None and network.architecture is not None
    again.load_state_dict(network.state_dict())
    first = decide(network.graph, network.architecture.strengths())[0].genotype
    second = decide(again.graph, again.architecture.strengths())[0].genotype
    assert first.decisions == second.decisions
    fresh = supernet().architecture
    assert fresh is not None and fresh.strengths() != network.architecture.strengths()


def test_levels_draw_different_batches_and_new_ones_each_step() -> None:
    """The published validation sampler yields the training positions, its first batch every time."""
    network = supernet()
    weights, architecture = (
        level(network, "weights", first=True),
        level(network, "architecture", first=False),
    )
    seen: list[Tensor] = []

    class Watched(Objective):
        def __call__(self, batch: Patch, *rest: Any) -> Any:  # type: ignore[override]
            seen.append(batch.clean)
            return super().__call__(batch, *rest)

    for one in (weights, architecture):
        one.objective = Watched(network, one.objective.terms)
    for _ in range(2):
        weights.step(0.0)
        architecture.step(0.0)
    assert len({tensor.sum().item() for tensor in seen}) == 4


def test_a_loss_that_is_not_finite_stops_before_anything_moves() -> None:
    network = supernet()
    weights = level(network, "weights", first=True)
    with torch.no_grad():
        next(iter(weights.variables.values())).fill_(math.nan)
    before = {n: v.clone() for n, v in weights.variables.items()}
    with pytest.raises(RunStopped, match="level 'weights': loss not finite: mse is nan"):
        weights.step(0.0)
    after = weights.variables
    assert all(torch.equal(after[n].nan_to_num(7), v.nan_to_num(7)) for n, v in before.items())


def test_clipping_bounds_the_step_of_plain_descent() -> None:
    network = supernet()
    variables = network.parameter_groups()["weights"]
    one = level(network, "weights", first=True, clip=1e-3)
    one.optimizer = torch.optim.SGD(list(variables.values()), lr=1.0)
    one.__post_init__()
    before = {n: v.detach().clone() for n, v in variables.items()}
    record = one.step(0.0)
    moved = torch.sqrt(sum(((v - before[n]) ** 2).sum() for n, v in variables.items()))
    assert record.gradient_norm > 1e-3
    assert moved.item() == pytest.approx(1e-3, rel=1e-3)


def test_the_public_build_is_the_same_builder() -> None:
    assert isinstance(nr.build("rdmc"), GraphNetwork)
