"""Hypergradients of chains of plain functions: the methods of a search, for problems of one's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nasrestore.errors import Location, NasRestoreError
from nasrestore.spec.recipe import read_named
from nasrestore.spec.source import tree_of

if TYPE_CHECKING:
    from torch import Tensor

    from nasrestore.search.hypergradient.problem import Gradient

Function = Callable[[Mapping[str, "Tensor"]], "Tensor"]
Named = str | Mapping[str, Any]


def hypergradient_of(
    chain: Sequence[tuple[str | Sequence[str], Function]],
    at: Mapping[str, Tensor],
    method: Named = "conjugate_gradient",
    *,
    curvature: Named | None = None,
    rate: float = 0.1,
) -> Gradient:
    """The gradient of the outermost of a chain of objectives in its variables.

        def g(p): return (p["w"] - p["a"]).square().sum() / 2
        def f(p): return p["w"].square().sum()
        nr.hypergradient_of([("w", g), ("a", f)], {"w": w, "a": a}).of["a"]

    Args:
        chain: for each level, innermost first, the names of its variables and its objective, a
            function from all variables by name to a scalar.
        at: the value of each variable, a floating-point tensor or a number; the levels below should be
            at their minima where the method supposes it.
        method: as a recipe names it, such as ``{"name": "neumann", "terms": 50, "rate": 0.1}``.
        curvature: likewise; wanted with two or more levels below, if the method sees these.
        rate: learning rate of the levels' (plain) descent, where a method does not name its own.

    Returns:
        ``.of``, the gradient by variable; ``.direct``, its part with everything below held fixed;
        ``.record``, what a solver measured; ``.unsolved``, what did not come out, if anything.
        Nothing is written to, and gradients are taken under ``torch.no_grad()``, too. Each objective
        is evaluated once more than the method needs. What is random in one (noise, dropout) is
        the same at every evaluation of one step; modules' buffers are the caller's to keep still.

    Raises:
        NasRestoreError: a name or parameter is unknown, the chain does not fit the method, an
            objective is no finite scalar or depends on none of its variables, a value is no real
            floating-point tensor, or an objective uses a tensor made in inference mode.
        RunStopped: a solver did not converge, and ``unsolved`` is ``stop``.
    """
    from nasrestore.search.hypergradient.curvature import Present, reduced, with_responses
    from nasrestore.search.hypergradient.functions import (
        check_objectives,
        device_of,
        gradients_on,
        levels_of,
        values_of,
        with_finiteness,
    )
    from nasrestore.search.hypergradient.problem import constants

    levels = levels_of(chain, rate, device_of(at))
    *below, upper = levels
    made, by = _made(method, curvature, len(below))
    with gradients_on():
        parameters = values_of(at, [name for level in levels for name in level.variables])
        check_objectives(levels, parameters)
        present = Present(constants(parameters))
        if by is not None:
            upper, below[-1] = reduced(upper, below, by, present, made)
        found: Gradient = made(_on(upper, parameters), below, parameters)
        return with_finiteness(with_responses(found, by, present))


_PYTHON = Location("argument", 1, 1)


def _name(named: Named) -> str:
    return named if isinstance(named, str) else str(named.get("name"))


def _made(method: Named, curvature: Named | None, below: int) -> tuple[Any, Any]:
    """The method and the curvature, None where there is none, for so many levels below.

    Raises:
        NasRestoreError: the method needs a level below, or the curvature to be said; or as ``make``.
    """
    import nasrestore.search.hypergradient  # noqa: F401  attaches the factories
    from nasrestore import registry
    from nasrestore.assemble.network import make

    made = make(registry.hypergradient, read_named(tree_of(method, _PYTHON, "method")))
    sees = getattr(registry.hypergradient.signature(_name(method)), "below", True)
    if sees and not below:
        raise NasRestoreError(f"{_name(method)} needs a level below", hint="use first_order")
    if sees and below > 1 and curvature is None:
        raise NasRestoreError(
            "with two or more levels below, curvature must be said",
            hint="frozen (constants), unrolled (they take steps), resolved (they stay minimal)",
        )
    if curvature is None or not below:
        return made, None
    return made, make(registry.curvature, read_named(tree_of(curvature, _PYTHON, "curvature")))


def _on(level: Any, parameters: Mapping[str, Tensor]) -> Any:
    """The level with a point of its own, which first_order asks for."""
    from dataclasses import replace

    terms = level.terms

    def asked(given: Mapping[str, Tensor] | None, step: int = 0) -> Any:
        return terms(parameters if given is None else given, step)

    return replace(level, terms=asked)
