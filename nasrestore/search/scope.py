"""What a forward pass may touch: who gets a gradient, whose statistics move, which noise is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def only(parameters: Mapping[str, Tensor], names: Mapping[str, Any]) -> Iterator[None]:
    """Inside, the named parameters alone require gradients: nothing is computed for the others."""
    before = {name: parameter.requires_grad for name, parameter in parameters.items()}
    try:
        for name, parameter in parameters.items():
            parameter.requires_grad_(name in names)
        yield
    finally:
        for name, parameter in parameters.items():
            parameter.requires_grad_(before[name])


@contextmanager
def statistics(network: nn.Module, *, moving: bool) -> Iterator[None]:
    """Inside, batch normalisation normalises by the batch; its running statistics move or stand.

    In eval mode the running statistics would depend on the architecture without a gradient.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    tracked = [norm.track_running_stats for norm in norms]
    was_training = network.training
    network.train()
    try:
        if not moving:  # no buffer is written to, the count of batches included
            for norm in norms:
                norm.track_running_stats = False
        yield
    finally:
        for norm, before in zip(norms, tracked, strict=True):
            norm.track_running_stats = before
        network.train(was_training)


@contextmanager
def norms_of_any_order(network: nn.Module, *, wanted: bool) -> Iterator[None]:
    """Inside, batch normalisation by the batch is made of operations that differentiate endlessly.

    Torch's own has first and second derivatives alone. It is several times faster, so that this is
    for third derivatives only, which levels further below bring along. The values are the same but
    for rounding.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    try:
        if wanted:
            for norm in norms:
                norm.forward = partial(_normalised, norm)  # type: ignore[method-assign]
        yield
    finally:
        for norm in norms:
            norm.__dict__.pop("forward", None)


def _normalised(norm: nn.modules.batchnorm._BatchNorm, x: Tensor) -> Tensor:
    """N C ... by the batch's own mean and variance."""
    others = [axis for axis in range(x.dim()) if axis != 1]
    shape = [1, -1, *[1] * (x.dim() - 2)]
    centred = x - x.mean(others, keepdim=True)
    result = centred * torch.rsqrt(centred.square().mean(others, keepdim=True) + norm.eps)
    if norm.weight is not None:
        result = result * norm.weight.view(shape) + norm.bias.view(shape)
    return result


class Noise:
    """The same random numbers at every evaluation of one step of a level.

    A random relaxation or augmentation would otherwise differ between the evaluations of which a
    hypergradient is made. The first use draws a seed, so that each step has noise of its own.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._seed: int | None = None

    @contextmanager
    def same(self, step: int = 0) -> Iterator[None]:
        """Inside, the numbers of this ``step``; outside, none of them was drawn."""
        if self._seed is None:
            self._seed = int(torch.randint(2**62, ()))
        devices = [self._device] if self._device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(self._seed + step)
            yield
