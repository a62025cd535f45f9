"""Where several candidates become one feature: mixtures of operations, and weighted links."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from nasrestore.network.architecture import module_key
from nasrestore.ops.resample import Resample


class Operations(nn.Module):
    """The candidates of a node, by label; one of them where nothing is to be decided.

    A supernet's and a derived network's parameters have the same names, so that weights carry over
    by name.

    Attributes:
        prepare: what is called with the input before the candidates are (see ``rewrite``).
    """

    def __init__(self, candidates: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.candidates = nn.ModuleDict({module_key(k): module for k, module in candidates.items()})
        self.prepare: Sequence[Callable[[Tensor], None]] = ()

    def forward(self, x: Tensor, weights: Tensor | None) -> Tensor:
        """N C H W to N C' H' W'; ``weights`` [candidates], or ``None`` for the only one."""
        modules = list(self.candidates.values())
        if weights is None:
            return modules[0](x)  # type: ignore[no-any-return]
        if self.prepare and x.is_contiguous(memory_format=torch.channels_last):
            for shared in self.prepare:
                shared(x)
        return mixed([module(x) for module in modules], weights)


def mixed(features: Sequence[Tensor], weights: Tensor) -> Tensor:
    """The sum of ``weights[i] * features[i]``, in that order."""
    total: Tensor = WeightedSum.apply(weights, *features)
    return total


class WeightedSum(torch.autograd.Function):
    """``sum_i weights[i] * features[i]`` into one tensor; features are kept only if weights learn."""

    @staticmethod
    def forward(weights: Tensor, *features: Tensor) -> Tensor:
        shares = weights.unbind()
        total = features[0] * shares[0]
        for share, feature in zip(shares[1:], features[1:], strict=True):
            total.addcmul_(share, feature) if MODE == "addcmul" else total.add_(
                feature, alpha=share.item()
            )
        return total

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        weights, *features = inputs
        ctx.save_for_backward(weights, *(features if ctx.needs_input_grad[0] else ()))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weights, *features = ctx.saved_tensors
        by_weight = None
        if ctx.needs_input_grad[0]:
            by_weight = torch.stack([_inner(gradient, feature) for feature in features])
        return by_weight, *(gradient * share for share in weights.unbind())


MODE = "alpha"


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """The inner product of two tensors N C H W, without a copy where both lie channels-last."""
    if a.is_contiguous(memory_format=torch.channels_last):
        a, b = a.permute(0, 2, 3, 1), b.permute(0, 2, 3, 1)
    return torch.dot(a.reshape(-1), b.reshape(-1))


class Link(nn.Module):
    """A link's adapter and resampling, N C H W at one end to N C' H' W' at the other.

    The adapter computes on the smaller side; a pointwise one commutes with the resampling, so that
    this is the same as on the larger side.
    """

    def __init__(self, adapter: nn.Module | None, factor: Fraction) -> None:
        super().__init__()
        self.adapter = nn.Identity() if adapter is None else adapter
        self.resample = Resample(factor)

    def forward(self, x: Tensor) -> Tensor:
        if self.resample.factor < 1:
            return self.adapter(self.resample(x))  # type: ignore[no-any-return]
        return self.resample(self.adapter(x))  # type: ignore[no-any-return]
