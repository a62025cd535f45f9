"""The groups of parameters of a space, which the levels of a recipe own."""

from __future__ import annotations

from nasrestore.graph.cost import operation_cost
from nasrestore.graph.expand import signature_of
from nasrestore.graph.ir import Node, Operation, SearchGraph, Shape


def parameter_groups(graph: SearchGraph) -> list[str]:
    """The groups that a level can own: the architecture's, and those of nodes and links."""
    built = [*(n.group for n in graph.nodes), *(e.group for e in graph.edges)]
    return list(dict.fromkeys([*graph.deciding, *graph.groups, *built]))


def groups_with_parameters(graph: SearchGraph) -> list[str]:
    """Those of :func:`parameter_groups` that a network of the space has parameters in.

    An ablation may leave none: a node that it drops, a constant in the place of what was learned, a
    choice that it takes. An operation whose signature does not tell counts as one that has some.
    """
    found = {choice.group for choice in graph.choices if not choice.measured_by}
    found |= {node.group for node in graph.nodes if _learns(node)}
    found |= {edge.group for edge in graph.edges if _learned(edge.adapter, edge.from_shape)}
    return [group for group in parameter_groups(graph) if group in found]


def _learns(node: Node) -> bool:
    return _learned(node.between, node.read) or any(
        _learned(operation, node.input) for operation in node.candidates
    )


def _learned(operation: Operation | None, shape: Shape) -> bool:
    if operation is None:
        return False
    if signature_of(operation.kind).layers is None:
        return True
    return operation_cost(operation, shape, (1, 1)).parameters > 0
