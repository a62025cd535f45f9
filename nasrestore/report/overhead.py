"""The lines above a picture: what is added to an output, and the return of a recursion's state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nasrestore.graph.ir import Recursion, SearchGraph
from nasrestore.report.boxes import Box, output_key
from nasrestore.report.curves import Point, line
from nasrestore.report.layout import Layout
from nasrestore.report.svg import TIMES

SPACING = 15.0
RADIUS = 12.0
SUM_RADIUS = 8.0
SIDE_ROOM = 14.0  # left of the inputs and right of the outputs, to the first line
LABEL_ROOM = 16.0


@dataclass(frozen=True)
class Loop:
    """One line above the picture.

    Attributes:
        label: what stands above it, in its middle.
        sum: where it meets what it is added to.
        ends: where the sum's arrow ends, to the right of it.
    """

    kind: Literal["add", "return"]
    name: str
    path: str
    label: str = ""
    label_at: Point = (0.0, 0.0)
    sum: Point | None = None
    ends: float = 0.0


def room_above(graph: SearchGraph) -> float:
    """The height that the lines need."""
    adds = sum(1 for output in graph.outputs if output.add is not None)
    back = 0.0 if graph.recursion is None else SPACING + LABEL_ROOM
    return adds * SPACING + back


def room_beside(graph: SearchGraph) -> float:
    """The width that they need left of the inputs."""
    count = sum(1 for output in graph.outputs if output.add is not None)
    return SIDE_ROOM + SPACING * (count + int(graph.recursion is not None))


def loops(graph: SearchGraph, layout: Layout, top: float) -> list[Loop]:
    """All lines; ``top`` is the upper end of the first band."""
    found = []
    lane = top - SPACING * 0.6
    adding = [output for output in graph.outputs if output.add is not None]
    for number, output in enumerate(adding):
        found.append(_add(layout, layout.boxes[output_key(output.name)], lane, number))
        lane -= SPACING
    if graph.recursion is not None:
        beside = layout.boxes[graph.recursion.state].x - SIDE_ROOM - SPACING * len(adding)
        found.append(_return(graph.recursion, layout, lane, beside))
    return found


def _add(layout: Layout, target: Box, lane: float, number: int) -> Loop:
    assert target.adds is not None
    source = layout.boxes[target.adds]
    row = layout.row(source.scale)
    if any(other.x == source.x and other.y < source.y for other in row):
        beside = source.x - SIDE_ROOM - SPACING * number
        y = source.y + source.height * 0.3  # the state's return enters below
        begin = [(source.x, y), (beside, y), (beside, lane)]
    else:
        x = source.x + source.width / 2 - SPACING * number
        begin = [(x, source.y), (x, lane)]
    centre = (target.x - target.lead, target.middle)
    end = (centre[0], centre[1] - SUM_RADIUS)
    path = line([*begin, (end[0], lane), end], RADIUS)
    return Loop("add", f"{target.adds}+{target.lines[0].text}", path, sum=centre, ends=target.x)


def _return(recursion: Recursion, layout: Layout, lane: float, beside: float) -> Loop:
    target = layout.boxes[recursion.state]
    source = layout.boxes[output_key(recursion.state)]
    outside = layout.right + SIDE_ROOM
    y = target.y + target.height * 0.7
    points = [
        (source.right, source.middle),
        (outside, source.middle),
        (outside, lane),
        (beside, lane),
        (beside, y),
        (target.x, y),
    ]
    label_at = ((beside + outside) / 2, lane - 6)
    return Loop("return", recursion.state, line(points, RADIUS), said(recursion), label_at)


def said(recursion: Recursion) -> str:
    """The recursion in words."""
    weights = f"weights {recursion.weights}"
    if recursion.weights == "shared" and recursion.norm == "per_stage":
        weights += ", normalisation per stage"
    stages = "1 stage" if recursion.stages == 1 else f"{TIMES} {recursion.stages} stages"
    return f"{stages}: state {recursion.state}, {weights}"
