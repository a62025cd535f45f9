"""Shapes of every node and link, from the inputs on. What an error leaves open stays open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from nasrestore.graph.catalog import MOST_CHANNELS
from nasrestore.graph.copies import Copy
from nasrestore.graph.expand import Candidate, plain_operation, signature_of
from nasrestore.graph.ir import Edge, Node, Shape
from nasrestore.graph.links import LinkGroup
from nasrestore.graph.signature import SignatureError
from nasrestore.graph.values import Environment, Problems

Scales = dict[str, tuple[Fraction, Fraction]]

MOST_SCALE = 1024


def scales_of(order: Sequence[Copy], sources: Mapping[str, Shape], problems: Problems) -> Scales:
    """(resolution at the operation's input, at its output) of every source and node, where known."""
    scales: Scales = {name: (shape.scale, shape.scale) for name, shape in sources.items()}
    for copy in order:
        if copy.reads is None or copy.broken or not scales.keys() >= set(copy.reads):
            continue
        read = {name: scales[name][1] for name in copy.reads}
        if len(set(read.values())) > 1:
            shown = ", ".join(f"{name} at {scale}" for name, scale in read.items())
            problems.add(
                copy.spec.tree.at("reads"),
                f"cannot concatenate different resolutions: {shown} of the input's",
                "read one of them through a link, which resamples",
            )
            continue
        at_input = next(iter(read.values())) * _scale(copy.between)
        factor = _common_factor(copy, problems)
        if factor is not None and _within(copy, at_input, at_input * factor, problems):
            scales[copy.name] = (at_input, at_input * factor)
    return scales


def _scale(candidate: Candidate | None) -> Fraction:
    if candidate is None:
        return Fraction(1)
    made = candidate.operation
    return signature_of(made.kind).scale(made.params)


def _common_factor(copy: Copy, problems: Problems) -> Fraction | None:
    """By what all candidates change the resolution; ``None`` after an error."""
    if copy.candidates is None:
        return None
    factors = {c.operation.label: _scale(c) for c in copy.candidates}
    if len(set(factors.values())) > 1:
        shown = ", ".join(f"{label} x{factor}" for label, factor in factors.items())
        message = f"candidates change the resolution differently: {shown}"
        problems.add(copy.spec.tree.at("op"), message, "give all the same resolution")
        return None
    return next(iter(factors.values()))


def _within(copy: Copy, first: Fraction, last: Fraction, problems: Problems) -> bool:
    for scale in (first, last):
        if not Fraction(1, MOST_SCALE) <= scale <= MOST_SCALE:
            message = f"{copy.name} is at {scale} of the input's resolution"
            span = f"1/{MOST_SCALE} to {MOST_SCALE} are built"
            problems.add(copy.spec.tree, f"{message}: {span}", key=True)
            return False
    return True


@dataclass
class Assembly:
    """The nodes and links whose shapes are known.

    Attributes:
        shapes: of every source and node, as far as known.
    """

    shapes: dict[str, Shape]
    nodes: list[Node] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)


def assemble(
    order: Sequence[Copy],
    groups: Sequence[LinkGroup],
    open_targets: set[str],
    scales: Scales,
    sources: Mapping[str, Shape],
    env: Environment,
    problems: Problems,
) -> Assembly:
    """All nodes and links in the order of execution.

    Args:
        open_targets: nodes whose links an error leaves open, so that their shapes are, too.
    """
    result = Assembly(dict(sources))
    links = _links_into(groups)
    choice_of = {name: c.name for g in groups for c in g.choices() for name in c.candidates}
    for copy in order:
        reads = copy.reads
        if copy.name not in scales or reads is None or not result.shapes.keys() >= set(reads):
            continue
        scale_read, scale = scales[reads[0]][1], scales[copy.name][0]
        read = Shape(sum(result.shapes[name].channels for name in reads), scale_read)
        main = _main_shape(copy, read, scale, problems)
        arriving = links.get(copy.name, [])
        if main is None or copy.name in open_targets:
            continue
        made = [
            _edge(
                group, source, copy.name, result.shapes.get(source), main, choice_of, env, problems
            )
            for group, source in arriving
        ]
        edges = [edge for edge in made if edge is not None]
        if len(edges) < len(made):
            continue
        joined = main.channels + sum(edge.channels for edge in edges if edge.join == "concat")
        node = _node(copy, read, main, Shape(joined, main.scale), problems)
        if node is not None:
            result.edges += edges
            result.nodes.append(node)
            result.shapes[node.name] = node.output
    return result


