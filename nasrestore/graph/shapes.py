"""Shapes of every node and link, from the inputs on. What an error leaves open stays open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from nasrestore.graph.catalog import MOST_CHANNELS
from nasrestore.graph.expand import Candidate, output_of, plain_operation, signature_of
from nasrestore.graph.ir import Edge, Node, Shape
from nasrestore.graph.links import LinkGroup, Pair
from nasrestore.graph.scope import Copy
from nasrestore.graph.shared import check_adapters, weights_fit
from nasrestore.graph.signature import SignatureError
from nasrestore.graph.values import Problems

Scales = dict[str, tuple[Fraction, Fraction]]

MOST_SCALE = 1024


def scales_of(
    order: Sequence[Copy],
    sources: Mapping[str, Shape],
    anchors: Mapping[str, tuple[str, Fraction]],
    problems: Problems,
) -> Scales:
    """(resolution at the operation's input, at its output) of every source and node, where known.

    Args:
        anchors: for nodes that read links alone, where the first one comes from, and by what an
            operation that it carries changes the resolution.
    """
    scales: Scales = {name: (shape.scale, shape.scale) for name, shape in sources.items()}
    for copy in order:
        reads, change = copy.reads, Fraction(1)
        if reads == () and copy.name in anchors:
            reads, change = (anchors[copy.name][0],), anchors[copy.name][1]
        if not reads or copy.broken or not scales.keys() >= set(reads):
            continue
        read = {name: scales[name][1] * change for name in reads}
        if len(set(read.values())) > 1:
            shown = ", ".join(f"{name} at {scale}" for name, scale in read.items())
            problems.add(
                copy.at.at("reads"),
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
        problems.add(copy.at.at("op"), message, "give all the same resolution")
        return None
    return next(iter(factors.values()))


def _within(copy: Copy, first: Fraction, last: Fraction, problems: Problems) -> bool:
    for scale in (first, last):
        if not Fraction(1, MOST_SCALE) <= scale <= MOST_SCALE:
            message = f"{copy.name} is at {scale} of the input's resolution"
            span = f"1/{MOST_SCALE} to {MOST_SCALE} are built"
            problems.add(copy.at, f"{message}: {span}", key=True)
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
    problems: Problems,
) -> Assembly:
    """All nodes and links in the order of execution.

    Args:
        open_targets: nodes whose links an error leaves open, so that their shapes are, too.
    """
    result = Assembly(dict(sources))
    owners: dict[str, Node] = {}
    adapters: dict[str, Edge] = {}
    links = _links_into(groups)
    for copy in order:
        reads, arriving = copy.reads, links.get(copy.name, [])
        if copy.name not in scales or reads is None or not result.shapes.keys() >= set(reads):
            continue
        if copy.name in open_targets:
            continue
        inputs = _main(copy, arriving, scales[copy.name][0], result, problems)
        if inputs is None or not _cells_agree(arriving, result.shapes, problems):
            continue
        read, main = inputs
        made = [
            _edge(group, pair, result.shapes.get(pair.source), main, problems)
            for group, pair in arriving
        ]
        edges = [edge for edge in made if edge is not None]
        if len(edges) < len(made):
            continue
        joined = main.channels + sum(edge.channels for edge in edges if edge.join == "concat")
        node = _node(copy, read, main, Shape(joined, main.scale, main.frames), problems)
        if node is not None:
            if weights_fit(node, copy, owners.setdefault(node.weights, node), problems):
                check_adapters(arriving, edges, adapters, problems)
            result.edges += edges
            result.nodes.append(node)
            result.shapes[node.name] = node.output
    return result


def _links_into(groups: Sequence[LinkGroup]) -> dict[str, list[tuple[LinkGroup, Pair]]]:
    found: dict[str, list[tuple[LinkGroup, Pair]]] = {}
    for group in groups:
        for pair in () if group.removed else group.pairs:
            found.setdefault(pair.target, []).append((group, pair))
    return found


def _main(
    copy: Copy,
    arriving: Sequence[tuple[LinkGroup, Pair]],
    scale: Fraction,
    known: Assembly,
    problems: Problems,
) -> tuple[Shape, Shape] | None:
    """What a node reads, and its main input; ``None`` after an error, or where it is open."""
    assert copy.reads is not None
    if not copy.reads:
        return _sum_of_links(copy, arriving, scale, known, problems)
    shapes = {name: known.shapes[name] for name in copy.reads}
    frames = {name: shape.frames for name, shape in shapes.items()}
    if len(set(frames.values())) > 1:
        shown = ", ".join(f"{name} ({shape})" for name, shape in shapes.items())
        message = f"cannot concatenate an image and a clip, or clips of two lengths: {shown}"
        problems.add(copy.at.at("reads"), message, "make one image of a clip first")
        return None
    first = shapes[copy.reads[0]]
    read = Shape(sum(known.shapes[n].channels for n in copy.reads), first.scale, first.frames)
    if copy.between is None:
        return read, Shape(read.channels, scale, read.frames)
    main = put_out(copy.between, read, f"{copy.name}: between", problems)
    return None if main is None else (read, main)


def _cells_agree(
    arriving: Sequence[tuple[LinkGroup, Pair]], shapes: Mapping[str, Shape], problems: Problems
) -> bool:
    """Whether the cells that a node may be put out the same, so that any may take another's place."""
    cells = [(group, pair) for group, pair in arriving if group.cells and pair.source in shapes]
    outputs = {pair.candidate: shapes[pair.source] for _, pair in cells}
    for what, found in (
        ("output channels", {cell: str(shape.channels) for cell, shape in outputs.items()}),
        ("resolution", {cell: str(shape.scale) for cell, shape in outputs.items()}),
        ("frames", {cell: str(shape.frames or "none") for cell, shape in outputs.items()}),
    ):
        if len(set(found.values())) > 1:
            group, pair = cells[0]
            shown = ", ".join(f"{cell} {value}" for cell, value in found.items())
            message = f"{pair.target}: candidates differ in {what}: {shown}"
            problems.add(group.spec.tree.at("cell"), message, "give all cells the same output")
            return False
    return True


def _sum_of_links(
    copy: Copy,
    arriving: Sequence[tuple[LinkGroup, Pair]],
    scale: Fraction,
    known: Assembly,
    problems: Problems,
) -> tuple[Shape, Shape] | None:
    """The shape of a node that reads links alone: that of the first, or of the cells it may be."""
    appended = [group for group, _ in arriving if group.spec.join != "add"]
    if appended:
        message = f"{copy.name} reads links alone, and they are added up"
        problems.add(appended[0].spec.tree.at("join"), message, "join: add, or reads: NODE")
        return None
    leading = [pair for group, pair in arriving if group.cells] or [pair for _, pair in arriving]
    first = known.shapes.get(leading[0].source) if leading else None
    if first is None:
        return None
    main = Shape(first.channels, scale, first.frames)
    return main, main


def put_out(candidate: Candidate, shape: Shape, owner: str, problems: Problems) -> Shape | None:
    """The output of an operation; ``None`` after an error."""
    made = candidate.operation
    try:
        found = output_of(made, shape)
        if not 1 <= found.channels <= MOST_CHANNELS:
            message = f"{shape.channels} -> {found.channels} channels; 1 to {MOST_CHANNELS:,} are "
            raise SignatureError(message + "built")
    except SignatureError as error:
        at = candidate.place(error)
        problems.add(at, f"{owner}: operation {made.label!r}: {error}", error.hint)
        return None
    return found


def _edge(
    group: LinkGroup, pair: Pair, arriving: Shape | None, main: Shape, problems: Problems
) -> Edge | None:
    if arriving is None:
        return None
    spec, name, at = group.spec, pair.name, group.spec.tree
    if arriving.frames != main.frames:
        message = f"{name}: {arriving} cannot join {main}"
        problems.add(at, message, "links join images with images, and clips of one length")
        return None
    adapter: Candidate | None = None
    channels: int | None = arriving.channels
    at = at if spec.adapter is None else at.at("adapter")
    if spec.adapter is not None or (spec.join == "add" and channels != main.channels):
        fill = {"channels": main.channels}
        adapter = plain_operation(spec.adapter or "conv_1x1", at, group.env, problems, fill)
        if adapter is None:
            return None
        adapted = put_out(adapter, arriving, f"{name}: adapter", problems)
        channels = None if adapted is None else adapted.channels
        if channels is not None and adapted != Shape(channels, arriving.scale, arriving.frames):
            message = f"{name}: adapter {adapter.operation.kind!r} changes the resolution"
            problems.add(adapter.at, message, "resampling is inserted by itself: conv_1x1 will do")
            return None
    if channels is None:
        return None
    if spec.join == "add" and channels != main.channels:
        problems.add(
            at,
            f"{name}: cannot add {channels} channels to the {main.channels} of {pair.target}",
            "adapter: conv_1x1 fits them, join: concat appends them",
        )
        return None
    made = None if adapter is None else adapter.operation
    return Edge(
        name, group.name, pair.source, pair.target, spec.join, made, main.scale / arriving.scale,
        arriving, channels, group.choice_of(pair), group.group, pair.candidate, pair.weights,
    )  # fmt: skip


def _node(copy: Copy, read: Shape, main: Shape, joined: Shape, problems: Problems) -> Node | None:
    assert copy.candidates is not None and copy.reads is not None
    outputs: dict[str, Shape] = {}
    for candidate in copy.candidates:
        output = put_out(candidate, joined, copy.name, problems)
        if output is None:
            return None
        outputs[candidate.operation.label] = output
    for what, found in (
        ("output channels", {label: output.channels for label, output in outputs.items()}),
        ("frames", {label: output.frames for label, output in outputs.items()}),
    ):
        if len(set(found.values())) > 1:
            shown = ", ".join(f"{label} {number or 'none'}" for label, number in found.items())
            message = f"{copy.name}: candidates differ in {what}: {shown}"
            hint = f"{copy.name} reads {joined}; give all candidates the same {what.split()[-1]}"
            problems.add(copy.at.at("op"), message, hint)
            return None
    operations = tuple(candidate.operation for candidate in copy.candidates)
    return Node(
        copy.name, copy.block, copy.index, copy.reads,
        None if copy.between is None else copy.between.operation,
        operations, copy.choice if len(operations) > 1 else None, copy.group,
        read, main, joined, next(iter(outputs.values())), copy.weights,
    )  # fmt: skip
