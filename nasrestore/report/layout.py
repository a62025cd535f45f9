"""Where the boxes of a picture lie: a row for each resolution, columns by the order of execution.

A wire between neighbours of a row is direct; one that would cross a box in between becomes an arc
above or below its row, which the row makes room for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from nasrestore.graph.ir import Edge, SearchGraph
from nasrestore.report.boxes import Box, output_key

GAP = 54.0  # between boxes of a row
OVERLAP = 38.0  # of a box and one of another row that reads it, for a straight wire
LEAST_STEP = 44.0
STACK_GAP = 12.0  # between inputs, or outputs, above each other
SUM_LEAD, SUM_STEP = 26.0, 21.0  # from an output to its sum; sums do not lie above each other
BAND_PADDING = 14.0
BAND_GAP = 24.0
FIRST_LANE, LANE = 18.0, 11.0

Above = Literal["top", "bottom"]


@dataclass(frozen=True)
class Wire:
    """One connection between two boxes; ``edge`` is None for what a node or output always reads."""

    source: str
    target: str
    edge: Edge | None = None


@dataclass(frozen=True)
class Arc:
    """How a wire passes the boxes of its row; lane 0 is the nearest to them."""

    side: Above
    lane: int


@dataclass
class Band:
    """The strip of one resolution; ``top`` and ``bottom`` include the room for arcs.

    ``first`` and ``last`` are the upper and the lower end of its highest box.
    """

    scale: Fraction
    top: float
    first: float
    last: float
    bottom: float

    def lane(self, arc: Arc) -> float:
        """The y of an arc's flat part."""
        away = FIRST_LANE + LANE * arc.lane
        return self.first - away if arc.side == "top" else self.last + away


@dataclass
class Layout:
    """Placed boxes by key, the bands from fine to coarse, and the arcs."""

    boxes: dict[str, Box]
    bands: dict[Fraction, Band]
    arcs: dict[Wire, Arc] = field(default_factory=dict)

    @property
    def right(self) -> float:
        return max(box.right for box in self.boxes.values())

    @property
    def bottom(self) -> float:
        return max(band.bottom for band in self.bands.values())

    def row(self, scale: Fraction) -> list[Box]:
        return [box for box in self.boxes.values() if box.scale == scale]


def wires_of(graph: SearchGraph) -> list[Wire]:
    """Everything that is read: main inputs, links, and the nodes that outputs come from."""
    reads = [Wire(name, node.name) for node in graph.nodes for name in dict.fromkeys(node.reads)]
    links = [Wire(edge.source, edge.target, edge) for edge in graph.edges]
    outputs = [Wire(output.node, output_key(output.name)) for output in graph.outputs]
    return [*reads, *links, *outputs]


def lay_out(boxes: Sequence[Box], wires: Sequence[Wire], left: float, top: float) -> Layout:
    """Sets ``x`` and ``y`` of every box.

    Args:
        boxes: in the order of execution.
        left, top: the upper left corner of the first band's boxes and of the first band.
    """
    layout = Layout({box.key: box for box in boxes}, {})
    _set_columns(boxes, wires, left)
    layout.arcs = _arcs(layout, wires)
    _set_rows(layout, top)
    return layout


def _set_columns(boxes: Sequence[Box], wires: Iterable[Wire], left: float) -> None:
    sources: dict[str, list[str]] = defaultdict(list)
    for wire in wires:
        sources[wire.target].append(wire.source)
    placed: dict[str, Box] = {}
    ends: dict[Fraction, float] = {}
    for box in (b for b in boxes if b.kind != "output"):
        if box.kind == "node":
            after = [ends[box.scale] + GAP] if box.scale in ends else []
            after += [_step(placed[name]) for name in sources[box.key] if name in placed]
            box.x = max([left, *after])
        else:
            box.x = left
        ends[box.scale] = max(box.right, ends.get(box.scale, left))
        placed[box.key] = box
    outputs = [box for box in boxes if box.kind == "output"]
    for number, box in enumerate(box for box in outputs if box.adds is not None):
        box.lead = SUM_LEAD + SUM_STEP * number
    for box in outputs:
        box.x = max(ends.values()) + GAP + max(other.lead for other in outputs)


