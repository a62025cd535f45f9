"""Where the wires of a picture leave and enter boxes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nasrestore.report.boxes import Box
from nasrestore.report.curves import CLEARANCE, Point, Side
from nasrestore.report.layout import Layout, Wire

PORT_DISTANCE = 10.5
CORNER = 9.0  # no wire ends nearer to a corner


@dataclass(frozen=True)
class Ends:
    """The sides that a wire leaves and enters.

    Attributes:
        is_straight: it is a vertical line.
        is_detour: it first passes between its row and the next, below or above a neighbour.
    """

    leaves: Side
    enters: Side
    is_straight: bool = False
    is_detour: bool = False


# -- the sides of boxes -------------------------------------------------------------------------


def overlap(source: Box, target: Box) -> tuple[float, float]:
    """The x between which a vertical line meets both; the end may lie before the beginning."""
    return max(source.x, target.x) + CORNER, min(source.right, target.right) - CORNER


def centre(layout: Layout, box: Box, side: Side) -> Point:
    """The middle of what is free of a side."""
    begin, end = free(layout, box, side)
    return _on_side(box, side, (begin + end) / 2)


def _on_side(box: Box, side: Side, along: float) -> Point:
    if side in ("left", "right"):
        return (box.x - box.lead if side == "left" else box.right), along
    return along, (box.y if side == "top" else box.bottom)


def free(layout: Layout, box: Box, side: Side) -> tuple[float, float]:
    """The part of a side that no box of the next row covers."""
    if side in ("left", "right"):
        return box.y + CORNER, box.bottom - CORNER
    whole = (box.x + CORNER, box.right - CORNER)
    pieces = [whole]
    for other in _next_row(layout, box, side):
        low, high = other.x - CLEARANCE, other.right + CLEARANCE
        pieces = [
            piece
            for begin, end in pieces
            for piece in ((begin, min(end, low)), (max(begin, high), end))
            if piece[1] - piece[0] > 0
        ]
    widest = max(pieces, key=lambda piece: piece[1] - piece[0], default=whole)
    return widest if widest[1] - widest[0] >= CORNER else whole


def _next_row(layout: Layout, box: Box, side: Side) -> list[Box]:
    scales = sorted(layout.bands, reverse=True)
    index = scales.index(box.scale) + (-1 if side == "top" else 1)
    return layout.row(scales[index]) if 0 <= index < len(scales) else []


# -- the wires on a side ----------------------------------------------------------------------


def ports_of(layout: Layout, ends: Mapping[Wire, Ends]) -> dict[tuple[Wire, str], Point]:
    """Where each wire leaves and enters, in an order in which those of a side do not cross."""
    ports: dict[tuple[Wire, str], Point] = {}
    sides: dict[tuple[str, Side], list[tuple[Wire, str]]] = defaultdict(list)
    straight: dict[tuple[str, str], list[Wire]] = defaultdict(list)
    for wire, end in ends.items():
        if end.is_straight:
            straight[wire.source, wire.target].append(wire)
        else:
            sides[wire.source, end.leaves].append((wire, "leaves"))
            sides[wire.target, end.enters].append((wire, "enters"))
    for (source, target), wires in straight.items():
        pair = layout.boxes[source], layout.boxes[target]
        for wire, x in zip(wires, _spread(*overlap(*pair), len(wires)), strict=True):
            ports[wire, "leaves"] = _on_side(pair[0], ends[wire].leaves, x)
            ports[wire, "enters"] = _on_side(pair[1], ends[wire].enters, x)
    for (key, side), members in sides.items():
        box = layout.boxes[key]
        members.sort(key=lambda member: _order(layout, box, side, *member))
        places = _spread(*_range(layout, box, side, members), len(members))
        for member, place in zip(members, places, strict=True):
            ports[member] = _on_side(box, side, place)
    return ports


def _range(
    layout: Layout, box: Box, side: Side, members: Iterable[tuple[Wire, str]]
) -> tuple[float, float]:
    if all(wire in layout.arcs for wire, _ in members) and side in ("top", "bottom"):
        return box.x + CORNER, box.right - CORNER
    return free(layout, box, side)


def _order(layout: Layout, box: Box, side: Side, wire: Wire, end: str) -> tuple[float, ...]:
    other = layout.boxes[wire.target if end == "leaves" else wire.source]
    if side in ("left", "right"):
        arc = layout.arcs.get(wire)
        y = other.middle if arc is None else layout.bands[box.scale].lane(arc)
        return y, other.x
    # Of the arcs that come from the left the nearest enters leftmost; they all enter left of those
    # that leave to the right, of which the farthest leaves leftmost.
    return float(other.x > box.x), -other.x, -abs(other.middle - box.middle)


def _spread(begin: float, end: float, count: int) -> list[float]:
    """Places around the middle, as far apart as is usual or as there is room for."""
    distance = min(PORT_DISTANCE, (end - begin) / max(count - 1, 1))
    middle = (begin + end) / 2
    return [middle + (i - (count - 1) / 2) * distance for i in range(count)]
