"""Losses of the variables themselves: called with the tensors of a parameter group by name."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasrestore.registry import loss


@loss("weight_decay")
class WeightDecay(nn.Module):
    """Half the sum of squares of all entries.

    Its gradient is the variable itself, so that a weight of 1e-4 is what optimizers call a weight
    decay of 1e-4; as a term it may be learned.
    """

    def forward(self, variables: Mapping[str, Tensor]) -> Tensor:
        return torch.stack([v.square().sum() for v in variables.values()]).sum() / 2


@loss("architecture_entropy")
class ArchitectureEntropy(nn.Module):
    """``-sum p log p`` with ``p`` the softmax over each choice's logits, summed over the choices.

    In nats; between 0 (every choice decided) and the sum of the logarithms of the candidates.
    TMICS adds 0.01 times this to its architecture loss, L_arc.
    """

    def forward(self, variables: Mapping[str, Tensor]) -> Tensor:
        entropies = [
            -(F.softmax(logits, dim=0) * F.log_softmax(logits, dim=0)).sum()
            for logits in variables.values()
        ]
        return torch.stack(entropies).sum()
