"""The ways of the wires of a picture: which side of a box they leave and enter, and their curves."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

from nasrestore.report.boxes import Box
from nasrestore.report.curves import (
    CLEARANCE,
    Cubic,
    Point,
    Side,
    collisions,
    cubic,
    curve,
    line,
    quarter,
    xy,
)
from nasrestore.report.layout import FIRST_LANE, Arc, Layout, Wire
from nasrestore.report.ports import CORNER, Ends, centre, overlap, ports_of

SIDEWAYS = 400.0  # pixels of detour that leaving to the right and entering from the left is worth
LEAST_GAP = 32.0  # that a curve from the right to the left side needs
BENDS = (0.5, 0.35, 0.65, 0.25, 0.8)  # length of a curve's handles over the distance of its ends
COLLISION = 1000.0  # pixels of detour that a collision is worth
MOST_CHECKS = 60_000  # pairs of wire and box; beyond, only the usual curve is drawn
ARC_RADIUS = 40.0


def route(layout: Layout, wires: Sequence[Wire]) -> dict[Wire, str]:
    """The path of every wire, as the ``d`` of an SVG path."""
    thorough = len(wires) * len(layout.boxes) <= MOST_CHECKS
    ends = {wire: _ends(layout, wire, thorough) for wire in wires}
    ports = ports_of(layout, ends)
    paths = {}
    for wire in wires:
        start, stop = ports[wire, "leaves"], ports[wire, "enters"]
        if ends[wire].is_straight:
            paths[wire] = line([start, stop])
        elif wire in layout.arcs:
            paths[wire] = _arc_path(layout, wire, ends[wire], start, stop)
        else:
            bends = BENDS if thorough else BENDS[:1]
            paths[wire] = curve(*_best_curve(layout, wire, ends[wire], start, stop, bends)[1])
    return paths


# -- sides -----------------------------------------------------------------------------------


def _ends(layout: Layout, wire: Wire, thorough: bool) -> Ends:
    source, target = layout.boxes[wire.source], layout.boxes[wire.target]
    if wire in layout.arcs:
        return _arc_ends(layout, wire, layout.arcs[wire])
    if source.scale == target.scale:
        return Ends("right", "left")
    down = source.middle < target.middle
    leaves: Side = "bottom" if down else "top"
    enters: Side = "top" if down else "bottom"
    if _meets_straight(layout, source, target):
        return Ends(leaves, enters, is_straight=True)
    if not thorough:
        return Ends("right", "left")
    starts: list[Side] = ["right"]
    stops: list[Side] = ["left"]
    if not _is_covered(layout, source, leaves):
        starts.append(leaves)
    if target.kind != "output":
        stops.append(enters)
    options = [Ends(a, b) for a in starts for b in stops]
    options += [Ends("right", b, is_detour=True) for b in stops]
    if target.x - source.right < LEAST_GAP and len(starts) + len(stops) > 2:
        options.remove(Ends("right", "left"))
    return min(options, key=lambda option: _cost(layout, wire, option))


def _arc_ends(layout: Layout, wire: Wire, arc: Arc) -> Ends:
    """The arc's side; a box with another one above or below it is left sideways."""
    source, target = layout.boxes[wire.source], layout.boxes[wire.target]
    return Ends(
        "right" if _is_covered(layout, source, arc.side) else arc.side,
        "left" if target.kind == "output" else arc.side,
    )


def _is_covered(layout: Layout, box: Box, side: Side) -> bool:
    """Whether another box of the same row lies above, or below."""
    step = -1 if side == "top" else 1
    return any(
        other.x == box.x and (other.middle - box.middle) * step > 0
        for other in layout.row(box.scale)
    )


def _meets_straight(layout: Layout, source: Box, target: Box) -> bool:
    """Whether a vertical line leads from one to the other and meets nothing on its way."""
    begin, end = overlap(source, target)
    if end - begin < CORNER:
        return False
    low, high = sorted((source.middle, target.middle))
    return not any(
        low < box.middle < high and box.x - CLEARANCE < end and begin < box.right + CLEARANCE
        for box in layout.boxes.values()
        if box.key not in (source.key, target.key)
    )


def _cost(layout: Layout, wire: Wire, ends: Ends) -> float:
    start = centre(layout, layout.boxes[wire.source], ends.leaves)
    stop = centre(layout, layout.boxes[wire.target], ends.enters)
    cost, cubics = _best_curve(layout, wire, ends, start, stop, BENDS[:2])
    cost += SIDEWAYS * ((ends.leaves != "right") + (ends.enters != "left") + 2 * ends.is_detour)
    return cost + sum(math.dist(a, b) for c in cubics for a, b in itertools.pairwise(c))


# -- curves ----------------------------------------------------------------------------------


def _best_curve(
    layout: Layout, wire: Wire, ends: Ends, start: Point, stop: Point, bends: Iterable[float]
) -> tuple[float, tuple[Cubic, ...]]:
    """The curves that meet the fewest boxes, and what their collisions cost."""
    others = list(layout.boxes.values())
    own = {wire.source, wire.target}
    before: tuple[Cubic, ...] = ()
    if ends.is_detour:
        # Not quite one way for all, so that each can be followed.
        lane = _passage(layout, wire) + (start[1] - layout.boxes[wire.source].middle) / 4
        before = (quarter(start, (start[0] + ARC_RADIUS, lane), "right"),)
        start = before[0][3]
    best: tuple[float, tuple[Cubic, ...]] | None = None
    for bend in bends:
        cubics = (*before, cubic(start, stop, ends.leaves, ends.enters, bend))
        cost = COLLISION * sum(collisions(c, others, own) for c in cubics)
        if best is None or cost < best[0]:
            best = cost, cubics
        if cost == 0:
            break
    assert best is not None
    return best


def _passage(layout: Layout, wire: Wire) -> float:
    """The y between the source's row and the next one towards the target."""
    source, target = layout.boxes[wire.source], layout.boxes[wire.target]
    band = layout.bands[source.scale]
    down = source.middle < target.middle
    return band.last + FIRST_LANE / 2 if down else band.first - FIRST_LANE / 2


def _arc_path(layout: Layout, wire: Wire, ends: Ends, start: Point, stop: Point) -> str:
    """Up (or down) to the lane, along it, and back."""
    lane = layout.bands[layout.boxes[wire.source].scale].lane(layout.arcs[wire])
    radius = min(ARC_RADIUS, (stop[0] - start[0]) / 2)
    up = quarter(start, (start[0] + radius, lane), ends.leaves)
    down = quarter(stop, (stop[0] - radius, lane), ends.enters)
    flat = f"L{xy(down[3])}"
    back = f"C{xy(down[2])} {xy(down[1])} {xy(down[0])}"
    return f"{curve(up)} {flat} {back}"
