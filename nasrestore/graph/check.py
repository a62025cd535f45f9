"""Checks of a compiled graph that need the whole of it. Torch-free."""

from __future__ import annotations

from nasrestore.errors import NasRestoreError
from nasrestore.graph.cost import CostModel
from nasrestore.graph.decide import cheapest
from nasrestore.graph.expand import Problems, signature_of
from nasrestore.graph.ir import SearchGraph
from nasrestore.graph.signature import SignatureError
from nasrestore.spec.space import OutputSpec, SpaceSpec


def check_graph(graph: SearchGraph, spec: SpaceSpec, problems: Problems) -> None:
    """Adds what is wrong with the graph as a whole."""
    _unreachable_nodes(graph, spec, problems)
    _unread_inputs(graph, spec, problems)
    _outputs(graph, spec, problems)
    _undecidable(graph, spec, problems)
    _concatenated_choices(graph, spec, problems)
    if not problems.errors:
        _limits(graph, spec, problems)


def _unreachable_nodes(graph: SearchGraph, spec: SpaceSpec, problems: Problems) -> None:
    used = {output.node for output in graph.outputs}
    for node in reversed(graph.nodes):
        if node.name in used:
            used.update(node.reads)
            used.update(edge.source for edge in graph.into(node.name))
    for node in graph.nodes:
        if node.name not in used and not graph.removed:
            problems.add(
                spec.tree.at("nodes", node.block),
                f"node {node.name!r} is unreachable: no output depends on it",
                "let another node or an output read it, or remove it",
                key=True,
            )


def _unread_inputs(graph: SearchGraph, spec: SpaceSpec, problems: Problems) -> None:
    read = {name for node in graph.nodes for name in node.reads}
    read |= {edge.source for edge in graph.edges} | {output.add or "" for output in graph.outputs}
    if graph.recursion is not None and graph.recursion.state in read:
        read.add(graph.recursion.start)
    for name in graph.inputs:
        if name not in read:
            at = spec.tree.at("inputs", name)
            problems.add(at, f"input {name!r} is never read", "name it in a node's reads", key=True)
    recursion = graph.recursion
    if recursion is not None and recursion.stages > 1 and recursion.state not in read:
        at = spec.tree.at("recursion", "state")
        problems.add(at, f"no node reads the state {recursion.state!r}", "name it in a node's reads")


def _outputs(graph: SearchGraph, spec: SpaceSpec, problems: Problems) -> None:
    recursion = graph.recursion
    for output in graph.outputs:
        shape = graph.node(output.node).output
        at = spec.tree.at("outputs", output.name)
        sources = dict(graph.inputs)
        if recursion is not None:
            sources[recursion.state] = graph.inputs[recursion.start]
        if output.add is not None and sources[output.add] != shape:
            described = isinstance(spec.outputs[output.name], OutputSpec)
            problems.add(
                at.at("add") if described else at,
                f"cannot add {output.add!r} ({sources[output.add]}) to {output.node!r} ({shape})",
            )
        if recursion is not None and output.name == recursion.state:
            start = graph.inputs[recursion.start]
            if shape != start:
                problems.add(
                    at,
                    f"the state {output.name!r} has {shape}, "
                    f"but the next stage reads it in place of {recursion.start!r} with {start}",
                )


def _undecidable(graph: SearchGraph, spec: SpaceSpec, problems: Problems) -> None:
    for node in graph.nodes:
        if node.candidates[0].kind == "none" and len(node.candidates) == 1:
            at = spec.tree.at("nodes", node.block, "op")
            problems.add(at, "'none' cannot be a node's only operation")


def _concatenated_choices(graph: SearchGraph, spec: SpaceSpec, problems: Problems) -> None:
    """A link that may be dropped must not change what its target puts out."""
    for edge in graph.edges:
        if edge.choice is None or edge.join != "concat":
            continue
        node = graph.node(edge.target)
        for operation in node.candidates:
            signature = signature_of(operation.kind)
            try:
                alone = signature.channels(node.main.channels, operation.params)
            except SignatureError:
                alone = -1
            if alone != node.output.channels:
                problems.add(
                    spec.tree.at("links", edge.link, "join"),
                    f"{edge.name}: the output of {node.name!r} would change with the link, since "
                    f"operation {operation.label!r} takes its channels from its input",
                    "join: add, or an operation with channels of its own",
                )


def _limits(graph: SearchGraph, spec: SpaceSpec, problems: Problems) -> None:
    limits = graph.limits
    if limits.parameters is None and limits.macs is None:
        return
    at = spec.tree.at("limits")
    try:
        model = CostModel(graph, limits.size)
        least_parameters = cheapest(model, "parameters")
        least_macs = cheapest(model, "macs")
    except NasRestoreError as error:
        problems.add(at, error.message, error.hint)
        return
    if limits.parameters is not None and least_parameters > limits.parameters:
        message = f"no architecture has {limits.parameters:,} parameters or fewer"
        problems.add(at.at("parameters"), f"{message}: the smallest has {least_parameters:,}")
    if limits.macs is not None and least_macs > limits.macs:
        message = f"no architecture has {limits.macs:,} multiply-adds or fewer"
        problems.add(at.at("macs"), f"{message}: the smallest has {int(least_macs):,}")
