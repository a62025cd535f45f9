"""Where several candidates become one feature: mixtures of operations, and weighted links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from torch import Tensor, nn

from nasrestore.network.architecture import module_key
from nasrestore.network.recompute import Memory, recomputed, weighed
from nasrestore.ops.resample import Resample


class Operations(nn.Module):
    """The candidates of a node, by label; one of them where nothing is to be decided.

    A supernet's and a derived network's parameters have the same names, so that weights carry over
    by name.

    Attributes:
        memory: what of a mixture is kept for its gradient: everything (``plain``), the candidates'
            results (``operation``), or its input alone (``mixture``).
    """

    def __init__(self, candidates: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.memory: Memory = "plain"
        self.candidates = nn.ModuleDict({module_key(k): module for k, module in candidates.items()})

    def forward(self, x: Tensor, weights: Tensor | None) -> Tensor:
        """N C H W to N C' H' W'; ``weights`` [candidates], or ``None`` for the only one."""
        modules = list(self.candidates.values())
        if weights is None:
            return modules[0](x)  # type: ignore[no-any-return]
        if self.memory == "mixture":
            return _mixed_again(modules, x, weights)
        if self.memory == "operation":
            return mixed([recomputed(module, x) for module in modules], weights)
        return mixed([module(x) for module in modules], weights)


def mixed(features: Sequence[Tensor], weights: Tensor) -> Tensor:
    """The sum of ``weights[i] * features[i]``, in that order."""
    total: Tensor | None = None
    for share, feature in zip(weights.unbind(), features, strict=True):
        total = weighed(feature, share, total)
    assert total is not None
    return total


def _mixed_again(modules: Sequence[nn.Module], x: Tensor, weights: Tensor) -> Tensor:
    """The same of ``modules[i](x)``; backward computes one candidate after another again."""
    total: Tensor | None = None
    for share, module in zip(weights.unbind(), modules, strict=True):
        total = recomputed(module, x, share, total)
    assert total is not None
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
