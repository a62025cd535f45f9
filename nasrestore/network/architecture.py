"""Architecture parameters: one vector of logits per choice, ordinary parameters of the network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from nasrestore.graph.ir import Choice
from nasrestore.network.relaxation import Relaxation

MixingWeights = Mapping[str, Tensor]

_EMPTY = nn.ModuleDict()


def module_key(name: str) -> str:
    """A graph's name as a module's key: dots would separate modules, ``keys`` is taken by a dict.

    Names end in a letter, a digit, an underscore or a parenthesis, so no two keys are the same.
    """
    key = name.replace(".", "-")
    return f"{key}-" if hasattr(nn.ModuleDict, key) or hasattr(_EMPTY, key) else key


class Architecture(nn.Module):
    """The logits of all choices; they are in the state dict, so they are in every checkpoint.

    Args:
        spread: standard deviation of the first logits; 0 starts all candidates equal.
    """

    def __init__(self, choices: Iterable[Choice], relaxation: Relaxation, spread: float = 0.0):
        super().__init__()
        self.choices = tuple(choices)
        self.relaxation = relaxation
        self.logits = nn.ParameterDict(
            {
                module_key(choice.name): nn.Parameter(spread * torch.randn(len(choice.candidates)))
                if spread
                else nn.Parameter(torch.zeros(len(choice.candidates)))
                for choice in self.choices
            }
        )

    def mixing_weights(self, progress: float = 0.0) -> dict[str, Tensor]:
        """For each choice, the weights [candidates] that mix them."""
        return {
            c.name: self.relaxation(self.logits[module_key(c.name)], c.keep, progress)
            for c in self.choices
        }

    @torch.no_grad()
    def strengths(self) -> dict[str, list[float]]:
        """For each choice, what decisions are taken by, in [0, 1]."""
        return {
            c.name: self.relaxation.strengths(self.logits[module_key(c.name)].float(), c.keep)
            .cpu()
            .tolist()
            for c in self.choices
        }

    def parameter_names(self) -> list[str]:
        """The choices' names in the order of ``parameters()``."""
        return [choice.name for choice in self.choices]


def decision_weights(
    choices: Iterable[Choice], decisions: Mapping[str, tuple[str, ...]]
) -> dict[str, Tensor]:
    """Mixing weights that are a decision's zeros and ones."""
    return {
        c.name: torch.tensor([1.0 if name in decisions[c.name] else 0.0 for name in c.candidates])
        for c in choices
    }
