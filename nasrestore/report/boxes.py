"""What stands in the boxes of a picture: inputs, nodes with their operations, outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from nasrestore.graph.ir import Choice, Node, Operation, Output, SearchGraph
from nasrestore.report.svg import text_width

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
    """

    key: str
    kind: Kind
    scale: Fraction
    lines: tuple[Line, ...]
    block: str = ""
    detail: str = ""
    adds: str | None = None
    lead: float = 0.0
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


def boxes_of(graph: SearchGraph, decisions: Decisions, strengths: Strengths) -> list[Box]:
    """All boxes in the order of execution: inputs and the state, nodes, outputs."""
    nodes = [_node_box(node, graph, decisions, strengths) for node in graph.nodes]
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
            (Line(name, "name"), Line(channels(shape.channels), "muted")),
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


def _node_box(node: Node, graph: SearchGraph, decisions: Decisions, strengths: Strengths) -> Box:
    lines = [Line(node.name, "name")]
    if node.between is not None:
        lines.append(Line(node.between.label, "muted"))
    if node.choice is None:
        # Of a derived graph's nodes, only those that were a choice are in its decisions.
        decided = node.name in graph.decisions
        lines.append(Line(node.candidates[0].label, "decided" if decided else "plain"))
    else:
        choice = graph.choice(node.choice)
        lines += _candidate_lines(choice, decisions, strengths.get(choice.name, {}))
    lines.append(Line(channels(node.output.channels), "muted"))
    return Box(
        node.name, "node", node.output.scale, tuple(lines), node.block, detail=_describe(node)
    )


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
        (Line(output.name, "name"), Line(channels(shape.channels), "muted")),
        detail=f"output {output.name} = {formula}: {shape}",
        adds=output.add,
    )


def channels(count: int) -> str:
    return "1 channel" if count == 1 else f"{count} channels"
