"""Parameters and multiply-adds of derived networks, counted analytically. Torch-free.

One fused multiply-add is one MAC. Convolutions and linear maps alone are counted: batch
normalisation, resampling and activations are not (``profile`` counts those with fvcore).
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from nasrestore.errors import NasRestoreError
from nasrestore.graph.expand import signature_of
from nasrestore.graph.ir import Choice, Edge, Node, Operation, Recursion, SearchGraph

Decisions = Mapping[str, tuple[str, ...]]

_MOST_WIDTHS = 256


@dataclass(frozen=True)
class Cost:
    """Parameters, and multiply-adds of one forward pass through all stages."""

    parameters: int = 0
    macs: Fraction = Fraction(0)

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.parameters + other.parameters, self.macs + other.macs)

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.parameters - other.parameters, self.macs - other.macs)

    def within(self, parameters: int | None, macs: int | None) -> bool:
        fits = parameters is None or self.parameters <= parameters
        return fits and (macs is None or self.macs <= macs)


def operation_cost(
    operation: Operation,
    channels: int,
    scale: Fraction,
    size: tuple[int, int],
    recursion: Recursion | None = None,
) -> Cost:
    """The cost of one operation over all stages; parameters include batch normalisation's.

    Args:
        channels: its input channels.
        scale: resolution of its input over the network's input of ``size`` (height, width).

    Raises:
        NasRestoreError: its signature does not tell.
    """
    signature = signature_of(operation.kind)
    if signature.layers is None:
        raise NasRestoreError(
            f"the cost of operation {operation.kind!r} is not known",
            hint="give its signature `layers`, or leave out `limits`",
        )
    stages = 1 if recursion is None else recursion.stages
    own = recursion is not None and recursion.weights == "own"
    own_norm = recursion is not None and recursion.norm == "per_stage" and not own
    pixels = size[0] * size[1] * scale**2
    parameters, macs = 0, Fraction(0)
    for layer in signature.layers(channels, operation.params):
        macs += layer.macs(pixels)
        parameters += layer.parameters * (stages if own else 1)
        if own_norm and layer.norm:
            parameters += 2 * layer.out_channels * (stages - 1)
    return Cost(parameters, macs * stages)


def edge_cost(edge: Edge, size: tuple[int, int], recursion: Recursion | None = None) -> Cost:
    """A link's adapter, computed on the smaller side."""
    if edge.adapter is None:
        return Cost()
    channels = edge.from_shape.channels
    return operation_cost(edge.adapter, channels, edge.adapter_scale, size, recursion)


def graph_cost(graph: SearchGraph, size: tuple[int, int] = (128, 128)) -> Cost:
    """The cost of a graph that has no choices left, over all its stages.

    Args:
        size: height and width of the input, pixels.

    Raises:
        NasRestoreError: a signature does not tell.
    """
    assert not graph.choices, "derive it first"
    return CostModel(graph, size).cost({})


