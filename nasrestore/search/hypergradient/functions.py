"""Chains of plain functions as levels, and whether they are what hypergradients can be taken of."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from nasrestore.errors import NasRestoreError
from nasrestore.search.hypergradient.descent import Descent
from nasrestore.search.hypergradient.problem import Gradient, LevelProblem
from nasrestore.search.objective import Terms
from nasrestore.search.scope import Noise

Function = Callable[[Mapping[str, Tensor]], Tensor]


def levels_of(
    chain: Iterable[tuple[str | Sequence[str], Function]], rate: float, device: torch.device
) -> list[LevelProblem]:
    """The levels of a chain of (names, function), innermost first.

    What is random in a function is the same at every evaluation of one step.

    Raises:
        NasRestoreError: it is no such chain, or two levels own one variable.
    """
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 < rate < math.inf:
        raise NasRestoreError(f"rate: expected a number > 0, got {rate!r}")
    levels = [_level(number, one, float(rate), Noise(device)) for number, one in enumerate(chain)]
    if not levels:
        raise NasRestoreError("the chain is empty", hint="give [(names, function), ...]")
    owner: dict[str, int] = {}
    for number, level in enumerate(levels):
        for name in level.variables:
            if name in owner:
                raise NasRestoreError(
                    f"chain[{number}]: {name!r} is a variable of chain[{owner[name]}] already",
                    hint="each variable belongs to one level",
                )
            owner[name] = number
    return levels


def _level(number: int, given: Any, rate: float, noise: Noise) -> LevelProblem:
    pair = isinstance(given, (tuple, list)) and len(given) == 2
    if not pair or not callable(given[1]):
        raise NasRestoreError(f"chain[{number}]: expected (names, function), got {given!r}")
    names, function = given
    variables = (names,) if isinstance(names, str) else tuple(names)
    if not variables or not all(isinstance(name, str) for name in variables):
        raise NasRestoreError(
            f"chain[{number}]: expected the names of the level's variables, got {names!r}"
        )
    name = ", ".join(variables)

    def terms(parameters: Mapping[str, Tensor], step: int = 0) -> Terms:
        with noise.same(step):
            return Terms(_scalar(name, function(parameters)), {})

    return LevelProblem(name, variables, terms, rate, Descent("sgd", rate))


def _scalar(level: str, value: Any) -> Tensor:
    """What an objective gave, if it is a real scalar."""
    if not isinstance(value, Tensor):
        found = "nothing" if value is None else f"{type(value).__name__} {value!r:.40}"
    elif value.numel() != 1:
        found = f"a tensor of shape {tuple(value.shape)}"
    elif not value.is_floating_point():
        found = f"a tensor of {value.dtype}"
    else:
        return value.reshape(())
    raise NasRestoreError(
        f"the objective of level {level!r} gave {found}, expected a real tensor of one element",
        hint="return a tensor that is computed from the variables, such as a .sum() or a .mean()",
    )


def device_of(at: Mapping[str, Any]) -> torch.device:
    """Where the first of the values lives."""
    tensors = (value for value in at.values() if isinstance(value, Tensor))
    return next((tensor.device for tensor in tensors), torch.device("cpu"))


def values_of(at: Mapping[str, Any], variables: Iterable[str]) -> dict[str, Tensor]:
    """Copies of the values that require gradients; numbers become tensors of the others' type.

    Raises:
        NasRestoreError: one is missing, no real floating-point tensor, or not finite.
    """
    wanted = list(variables)
    missing = sorted(set(wanted) - set(at))
    if missing:
        raise NasRestoreError(f"no value for the variables {', '.join(missing)}")
    kinds = [v.dtype for v in at.values() if isinstance(v, Tensor) and v.is_floating_point()]
    dtype = kinds[0] if kinds else torch.get_default_dtype()
    found: dict[str, Tensor] = {}
    for name, value in at.items():
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            value = torch.tensor(value, dtype=dtype, device=device_of(at))
        if not isinstance(value, Tensor):
            raise NasRestoreError(f"at[{name!r}]: expected a tensor, got {type(value).__name__}")
        if name not in wanted:
            found[name] = value.detach().clone()
            continue
        if not value.is_floating_point():
            raise NasRestoreError(
                f"at[{name!r}]: expected a tensor of real floating-point numbers, got {value.dtype}"
            )
        if not bool(torch.isfinite(value).all()):
            raise NasRestoreError(f"at[{name!r}] is not finite")
        found[name] = value.detach().clone().requires_grad_()
    return found


def check_objectives(levels: Sequence[LevelProblem], parameters: Mapping[str, Tensor]) -> None:
    """Evaluates each objective once, and looks at what it depends on.

    Raises:
        NasRestoreError: one is no finite scalar, or does not depend on its variables; the outermost
            may depend on those below alone.
    """
    for level in levels:
        total = level.terms(parameters).total
        value = float(total.detach())
        if not math.isfinite(value):
            raise NasRestoreError(f"the objective of level {level.name!r} is {value} there")
        own = set(level.variables)
        if level is levels[-1]:
            own = {name for one in levels for name in one.variables}
        behind = _behind(total)
        if not any(id(parameters[name]) in behind for name in own):
            raise NasRestoreError(
                f"the objective of level {level.name!r} does not depend on "
                f"{', '.join(sorted(own))}",
                hint="gradients must go through it: no .detach(), .item() or numpy inside",
            )


def _behind(value: Tensor) -> set[int]:
    """The ids of the tensors that a value is computed from by autograd."""
    if value.grad_fn is None:
        return {id(value)}
    found: set[int] = set()
    seen, waiting = {value.grad_fn}, [value.grad_fn]
    while waiting:
        node = waiting.pop()
        if hasattr(node, "variable"):
            found.add(id(node.variable))
        after = {one for one, _ in node.next_functions if one is not None} - seen
        seen |= after
        waiting += after
    return found


def with_finiteness(gradient: Gradient) -> Gradient:
    """The gradient, which says so where it is not finite."""
    bad = [n for n, g in gradient.of.items() if g is not None and not bool(g.isfinite().all())]
    if not bad:
        return gradient
    text = f"the gradient of {', '.join(bad)} is not finite"
    said = text if gradient.unsolved is None else f"{gradient.unsolved}; {text}"
    return replace(gradient, unsolved=said)


@contextmanager
def gradients_on() -> Iterator[None]:
    """Inside, autograd records, whatever the caller has switched off.

    Raises:
        NasRestoreError: an objective uses a tensor that was made in inference mode.
    """
    try:
        with torch.inference_mode(False), torch.enable_grad():
            yield
    except RuntimeError as error:
        if "nference tensor" not in str(error):
            raise
        raise NasRestoreError(
            "an objective uses a tensor that was made in torch.inference_mode, of which no "
            "gradients can be taken",
            hint="make it outside, or under torch.no_grad()",
        ) from error
