"""Lines and cubic curves of wires: their SVG paths, and which boxes they meet."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from nasrestore.report.boxes import Box
from nasrestore.report.svg import number

Side = Literal["left", "right", "top", "bottom"]
Point = tuple[float, float]
Cubic = tuple[Point, Point, Point, Point]

OUTWARD: Mapping[Side, Point] = {
    "left": (-1, 0), "right": (1, 0), "top": (0, -1), "bottom": (0, 1)
}  # fmt: skip
CLEARANCE = 5.0  # from boxes that a wire does not belong to
LEAST_HANDLE = 16.0
SAMPLES = tuple(i / 20 for i in range(1, 20))


def line(points: Sequence[Point], radius: float = 0.0) -> str:
    """A path along straight lines, its corners rounded."""
    steps = [f"M{xy(points[0])}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        reach = min(radius, math.dist(before, corner) / 2, math.dist(corner, after) / 2)
        steps.append(f"L{xy(_towards(corner, before, reach))}")
        steps.append(f"Q{xy(corner)} {xy(_towards(corner, after, reach))}")
    return " ".join([*steps, f"L{xy(points[-1])}"])


def curve(*cubics: Cubic) -> str:
    """A path along cubic curves, each beginning where the one before ends."""
    steps = [f"C{xy(c[1])} {xy(c[2])} {xy(c[3])}" for c in cubics]
    return " ".join([f"M{xy(cubics[0][0])}", *steps])


def xy(point: Point) -> str:
    return f"{number(point[0])},{number(point[1])}"


def _towards(point: Point, other: Point, distance: float) -> Point:
    share = distance / max(math.dist(point, other), 1e-9)
    return point[0] + (other[0] - point[0]) * share, point[1] + (other[1] - point[1]) * share


def cubic(start: Point, stop: Point, leaves: Side, enters: Side, bend: float) -> Cubic:
    """A curve that leaves and enters at right angles.

    Args:
        bend: length of its handles over the distance of its ends.
    """
    distance = math.dist(start, stop) * bend
    first, second = (
        _handle(start, stop, leaves, distance), _handle(stop, start, enters, distance)
    )  # fmt: skip
    return start, first, second, stop


def _handle(end: Point, other: Point, side: Side, distance: float) -> Point:
    """A curve's handle, no longer than the way in its direction, so that the curve turns once."""
    dx, dy = OUTWARD[side]
    way = abs(other[0] - end[0]) if dx else abs(other[1] - end[1])
    reach = max(min(distance, way), LEAST_HANDLE)
    return end[0] + dx * reach, end[1] + dy * reach


def point_at(cubic: Cubic, t: float) -> Point:
    """The point of a Bezier curve at ``t`` in [0, 1]."""
    s = 1 - t
    a, b, c, d = s**3, 3 * s * s * t, 3 * s * t * t, t**3
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = cubic
    return a * x0 + b * x1 + c * x2 + d * x3, a * y0 + b * y1 + c * y2 + d * y3


def collisions(cubic: Cubic, boxes: Iterable[Box], own: set[str]) -> int:
    """How many of a curve's points lie in boxes; ``own`` are the keys of those at its ends."""
    points = [point_at(cubic, t) for t in SAMPLES]
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    count = 0
    for box in boxes:
        margin = -2.0 if box.key in own else CLEARANCE
        x0, x1 = box.x - margin, box.right + margin
        if x1 < left or right < x0:
            continue
        y0, y1 = box.y - margin, box.bottom + margin
        count += sum(1 for x, y in points if x0 < x < x1 and y0 < y < y1)
    return count


def quarter(end: Point, flat: Point, side: Side) -> Cubic:
    """From a box to the flat part of an arc, which it joins level."""
    (x0, y0), (x1, y1) = end, flat
    if side in ("left", "right"):  # in the gap beside the box: sideways, across, sideways
        half = (x1 - x0) * 0.7
        return end, (x0 + half, y0), (x1 - half, y1), flat
    return end, (x0, y0 + (y1 - y0) * 0.75), (x0 + (x1 - x0) * 0.35, y1), flat
