"""Hyper-parameters outside the network as variables: scalars with a start, a range, a transform."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

PREFIX = "hyper."  # of their names among a search's parameters


@dataclass(frozen=True)
class HyperScalar:
    """A scalar that a level may own.

    Attributes:
        least: the smallest value; ``None`` for no limit.
        most: the largest value.
        transform: ``none``, ``log`` or ``logit``: in what it moves. ``log`` keeps it positive,
            ``logit`` within its range, both smoothly.
        group: by which a level names it.
    """

    name: str
    start: float
    least: float | None = None
    most: float | None = None
    transform: str = "none"
    group: str = "hyper"

    def raw(self, value: float) -> float:
        """Where the variable stands for a value."""
        if self.transform == "log":
            return math.log(value)
        if self.transform == "logit":
            assert self.least is not None and self.most is not None
            share = (value - self.least) / (self.most - self.least)
            return math.log(share / (1 - share))
        return value

    def value(self, raw: Tensor) -> Tensor:
        """The value that a variable stands for."""
        if self.transform == "log":
            return raw.exp()
        if self.transform == "logit":
            assert self.least is not None and self.most is not None
            return self.least + (self.most - self.least) * torch.sigmoid(raw)
        return raw

    def limits(self) -> tuple[float | None, float | None]:
        """The range of the variable."""
        if self.transform == "logit":
            return None, None
        least, most = self.least, self.most
        if self.transform == "log":
            return (
                None if least is None or least <= 0 else math.log(least),
                None if most is None else math.log(most),
            )
        return least, most


class HyperParameters(nn.Module):
    """The scalars of a search; parameters like any others, with a state dict of their own."""

    def __init__(self, scalars: Iterable[HyperScalar] = ()) -> None:
        super().__init__()
        self.scalars = {scalar.name: scalar for scalar in scalars}
        self.raw = nn.ParameterDict(
            {name: nn.Parameter(torch.tensor(s.raw(s.start))) for name, s in self.scalars.items()}
        )

    def named(self) -> dict[str, nn.Parameter]:
        """The variables by the names that they have among a search's parameters."""
        return {PREFIX + name: self.raw[name] for name in self.scalars}

    def groups(self) -> dict[str, dict[str, nn.Parameter]]:
        """The variables by group."""
        groups: dict[str, dict[str, nn.Parameter]] = {}
        for name, parameter in self.named().items():
            group = self.scalars[name.removeprefix(PREFIX)].group
            groups.setdefault(group, {})[name] = parameter
        return groups

    def values(self, parameters: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """The value of each scalar, from the variables given or its own."""
        variables: Mapping[str, Tensor] = self.named() if parameters is None else parameters
        return {n: scalar.value(variables[PREFIX + n]) for n, scalar in self.scalars.items()}

    @torch.no_grad()
    def plain_values(self) -> dict[str, float]:
        """The value of each scalar as a number, for the log."""
        return {name: float(value) for name, value in self.values().items()}

    @torch.no_grad()
    def project(self, names: Container[str]) -> None:
        """Puts those of the named variables that are its own back into their ranges."""
        for name, scalar in self.scalars.items():
            least, most = scalar.limits()
            if PREFIX + name in names and not (least is None and most is None):
                self.raw[name].clamp_(least, most)
