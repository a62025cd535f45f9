"""Checks that need more than one node of a space at once. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from nasrestore.errors import Location, NasRestoreError, few
from nasrestore.graph.cost import CostModel
from nasrestore.graph.expand import output_of
from nasrestore.graph.ir import Operation, Output, Recursion, SearchGraph, Shape, ends_of
from nasrestore.graph.links import LinkGroup
from nasrestore.graph.scope import Copy
from nasrestore.graph.shapes import Assembly
from nasrestore.graph.shared import check_kept_channels
from nasrestore.graph.signature import SignatureError
from nasrestore.graph.values import Problems
from nasrestore.spec.source import Tree
from nasrestore.spec.space_parts import SpaceParts


@dataclass(frozen=True)
class Wiring:
    """What reads what, removed links (``keep: 0``) included, whatever the shapes."""

    copies: Sequence[Copy]
    groups: Sequence[LinkGroup]
    outputs: Sequence[Output]
    recursion: Recursion | None

    def used(self) -> set[str]:
        """The nodes and sources that some output may depend on."""
        into: dict[str, list[str]] = {c.name: list(c.reads or ()) for c in self.copies}
        for group in self.groups:
            for pair in group.pairs:
                into[pair.target].append(pair.source)
        return reached(ends_of(self.outputs), into)


def reached(start: Iterable[str], into: Mapping[str, Iterable[str]]) -> set[str]:
    """All from which one of ``start`` can be reached; ``into`` gives the predecessors."""
    used = set(start)
    waiting = list(used)
    while waiting:
        for name in into.get(waiting.pop(), ()):
            if name not in used:
                used.add(name)
                waiting.append(name)
    return used


def check_wiring(wiring: Wiring, space: SpaceParts, problems: Problems) -> None:
    """Nodes that no output depends on, inputs and a state that nothing reads."""
    if space.drops_unused:
        return
    used = wiring.used()
    lost: dict[Location, list[Copy]] = {}
    for copy in wiring.copies:
        if copy.name not in used:
            lost.setdefault(copy.at.location, []).append(copy)
    for copies in lost.values():
        names = [copy.name for copy in copies]
        shown = ", ".join(names if len(names) <= 4 else [names[0], "...", names[-1]])
        subject = f"node {shown} is" if len(names) == 1 else f"nodes {shown} are"
        problems.add(
            copies[0].at,
            f"{subject} unreachable: no output depends on {'it' if len(names) == 1 else 'them'}",
            "let an output, or a node that one depends on, read it; or remove it",
            key=True,
        )
    read = set(used)
    recursion = wiring.recursion
    if recursion is not None and recursion.state in read:
        read.add(recursion.start)
    for name in space.inputs:
        if name not in read:
            at = space.tree.at("inputs", name)
            hint = "name it in the reads of a node that an output depends on"
            problems.add(at, f"input {name!r} is never read", hint, key=True)
    if recursion is not None and recursion.stages > 1 and recursion.state not in read:
        at = space.tree.at("recursion", "state")
        hint = "name it in a node's reads, or set stages: 1"
        problems.add(at, f"no node reads the state {recursion.state!r}", hint)


def check_shapes(
    assembly: Assembly,
    outputs: Sequence[Output],
    recursion: Recursion | None,
    sources: Mapping[str, Shape],
    space: SpaceParts,
    problems: Problems,
) -> None:
    """Outputs that do not fit what is added to them, or the state that they become."""
    for output in outputs:
        shape = assembly.shapes.get(output.node)
        at = space.tree.at("outputs", output.name)
        added = assembly.shapes.get(output.add or "")
        if shape is None:
            continue
        if added is not None and added != shape:
            problems.add(
                at.at("add"),
                f"cannot add {output.add!r} ({added}) to {output.node!r} ({shape})",
                "both need the same channels and resolution",
            )
        is_state = recursion is not None and output.name == recursion.state
        if recursion is None or not is_state or recursion.start not in sources:
            continue
        start = sources[recursion.start]
        if shape != start:
            problems.add(
                at,
                f"the state {output.name!r} has {shape}, "
                f"but the next stage reads it in place of {recursion.start!r} with {start}",
                "both need the same channels and resolution",
            )


def check_graph(graph: SearchGraph, places: Mapping[str, Tree], problems: Problems) -> None:
    """What a decision may leave of a node's input must suit its operation, and who shares its weights.

    A link that may be dropped must not change what its target puts out.

    Args:
        places: where each link group is declared.
    """
    _check_sums(graph, places, problems)
    check_kept_channels(graph, places, problems)
    told: set[str] = set()
    for edge in graph.edges:
        if edge.choice is None or edge.join != "concat" or edge.link in told:
            continue
        node = graph.node(edge.target)
        for operation in node.candidates:
            found = {
                _output_channels(operation, replace(node.input, channels=channels))
                for channels in (node.main.channels, node.input.channels - edge.channels)
            }
            if found != {node.output.channels}:
                told.add(edge.link)
                problems.add(
                    places[edge.link].at("join"),
                    f"{edge.name}: the output of {node.name!r} would change with the link, since "
                    f"operation {operation.label!r} takes its channels from its input",
                    "join: add, or an operation with channels of its own",
                )
                break


def _check_sums(graph: SearchGraph, places: Mapping[str, Tree], problems: Problems) -> None:
    """A node that reads links alone keeps one of them, whatever is decided."""
    into: dict[str, set[str]] = {}
    for edge in graph.edges:
        into.setdefault(edge.choice or "", set()).add(edge.target)
    lost: dict[str, list[str]] = {}
    for node in graph.nodes:
        edges = list(graph.into(node.name))
        stays = any(e.choice is None or into[e.choice] == {node.name} for e in edges)
        tied = {e.choice for e in edges if e.choice is not None}
        stays |= any(_keeps_one_each(graph, choice, into[choice]) for choice in tied)
        if not node.reads and edges and not stays:
            lost.setdefault(edges[0].link, []).append(node.name)
    by_place: dict[Location, tuple[Tree, list[str]]] = {}
    for link, names in lost.items():
        at = places[link].at("keep")
        by_place.setdefault(at.location, (at, []))[1].extend(names)
    for at, names in by_place.values():
        several = "s" * (len(names) == 1)
        message = f"{few(names)} read{several} links alone, and all of them may be dropped"
        problems.add(at, message, "keep: {per: node, k: 1}, or a link that is always there")


def _keeps_one_each(graph: SearchGraph, choice: str, targets: set[str]) -> bool:
    """Whether a tied choice is, in each use of its cell, one of links into one node."""
    edges = [edge for edge in graph.edges if edge.choice == choice]
    each = {target: sorted(e.candidate for e in edges if e.target == target) for target in targets}
    return len(set(map(tuple, each.values()))) == 1


def _output_channels(operation: Operation, shape: Shape) -> int | None:
    try:
        return output_of(operation, shape).channels
    except SignatureError:
        return None


def check_limits(graph: SearchGraph, space: SpaceParts, problems: Problems) -> None:
    """Limits that no architecture can meet, or that cannot be told of."""
    limits = graph.limits
    if limits.parameters is None and limits.macs is None:
        return
    at = space.tree.at("limits")
    try:
        model = CostModel(graph, limits.size)
    except NasRestoreError as error:
        problems.add(at, error.message, error.hint)
        return
    least = model.least()
    smallest = "the smallest has" if model.additive else "the smallest has at least"
    if limits.parameters is not None and least.parameters > limits.parameters:
        message = f"no architecture has {limits.parameters:,} parameters or fewer"
        problems.add(at.at("parameters"), f"{message}: {smallest} {least.parameters:,}")
    if limits.macs is not None and least.macs > limits.macs:
        message = f"no architecture has {limits.macs:,} multiply-adds or fewer"
        problems.add(at.at("macs", "most"), f"{message}: {smallest} {int(least.macs):,}")
