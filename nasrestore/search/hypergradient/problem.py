"""What a hypergradient is computed from, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from nasrestore.search.hypergradient.descent import Descent
from nasrestore.search.objective import Terms

Parameters = Mapping[str, Tensor]
Objective = Callable[..., Terms]


@dataclass(frozen=True)
class LevelProblem:
    """One level as a function of all parameters.

    Attributes:
        variables: names of the parameters that are the level's own.
        terms: ``terms(parameters, step=0)``, the objective on the batch of an inner step; the same
            arguments give the same value, random relaxations included. ``None`` for the parameters
            means the network's own.
        rate: learning rate of the level's optimizer, now.
        descent: how its optimizer moves, with its state; ``None`` for one of unknown kind.
        steps: how many steps the level takes each turn.
    """

    name: str
    variables: tuple[str, ...]
    terms: Objective
    rate: float
    descent: Descent | None = None
    steps: int = 1


@dataclass(frozen=True)
class Gradient:
    """A level's gradient: one tensor for each variable, ``None`` where nothing depends on it.

    Attributes:
        direct: the part with everything below held fixed, by variable; ``None`` where a method
            does not tell the parts apart.
        record: more figures for the log, such as a solver's ``residual``.
        unsolved: what a solver has to say that did not converge.
    """

    terms: Terms
    of: Mapping[str, Tensor | None]
    direct: Mapping[str, Tensor | None] | None = None
    record: Mapping[str, float] = field(default_factory=dict)
    unsolved: str | None = None


class Hypergradient(Protocol):
    """A pure function: it changes neither parameters nor buffers nor optimizer state.

    An attribute ``upper_order`` says how often it differentiates the upper objective, which costs
    less than the 2 that are taken for granted where it is 1.
    """

    def __call__(
        self, level: LevelProblem, below: Sequence[LevelProblem], parameters: Parameters
    ) -> Gradient:
        """The gradient of ``level`` in its variables.

        Args:
            below: the levels inside it, innermost first. The last is the one directly below; where
                the level has a curvature, it and ``level`` let those further below respond.
            parameters: all of them by name, the level's own requiring gradients.
        """
        ...


# -- pieces of which methods are made --------------------------------------------------------


def constants(parameters: Parameters) -> dict[str, Tensor]:
    """The parameters' values alone."""
    return {name: parameter.detach() for name, parameter in parameters.items()}


def leaves(parameters: Parameters, names: Iterable[str]) -> dict[str, Tensor]:
    """New tensors of the same values that require gradients."""
    return {name: parameters[name].detach().clone().requires_grad_() for name in names}


def gradients(
    value: Tensor, of: Parameters, *, create_graph: bool = False, retain_graph: bool | None = None
) -> dict[str, Tensor | None]:
    """The gradient of a scalar in each tensor; ``None`` where it does not depend on one."""
    if not value.requires_grad or not of:
        return dict.fromkeys(of)
    found = torch.autograd.grad(
        value,
        list(of.values()),
        create_graph=create_graph,
        retain_graph=retain_graph,
        allow_unused=True,
    )
    return dict(zip(of, found, strict=True))


def filled(found: Mapping[str, Tensor | None], of: Parameters) -> dict[str, Tensor]:
    """The gradients with zeros in the place of ``None``."""
    result = {}
    for name, tensor in of.items():
        gradient = found[name]
        result[name] = torch.zeros_like(tensor) if gradient is None else gradient
    return result


def added(
    first: Mapping[str, Tensor | None], second: Mapping[str, Tensor | None], scale: float = 1.0
) -> dict[str, Tensor | None]:
    """``first + scale * second`` by name, ``None`` counting as zero."""
    result: dict[str, Tensor | None] = {}
    for name, one in first.items():
        two = second[name]
        if two is None:
            result[name] = one
        else:
            result[name] = scale * two if one is None else one + scale * two
    return result


def inner_product(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> Tensor:
    """The sum of the products of all entries."""
    products = [(first[name] * second[name]).sum() for name in first]
    return torch.stack(products).sum()


def norm(vector: Mapping[str, Tensor | None]) -> float:
    """Euclidean, over all tensors."""
    there = [tensor.detach() for tensor in vector.values() if tensor is not None]
    if not there:
        return 0.0
    norms = torch._foreach_norm(there)
    return float(torch.stack([each.double() for each in norms]).norm())
