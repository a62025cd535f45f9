"""Rewrites of a network that compute the same faster. Parameters and their names stay as they are.

Candidates of one mixture often begin with convolutions of one shape over the same input. Run as one
convolution of concatenated parameters these cost less than one after the other: the input is read
once, and the kernels of a library are better with 64 output channels than with 16.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasrestore.network.mixture import Operations


class SharedConv2d(nn.Conv2d):
    """A convolution whose output may be there already, computed together with others'."""

    ready: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.ready is None:
            return super().forward(x)
        ready, self.ready = self.ready, None
        return ready


class SharedConvolutions:
    """First convolutions of several candidates, of one shape but for their output channels.

    Parameters are read from the modules at every call, so that those that
    ``torch.func.functional_call`` puts in their place are the ones that count.
    """

    def __init__(self, convolutions: Sequence[SharedConv2d]) -> None:
        self.convolutions = tuple(convolutions)

    def __call__(self, x: Tensor) -> None:
        """Computes all of them on the mixture's input, N C H W."""
        first = self.convolutions[0]
        weight = torch.cat([c.weight for c in self.convolutions])
        bias = None if first.bias is None else torch.cat([c.bias for c in self.convolutions])
        together = F.conv2d(x, weight, bias, first.stride, first.padding, first.dilation)
        parts = together.split([c.out_channels for c in self.convolutions], dim=1)
        for convolution, part in zip(self.convolutions, parts, strict=True):
            convolution.ready = part.contiguous(memory_format=torch.channels_last)


def share_first_convolutions(network: nn.Module) -> None:
    """Lets the candidates of each mixture share their first convolutions, in place."""
    for operations in network.modules():
        if isinstance(operations, Operations):
            operations.prepare = _shared(operations)


def _shared(operations: Operations) -> tuple[SharedConvolutions, ...]:
    by_shape: dict[object, list[tuple[nn.Module, str, nn.Conv2d]]] = {}
    for candidate in operations.candidates.values():
        name = first_convolution(candidate)
        if name is not None:
            convolution = candidate.get_submodule(name)
            assert isinstance(convolution, nn.Conv2d)
            by_shape.setdefault(_shape(convolution), []).append((candidate, name, convolution))
    return tuple(
        SharedConvolutions([_replaced(*place) for place in places])
        for places in by_shape.values()
        if len(places) > 1
    )


def first_convolution(operation: nn.Module) -> str | None:
    """The name in ``operation`` of the convolution that its input goes through first, if it has one.

    A sequence begins with its first module; another operation says what reads its input, by the name
    of a child in its attribute ``entry``.
    """
    path: list[str] = []
    module = operation
    while type(module) is not nn.Conv2d:
        entry = "0" if isinstance(module, nn.Sequential) else getattr(module, "entry", None)
        if not isinstance(entry, str) or (isinstance(module, nn.Sequential) and not len(module)):
            return None
        path.append(entry)
        module = module.get_submodule(entry)
    plain = module.groups == 1 and module.padding_mode == "zeros"
    return ".".join(path) if plain and path else None


def _shape(convolution: nn.Conv2d) -> object:
    c = convolution
    has_bias = c.bias is not None
    return c.in_channels, c.kernel_size, c.stride, c.padding, c.dilation, has_bias


def _replaced(candidate: nn.Module, name: str, convolution: nn.Conv2d) -> SharedConv2d:
    """The convolution's successor, with the very same parameters, in its place."""
    c = convolution
    successor = SharedConv2d(
        c.in_channels,
        c.out_channels,
        c.kernel_size,  # type: ignore[arg-type]
        stride=c.stride,  # type: ignore[arg-type]
        padding=c.padding,  # type: ignore[arg-type]
        dilation=c.dilation,  # type: ignore[arg-type]
        bias=c.bias is not None,
        device="meta",
    )
    successor.weight, successor.bias = c.weight, c.bias
    successor.train(c.training)
    candidate.set_submodule(name, successor)
    return successor
