"""From decisions to a graph without choices. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from nasrestore.graph.genotype import Genotype, fit
from nasrestore.graph.ir import Edge, Node, SearchGraph, ends_of


def derive(graph: SearchGraph, genotype: Genotype) -> SearchGraph:
    """The graph of the network that the genotype decides for.

    Links not kept are gone, and with them what no longer leads to an output.

    Raises:
        SpecError: the genotype does not fit the graph.
    """
    fitted, _ = fit(genotype, graph)
    decisions = fitted.decisions
    edges = tuple(
        replace(e, choice=None, decided_by=e.choice or e.decided_by)
        for e in graph.edges
        if e.choice is None or e.candidate in decisions[e.choice]
    )
    nodes = [_decided(node, decisions, edges) for node in graph.nodes]
    used = set(ends_of(graph.outputs))
    for node in reversed(nodes):
        if node.name in used:
            used.update(node.reads)
            used.update(e.source for e in edges if e.target == node.name)
    return replace(
        graph.with_inputs(used),
        nodes=tuple(node for node in nodes if node.name in used),
        edges=tuple(edge for edge in edges if edge.target in used),
        uses=tuple(use for use in graph.uses if use.name in used),
        choices=(),
        removed=(),
        decisions=graph.relevant(decisions),
    )


def _decided(node: Node, decisions: Mapping[str, tuple[str, ...]], edges: tuple[Edge, ...]) -> Node:
    appended = sum(e.channels for e in edges if e.target == node.name and e.join == "concat")
    shape = replace(node.main, channels=node.main.channels + appended)
    candidates = node.candidates
    if node.choice is not None:
        label = decisions[node.choice][0]
        candidates = tuple(op for op in candidates if op.label == label)
    return replace(
        node,
        candidates=candidates,
        choice=None,
        input=shape,
        decided_by=node.choice or node.decided_by,
    )


def kept_input_channels(supernet: SearchGraph, derived: SearchGraph, node: str) -> list[int]:
    """Which input channels of a supernet's node the derived node still reads, in order."""
    kept = {edge.name for edge in derived.into(node)}
    channels = list(range(supernet.node(node).main.channels))
    position = len(channels)
    for edge in supernet.into(node):
        if edge.join != "concat":
            continue
        if edge.name in kept:
            channels += range(position, position + edge.channels)
        position += edge.channels
    return channels
