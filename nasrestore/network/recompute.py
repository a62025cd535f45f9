"""Operations whose activations are computed again in the backward pass instead of being kept.

Gradient checkpointing (Chen et al. 2016) that may be differentiated any number of times: what a
derivative needs is itself a function of the same few tensors, and is computed again in its turn.

Parameters are passed as tensors. ``torch.utils.checkpoint`` reads them from the module when it
computes again; under ``torch.func.functional_call`` the module then has its own back, and gradients
are wrong without a word.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from nasrestore.network.replay import Replay, can_replay

Memory = Literal["plain", "operation", "mixture"]
Results = tuple["Tensor | None", ...]
Function = Callable[..., Results]


def weighed(feature: Tensor, share: Tensor | None, onto: Tensor | None) -> Tensor:
    """``onto + share * feature``, without what is ``None``."""
    if share is None:
        return feature
    return share * feature if onto is None else torch.addcmul(onto, share, feature)


def recomputed(
    operation: nn.Module, x: Tensor, share: Tensor | None = None, onto: Tensor | None = None
) -> Tensor:
    """``onto + share * operation(x)``, of which only ``x``, the share and the parameters are kept.

    The value is bit for bit that of the plain expression, and derivatives of any order are the same
    within rounding. The first pass alone moves running statistics; later ones draw the same random
    numbers, in the same precision.

    Args:
        x: N C H W.
        share: a scalar tensor; ``None`` leaves multiplication and addition out.
        onto: N C' H' W', not kept either.
    """
    if not torch.is_grad_enabled() or not can_replay(operation):
        return weighed(operation(x), share, onto)
    replay, parameters = Replay.of(operation, x.device)

    def first() -> tuple[Tensor]:
        return (weighed(replay.first(operation, x), share, onto),)

    def again(share: Tensor | None, x: Tensor, *parameters: Tensor) -> Results:
        return (weighed(replay(x, parameters), share, None),)

    (result,) = Recomputed.apply(first, again, onto, share, x, *parameters)
    return result  # type: ignore[no-any-return]


class Recomputed(torch.autograd.Function):
    """``(onto + again(*tensors)[0], ...)``: keeps the tensors, and calls ``again`` for a derivative.

    ``first`` gives the value, this once. ``onto`` is added to the first result; its derivative needs
    nothing.
    """

    @staticmethod
    def forward(
        ctx: Any,
        first: Callable[[], Results],
        again: Function,
        onto: Tensor | None,
        *tensors: Tensor | None,
    ) -> Results:
        ctx.set_materialize_grads(False)
        ctx.again = again
        ctx.save_for_backward(*tensors)
        return first()

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor | None) -> tuple[Tensor | None, ...]:
        needs_onto, needed = ctx.needs_input_grad[2], ctx.needs_input_grad[3:]
        onto = slopes[0] if needs_onto else None
        if not any(needed) or all(slope is None for slope in slopes):
            return (None, None, onto, *(None for _ in needed))
        pullback = Pullback(ctx.again, len(slopes), needed)
        arguments = (*slopes, *ctx.saved_tensors)
        if torch.is_grad_enabled():  # of which a further derivative may be taken

            def first() -> Results:
                return pullback(*arguments)

            found = Recomputed.apply(first, pullback, None, *arguments)
        else:
            found = pullback(*arguments)
        wanted = iter(found)
        return (None, None, onto, *(next(wanted) if need else None for need in needed))


class Pullback:
    """The gradients of a function, as a function of the slopes of its results and of its arguments.

    Args:
        results: how many results the function has.
        needed: for each argument whether its gradient is wanted; one is given for each of these.
    """

    def __init__(self, function: Function, results: int, needed: tuple[bool, ...]) -> None:
        self.function, self.results, self.needed = function, results, needed

    def __call__(self, *arguments: Tensor | None) -> Results:
        slopes, tensors = arguments[: self.results], arguments[self.results :]
        # A derivative of this may be taken where it is called with gradients on.
        differentiable = torch.is_grad_enabled()
        inputs = [
            None if tensor is None else _end(tensor, need, differentiable)
            for tensor, need in zip(tensors, self.needed, strict=True)
        ]
        wanted = [one for one, need in zip(inputs, self.needed, strict=True) if need]
        with torch.enable_grad():
            values = self.function(*inputs)
        pairs = [
            (value, slope)
            for value, slope in zip(values, slopes, strict=True)
            if value is not None and slope is not None and value.requires_grad
        ]
        if not pairs:
            return tuple(None for _ in wanted)
        return torch.autograd.grad(
            [value for value, _ in pairs],
            wanted,
            [slope for _, slope in pairs],
            create_graph=differentiable,
            allow_unused=True,
        )


def _end(tensor: Tensor, needed: bool, differentiable: bool) -> Tensor:
    """What a gradient is taken with respect to: it ends there.

    The outermost pullback cuts all tensors off from what they were computed from, among which may be
    one another; those inside it are called with what it cut, and stay connected to that.
    """
    if differentiable and (tensor.requires_grad or not needed):
        return tensor
    return tensor.detach().requires_grad_(needed)