class CostModel:
    """The cost of every network that a graph holds, from tables filled once.

    What a decision leaves without a way to an output costs nothing, as in the derived network.

    Attributes:
        base: what every architecture costs at least, before anything is decided for.
        additive: whether the cost is exactly ``base`` and the ``shares`` of what is decided for;
            it is at least that otherwise.

    Raises:
        NasRestoreError: a signature does not tell.
    """

    def __init__(self, graph: SearchGraph, size: tuple[int, int] = (128, 128)) -> None:
        self.graph = graph
        self.size = size
        self._edges = {e.name: edge_cost(e, size, graph.recursion) for e in graph.edges}
        self._into = {n.name: tuple(graph.into(n.name)) for n in graph.nodes}
        self._nodes: dict[tuple[str, int, int], Cost] = {}
        self._backwards = list(reversed(graph.nodes))
        self._shares: dict[tuple[str, str], Cost] = {}
        self.base = Cost()
        self.additive = True
        self._fill_shares()

    def cost(self, decisions: Decisions) -> Cost:
        """The cost under decisions for all choices."""
        chosen = {c for names in decisions.values() for c in names}
        used = {output.node for output in self.graph.outputs}
        parameters, macs = 0, Fraction(0)
        for node in self._backwards:
            if node.name not in used:
                continue
            used.update(node.reads)
            channels = node.main.channels
            for edge in self._into[node.name]:
                if edge.choice is None or edge.name in chosen:
                    part = self._edges[edge.name]
                    parameters, macs = parameters + part.parameters, macs + part.macs
                    used.add(edge.source)
                    channels += edge.channels if edge.join == "concat" else 0
            part = self._node(node, self._decided(node, decisions), channels)
            parameters, macs = parameters + part.parameters, macs + part.macs
        return Cost(parameters, macs)

    def _decided(self, node: Node, decisions: Decisions) -> int:
        if node.choice is None:
            return 0
        label = decisions[node.choice][0]
        return next(i for i, op in enumerate(node.candidates) if op.label == label)

    def _node(self, node: Node, candidate: int, channels: int) -> Cost:
        key = (node.name, candidate, channels)
        if key not in self._nodes:
            operation, recursion = node.candidates[candidate], self.graph.recursion
            cost = operation_cost(operation, channels, node.main.scale, self.size, recursion)
            if node.between is not None:
                read = node.read
                cost += operation_cost(
                    node.between, read.channels, read.scale, self.size, recursion
                )
            self._nodes[key] = cost
        return self._nodes[key]

    # -- bounds ------------------------------------------------------------------------------

    def share(self, choice: str, candidate: str) -> Cost:
        """What deciding for a candidate adds to ``base``: exactly where ``additive``, at least."""
        return self._shares.get((choice, candidate), Cost())

    def estimate(self, choice: Choice, candidate: str) -> Cost:
        """What a candidate costs where it is used; unlike its share, no bound."""
        if choice.kind == "links":
            return self._edges[candidate]
        node = self.graph.node(choice.name)
        return self._node(
            node, self._decided(node, {choice.name: (candidate,)}), node.input.channels
        )

    def least(self) -> Cost:
        """Parameters and multiply-adds that no architecture goes below, each by itself."""
        parameters, macs = self.base.parameters, self.base.macs
        for choice in self.graph.choices:
            shares = [self.share(choice.name, c) for c in choice.decidable]
            parameters += sum(heapq.nsmallest(choice.keep, (s.parameters for s in shares)))
            macs += sum(heapq.nsmallest(choice.keep, (s.macs for s in shares)), Fraction(0))
        return Cost(parameters, macs)

    def _fill_shares(self) -> None:
        always = self._always()
        for node in self.graph.nodes:
            self.additive &= node.name in always
            if node.name in always:
                self._share_node(node)

    def _always(self) -> set[str]:
        """The nodes that are there whatever is decided."""
        used = {output.node for output in self.graph.outputs}
        for node in self._backwards:
            if node.name in used:
                used.update(node.reads)
                used.update(e.source for e in self._into[node.name] if e.choice is None)
        return used

    def _share_node(self, node: Node) -> None:
        """Shares of the links into a node that is always there, and of its own candidates."""
        width = node.main.channels
        appended: list[Edge] = []
        for edge in self._into[node.name]:
            width += edge.channels if edge.join == "concat" and edge.choice is None else 0
            if edge.choice is None:
                self.base += self._edges[edge.name]
                continue
            self._shares[edge.choice, edge.name] = self._edges[edge.name]
            if edge.join == "concat":
                appended.append(edge)
        indices = [i for i, op in enumerate(node.candidates) if op.kind != "none"]
        if node.choice is None:
            self.base += self._node(node, 0, width)
        else:
            for i in indices:
                self._shares[node.choice, node.candidates[i].label] = self._node(node, i, width)
        if appended:
            self._share_widths(node, indices, width, appended)

    def _share_widths(
        self, node: Node, indices: list[int], width: int, appended: list[Edge]
    ) -> None:
        """What a wider input makes the node's operation cost more, at least, for each link.

        The sum over links is a bound because each link's summand is the least over all widths that
        the other links may leave; where these are all the same, the sum is exact.
        """
        widths = {width}
        for edge in appended:
            widths |= {w + edge.channels for w in widths}
            if len(widths) > _MOST_WIDTHS:
                self.additive = False
                return
        for channels in {edge.channels for edge in appended}:
            steps = [
                self._node(node, i, w + channels) - self._node(node, i, w)
                for i in indices
                for w in widths
                if w + channels in widths
            ]
            parameters = min(step.parameters for step in steps)
            least = Cost(parameters, min(step.macs for step in steps))
            self.additive &= all(step == least for step in steps)
            for edge in appended:
                if edge.channels == channels and edge.choice is not None:
                    self._shares[edge.choice, edge.name] += least
