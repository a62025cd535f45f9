"""One level of a chain: its variables, its objective, and how it takes a step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from nasrestore.errors import RunStopped
from nasrestore.search.hypergradient.problem import Hypergradient, LevelProblem
from nasrestore.search.objective import Batch, Objective, Terms


class BatchStream(Protocol):
    """An endless stream of batches whose place can be saved."""

    def __next__(self) -> Batch: ...

    def __len__(self) -> int: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


@dataclass(frozen=True)
class StepRecord:
    """What one step of one level did; for the log.

    Attributes:
        terms: each term of the objective and the ``total``.
        gradient_norm: Euclidean, over all the level's variables, before clipping.
    """

    level: str
    terms: Mapping[str, float]
    gradient_norm: float
    rate: float


@dataclass
class Level:
    """One level of a chain, innermost first.

    Attributes:
        variables: the network's parameters that this level owns, by name.
        schedule: multiplier of the learning rate from progress in [0, 1].
        steps: how many it takes each turn.
        start: progress from which it takes part.
        clip: the largest gradient norm; ``None`` for no limit.
        keeps_statistics: whether its forward passes move the running statistics of batch
            normalisation; only the innermost level's do.
    """

    name: str
    variables: dict[str, nn.Parameter]
    objective: Objective
    batches: BatchStream
    optimizer: torch.optim.Optimizer
    schedule: Callable[[float], float]
    hypergradient: Hypergradient
    steps: int = 1
    start: float = 0.0
    clip: float | None = None
    keeps_statistics: bool = True
    _rates: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self._rates = [float(group["lr"]) for group in self.optimizer.param_groups]

    @property
    def network(self) -> nn.Module:
        return self.objective.network

    def problem(self, batch: Batch, progress: float) -> LevelProblem:
        """The level as a pure function of parameters, on one batch."""

        def terms(parameters: Mapping[str, Tensor] | None) -> Terms:
            return self.objective(batch, progress, parameters)

        rate = self._rates[0] * self.schedule(progress)
        return LevelProblem(self.name, tuple(self.variables), terms, rate)

    def step(self, progress: float, below: Sequence[Level] = ()) -> StepRecord:
        """One step of the optimizer along the hypergradient.

        Raises:
            RunStopped: a term or the gradient is not finite; nothing was changed.
        """
        batch = next(self.batches)
        inner = [level.problem(batch, progress) for level in below]
        network = self.network
        parameters = dict(network.named_parameters())
        with only(parameters, self.variables), statistics(network, moving=self.keeps_statistics):
            gradient = self.hypergradient(self.problem(batch, progress), inner, parameters)
        values = {name: float(part.detach()) for name, part in gradient.terms.parts.items()}
        values["total"] = float(gradient.terms.total.detach())
        norm = _norm([g for g in gradient.of.values() if g is not None])
        self._refuse_non_finite(values, norm)
        rate = self._descend(gradient.of, norm, progress)
        return StepRecord(self.name, values, norm, rate)

    def _refuse_non_finite(self, values: Mapping[str, float], norm: float) -> None:
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if bad:
            named = [name for name in bad if name != "total"] or bad
            shown = ", ".join(f"{name} is {values[name]}" for name in named)
            raise RunStopped(f"level {self.name!r}: loss not finite: {shown}")
        if not math.isfinite(norm):
            raise RunStopped(f"level {self.name!r}: the norm of the gradient is {norm}")

    def _descend(
        self, gradients: Mapping[str, Tensor | None], norm: float, progress: float
    ) -> float:
        scale = 1.0 if self.clip is None or norm <= self.clip else self.clip / norm
        for name, variable in self.variables.items():
            gradient = gradients[name]
            variable.grad = gradient if gradient is None or scale == 1.0 else gradient * scale
        rate = 0.0
        for group, start in zip(self.optimizer.param_groups, self._rates, strict=True):
            rate = group["lr"] = start * self.schedule(progress)
        self.optimizer.step()
        for variable in self.variables.values():
            variable.grad = None
        return rate

    def state_dict(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer.state_dict(), "batches": self.batches.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        self.batches.load_state_dict(state["batches"])


def _norm(gradients: list[Tensor]) -> float:
    if not gradients:
        return 0.0
    norms = torch._foreach_norm(gradients)
    return float(torch.stack([norm.float() for norm in norms]).norm())


@contextmanager
def only(parameters: Mapping[str, Tensor], names: Mapping[str, Any]) -> Iterator[None]:
    """Inside, the named parameters alone require gradients: nothing is computed for the others."""
    before = {name: parameter.requires_grad for name, parameter in parameters.items()}
    try:
        for name, parameter in parameters.items():
            parameter.requires_grad_(name in names)
        yield
    finally:
        for name, parameter in parameters.items():
            parameter.requires_grad_(before[name])


@contextmanager
def statistics(network: nn.Module, *, moving: bool) -> Iterator[None]:
    """Inside, batch normalisation normalises by the batch; its running statistics move or stand.

    In eval mode the running statistics would depend on the architecture without a gradient.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    was_training = network.training
    network.train()
    try:
        if not moving:
            for norm in norms:
                norm.momentum = 0.0
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        network.train(was_training)
