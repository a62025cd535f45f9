"""Where several candidates become one feature: mixtures of operations, and weighted links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import torch
from torch import Tensor, nn

from nasrestore.network.architecture import module_key
from nasrestore.ops.resample import Resample


class Operations(nn.Module):
    """The candidates of a node, by label; one of them where nothing is to be decided.

    A supernet's and a derived network's parameters have the same names, so that weights carry over
    by name.
    """

    def __init__(self, candidates: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.candidates = nn.ModuleDict({module_key(k): module for k, module in candidates.items()})

    def forward(self, x: Tensor, weights: Tensor | None) -> Tensor:
        """N C H W to N C' H' W'; ``weights`` [candidates], or ``None`` for the only one."""
        modules = list(self.candidates.values())
        if weights is None:
            return modules[0](x)  # type: ignore[no-any-return]
        return mixed([module(x) for module in modules], weights)


def mixed(features: Sequence[Tensor], weights: Tensor) -> Tensor:
    """The sum of ``weights[i] * features[i]``, in that order."""
    shares = weights.unbind()
    total = shares[0] * features[0]
    for share, feature in zip(shares[1:], features[1:], strict=True):
        total = torch.addcmul(total, share, feature)
    return total


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
