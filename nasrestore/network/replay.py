"""One pass of an operation, kept so that it can be run again, exactly, with tensors in place of its parameters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Tensors = dict[str, Any]  # a module's parameters or buffers by name


class Replay:
    """An operation as it stands before one of its passes: modes, buffers, precision, random numbers.

    It runs on a double of the operation, so that nothing is ever written to the operation itself:
    running statistics move once, in the first pass, and a later change of its modes or parameters
    does not reach the double. ``functional_call`` would have to write into the operation, and would
    find it in whatever mode it is by then.

    Use ``of``, which also gives the tensors that stand for the parameters at this moment; inside of
    an outer ``functional_call`` these are the substituted ones.
    """

    def __init__(self) -> None:
        self._parameters: list[tuple[Tensors, str]] = []
        self._buffers: list[tuple[Tensors, str, Tensor]] = []
        self._precision: tuple[str, torch.dtype, bool] = ("cpu", torch.bfloat16, False)
        self._random: dict[str, Tensor] | None = None
        self._double: nn.Module

    @classmethod
    def of(cls, operation: nn.Module, device: torch.device) -> tuple[Replay, list[Tensor]]:
        """The operation at this moment, and its parameters as they are to be passed."""
        made = cls()
        parameters: list[Tensor] = []
        made._double = made._doubled(operation, parameters, {})
        kind = device.type
        made._precision = (
            kind,
            torch.get_autocast_dtype(kind),
            torch.is_autocast_enabled(kind),
        )
        return made, parameters

    def _doubled(
        self, module: nn.Module, parameters: list[Tensor], made: dict[int, nn.Module]
    ) -> nn.Module:
        """A module of the same attributes whose parameters are empty places; also of its children."""
        if id(module) in made:
            return made[id(module)]
        double: nn.Module = object.__new__(type(module))
        made[id(module)] = double
        state = double.__dict__
        state.update(module.__dict__)
        own: Tensors = dict.fromkeys(module._parameters)
        for name, parameter in module._parameters.items():
            if parameter is not None:
                self._parameters.append((own, name))
                parameters.append(parameter)
        state["_parameters"] = own
        if module._buffers:
            self._keep_buffers(module, state)
        if module._modules:
            state["_modules"] = {
                name: None if child is None else self._doubled(child, parameters, made)
                for name, child in module._modules.items()
            }
        return double

    def _keep_buffers(self, module: nn.Module, state: dict[str, Any]) -> None:
        if module.training and type(module).forward is _BatchNorm.forward:
            # It normalises by the batch; its buffers are only written to, and not by a double.
            state["track_running_stats"] = False
            return
        buffers: Tensors = dict(module._buffers)
        state["_buffers"] = buffers
        for name, buffer in buffers.items():
            if buffer is not None:
                self._buffers.append((buffers, name, buffer.detach().clone()))

    # -- running -----------------------------------------------------------------------------

    def first(self, operation: nn.Module, x: Tensor) -> Tensor:
        """The pass itself, by the operation: whatever it moves moves now."""
        before = _random_states(x.device)
        with self._precise():
            result: Tensor = operation(x)
        after = _random_states(x.device)
        if any(not torch.equal(after[kind], state) for kind, state in before.items()):
            self._random = before
        return result

    def __call__(self, x: Tensor, parameters: tuple[Tensor, ...]) -> Tensor:
        """The same pass once more; N C H W to N C' H' W'."""
        try:
            for (place, name), tensor in zip(self._parameters, parameters, strict=True):
                place[name] = tensor
            for place, name, buffer in self._buffers:
                place[name] = buffer.clone()
            with self._precise(), _drawing(self._random, x.device):
                result: Tensor = self._double(x)
            return result
        finally:
            for place, name in self._parameters:
                place[name] = None  # else the double would keep a graph alive
            for place, name, _ in self._buffers:
                place[name] = None

    def _precise(self) -> AbstractContextManager[Any]:
        kind, dtype, enabled = self._precision
        if not enabled and not torch.is_autocast_enabled(kind):
            return nullcontext()
        # No cache: it would hand casts that were made without gradients to passes with them.
        return torch.autocast(kind, dtype, enabled=enabled, cache_enabled=False)


def can_replay(operation: nn.Module) -> bool:
    """Whether a double computes what the operation does.

    That is not so where a module has a ``forward`` of its own as an attribute, which is bound to the
    original, as compiled and scripted modules have.
    """
    return not any(
        "forward" in vars(module) or isinstance(module, torch.jit.ScriptModule)
        for module in operation.modules()
    )


def _random_states(device: torch.device) -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


@contextmanager
def _drawing(states: dict[str, Tensor] | None, device: torch.device) -> Iterator[None]:
    """Inside, random numbers are drawn from these states; ``None`` where none are drawn."""
    if states is None:
        yield
        return
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.set_rng_state(states["cpu"])
        if device.type == "cuda":
            torch.cuda.set_rng_state(states["cuda"], device)
        yield
