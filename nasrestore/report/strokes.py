"""Colours and strokes of a picture: what is fixed, what is a candidate, what is decided for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nasrestore.graph.ir import Edge, SearchGraph
from nasrestore.report.svg import element

INK = "#1c2430"
MUTED = "#5d6878"
ACCENT = "#0072b2"
FIXED = "#7a8696"

# Okabe and Ito, "Color Universal Design": told apart by nearly everybody, dark ones first.
GROUPS = ("#0072b2", "#d55e00", "#009e73", "#a34a86", "#8a6d00", "#3a8fc4", "#5b3fa0", "#333333")
BLOCK_FILLS = ("#e8f0f9", "#fdf1e4", "#e9f5ec", "#f5ecf5", "#fbf6df", "#e7f4f5", "#f3eee9")


@dataclass(frozen=True)
class Stroke:
    """How a line is drawn; ``width`` in pixels, ``opacity`` in [0, 1]."""

    colour: str
    width: float
    opacity: float = 1.0
    dashes: str | None = None

    @property
    def marker(self) -> str:
        size = "bold" if self.width >= BOLD else "thin"
        return f"arrow-{size}-{self.colour.lstrip('#')}"

    def attributes(self) -> dict[str, object]:
        """The attributes of an SVG path with an arrow at its end."""
        return {
            "stroke": self.colour,
            "stroke_width": self.width,
            "opacity": None if self.opacity == 1 else f"{self.opacity:.2f}",
            "stroke_dasharray": self.dashes,
            "marker_end": f"url(#{self.marker})",
        }


BOLD = 2.4
DASHES = "6 4"


def read_stroke() -> Stroke:
    """Of a main input."""
    return Stroke(INK, 1.6)


def group_colours(graph: SearchGraph) -> Mapping[str, str]:
    """The colour of each link group: grey ones are fixed and come first, then those with choices."""
    varied = [e for e in graph.edges if e.choice is not None or e.decided_by is not None]
    order = [choice.name for choice in graph.choices] or list(graph.decisions)
    names = dict.fromkeys(
        edge.link for edge in sorted(varied, key=lambda edge: _position(edge, order))
    )
    fixed = dict.fromkeys(edge.link for edge in graph.edges if edge.link not in names)
    colours = {name: GROUPS[i % len(GROUPS)] for i, name in enumerate(names)}
    return dict.fromkeys(fixed, FIXED) | colours


def _position(edge: Edge, order: Sequence[str]) -> int:
    """The place of an edge's choice among the choices, whose order is the file's."""
    name = edge.choice or edge.decided_by
    return order.index(name) if name in order else len(order)


def is_decided(edge: Edge, decisions: Mapping[str, Sequence[str]]) -> bool:
    """Whether a link is decided for, now or when the graph was derived."""
    if edge.choice is not None:
        return edge.candidate in decisions.get(edge.choice, ())
    return edge.decided_by is not None


def wire_stroke(
    edge: Edge, colour: str, is_kept: bool, choice_is_decided: bool, strength: float | None
) -> Stroke:
    """Of a link: thin and solid where fixed, bold where decided for, else dashed."""
    if is_kept:
        return Stroke(colour, 3.0)
    if edge.choice is None:
        return Stroke(colour, 1.3)
    share = None if strength is None else min(max(strength, 0.0), 1.0)
    if choice_is_decided:
        return Stroke(colour, 1.0, 0.3 if share is None else 0.15 + 0.45 * share, DASHES)
    if share is None:
        return Stroke(colour, 1.3, 0.8, DASHES)
    return Stroke(colour, 0.8 + 2.6 * share, 0.2 + 0.8 * share, DASHES)


def dot(x: float, y: float, is_decided: bool) -> str:
    """The mark before an operation that is a candidate, filled where it is decided for."""
    colour, fill = (ACCENT, ACCENT) if is_decided else (MUTED, "#ffffff")
    return element("circle", cx=x, cy=y, r=3.6, fill=fill, stroke=colour, stroke_width=1.2)


def cell_frame(x: float, y: float, width: float, height: float, rx: float) -> str:
    """The second frame behind the box of a cell, up and to the right of it."""
    return element(
        "rect", x=x + 4, y=y - 4, width=width, height=height, rx=rx, fill="#ffffff", stroke=INK,
        class_="behind",
    )  # fmt: skip


def markers(strokes: Iterable[Stroke]) -> str:
    """The arrow heads of all strokes, one for each colour and size."""
    seen = {stroke.marker: stroke for stroke in strokes}
    heads = []
    for name, stroke in sorted(seen.items()):
        size = 11 if stroke.width >= BOLD else 8
        head = element("path", d="M0,0.8 L10,5 L0,9.2 L2.2,5 Z", fill=stroke.colour)
        heads.append(
            element(
                "marker",
                head,
                id=name,
                viewBox="0 0 10 10",
                refX=9.5,
                refY=5,
                markerWidth=size,
                markerHeight=size,
                markerUnits="userSpaceOnUse",
                orient="auto",
            )
        )  # fmt: skip
    return element("defs", "".join(heads))
