"""Steps of SGD and Adam as functions, so that gradients go through them.

The same updates as ``torch.optim`` takes, with one difference: Adam's epsilon stands inside the root,
``sqrt(v + epsilon^2)`` in place of ``sqrt(v) + epsilon``, since the latter's derivative is NaN where a
gradient is 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor

Slots = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Descent:
    """How an optimizer moves, and what it remembers of each variable.

    Attributes:
        dampening: of SGD's momentum; as in torch, none applies to the first step.
        slots: for each variable ``momentum``, or ``step``, ``mean`` and ``square``; empty at the
            start.
    """

    kind: Literal["sgd", "adam"]
    rate: float
    momentum: float = 0.0
    dampening: float = 0.0
    nesterov: bool = False
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    decoupled: bool = False
    slots: Slots = field(default_factory=dict)

    @classmethod
    def of(
        cls, optimizer: torch.optim.Optimizer, variables: Mapping[str, Tensor], rate: float
    ) -> Descent | None:
        """What a torch optimizer would do next; ``None`` for a kind that is not known here."""
        group = optimizer.param_groups[0]
        decay = float(group.get("weight_decay", 0.0))
        if group.get("maximize") or group.get("amsgrad"):
            return None
        if type(optimizer) is torch.optim.SGD:
            return cls(
                "sgd",
                rate,
                momentum=float(group["momentum"]),
                dampening=float(group["dampening"]),
                nesterov=bool(group["nesterov"]),
                weight_decay=decay,
                slots=_remembered(optimizer, variables, {"momentum": "momentum_buffer"}),
            )
        if type(optimizer) in (torch.optim.Adam, torch.optim.AdamW):
            names = {"step": "step", "mean": "exp_avg", "square": "exp_avg_sq"}
            return cls(
                "adam",
                rate,
                betas=(float(group["betas"][0]), float(group["betas"][1])),
                epsilon=float(group["eps"]),
                weight_decay=decay,
                decoupled=type(optimizer) is torch.optim.AdamW
                or bool(group.get("decoupled_weight_decay")),
                slots=_remembered(optimizer, variables, names),
            )
        return None

    def step(
        self, variables: Mapping[str, Tensor], gradients: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], Descent]:
        """The variables after one step, and the optimizer after it; nothing is written to."""
        moved, slots = {}, {}
        for name, variable in variables.items():
            update = self._sgd if self.kind == "sgd" else self._adam
            moved[name], slots[name] = update(
                variable, gradients[name], dict(self.slots.get(name, {}))
            )
        return moved, replace(self, slots=slots)

    def detached(self) -> Descent:
        """The same, through whose memory no gradient goes."""

        def plain(value: Any) -> Any:
            return value.detach() if isinstance(value, Tensor) else value

        slots = {n: {k: plain(v) for k, v in s.items()} for n, s in self.slots.items()}
        return replace(self, slots=slots)

    def _sgd(
        self, variable: Tensor, gradient: Tensor, slot: dict[str, Any]
    ) -> tuple[Tensor, dict[str, Any]]:
        direction = gradient + self.weight_decay * variable if self.weight_decay else gradient
        if self.momentum:
            before = slot.get("momentum")
            kept = (
                direction
                if before is None
                else self.momentum * before + (1 - self.dampening) * direction
            )
            slot = {"momentum": kept}
            direction = direction + self.momentum * kept if self.nesterov else kept
        return variable - self.rate * direction, slot

    def _adam(
        self, variable: Tensor, gradient: Tensor, slot: dict[str, Any]
    ) -> tuple[Tensor, dict[str, Any]]:
        first, second = self.betas
        if self.weight_decay and self.decoupled:
            variable = variable * (1 - self.rate * self.weight_decay)
        elif self.weight_decay:
            gradient = gradient + self.weight_decay * variable
        count = int(slot.get("step", 0)) + 1
        mean, square = (1 - first) * gradient, (1 - second) * gradient**2
        if count > 1:
            mean, square = mean + first * slot["mean"], square + second * slot["square"]
        root = (square / (1 - second**count) + self.epsilon**2).sqrt()
        moved = variable - self.rate * (mean / (1 - first**count)) / root
        return moved, {"step": count, "mean": mean, "square": square}


def _remembered(
    optimizer: torch.optim.Optimizer, variables: Mapping[str, Tensor], names: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    slots: dict[str, dict[str, Any]] = {}
    for name, variable in variables.items():
        state = optimizer.state.get(variable)
        if state and all(state.get(key) is not None for key in names.values()):
            slots[name] = {ours: _value(state[theirs]) for ours, theirs in names.items()}
    return slots


def _value(value: Any) -> Any:
    # A copy: the optimizer writes into its own. A step count is a number to us.
    if isinstance(value, Tensor):
        return float(value) if value.dim() == 0 else value.detach().clone()
    return value