def _links_into(groups: Sequence[LinkGroup]) -> dict[str, list[tuple[LinkGroup, str]]]:
    found: dict[str, list[tuple[LinkGroup, str]]] = {}
    for group in groups:
        for source, target in () if group.removed else group.pairs:
            found.setdefault(target, []).append((group, source))
    return found


def _main_shape(copy: Copy, read: Shape, scale: Fraction, problems: Problems) -> Shape | None:
    if copy.between is None:
        return Shape(read.channels, scale)
    channels = _channels(copy.between, read.channels, f"{copy.name}: between", problems)
    return None if channels is None else Shape(channels, scale)


def _channels(candidate: Candidate, channels: int, owner: str, problems: Problems) -> int | None:
    """Output channels of an operation; ``None`` after an error."""
    made = candidate.operation
    try:
        found = signature_of(made.kind).channels(channels, made.params)
        if not 1 <= found <= MOST_CHANNELS:
            message = f"{channels} -> {found} channels; 1 to {MOST_CHANNELS:,} are built"
            raise SignatureError(message)
    except SignatureError as error:
        at = candidate.place(error)
        problems.add(at, f"{owner}: operation {made.label!r}: {error}", error.hint)
        return None
    return found


def _edge(
    group: LinkGroup,
    source: str,
    target: str,
    arriving: Shape | None,
    main: Shape,
    choice_of: Mapping[str, str],
    env: Environment,
    problems: Problems,
) -> Edge | None:
    if arriving is None:
        return None
    spec, name = group.spec, f"{source}->{target}"
    adapter: Candidate | None = None
    channels: int | None = arriving.channels
    at = spec.tree if spec.adapter is None else spec.tree.at("adapter")
    if spec.adapter is not None or (spec.join == "add" and channels != main.channels):
        fill = {"channels": main.channels}
        adapter = plain_operation(spec.adapter or "conv_1x1", at, env, problems, fill)
        if adapter is None:
            return None
        channels = _channels(adapter, arriving.channels, f"{name}: adapter", problems)
        if channels is not None and _scale(adapter) != 1:
            message = f"{name}: adapter {adapter.operation.kind!r} changes the resolution"
            problems.add(adapter.at, message, "resampling is inserted by itself: conv_1x1 will do")
            return None
    if channels is None:
        return None
    if spec.join == "add" and channels != main.channels:
        problems.add(
            at,
            f"{name}: cannot add {channels} channels to the {main.channels} of {target}",
            "adapter: conv_1x1 fits them, join: concat appends them",
        )
        return None
    made = None if adapter is None else adapter.operation
    return Edge(
        name, group.name, source, target, spec.join, made, main.scale / arriving.scale, arriving,
        channels, choice_of.get(name), spec.group,
    )  # fmt: skip


def _node(copy: Copy, read: Shape, main: Shape, joined: Shape, problems: Problems) -> Node | None:
    assert copy.candidates is not None and copy.reads is not None
    outputs: dict[str, int] = {}
    for candidate in copy.candidates:
        channels = _channels(candidate, joined.channels, copy.name, problems)
        if channels is None:
            return None
        outputs[candidate.operation.label] = channels
    if len(set(outputs.values())) > 1:
        shown = ", ".join(f"{label} {channels}" for label, channels in outputs.items())
        message = f"{copy.name}: candidates differ in output channels: {shown}"
        hint = f"{copy.name} reads {joined}; give all candidates the same channels"
        problems.add(copy.spec.tree.at("op"), message, hint)
        return None
    scale = joined.scale * _scale(copy.candidates[0])
    operations = tuple(candidate.operation for candidate in copy.candidates)
    return Node(
        copy.name, copy.block, copy.index, copy.reads,
        None if copy.between is None else copy.between.operation,
        operations, copy.name if len(operations) > 1 else None, copy.spec.group,
        read, main, joined, Shape(next(iter(outputs.values())), scale),
    )  # fmt: skip
