"""One node of a network: what it reads, the links that join, its operation or mixture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from nasrestore.graph.expand import signature_of
from nasrestore.graph.ir import Edge, Node, Operation, Shape
from nasrestore.network.architecture import module_key
from nasrestore.network.frames import EachFrame
from nasrestore.network.mixture import Link, Operations
from nasrestore.network.recompute import Memory, recomputed, weighed

Factories = Mapping[str, Callable[..., nn.Module]]


class Parts:
    """The modules of a network, each made once: nodes with the same weights have the same."""

    def __init__(self, factories: Factories) -> None:
        self._factories = factories
        self._made: dict[tuple[str, str], nn.Module] = {}

    def operation(self, operation: Operation, shape: Shape, weights: str, role: str) -> nn.Module:
        """An operation on an input of a shape.

        Args:
            weights: name of the node or link that it belongs to.
            role: which of its operations it is.
        """
        key = (weights, role)
        if key not in self._made:
            self._made[key] = self._new(operation, shape)
        return self._made[key]

    def _new(self, operation: Operation, shape: Shape) -> nn.Module:
        make = self._factories[operation.kind]
        if signature_of(operation.kind).clip is not None:
            return make(shape.channels, frames=shape.frames, **operation.params)
        made = make(shape.channels, **operation.params)
        return made if shape.frames is None else EachFrame(made)


class NodeModule(nn.Module):
    """One node: its reads concatenated, ``between``, links joined, then its operation or mixture.

    Attributes:
        memory: with ``mixture``, candidate links are computed again in the backward pass.
    """

    def __init__(self, node: Node, edges: tuple[Edge, ...], parts: Parts) -> None:
        super().__init__()
        self.memory: Memory = "plain"
        self.node = node
        self.edges = edges
        self.between = (
            None
            if node.between is None
            else parts.operation(node.between, node.read, node.weights, "between")
        )
        self.operations = Operations(
            {
                op.label: parts.operation(op, node.input, node.weights, f"candidate {op.label}")
                for op in node.candidates
            }
        )
        self.links = nn.ModuleDict(
            {module_key(edge.name): self._link(edge, parts) for edge in edges}
        )
        self._places = [module_key(edge.name) for edge in edges]

    @staticmethod
    def _link(edge: Edge, parts: Parts) -> nn.Module:
        adapter = edge.adapter
        image = replace(edge.from_shape, frames=None)
        made = None
        if adapter is not None:
            made = parts.operation(adapter, image, f"{edge.weights} into", "adapter")
        link = Link(made, edge.factor)
        return link if edge.from_shape.frames is None else EachFrame(link)

    def forward(self, features: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> Tensor:
        """N C H W of this node from the features of the nodes before and all mixing weights.

        ``weights`` has an entry for each edge that is a candidate, and for this node where it is a
        choice.
        """
        x = self._joined(self._main(features), features, weights)
        choice = self.node.choice
        return self.operations(x, None if choice is None else weights[choice])  # type: ignore[no-any-return]

    def _main(self, features: Mapping[str, Tensor]) -> Tensor | None:
        """The main input before links join; ``None`` where links alone are read."""
        reads = [features[name] for name in self.node.reads]
        if not reads:
            return None
        x = reads[0] if len(reads) == 1 else torch.cat(reads, dim=-3)
        return x if self.between is None else self.between(x)  # type: ignore[no-any-return]

    def _joined(
        self, x: Tensor | None, features: Mapping[str, Tensor], weights: Mapping[str, Tensor]
    ) -> Tensor:
        appended = []
        for edge, place in zip(self.edges, self._places, strict=True):
            weight = None if edge.choice is None else weights.get(edge.name)
            feature = features[edge.source]
            if edge.join == "add":
                x = self._arriving(self.links[place], feature, weight, x)
            else:
                appended.append(self._arriving(self.links[place], feature, weight, None))
        assert x is not None
        return torch.cat([x, *appended], dim=-3) if appended else x

    def _arriving(
        self, link: nn.Module, feature: Tensor, weight: Tensor | None, onto: Tensor | None
    ) -> Tensor:
        """What a link brings, weighed where it is a candidate and added where it is to be."""
        if weight is not None and self.memory == "mixture":
            return recomputed(link, feature, weight, onto)
        arriving: Tensor = link(feature)
        if weight is None:
            return arriving if onto is None else onto + arriving
        return weighed(arriving, weight, onto)
