"""What removed links (``keep: 0``) leave without a reader goes with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from nasrestore.graph.check import reached
from nasrestore.graph.ir import Choice, SearchGraph, ends_of
from nasrestore.graph.values import Problems
from nasrestore.spec.source import Tree


def without_dead(graph: SearchGraph, places: Mapping[str, Tree], problems: Problems) -> SearchGraph:
    """The graph without nodes that no output depends on, whatever is decided.

    Their choices are among the ``removed`` ones then, and links into them are no candidates.

    Args:
        places: where each link group is declared.
    """
    into = {
        node.name: [*node.reads, *(edge.source for edge in graph.into(node.name))]
        for node in graph.nodes
    }
    used = reached(ends_of(graph.outputs), into)
    graph = graph.with_inputs(used)
    if all(node.name in used for node in graph.nodes):
        return graph
    nodes = tuple(node for node in graph.nodes if node.name in used)
    edges = tuple(edge for edge in graph.edges if edge.target in used)
    left = {(edge.choice, edge.candidate) for edge in edges}
    decided = {node.choice for node in nodes}
    choices: list[Choice] = []
    removed = list(graph.removed)
    for choice in graph.choices:
        if choice.kind == "operation":
            (choices if choice.name in decided else removed).append(choice)
            continue
        kept = [i for i, c in enumerate(choice.candidates) if (choice.name, c) in left]
        if not kept:
            removed.append(choice)
            continue
        if choice.keep > len(kept):
            problems.add(
                places[next(e.link for e in edges if e.choice == choice.name)].at("keep"),
                f"cannot keep {choice.keep}: {len(kept)} links are left where another group "
                "has keep: 0",
            )
        candidates = tuple(choice.candidates[i] for i in kept)
        measured = tuple(choice.measured_by[i] for i in kept) if choice.measured_by else ()
        choices.append(replace(choice, candidates=candidates, measured_by=measured))
    uses = tuple(use for use in graph.uses if use.name in used)
    return replace(
        graph, nodes=nodes, edges=edges, choices=tuple(choices), removed=tuple(removed), uses=uses
    )
