"""Parameters and multiply-adds of derived networks, counted analytically. Torch-free.

One fused multiply-add is one MAC. Convolutions and linear maps alone are counted: batch
normalisation, resampling and activations are not (``profile`` counts those with fvcore).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from nasrestore.errors import NasRestoreError
from nasrestore.graph.expand import signature_of
from nasrestore.graph.ir import (
    Choice,
    Edge,
    Node,
    Operation,
    Recursion,
    SearchGraph,
    Shape,
    ends_of,
)

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
    shape: Shape,
    size: tuple[int, int],
    recursion: Recursion | None = None,
) -> Cost:
    """The cost of one operation over all stages; parameters include batch normalisation's.

    Args:
        shape: of its input, whose resolution is that of the network's input of ``size`` (height,
            width) times its scale; an operation on images runs for each frame of a clip.

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
    pixels = size[0] * size[1] * shape.scale**2
    params, images = operation.params, shape.frames or 1
    if signature.clip is not None:
        params, images = {**params, "frames": shape.frames}, 1
    parameters, macs = 0, Fraction(0)
    for layer in signature.layers(shape.channels, params):
        macs += layer.macs(pixels)
        parameters += layer.parameters * (stages if own else 1)
        if own_norm and layer.norm:
            parameters += 2 * layer.out_channels * (stages - 1)
    return Cost(parameters, macs * stages * images)


