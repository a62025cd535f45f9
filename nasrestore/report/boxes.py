"""What stands in the boxes of a picture: inputs, nodes with their operations, outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from nasrestore.graph.ir import Choice, Node, Operation, Output, SearchGraph, Shape
from nasrestore.report.svg import TIMES, text_width
from nasrestore.report.views import CELL, Carried

Decisions = Mapping[str, tuple[str, ...]]
Strengths = Mapping[str, Mapping[str, float]]
Kind = Literal["input", "state", "node", "output"]

NAME_SIZE, TEXT_SIZE = 12.5, 11.0
LINE_HEIGHT = 16.0
PADDING = 11.0
DOT = 13.0  # what the mark before a candidate takes
FIGURE = 70.0  # what the strength after it takes
LEAST_WIDTH = 80.0
LEAST_NODE_WIDTH = 108.0


@dataclass(frozen=True)
class Line:
    """A line of text in a box.

    Attributes:
        role: ``decided`` and ``candidate`` have a mark before them.
        strength: mixing weight in [0, 1] of a candidate; None where it is not known.
    """

    text: str
    role: Literal["name", "plain", "muted", "decided", "candidate"] = "plain"
    strength: float | None = None

    @property
    def width(self) -> float:
        size = NAME_SIZE if self.role == "name" else TEXT_SIZE
        width = text_width(self.text, size, bold=self.role in ("name", "decided"))
        width += DOT if self.role in ("decided", "candidate") else 0
        return width + (0 if self.strength is None else FIGURE)


@dataclass
class Box:
    """A box of the picture; ``x`` and ``y`` of its upper left corner are set by the layout.

    Attributes:
        key: what wires call it; an output may share its name with a node or the state.
        scale: resolution of what it puts out, which is its row.
        adds: what is added to an output, as its key.
        lead: how far left of an output its wire ends, at the sum.
        is_cell: whether the node is a use of a cell.
    """

    key: str
    kind: Kind
    scale: Fraction
    lines: tuple[Line, ...]
    block: str = ""
    detail: str = ""
    adds: str | None = None
    lead: float = 0.0
    is_cell: bool = False
    x: float = 0.0
    y: float = 0.0
    width: float = field(init=False)

    def __post_init__(self) -> None:
        widest = max(line.width for line in self.lines)
        least = LEAST_NODE_WIDTH if self.kind == "node" else LEAST_WIDTH
        self.width = max(least, widest + 2 * PADDING)

    @property
    def height(self) -> float:
        return len(self.lines) * LINE_HEIGHT + 2 * PADDING - 4

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


def output_key(name: str) -> str:
    """The key of an output's box; no node's name has a space."""
    return f"output {name}"


def boxes_of(
    graph: SearchGraph,
    decisions: Decisions,
    strengths: Strengths,
    carried: Mapping[str, Sequence[Carried]] | None = None,
) -> list[Box]:
    """All boxes in the order of execution: inputs and the state, nodes, outputs.

    Args:
        carried: for each node the operations on links into it.
    """
    on_links = carried or {}
    nodes = [
        _node_box(node, graph, decisions, strengths, on_links.get(node.name, ()))
        for node in graph.nodes
    ]
    groups = [_source_boxes(graph), nodes, [_output_box(o, graph) for o in graph.outputs]]
    for boxes in groups:
        _align_widths(boxes)
    return [box for boxes in groups for box in boxes]


def _align_widths(boxes: Sequence[Box]) -> None:
    """The copies of a block are equally wide, so that their columns are seen."""
    widest: dict[str, float] = {}
    for box in boxes:
        widest[box.block] = max(widest.get(box.block, 0.0), box.width)
    for box in boxes:
        box.width = widest[box.block]


def _source_boxes(graph: SearchGraph) -> list[Box]:
    added = [output.add for output in graph.outputs]
    boxes = [
        Box(
            name,
            "input",
            shape.scale,
            (Line(name, "name"), *_flow_line(graph, name), Line(size_text(shape), "muted")),
            detail=f"input {name}: {shape}",
        )
        for name, shape in graph.inputs.items()
    ]
    recursion = graph.recursion
    if recursion is not None:
        shape = graph.inputs[recursion.start]
        lines = (Line(recursion.state, "name"), Line(f"at first {recursion.start}", "muted"))
        detail = f"state {recursion.state}: {shape}; the first stage reads {recursion.start}"
        boxes.append(Box(recursion.state, "state", shape.scale, lines, detail=detail))
    # What is added to an output leaves its box upwards, so it lies on top.
    return sorted(boxes, key=lambda box: box.key not in added)


def _flow_line(graph: SearchGraph, name: str) -> tuple[Line, ...]:
    clip = graph.flows.get(name)
    return () if clip is None else (Line(f"optical flow of {clip}", "muted"),)


def _node_box(
    node: Node,
    graph: SearchGraph,
    decisions: Decisions,
    strengths: Strengths,
    carried: Sequence[Carried],
) -> Box:
    lines = [Line(node.name, "name")]
    if node.between is not None:
        lines.append(Line(node.between.label, "muted"))
    if node.choice is not None:
        choice = graph.choice(node.choice)
        lines += _candidate_lines(choice, decisions, strengths.get(choice.name, {}))
    elif not node.reads and node.candidates[0].kind == "identity":
        lines.append(Line("sum of its links", "muted"))
    else:
        # Of a derived graph's nodes, only those that were a choice were decided.
        is_decided = node.decided_by is not None
        lines.append(Line(node.candidates[0].label, "decided" if is_decided else "plain"))
    lines += lines_of_links(carried, decisions, strengths)
    lines.append(Line(size_text(node.output), "muted"))
    return Box(
        node.name, "node", node.output.scale, tuple(lines), node.block, detail=_describe(node),
        is_cell=node.candidates[0].kind == CELL,
    )  # fmt: skip


def lines_of_links(
    carried: Sequence[Carried], decisions: Decisions, strengths: Strengths
) -> list[Line]:
    """The operations on links into a node: those decided for, or all, each list of them once."""
    lines: list[Line] = []
    open_links: dict[tuple[str, ...], list[str]] = {}
    for one in carried:
        node, edge = one.node, one.edge
        is_open = node.choice is not None and node.choice not in decisions
        if edge.choice in decisions and edge.candidate not in decisions[edge.choice]:
            continue
        labels = tuple(operation.label for operation in node.candidates)
        known = strengths.get(node.choice or "", {})
        if is_open and not known:
            open_links.setdefault(labels, []).append(one.source)
        elif is_open:
            label = max((name for name in known if name != "none"), key=known.__getitem__)
            lines.append(Line(f"{one.source}: {label}", "candidate", known[label]))
        else:
            label = labels[0] if node.choice is None else decisions[node.choice][0]
            is_plain = node.choice is None and node.decided_by is None
            role: Literal["plain", "decided"] = "plain" if is_plain else "decided"
            lines.append(Line(f"{one.source}: {label}", role, known.get(label)))
    for labels, sources in open_links.items():
        where = "each link" if len(open_links) == 1 else ", ".join(sources)
        lines.append(Line(f"on {where}:", "muted"))
        lines += [Line(label, "candidate") for label in labels]
    return lines


def _candidate_lines(
    choice: Choice, decisions: Decisions, strengths: Mapping[str, float]
) -> Iterable[Line]:
    chosen: Sequence[str] = decisions.get(choice.name, ())
    for name in choice.candidates:
        yield Line(name, "decided" if name in chosen else "candidate", strengths.get(name))


def _describe(node: Node) -> str:
    lines = [f"{node.name}: {node.input.channels} to {node.output}"]
    if node.between is not None:
        lines.append(f"first {describe(node.between)}")
    return "\n".join([*lines, *map(describe, node.candidates)])


def describe(operation: Operation) -> str:
    """``conv(channels=3, kernel=3)``, for a tooltip."""
    params = ", ".join(f"{k}={v}" for k, v in operation.params.items() if v is not None)
    return f"{operation.kind}({params})" if params else operation.kind


def _output_box(output: Output, graph: SearchGraph) -> Box:
    shape = graph.node(output.node).output
    formula = output.node if output.add is None else f"{output.node} + {output.add}"
    return Box(
        output_key(output.name),
        "output",
        shape.scale,
        (Line(output.name, "name"), Line(size_text(shape), "muted")),
        detail=f"output {output.name} = {formula}: {shape}",
        adds=output.add,
    )


def size_text(shape: Shape) -> str:
    """``3 channels``, and of a clip ``5 frames x 3 channels``."""
    number = "1 channel" if shape.channels == 1 else f"{shape.channels} channels"
    return number if shape.frames is None else f"{shape.frames} frames {TIMES} {number}"
