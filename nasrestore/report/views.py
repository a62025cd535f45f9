"""What a picture shows side by side: the space with a box for each use of a cell, and the cells.

Each view is a graph of its own with local names, in which a node stands for what the network has in
several: a use of a cell, or a node that is one of several cells. Operations that links carry are no
nodes of it; they are written where the links end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from nasrestore.graph.cells import BETWEEN
from nasrestore.graph.ir import Edge, Node, Operation, Output, SearchGraph, Shape, Use

CELL = "cell"  # kind of the operation that a use of a cell is shown as
JOINED = "all outputs"  # no node that a file declares has a space in its name


@dataclass(frozen=True)
class Carried:
    """The operation that a link carries, or those that it may carry.

    Attributes:
        source: where the link comes from.
        edge: the link, as it is in the view.
    """

    source: str
    node: Node
    edge: Edge


@dataclass(frozen=True)
class View:
    """One part of a picture.

    Attributes:
        cell: name of the cell; empty for the space itself.
        uses: the uses of the cell that look like this.
        drawn: the one of them whose shapes these are.
        dropped: whether what is decided for does without the cell here.
        carried: for each node the operations on links into it.
    """

    graph: SearchGraph
    cell: str = ""
    uses: tuple[str, ...] = ()
    drawn: str = ""
    dropped: bool = False
    carried: Mapping[str, tuple[Carried, ...]] = field(default_factory=dict)


def views_of(
    graph: SearchGraph,
    decisions: Mapping[str, tuple[str, ...]] | None = None,
    told: Collection[str] = (),
) -> list[View]:
    """The space, then its cells, outer ones first; each cell once where its uses do not differ.

    Args:
        decisions: for each choice what is decided for; uses that decide differently are apart.
        told: further choices of which something is shown.
    """
    if not graph.uses and not any("/" in node.name for node in graph.nodes):
        return [View(graph)]
    views = [_Scope(graph, None).view()]
    decided = decisions or {}
    shown = {*told, *decided}
    dropped = _dropped(graph, decided)
    found: dict[tuple[object, ...], list[_Scope]] = {}
    for scope in sorted((_Scope(graph, use) for use in graph.uses), key=lambda s: s.depth):
        found.setdefault(scope.signature(shown), []).append(scope)
    order = list(dict.fromkeys(str(signature[0]) for signature in found))
    for scopes in sorted(found.values(), key=lambda several: order.index(several[0].cell)):
        drawn = max(scopes, key=lambda scope: len(set(scope.inputs)))
        uses = [scope.prefix for scope in scopes]
        lost = all(f"{name}/".startswith(dropped) for name in uses)
        views.append(replace(drawn.view(), uses=tuple(uses), drawn=drawn.prefix, dropped=lost))
    return views


def _dropped(graph: SearchGraph, decisions: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Prefixes of the names within the cells that are not decided for."""
    cells = {choice.name for choice in graph.choices if choice.kind == "cells"}
    ends = [edge for edge in graph.edges if edge.choice in cells & decisions.keys()]
    return tuple(f"{e.source}/" for e in ends if e.candidate not in decisions[e.choice or ""])