def _step(source: Box) -> float:
    """Where a box of another row may begin."""
    return source.x + max(LEAST_STEP, source.width - OVERLAP)


# -- arcs ------------------------------------------------------------------------------------


def _arcs(layout: Layout, wires: Iterable[Wire]) -> dict[Wire, Arc]:
    """The wires that pass other boxes of their row, short ones nearest to it."""
    rows = {scale: layout.row(scale) for scale in {b.scale for b in layout.boxes.values()}}
    skylines = {scale: _Skyline(row) for scale, row in rows.items()}
    passing = []
    for wire in wires:
        source, target = layout.boxes[wire.source], layout.boxes[wire.target]
        if source.scale == target.scale and _is_blocked(source, target, rows[source.scale]):
            passing.append((target.x - source.right, wire))
    arcs = {}
    for _, wire in sorted(passing, key=lambda item: item[0]):
        source, target = layout.boxes[wire.source], layout.boxes[wire.target]
        sides = _sides(source, target, rows[source.scale])
        arcs[wire] = skylines[source.scale].put(source, target, sides)
    return arcs


class _Skyline:
    """How many arcs lie above and below each gap between the columns of a row."""

    def __init__(self, row: Sequence[Box]) -> None:
        columns = {x: i for i, x in enumerate(sorted({box.x for box in row}))}
        self._column = {box.key: columns[box.x] for box in row}
        self._heights: dict[Above, list[int]] = {
            "top": [0] * len(columns), "bottom": [0] * len(columns)
        }  # fmt: skip

    def put(self, source: Box, target: Box, sides: Sequence[Above]) -> Arc:
        """An arc beyond all that it passes over, on the side where it is nearer."""
        begin, end = self._column[source.key], self._column[target.key]
        lanes = {side: max(self._heights[side][begin:end]) for side in sides}
        side = min(sides, key=lanes.__getitem__)
        self._heights[side][begin:end] = [lanes[side] + 1] * (end - begin)
        return Arc(side, lanes[side])


def _is_blocked(source: Box, target: Box, row: Iterable[Box]) -> bool:
    return any(source.right < box.right and box.x < target.x and box.x > source.x for box in row)


def _sides(source: Box, target: Box, row: Sequence[Box]) -> tuple[Above, ...]:
    """Where an arc may pass: of boxes above each other, the upper ones' arcs lead upwards."""
    for box in (source, target):
        stack = [other for other in row if other.kind == box.kind and other.x == box.x]
        if len(stack) > 1:
            return ("top",) if stack.index(box) < len(stack) / 2 else ("bottom",)
    return ("top", "bottom")


# -- rows ------------------------------------------------------------------------------------


def _set_rows(layout: Layout, top: float) -> None:
    scales = sorted({box.scale for box in layout.boxes.values()}, reverse=True)
    for scale in scales:
        row = layout.row(scale)
        stacks: dict[str, list[Box]] = defaultdict(list)
        for box in row:
            stacks[box.key if box.kind == "node" else _stack(box)].append(box)
        height = max(map(_stack_height, stacks.values()))
        first = top + BAND_PADDING + _room(layout, scale, "top")
        last = first + height
        for stack in stacks.values():
            y = first + (height - _stack_height(stack)) / 2
            for box in stack:
                box.y = y
                y += box.height + STACK_GAP
        bottom = last + BAND_PADDING + _room(layout, scale, "bottom")
        layout.bands[scale] = Band(scale, top, first, last, bottom)
        top = bottom + BAND_GAP


def _stack(box: Box) -> str:
    return "output column" if box.kind == "output" else "input column"


def _stack_height(stack: Sequence[Box]) -> float:
    return sum(box.height for box in stack) + STACK_GAP * (len(stack) - 1)


def _room(layout: Layout, scale: Fraction, side: Above) -> float:
    lanes = [
        arc.lane
        for wire, arc in layout.arcs.items()
        if arc.side == side and layout.boxes[wire.source].scale == scale
    ]
    return FIRST_LANE + LANE * max(lanes) - 4 if lanes else 0.0
