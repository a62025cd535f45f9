"""What removed links (``keep: 0``) leave without a reader goes with them."""

from __future__ import annotations

from dataclasses import replace

from nasrestore.graph.check import reached
from nasrestore.graph.ir import Choice, SearchGraph
from nasrestore.graph.values import Problems
from nasrestore.spec.parts import SpaceParts


def without_dead(graph: SearchGraph, space: SpaceParts, problems: Problems) -> SearchGraph:
    """The graph without nodes that no output depends on, whatever is decided.

    Their choices are among the ``removed`` ones then, and links into them are no candidates.
    """
    into = {
        node.name: [*node.reads, *(edge.source for edge in graph.into(node.name))]
        for node in graph.nodes
    }
    used = reached((output.node for output in graph.outputs), into)
    if all(node.name in used for node in graph.nodes):
        return graph
    edges = tuple(edge for edge in graph.edges if edge.target in used)
    left = {edge.name for edge in edges}
    choices: list[Choice] = []
    removed = list(graph.removed)
    for choice in graph.choices:
        links = choice.kind == "links"
        candidates = tuple(c for c in choice.candidates if not links or c in left)
        if not candidates or (not links and choice.name not in used):
            removed.append(choice)
            continue
        if choice.keep > len(candidates):
            group = next(e.link for e in edges if e.name in candidates)
            problems.add(
                space.tree.at("links", group, "keep"),
                f"cannot keep {choice.keep}: {len(candidates)} links are left where another group "
                "has keep: 0",
            )
        choices.append(replace(choice, candidates=candidates))
    nodes = tuple(node for node in graph.nodes if node.name in used)
    return replace(graph, nodes=nodes, edges=edges, choices=tuple(choices), removed=tuple(removed))
