"""Architecture parameters: one vector of logits per choice, ordinary parameters of the network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from nasrestore.graph.ir import Choice
from nasrestore.network.relaxation import Relaxation

MixingWeights = Mapping[str, Tensor]

_EMPTY = nn.ModuleDict()


def module_key(name: str) -> str:
    """A graph's name as a module's key: dots would separate modules, ``keys`` is taken by a dict.

    Slashes separate the scopes of a traced network. Names end in a letter, a digit, an underscore or a parenthesis, so no two keys are the same.
    """
    key = name.replace(".", "-").replace("/", "|")
    return f"{key}-" if hasattr(nn.ModuleDict, key) or hasattr(_EMPTY, key) else key


class Architecture(nn.Module):
    """The logits of all choices; they are in the state dict, so they are in every checkpoint.

    Choices between links that are measured by their operations have none of their own.

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
                for choice in self._relaxed()
            }
        )

    def _relaxed(self) -> Iterator[Choice]:
        return (choice for choice in self.choices if not choice.measured_by)

    def mixing_weights(self, progress: float = 0.0) -> dict[str, Tensor]:
        """For each choice with logits, the weights [candidates] that mix them."""
        return {
            c.name: self.relaxation(self.logits[module_key(c.name)], c.keep, progress)
            for c in self._relaxed()
        }

    @torch.no_grad()
    def strengths(self) -> dict[str, list[float]]:
        """For each choice, what decisions are taken by, in [0, 1]."""
        found = {
            c.name: self.relaxation.strengths(self.logits[module_key(c.name)].float(), c.keep)
            .cpu()
            .tolist()
            for c in self._relaxed()
        }
        by_name = {choice.name: choice for choice in self.choices}

        def strongest(name: str) -> float:
            choice = by_name[name]
            pairs = zip(choice.candidates, found[name], strict=True)
            return max(strength for label, strength in pairs if label in choice.decidable)

        measured = {c.name: [strongest(n) for n in c.measured_by] for c in self.choices}
        return {c.name: measured[c.name] or found[c.name] for c in self.choices}

    def groups(self) -> dict[str, str]:
        """The group of every parameter, by its name in ``logits``."""
        return {module_key(choice.name): choice.group for choice in self._relaxed()}


def decision_weights(
    choices: Iterable[Choice], decisions: Mapping[str, tuple[str, ...]]
) -> dict[str, Tensor]:
    """Mixing weights that are a decision's zeros and ones; all zero where nothing is decided."""
    return {
        c.name: torch.tensor(
            [1.0 if name in decisions.get(c.name, ()) else 0.0 for name in c.candidates]
        )
        for c in choices
    }