class _Scope:
    """What is declared in the space, or in one use of a cell, by its local names."""

    def __init__(self, graph: SearchGraph, use: Use | None) -> None:
        self.graph = graph
        self.use = use
        self.prefix = "" if use is None else use.name
        self.known = {one.name: one for one in graph.uses}
        self.by_name = {node.name: node for node in graph.nodes}
        self.stands_for: dict[str, str] = {}
        for name, full in () if use is None else use.inputs.items():
            before = self.stands_for.get(full)
            self.stands_for[full] = name if before is None else f"{before}, {name}"
        own = [node for node in graph.nodes if self._home(node.name) == self.prefix]
        self.nodes = [
            n
            for n in own
            if "/" not in self.local(n.name)
            and n.name not in self.stands_for
            and not n.name.endswith(BETWEEN)
        ]
        self.visible = {node.name for node in self.nodes}
        self.links = [
            edge
            for edge in graph.edges
            if edge.target in self.visible and edge.source not in self._cells_of(edge.target)
        ]

    @property
    def cell(self) -> str:
        return "" if self.use is None else self.use.cell

    @property
    def depth(self) -> int:
        return sum(self.prefix.startswith(f"{name}/") for name in self.known)

    @property
    def inputs(self) -> list[str]:
        return list(self.stands_for.values())

    def local(self, full: str) -> str:
        return full[len(self.prefix) + 1 :] if self.prefix else full

    def signature(self, told: Collection[str]) -> tuple[object, ...]:
        """What is the same for two uses that look alike."""
        places: list[Node | Edge] = [*self.nodes, *self.links]
        places += [self.by_name[e.source] for e in self.links if self._carries(e)]
        nodes = [
            (
                self.local(n.name),
                n.block != n.name,
                tuple(op.label for op in n.candidates),
                n.decided_by is None,
            )
            for n in (p for p in places if isinstance(p, Node))
        ]
        cells = [tuple(one.cell for one in self._uses_of(node.name)) for node in self.nodes]
        edges = [edge.candidate.rpartition("/")[2] for edge in self.links]
        choices = {place.choice for place in places} | {e.choice for e in self._ends()}
        return (self.cell, *nodes, *cells, *edges, *sorted(c for c in choices if c in told))

    # -- names -------------------------------------------------------------------------------

    def _home(self, full: str) -> str:
        """The innermost use that a node is in; empty for the space."""
        outside = full.rpartition("/")[0]
        while outside and outside not in self.known:
            outside = outside.rpartition("/")[0]
        return outside

    def _uses_of(self, name: str) -> list[Use]:
        """The cell that a node is, or those that it may be."""
        if name in self.known:
            return [self.known[name]]
        return [
            one
            for n, one in self.known.items()
            if n.rpartition("/")[0] == name and n in self.by_name
        ]

    def _cells_of(self, name: str) -> set[str]:
        return {one.name for one in self._uses_of(name)}

    def _ends(self) -> list[Edge]:
        """From each cell that a node may be to the node."""
        edges = (edge for node in self.nodes for edge in self.graph.into(node.name))
        return [edge for edge in edges if edge.source in self._cells_of(edge.target)]

    def _carries(self, edge: Edge) -> bool:
        return edge.source.endswith("->" + self.local(edge.target) + "/op")

    def _read(self, full: str) -> Iterator[str]:
        """The boxes that a name means here; nodes between them are passed over."""
        if full in self.stands_for:
            yield self.stands_for[full]
        elif full in self.visible:
            yield self.local(full)
        elif full in self.by_name:
            for name in self.by_name[full].reads:
                yield from self._read(name)
        elif self.use is None:
            yield full

    def _reads(self, names: Collection[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(box for name in names for box in self._read(name)))

    # -- the view ----------------------------------------------------------------------------

    def view(self) -> View:
        nodes = [self._shown(node) for node in self.nodes]
        carried: dict[str, tuple[Carried, ...]] = {}
        edges = []
        for edge in self.links:
            shown = self._edge(edge)
            edges.append(shown)
            if self._carries(edge):
                one = Carried(shown.source, self.by_name[edge.source], shown)
                carried[shown.target] = (*carried.get(shown.target, ()), one)
        outputs = self.graph.outputs
        if self.use is not None:
            nodes, outputs = self._with_output(nodes)
        places: list[Node | Edge] = [*nodes, *edges]
        places += [one.node for several in carried.values() for one in several]
        names = {place.choice for place in places}
        graph = replace(
            self.graph,
            nodes=tuple(nodes),
            edges=tuple(edges),
            choices=tuple(choice for choice in self.graph.choices if choice.name in names),
            outputs=outputs,
            uses=(),
        )
        if self.use is None:
            return View(graph, carried=carried)
        shapes = {name: self._shape(full) for full, name in self.stands_for.items()}
        inputs = {name: shape for name, shape in shapes.items() if shape is not None}
        flows = {
            n: self.graph.flows[f] for f, n in self.stands_for.items() if f in self.graph.flows
        }
        graph = replace(graph, inputs=inputs, flows=flows, recursion=None, removed=())
        return View(graph, self.cell, carried=carried)

    def _shown(self, node: Node) -> Node:
        """A node of the graph as it is drawn."""
        uses = self._uses_of(node.name)
        block = self.local(node.block)
        if not uses:
            reads = self._reads(node.reads)
            return replace(node, name=self.local(node.name), block=block, reads=reads)
        between = self.by_name.get(node.name + BETWEEN)
        ends = [e for e in self._ends() if e.target == node.name]
        return replace(
            node,
            name=self.local(node.name),
            block=block,
            reads=self._reads([full for one in uses for full in one.inputs.values()]),
            between=None if between is None else between.candidates[0],
            candidates=tuple(Operation(CELL, {}, one.cell) for one in uses),
            choice=ends[0].choice if ends else None,
            decided_by=ends[0].decided_by if ends else None,
        )

    def _edge(self, edge: Edge) -> Edge:
        at = self.by_name[edge.source].reads[0] if self._carries(edge) else edge.source
        (source, *_) = self._reads([at])
        return replace(
            edge,
            name=self.local(edge.name),
            link=self.local(edge.link),
            source=source,
            target=self.local(edge.target),
        )

    def _with_output(self, nodes: list[Node]) -> tuple[list[Node], tuple[Output, ...]]:
        """What the cell puts out: a node, or several that are concatenated."""
        end = self.by_name[self.prefix]
        reads = self._reads(end.reads)
        if len(reads) != 1 or reads[0] in self.stands_for.values():
            joined = Operation("identity", {}, "concatenated")
            nodes = [
                *nodes,
                replace(end, name=JOINED, block=JOINED, reads=reads, candidates=(joined,)),
            ]
            reads = (JOINED,)
        return nodes, (Output("output", reads[0], None),)

    def _shape(self, full: str) -> Shape | None:
        if full in self.by_name:
            return self.by_name[full].output
        recursion = self.graph.recursion
        start = recursion.start if recursion is not None and full == recursion.state else full
        return self.graph.inputs.get(start)
