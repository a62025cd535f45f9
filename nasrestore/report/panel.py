"""One part of a picture: the rows of a space or of a cell, with their boxes, wires and key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nasrestore.graph.ir import Edge
from nasrestore.report import overhead
from nasrestore.report.boxes import Decisions, Strengths, boxes_of, describe
from nasrestore.report.frames import frames, frames_behind
from nasrestore.report.layout import Band, Layout, Wire, lay_out, wires_of
from nasrestore.report.legend import Entry, legend, link_entries
from nasrestore.report.routing import route
from nasrestore.report.strokes import (
    INK,
    MUTED,
    Stroke,
    group_colours,
    is_decided,
    read_stroke,
    wire_stroke,
)
from nasrestore.report.svg import TIMES, element, text, text_width, tooltip
from nasrestore.report.views import View

ROW_LABEL_ROOM = 42.0
HEADING_ROOM = 40.0
END = 20.0  # right of the last box
KEY_ROOM = 30.0  # from the rows to the key
MOST_USES = 4  # named; of more, the first and the last


class Panel:
    """A view, laid out where its upper left corner is put."""

    def __init__(self, view: View, decisions: Decisions, strengths: Strengths) -> None:
        self.view = view
        self.decisions = decisions
        self.strengths = strengths
        self.colours = group_colours(view.graph)
        self.heading = HEADING_ROOM if view.cell else 0.0
        self._wires = wires_of(view.graph)
        self.strokes: list[Stroke] = []
        right = self._layout(0.0, 0.0)[0].right + END
        right += overhead.SIDE_ROOM + 6 if view.graph.recursion else 0
        self.width = max(right, *(text_width(line, 14, bold=True) for line in heading(view)))

    @property
    def entries(self) -> list[Entry]:
        """What the key says of its links."""
        return link_entries(self.view.graph, self.decisions, self.colours)

    def _layout(self, left: float, top: float) -> tuple[Layout, float]:
        """Everything placed, and the upper end of the first band."""
        graph = self.view.graph
        boxes = boxes_of(graph, self.decisions, self.strengths, self.view.carried)
        first = top + self.heading + overhead.room_above(graph)
        beside = left + ROW_LABEL_ROOM + overhead.room_beside(graph)
        return lay_out(boxes, self._wires, beside, first), first

    def draw(self, left: float, top: float, right: float) -> tuple[list[str], float]:
        """The elements without the key, from ``left`` to ``right``, and their lower end."""
        layout, first = self._layout(left, top)
        loops = overhead.loops(self.view.graph, layout, first)
        drawn = list(self._drawn(layout))
        self.strokes = [wire.stroke for wire in drawn]
        parts = [
            *self._heading(left, top),
            *(_band(band, left, right) for band in layout.bands.values()),
            *(_loop(loop) for loop in loops),
            *frames_behind(layout.boxes.values()),
            *(_wire(wire) for wire in sorted(drawn, key=lambda wire: wire.stroke.width)),
            *(_sum(loop) for loop in loops),
            *frames(layout.boxes.values()),
        ]
        return parts, layout.bottom

    def draw_part(self, left: float, top: float, right: float) -> tuple[str, float]:
        """A part among others, with a key of its own, and its lower end."""
        parts, bottom = self.draw(left, top, right)
        if entries := self.entries:
            key, bottom = legend(entries, left, bottom + KEY_ROOM - 6, right)
            self.strokes += [e.mark for e in entries if isinstance(e.mark, Stroke)]
            parts.append(key)
        data = {"data_cell": self.view.cell} if self.view.cell else {}
        return element(
            "g", "\n".join(part for part in parts if part), class_="part", **data
        ), bottom

    def _heading(self, left: float, top: float) -> Iterator[str]:
        for number, line in enumerate(heading(self.view) if self.view.cell else ()):
            size, bold, fill = (14, "bold", INK) if number == 0 else (12, None, MUTED)
            yield text(line, left, top + 12 + 18 * number, size, font_weight=bold, fill=fill)

    def _drawn(self, layout: Layout) -> Iterator[_Drawn]:
        for wire, path in route(layout, self._wires).items():
            edge = wire.edge
            if edge is None:
                yield _Drawn(wire, path, read_stroke(), False, f"{wire.source} -> {wire.target}")
                continue
            strength = self.strengths.get(edge.choice or "", {}).get(edge.candidate)
            is_kept = is_decided(edge, self.decisions)
            settled = edge.choice in self.decisions
            stroke = wire_stroke(edge, self.colours[edge.link], is_kept, settled, strength)
            yield _Drawn(wire, path, stroke, is_kept, _detail(edge, is_kept, strength))


def heading(view: View) -> tuple[str, str]:
    """The name of a cell, and where it is used."""
    names, count = view.uses, len(view.uses)
    if count > MOST_USES:
        names = (*names[:2], "...", names[-1])
    said = ", ".join(names)
    if count > 1:
        said += f": used {count} times, drawn as in {view.drawn}"
    if view.dropped:
        said += "; not decided for"
    return f"cell {view.cell}", said


def _band(band: Band, left: float, right: float) -> str:
    label = f"{band.scale.numerator}/{band.scale.denominator}"
    strip = element(
        "rect", x=left, y=band.top, width=right - left, height=band.bottom - band.top,
        rx=8, fill="#f6f7f9",
    )  # fmt: skip
    middle = (band.first + band.last) / 2 + 4
    return strip + text(label, left + 12, middle, 13, font_weight="bold", fill=MUTED)


# -- wires -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Drawn:
    wire: Wire
    path: str
    stroke: Stroke
    is_kept: bool
    detail: str


def _detail(edge: Edge, is_kept: bool, strength: float | None) -> str:
    parts = [f"{edge.link}, {'added' if edge.join == 'add' else 'appended'}"]
    if edge.adapter is not None:
        parts.append(describe(edge.adapter))
    if edge.factor != 1:
        parts.append(f"resolution {TIMES} {edge.factor}")
    if strength is not None:
        parts.append(f"strength {strength:.3f}")
    if is_kept:
        parts.append("decided")
    return f"{edge.name}\n" + "\n".join(parts)


def _wire(drawn: _Drawn) -> str:
    edge, stroke = drawn.wire.edge, drawn.stroke
    if edge is None:
        role, data = "read", {"data_read": f"{drawn.wire.source}->{drawn.wire.target}"}
    else:
        role = "candidate" if edge.choice is not None else "fixed"
        data = {"data_edge": edge.name, "data_link": edge.link}
    role += " decided" if drawn.is_kept else ""
    path = element("path", d=drawn.path, fill="none", **stroke.attributes())
    return element("g", tooltip(drawn.detail) + path, class_=role, **data)


def _loop(loop: overhead.Loop) -> str:
    path = element("path", d=loop.path, fill="none", **read_stroke().attributes())
    if loop.label:
        x, y = loop.label_at
        path += text(loop.label, x, y, 12, text_anchor="middle", fill=INK)
    return element("g", path, class_=loop.kind, data_loop=loop.name)


def _sum(loop: overhead.Loop) -> str:
    if loop.sum is None:
        return ""
    (x, y), r = loop.sum, overhead.SUM_RADIUS
    way = element("path", d=f"M{x:.1f},{y:.1f} H{loop.ends:.1f}", **read_stroke().attributes())
    circle = element("circle", cx=x, cy=y, r=r, fill="#ffffff", stroke=INK, stroke_width=1.4)
    cross = f"M{x - r / 2:.1f},{y:.1f} h{r} M{x:.1f},{y - r / 2:.1f} v{r}"
    return way + circle + element("path", d=cross, stroke=INK, stroke_width=1.4)