def edge_cost(edge: Edge, size: tuple[int, int], recursion: Recursion | None = None) -> Cost:
    """A link's adapter, computed on the smaller side."""
    if edge.adapter is None:
        return Cost()
    shape = replace(edge.from_shape, scale=edge.adapter_scale)
    return operation_cost(edge.adapter, shape, size, recursion)


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
        """The cost under decisions for all choices. Weights that several have count once."""
        used = set(ends_of(self.graph.outputs))
        counted: set[tuple[str, str]] = set()
        parameters, macs = 0, Fraction(0)

        def add(part: Cost, weights: str, label: str) -> None:
            nonlocal parameters, macs
            macs += part.macs
            if (weights, label) not in counted:
                counted.add((weights, label))
                parameters += part.parameters

        for node in self._backwards:
            if node.name not in used:
                continue
            used.update(node.reads)
            channels = node.main.channels
            for edge in self._into[node.name]:
                if edge.choice is None or edge.candidate in decisions[edge.choice]:
                    add(self._edges[edge.name], edge.weights, "")
                    used.add(edge.source)
                    channels += edge.channels if edge.join == "concat" else 0
            decided = self._decided(node, decisions)
            label = node.candidates[decided].label
            add(self._node(node, decided, channels), node.weights, f"candidate {label}")
            add(self._between(node), node.weights, "between")
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
            shape = replace(node.main, channels=channels)
            self._nodes[key] = operation_cost(operation, shape, self.size, recursion)
        return self._nodes[key]

    def _between(self, node: Node) -> Cost:
        if node.between is None:
            return Cost()
        return operation_cost(node.between, node.read, self.size, self.graph.recursion)

    # -- bounds ------------------------------------------------------------------------------

    def share(self, choice: str, candidate: str) -> Cost:
        """What deciding for a candidate adds to ``base``: exactly where ``additive``, at least."""
        return self._shares.get((choice, candidate), Cost())

    def estimate(self, choice: Choice, candidate: str) -> Cost:
        """What a candidate costs where it is used; unlike its share, no bound."""
        if choice.kind != "operation":
            edges = [
                e for e in self.graph.edges if (e.choice, e.candidate) == (choice.name, candidate)
            ]
            return sum(
                (self._edges[edge.name] for edge in edges), self.share(choice.name, candidate)
            )
        nodes = [node for node in self.graph.nodes if node.choice == choice.name]
        decided = {choice.name: (candidate,)}
        costs = (self._node(n, self._decided(n, decided), n.input.channels) for n in nodes)
        return sum(costs, Cost())

    def least(self) -> Cost:
        """Parameters and multiply-adds that no architecture goes below, each by itself."""
        parameters, macs = self.base.parameters, self.base.macs
        for choice in self.graph.choices:
            shares = [self.share(choice.name, c) for c in choice.decidable]
            parameters += sum(heapq.nsmallest(choice.keep, (s.parameters for s in shares)))
            macs += sum(heapq.nsmallest(choice.keep, (s.macs for s in shares)), Fraction(0))
        return Cost(parameters, macs)

    def _fill_shares(self) -> None:
        always = self._reached(ends_of(self.graph.outputs))
        within = self._share_cells(always)
        for node in self.graph.nodes:
            self.additive &= node.name in always or node.name in within
            if node.name in always:
                self._share_node(node)

    def _reached(self, ends: Iterable[str]) -> set[str]:
        """The nodes that are there whatever is decided, where the named ones are."""
        used = set(ends)
        for node in self._backwards:
            if node.name in used:
                used.update(node.reads)
                used.update(e.source for e in self._into[node.name] if e.choice is None)
        return used

    def _share_cells(self, always: set[str]) -> set[str]:
        """Shares of the cells that a node may be; gives the nodes whose cost is exactly in them.

        What several choices lead to is in no share: whichever brings it, it comes once.
        """
        cells = {choice.name for choice in self.graph.choices if choice.kind == "cells"}
        behind = {
            edge.name: self._reached([edge.source]) - always
            for edge in self.graph.edges
            if edge.choice in cells and edge.target in always
        }
        choices: dict[str, set[str]] = {}
        for edge in self.graph.edges:
            for name in behind.get(edge.name, ()):
                choices.setdefault(name, set()).add(str(edge.choice))
        exact: set[str] = set()
        for edge in self.graph.edges:
            for name in behind.get(edge.name, ()):
                if len(choices[name]) == 1 and name in self._into:
                    part, whole = self._fixed_part(self.graph.node(name))
                    exact |= {name} if whole else set()
                    self._add_share(str(edge.choice), edge.candidate, part)
        return exact

    def _fixed_part(self, node: Node) -> tuple[Cost, bool]:
        """What a node costs whatever is decided for it, and whether that is all of it."""
        fixed = [e for e in self._into[node.name] if e.choice is None]
        costs = (self._own(self._edges[e.name], e.name, e.weights) for e in fixed)
        part = sum(costs, self._own(self._between(node), node.name, node.weights))
        if node.choice is not None or len(fixed) < len(self._into[node.name]):
            return part, False
        own = self._node(node, 0, node.input.channels)
        return part + self._own(own, node.name, node.weights), True

    def _add_share(self, choice: str, candidate: str, part: Cost) -> None:
        self._shares[choice, candidate] = self.share(choice, candidate) + part

    def _own(self, part: Cost, name: str, weights: str) -> Cost:
        """Without the parameters where they are another's, whose they are counted as."""
        if weights == name:
            return part
        self.additive = False
        return Cost(0, part.macs)

    def _share_node(self, node: Node) -> None:
        """Shares of the links into a node that is always there, and of its own candidates."""
        width = node.main.channels
        appended: list[Edge] = []
        for edge in self._into[node.name]:
            width += edge.channels if edge.join == "concat" and edge.choice is None else 0
            part = self._own(self._edges[edge.name], edge.name, edge.weights)
            if edge.choice is None:
                self.base += part
                continue
            self._add_share(edge.choice, edge.candidate, part)
            if edge.join == "concat":
                appended.append(edge)
        indices = [i for i, op in enumerate(node.candidates) if op.kind != "none"]
        self.base += self._own(self._between(node), node.name, node.weights)
        if node.choice is None:
            self.base += self._own(self._node(node, 0, width), node.name, node.weights)
        else:
            for i in indices:
                part = self._own(self._node(node, i, width), node.name, node.weights)
                self._add_share(node.choice, node.candidates[i].label, part)
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
                    part = self._own(least, node.name, node.weights)
                    self._add_share(edge.choice, edge.candidate, part)
