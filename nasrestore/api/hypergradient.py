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
        at: the value of each variable; the levels below should be at their minima where the method
            supposes it.
        method: as a recipe names it, such as ``{"name": "neumann", "terms": 50, "rate": 0.1}``.
        curvature: likewise; wanted with two or more levels below, if the method sees these.
        rate: learning rate of the levels' (plain) descent, where a method does not name its own.

    Returns:
        ``.of``, the gradient by variable; ``.direct``, its part with everything below held fixed;
        ``.record``, what a solver measured. Nothing is written to.

    Raises:
        NasRestoreError: a name or parameter is unknown, or the chain does not fit the method.
        RunStopped: a solver did not converge, and ``unsolved`` is ``stop``.
    """
    import nasrestore.search.hypergradient  # noqa: F401  attaches the factories
    from nasrestore import registry
    from nasrestore.assemble.network import make
    from nasrestore.search.hypergradient.curvature import Present, reduced, with_responses
    from nasrestore.search.hypergradient.problem import constants

    levels = [_level(names, function, rate) for names, function in chain]
    if not levels:
        raise NasRestoreError("the chain is empty", hint="give [(names, function), ...]")
    variables = {name for level in levels for name in level.variables}
    missing = sorted(variables - set(at))
    if missing:
        raise NasRestoreError(f"no value for the variables {', '.join(missing)}")
    *below, upper = levels
    made = make(registry.hypergradient, read_named(tree_of(method, _PYTHON, "method")))
    sees = getattr(registry.hypergradient.signature(_name(method)), "below", True)
    if sees and not below:
        raise NasRestoreError(f"{_name(method)} needs a level below", hint="use first_order")
    if sees and len(below) > 1 and curvature is None:
        raise NasRestoreError(
            "with two or more levels below, curvature must be said",
            hint="frozen (constants), unrolled (they take steps), resolved (they stay minimal)",
        )
    parameters = {name: value.detach().clone().requires_grad_() for name, value in at.items()}
    present, by = Present(constants(parameters)), None
    if curvature is not None and below:
        by = make(registry.curvature, read_named(tree_of(curvature, _PYTHON, "curvature")))
        upper, below[-1] = reduced(upper, below, by, present, made)
    found: Gradient = made(_on(upper, parameters), below, parameters)
    return with_responses(found, by, present)


_PYTHON = Location("argument", 1, 1)


def _name(named: Named) -> str:
    return named if isinstance(named, str) else str(named.get("name"))


def _level(names: str | Sequence[str], function: Function, rate: float) -> Any:
    from nasrestore.search.hypergradient.descent import Descent
    from nasrestore.search.hypergradient.problem import LevelProblem
    from nasrestore.search.objective import Terms

    def terms(parameters: Mapping[str, Tensor], step: int = 0) -> Terms:
        return Terms(function(parameters), {})

    variables = (names,) if isinstance(names, str) else tuple(names)
    return LevelProblem(", ".join(variables), variables, terms, rate, Descent("sgd", rate))


def _on(level: Any, parameters: Mapping[str, Tensor]) -> Any:
    """The level with a point of its own, which first_order asks for."""
    from dataclasses import replace

    terms = level.terms

    def asked(given: Mapping[str, Tensor] | None, step: int = 0) -> Any:
        return terms(parameters if given is None else given, step)

    return replace(level, terms=asked)
