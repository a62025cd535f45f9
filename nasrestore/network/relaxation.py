"""Relaxations: from a choice's logits to the mixing weights of its candidates.

A relaxation is called with ``(logits, keep, progress)``: logits of shape [candidates], how many of
them a decision keeps, and the progress of the search in [0, 1]. It gives mixing weights of the same
shape. Its ``strengths`` are what decisions are taken by: in [0, 1], ordered as the logits are.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from nasrestore.registry import relaxation


class Relaxation(Protocol):
    """What the network needs of a relaxation."""

    def __call__(self, logits: Tensor, keep: int, progress: float) -> Tensor: ...

    def strengths(self, logits: Tensor, keep: int) -> Tensor: ...


def _scaled(shares: Tensor, keep: int) -> Tensor:
    """``keep`` times shares that sum to one, capped at 1, so that supernet and decision agree."""
    return shares if keep == 1 else (keep * shares).clamp(max=1.0)


@relaxation("softmax")
class Softmax:
    """``keep`` times the softmax over the candidates, capped at 1 (DARTS for ``keep`` 1)."""

    def __init__(self, temperature: float = 1.0) -> None:
        self.temperature = temperature

    def __call__(self, logits: Tensor, keep: int, progress: float) -> Tensor:
        return _scaled(self.strengths(logits, keep), keep)

    def strengths(self, logits: Tensor, keep: int) -> Tensor:
        return F.softmax(logits / self.temperature, dim=0)


@relaxation("sigmoid")
class Sigmoid:
    """Each candidate by itself (FairDARTS)."""

    def __init__(self, temperature: float = 1.0) -> None:
        self.temperature = temperature

    def __call__(self, logits: Tensor, keep: int, progress: float) -> Tensor:
        return self.strengths(logits, keep)

    def strengths(self, logits: Tensor, keep: int) -> Tensor:
        return torch.sigmoid(logits / self.temperature)


def sparsemax(logits: Tensor) -> Tensor:
    """The Euclidean projection of ``logits`` [n] onto the simplex (Martins & Astudillo 2016, Eq. 2)."""
    ordered, _ = torch.sort(logits, descending=True)
    sums = ordered.cumsum(0) - 1
    count = torch.arange(1, len(logits) + 1, device=logits.device, dtype=logits.dtype)
    support = int((ordered * count > sums).sum())
    return (logits - sums[support - 1] / support).clamp(min=0)


@relaxation("sparsemax")
class Sparsemax:
    """``keep`` times the projection onto the simplex: weak candidates get exactly zero."""

    def __call__(self, logits: Tensor, keep: int, progress: float) -> Tensor:
        return _scaled(sparsemax(logits), keep)

    def strengths(self, logits: Tensor, keep: int) -> Tensor:
        # The softmax has the same order, and still tells candidates apart that are projected to 0.
        return F.softmax(logits, dim=0)


@relaxation("gumbel_softmax")
class GumbelSoftmax:
    """The softmax of perturbed logits (Jang et al. 2017); the temperature falls geometrically.

    Args:
        hard: zeros and ones forward, the soft weights' gradient backward.
    """

    def __init__(
        self, temperature: float = 1.0, final_temperature: float | None = None, hard: bool = False
    ) -> None:
        self.temperature = temperature
        self.final = temperature if final_temperature is None else final_temperature
        self.hard = hard

    def __call__(self, logits: Tensor, keep: int, progress: float) -> Tensor:
        temperature = self.temperature * (self.final / self.temperature) ** progress
        noise = -torch.log(torch.empty_like(logits).exponential_().clamp_min(1e-20))
        soft = _scaled(F.softmax((logits + noise) / temperature, dim=0), keep)
        if not self.hard:
            return soft
        chosen = torch.zeros_like(soft).scatter(0, soft.topk(keep).indices, 1.0)
        return chosen + soft - soft.detach()

    def strengths(self, logits: Tensor, keep: int) -> Tensor:
        return F.softmax(logits, dim=0)
