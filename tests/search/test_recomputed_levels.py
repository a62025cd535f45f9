"""Levels whose supernet recomputes take the same steps, by every kind of hypergradient."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nasrestore.graph.compile import compile_space
from nasrestore.losses.pixel import MeanSquaredError
from nasrestore.search.hypergradient.conjugate_gradient import ConjugateGradient
from nasrestore.search.hypergradient.first_order import FirstOrder
from nasrestore.search.hypergradient.neumann import Neumann
from nasrestore.search.hypergradient.unrolled import Unrolled
from nasrestore.search.level import Level
from nasrestore.search.objective import Objective, Term
from nasrestore.spec.space import parse_space

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "network"))
from test_law import CHAIN
from test_recompute import MODES, assert_close, supernet


@dataclass
class Patch:
    degraded: Tensor
    clean: Tensor


class Patches(Iterator[Patch]):
    """Random patches in double precision."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def __next__(self) -> Patch:
        first, second = torch.rand(2, 2, 3, 8, 8, generator=self.generator, dtype=torch.float64)
        return Patch(first, second)

    def __len__(self) -> int:
        return 4

    def state_dict(self) -> dict[str, Any]:
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.generator.set_state(state["generator"])


def levels(memory: str, hypergradient: Any) -> list[Level]:
    text = CHAIN.replace("channels: 8", "channels: 2").replace("repeat: 3", "repeat: 2")
    network = supernet(compile_space(parse_space(text)), memory)
    groups = network.parameter_groups()
    return [
        Level(
            name,
            groups[name],
            Objective(network, {"mse": Term(MeanSquaredError())}),
            Patches(seed),
            torch.optim.SGD(list(groups[name].values()), lr=0.1),
            lambda progress: 1.0,
            FirstOrder() if name == "weights" else hypergradient,
            keeps_statistics=name == "weights",
        )
        for seed, name in enumerate(("weights", "architecture"))
    ]


@pytest.mark.parametrize("memory", MODES)
@pytest.mark.parametrize(
    "hypergradient",
    [FirstOrder(), Unrolled(steps=2), ConjugateGradient(steps=4), Neumann(terms=4)],
    ids=lambda one: type(one).__name__,
)
def test_hypergradients_and_steps_are_the_same(memory: str, hypergradient: Any) -> None:
    sides = []
    for setting in (memory, "plain"):
        weights, architecture = levels(setting, hypergradient)
        weights.step(0.0)
        gradient = architecture.gradient(0.0, [weights])
        architecture.step(0.0, [weights])
        state = weights.network.state_dict()
        sides.append([*gradient.of.values(), *(value.double() for value in state.values())])
    assert_close(*sides)
