"""Parameters and multiply-adds of derived networks, counted analytically. Torch-free.

One fused multiply-add is one MAC. Convolutions and linear maps alone are counted: batch
normalisation, resampling and activations are not (``profile`` counts those with fvcore).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from nasrestore.errors import NasRestoreError
from nasrestore.graph.expand import signature_of
from nasrestore.graph.ir import Choice, Edge, Node, Operation, Recursion, SearchGraph

Decisions = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Cost:
    """Parameters, and multiply-adds of one forward pass through all stages."""

    parameters: int = 0
    macs: Fraction = Fraction(0)

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.parameters + other.parameters, self.macs + other.macs)

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
    pixels = size[0] * size[1] * scale**2
    parameters, macs = 0, Fraction(0)
    for layer in signature.layers(channels, operation.params):
        macs += layer.macs(pixels)
        own = recursion is not None and recursion.weights == "own"
        parameters += layer.parameters * (stages if own else 1)
        if recursion is not None and recursion.norm == "per_stage" and not own and layer.norm:
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
    """
    assert not graph.choices, "derive it first"
    return CostModel(graph, size).cost({})


class CostModel:
    """The cost of every network that a graph holds, from tables filled once.

    What a decision leaves without a way to an output costs nothing, as in the derived network.
    """

    def __init__(self, graph: SearchGraph, size: tuple[int, int] = (128, 128)) -> None:
        self.graph = graph
        self.size = size
        self._edges = {e.name: edge_cost(e, size, graph.recursion) for e in graph.edges}
        self._into = {n.name: tuple(graph.into(n.name)) for n in graph.nodes}
        self._nodes: dict[tuple[str, int, int], Cost] = {}
        self._backwards = list(reversed(graph.nodes))
        self._always = self._reached(lambda edge: edge.choice is None)

    def cost(self, decisions: Decisions) -> Cost:
        """The cost under decisions for all choices."""
        chosen = {c for names in decisions.values() for c in names}
        used = {output.node for output in self.graph.outputs}
        total = Cost()
        for node in self._backwards:
            if node.name not in used:
                continue
            used.update(node.reads)
            channels = node.main.channels
            for edge in self._into[node.name]:
                if edge.choice is None or edge.name in chosen:
                    total += self._edges[edge.name]
                    used.add(edge.source)
                    channels += edge.channels if edge.join == "concat" else 0
            total += self._node(node, self._decided(node, decisions), channels)
        return total

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

    def _reached(self, follow: object) -> set[str]:
        assert callable(follow)
        used = {output.node for output in self.graph.outputs}
        for node in self._backwards:
            if node.name in used:
                used.update(node.reads)
                used.update(e.source for e in self._into[node.name] if follow(e))
        return used

    # -- bounds ------------------------------------------------------------------------------

    @property
    def additive(self) -> bool:
        """Whether the cost is a constant plus one summand for each thing decided for."""
        concatenated = any(e.choice is not None and e.join == "concat" for e in self.graph.edges)
        return not concatenated and all(n.name in self._always for n in self.graph.nodes)

    def summand(self, choice: Choice, decision: Iterable[str]) -> Cost:
        """What deciding so adds; meaningful where the cost is ``additive``."""
        if choice.kind == "links":
            return sum((self._edges[name] for name in decision), Cost())
        node = self.graph.node(choice.name)
        return self._node(node, self._decided(node, {choice.name: tuple(decision)}), node.input.channels)

    def constant(self) -> Cost:
        """The cost of all that is not decided for."""
        total = sum((self._edges[e.name] for e in self.graph.edges if e.choice is None), Cost())
        fixed = (n for n in self.graph.nodes if n.choice is None)
        return sum((self._node(n, 0, n.input.channels) for n in fixed), total)
