"""The same hypergradients by nasrestore, betty and TorchOpt.

Each function gives a side: a callable that takes nothing and gives the gradient in ``a``. The peers are
called as their users call them, but for betty's engine, which also trains; of betty it is
``Problem.backward``, which the engine calls for a hypergradient.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

import nasrestore as nr
from benchmarks.hypergradient_sized import Sized

Side = Callable[[], Sequence[Tensor]]


def left_out() -> dict[str, str]:
    """Peers that cannot be imported here, and why."""
    found = {}
    for module in ("betty", "torchopt"):
        try:
            importlib.import_module(module)
        except Exception as error:  # whatever a peer raises is what there is to report
            found[module] = f"{type(error).__name__}: {error}"
    return found


def ours(problem: Sized, method: dict[str, Any]) -> Side:
    lower, upper = problem.make(problem.constants)
    names_w = [f"w{i}" for i in range(len(problem.w))]
    names_a = [f"a{i}" for i in range(len(problem.a))]
    at = dict(zip([*names_w, *names_a], [*problem.w, *problem.a], strict=True))

    def on(function: Any) -> Any:
        return lambda p: function([p[n] for n in names_w], [p[n] for n in names_a])

    chain = [(names_w, on(lower)), (names_a, on(upper))]

    def run() -> Sequence[Tensor]:
        found = nr.hypergradient_of(chain, at, method)
        return [one for name in names_a if (one := found.of[name]) is not None]

    return run


class _Held(nn.Module):
    """Tensors as a module's parameters, which betty wants."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        super().__init__()
        self.held = nn.ParameterList([nn.Parameter(one.clone()) for one in tensors])


def betty(problem: Sized, **settings: Any) -> Side:
    """Betty's ``Config`` of the lower problem is made of ``settings``."""
    from betty.configs import Config
    from betty.problems import ImplicitProblem

    functions = problem.make(problem.constants)
    inner, outer = _Held(problem.w), _Held(problem.a)

    class Lower(ImplicitProblem):  # type: ignore[misc]
        def training_step(self, batch: Any) -> Tensor:
            return functions[0](list(inner.held), list(outer.held))

    class Upper(ImplicitProblem):  # type: ignore[misc]
        def training_step(self, batch: Any) -> Tensor:
            return functions[1](list(inner.held), list(outer.held))

    lower = Lower("lower", Config(**settings), module=inner, device="cpu")
    upper = Upper("upper", Config(retain_graph=True), module=outer, device="cpu")
    upper.add_paths([[upper, lower, upper]])

    def run() -> Sequence[Tensor]:
        loss, _ = upper.get_loss(None)
        parameters = upper.trainable_parameters()
        upper.backward(
            loss, parameters, upper.paths, create_graph=False, retain_graph=True, allow_unused=True
        )
        found = [parameter.grad for parameter in parameters]
        upper.zero_grad()
        if settings["type"] == "darts":  # it leaves the weights where its last evaluation was
            with torch.no_grad():
                for held, start in zip(inner.held, problem.w, strict=True):
                    held.copy_(start)
        return found

    return run


def torchopt(problem: Sized, solve: Callable[..., Any]) -> Side:
    """``custom_root`` on the lower gradient, with a solver of ``torchopt.linear_solve``."""
    from torchopt.diff.implicit import custom_root

    lower, upper = problem.make(problem.constants)
    own = [one.clone().requires_grad_() for one in problem.a]

    def optimality(w: Any, *a: Tensor) -> Any:
        return torch.func.grad(lambda w: lower(w, a))(w)

    numbers = tuple(range(1, len(own) + 1))

    @custom_root(optimality, argnums=numbers, solve=solve)
    def solved(w: Any, *a: Tensor) -> Any:
        return w  # the weights are at their minimum already

    def run() -> Sequence[Tensor]:
        w = solved(problem.w, *own)
        return torch.autograd.grad(upper(w, own), own)

    return run
