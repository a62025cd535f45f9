"""What a hypergradient is computed from, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from nasrestore.search.objective import Terms

Parameters = Mapping[str, Tensor]


@dataclass(frozen=True)
class LevelProblem:
    """One level as a function of all parameters, its batch already drawn.

    Attributes:
        variables: names of the parameters that are the level's own.
        terms: the objective; ``None`` for the parameters means the network's own.
        rate: learning rate of the level's optimizer.
    """

    name: str
    variables: tuple[str, ...]
    terms: Callable[[Parameters | None], Terms]
    rate: float


@dataclass(frozen=True)
class Gradient:
    """A level's gradient: one tensor for each variable, ``None`` where nothing depends on it."""

    terms: Terms
    of: Mapping[str, Tensor | None]


class Hypergradient(Protocol):
    """A pure function: it changes neither parameters nor buffers nor optimizer state."""

    def __call__(
        self, level: LevelProblem, below: Sequence[LevelProblem], parameters: Parameters
    ) -> Gradient:
        """The gradient of ``level`` in its variables.

        Args:
            below: the levels inside it, innermost first.
            parameters: those of the network by name, the level's own requiring gradients.
        """
        ...
