"""Nodes and links that have the weights of another: what they must have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nasrestore.graph.expand import signature_of
from nasrestore.graph.ir import Edge, Node, Operation, SearchGraph, Shape
from nasrestore.graph.links import LinkGroup, Pair
from nasrestore.graph.scope import Copy
from nasrestore.graph.values import Problems
from nasrestore.spec.source import Tree

SHARED = "weights: copy, or the same shapes for all"

When = tuple[str, str]


def weights_fit(node: Node, copy: Copy, owner: Node, problems: Problems) -> bool:
    """Whether a node's operations can be those of its owner; adds a problem if not."""
    how = _difference(node.candidates, node.input, owner.candidates, owner.input)
    if node.between is not None and owner.between is not None:
        how = how or _difference([node.between], node.read, [owner.between], owner.read)
    if how is None:
        return True
    message = f"{node.name} is to have the weights of {owner.name}, but they differ: {how}"
    problems.add(copy.at.at("weights"), message, SHARED)
    return False


def _difference(
    operations: Sequence[Operation], shape: Shape, others: Sequence[Operation], other: Shape
) -> str | None:
    """What keeps operations on one shape from being those on another."""
    if shape.channels != other.channels:
        return f"{shape.channels} and {other.channels} channels in"
    if len(operations) != len(others) or not all(map(alike, operations, others)):
        return "their operations"
    if any(_frames(one, shape) != _frames(one, other) for one in operations):
        frames = (
            f"a clip of {s.frames} frames" if s.frames else "an image" for s in (shape, other)
        )
        return " and ".join(frames)
    return None


def _frames(operation: Operation, shape: Shape) -> int | bool | None:
    """How an operation is made for frames: for a number of them, or to take them one by one."""
    clip = signature_of(operation.kind).clip is not None
    return shape.frames if clip else shape.frames is not None


def check_adapters(
    arriving: Sequence[tuple[LinkGroup, Pair]],
    edges: Sequence[Edge],
    owners: dict[str, Edge],
    problems: Problems,
) -> None:
    """Links with the same weights have the same adapter, where they have one.

    Args:
        owners: the first link of each name of weights; new ones are added.
    """
    for (group, _), edge in zip(arriving, edges, strict=True):
        if edge.adapter is None:
            continue
        owner = owners.setdefault(edge.weights, edge)
        assert owner.adapter is not None
        channels, others = edge.from_shape.channels, owner.from_shape.channels
        if channels == others and alike(edge.adapter, owner.adapter):
            continue
        how = "other parameters" if channels == others else f"{channels} and {others} channels in"
        message = f"{edge.name} is to have the adapter of {owner.name}, but they differ: {how}"
        problems.add(group.spec.tree.at("adapter"), message, SHARED)


def alike(one: Operation, other: Operation) -> bool:
    """Whether two operations are made alike, for the same input."""
    return (one.label, one.kind, dict(one.params)) == (other.label, other.kind, dict(other.params))


def check_kept_channels(graph: SearchGraph, places: Mapping[str, Tree], problems: Problems) -> None:
    """Nodes with the same weights keep the same input channels, whatever is decided.

    A link that is appended brings its target input channels, and the kernel loses them with the
    link. One kernel cannot lose some at one node and others at the next.

    Args:
        places: where each link group is declared.
    """
    always = {c.name for c in graph.choices if c.keep == len(c.decidable)}
    owners: dict[str, Node] = {}
    told: set[str] = set()
    for node in graph.nodes:
        owner = owners.setdefault(node.weights, node)
        if owner is node or _channels(graph, node, always) == _channels(graph, owner, always):
            continue
        edge, *_ = _appended(graph, node, always) or _appended(graph, owner, always)
        if edge.link in told:
            continue
        told.add(edge.link)
        problems.add(
            places[edge.link].at("join"),
            f"{node.name} has the weights of {owner.name}, but which links are appended is decided "
            "for each apart: one kernel cannot lose other input channels at each",
            _way_out(graph, node, owner, always),
        )


def _appended(graph: SearchGraph, node: Node, always: set[str]) -> list[Edge]:
    """The links into a node that are concatenated, and may be dropped."""
    return [
        edge
        for edge in graph.into(node.name)
        if edge.join == "concat" and edge.choice is not None and edge.choice not in always
    ]


def _channels(graph: SearchGraph, node: Node, always: set[str]) -> list[When | None]:
    """For each input channel of a node by which decision it is kept; ``None`` for always."""
    found: list[When | None] = [None] * node.main.channels
    for edge in graph.into(node.name):
        if edge.join == "concat":
            stays = edge.choice is None or edge.choice in always
            when = None if stays else (str(edge.choice), edge.candidate)
            found += [when] * edge.channels
    return found


def _way_out(graph: SearchGraph, node: Node, owner: Node, always: set[str]) -> str:
    one, other = (
        [edge.candidate for edge in _appended(graph, each, always)] for each in (node, owner)
    )
    tied = "decisions: node, where the cell is used, " if one == other else "join: add, "
    return f"{tied}or weights: copy"
