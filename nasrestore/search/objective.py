"""A level's objective: named, weighed loss terms on a network's outputs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call


class Batch(Protocol):
    """What an objective reads: degraded and clean images, N C H W in [0, 1]."""

    @property
    def degraded(self) -> Tensor: ...

    @property
    def clean(self) -> Tensor: ...


@dataclass(frozen=True)
class Term:
    """One loss in the sum; ``output`` names what it reads of the network."""

    loss: nn.Module
    weight: float = 1.0
    output: str = "restored"


@dataclass(frozen=True)
class Terms:
    """The value of an objective: the weighed sum, and each unweighed term by name."""

    total: Tensor
    parts: Mapping[str, Tensor]


class Objective:
    """The weighed sum of loss terms of a network on a batch.

    Args:
        network: called with (degraded, progress=...), gives named outputs N C H W.
        terms: by name; terms of weight 0 are not computed.
        bf16: whether the network runs under bf16 autocast; losses always see float32.
    """

    def __init__(
        self, network: nn.Module, terms: Mapping[str, Term], *, bf16: bool = False
    ) -> None:
        self.network = network
        self.terms = {name: term for name, term in terms.items() if term.weight != 0}
        if not self.terms:
            raise ValueError("an objective needs a term whose weight is not zero")
        self.bf16 = bf16

    def _precision(self, device: torch.device) -> AbstractContextManager[Any]:
        return torch.autocast(device.type, torch.bfloat16) if self.bf16 else nullcontext()

    def __call__(
        self,
        batch: Batch,
        progress: float,
        parameters: Mapping[str, Tensor] | None = None,
    ) -> Terms:
        """The terms on a batch.

        Args:
            progress: of the run, in [0, 1].
            parameters: to use in place of the network's own, by name.
        """
        with self._precision(batch.degraded.device):
            arguments = {"progress": progress}
            if parameters is None:
                outputs = self.network(batch.degraded, **arguments)
            else:
                outputs = functional_call(
                    self.network, dict(parameters), (batch.degraded,), arguments
                )
        parts: dict[str, Tensor] = {}
        total: Tensor | None = None
        for name, term in self.terms.items():
            output = outputs[term.output].float()
            parts[name] = term.loss(output, batch.clean, batch.degraded)
            weighed = term.weight * parts[name]
            total = weighed if total is None else total + weighed
        assert total is not None
        return Terms(total, parts)
