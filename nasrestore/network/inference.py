"""A network made ready to restore: the same function, fewer steps. The original is left alone."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from nasrestore.network.node import NodeModule


def for_inference(network: nn.Module) -> nn.Module:
    """A copy in eval mode, batch normalisation folded into convolutions, channels-last.

    Folding happens wherever a convolution is directly followed by a batch normalisation in an
    ``nn.Sequential``; where links are concatenated before a convolution, it reads each by itself.
    The output is the same within rounding (1e-5).
    """
    made = copy.deepcopy(network).eval().requires_grad_(False)
    for module in list(made.modules()):
        if isinstance(module, nn.Sequential):
            _fold(module)
    for nodes in _by_operation(made):
        _keep_apart(nodes)
    return made.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _fold(sequence: nn.Sequential) -> None:
    layers = list(sequence)
    for place, (first, second) in enumerate(zip(layers, layers[1:])):  # noqa: B905, RUF007
        if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
            sequence[place] = fuse_conv_bn_eval(first, second)
            sequence[place + 1] = nn.Identity()
            if place + 2 < len(layers) and isinstance(layers[place + 2], nn.ReLU):
                sequence[place + 2] = nn.ReLU(inplace=True)  # nobody else reads the convolution


class ConvolutionOfParts(nn.Module):
    """A convolution of the concatenation of several features, which is never made.

    Each feature meets its own slice of the kernel, and the results are added up. In RDMC's last
    decoder the concatenation would be its largest tensor by far.
    """

    def __init__(self, convolution: nn.Conv2d, widths: Sequence[int]) -> None:
        super().__init__()
        self.parts = nn.ModuleList()
        for place, weight in enumerate(convolution.weight.split(list(widths), dim=1)):
            part = copy.deepcopy(convolution)
            part.in_channels = weight.shape[1]
            part.weight = nn.Parameter(weight.clone(), requires_grad=False)
            if place:
                part.bias = None  # it is added once
            self.parts.append(part)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """N C' H W from features N C H W, whose C are the widths."""
        total, *others = (part(x) for part, x in zip(self.parts, features, strict=True))
        for other in others:
            total += other  # in place: nobody else reads it
        return total  # type: ignore[no-any-return]


class NodeOfParts(NodeModule):
    """A node whose operation takes what is concatenated as a list of features."""

    def _joined(  # type: ignore[override]
        self, x: Tensor, features: Mapping[str, Tensor], weights: Mapping[str, Tensor]
    ) -> list[Tensor]:
        parts = [x]
        for edge, place in zip(self.edges, self._places, strict=True):
            arriving = self.links[place](features[edge.source])
            if edge.join == "concat":
                parts.append(arriving)
            else:
                parts[0] = parts[0] + arriving
        return parts


def _by_operation(network: nn.Module) -> list[list[NodeModule]]:
    """The nodes of a network, those with the same (first) operation together."""
    found: dict[int, list[NodeModule]] = {}
    for module in network.modules():
        if isinstance(module, NodeModule):
            found.setdefault(id(_operation(module)), []).append(module)
    return list(found.values())


def _operation(node: NodeModule) -> nn.Module:
    return next(iter(node.operations.candidates.values()))


def _keep_apart(nodes: Sequence[NodeModule]) -> None:
    """Spares nodes the concatenation of their links, where a plain convolution follows it.

    Args:
        nodes: all that share an operation; it reads the same parts at each, or stays as it is.
    """
    widths, *others = (_widths(node) for node in nodes)
    operation = _operation(nodes[0])
    if len(widths) < 2 or any(other != widths for other in others):
        return
    if not isinstance(operation, nn.Sequential) or not len(operation):
        return
    first = operation[0]
    if type(first) is nn.Conv2d and first.groups == 1 and first.padding_mode == "zeros":
        operation[0] = ConvolutionOfParts(first, widths)
        for node in nodes:
            node.__class__ = NodeOfParts


def _widths(node: NodeModule) -> list[int]:
    """The channels of each feature that is concatenated; none where something is undecided."""
    if node.node.choice is not None or any(edge.choice is not None for edge in node.edges):
        return []
    appended = [edge.channels for edge in node.edges if edge.join == "concat"]
    return [node.node.main.channels, *appended]
