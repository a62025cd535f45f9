"""The picture of a space or of an architecture, as SVG written by hand: no torch, no matplotlib.

A row for each resolution, columns in the order of execution. Boxes are inputs, nodes and outputs;
solid arrows always are, dashed ones are candidates, bold ones are decided for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nasrestore.errors import NasRestoreError
from nasrestore.graph.ir import Edge, SearchGraph
from nasrestore.report import overhead
from nasrestore.report.boxes import Decisions, Strengths, boxes_of, describe
from nasrestore.report.frames import frames
from nasrestore.report.layout import Band, Layout, Wire, lay_out, wires_of
from nasrestore.report.legend import legend
from nasrestore.report.routing import route
from nasrestore.report.strokes import (
    INK,
    MUTED,
    Stroke,
    group_colours,
    is_decided,
    markers,
    read_stroke,
    wire_stroke,
)
from nasrestore.report.svg import FONT, TIMES, element, text, text_width, tooltip
from nasrestore.runtime.checkpoint import write_atomic

MARGIN = 20.0
TITLE_ROOM = 56.0
ROW_LABEL_ROOM = 42.0
SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def space_svg(
    graph: SearchGraph, decisions: Decisions | None = None, strengths: Strengths | None = None
) -> str:
    """The picture of a graph as the text of an SVG file.

    Args:
        graph: a compiled space or a derived network.
        decisions: for each choice what is decided for, drawn bold.
        strengths: for each choice the mixing weight of each candidate in [0, 1], drawn as the
            width and opacity of links and as figures beside operations.

    Raises:
        ValueError: a decision for a choice, or of a candidate, that the graph does not have.
    """
    decided = dict(graph.decisions) | dict(decisions or {})
    _check_decisions(graph, decided)
    known = strengths or {}
    wires = wires_of(graph)
    top = MARGIN + TITLE_ROOM + overhead.room_above(graph)
    left = MARGIN + ROW_LABEL_ROOM + overhead.room_beside(graph)
    layout = lay_out(boxes_of(graph, decided, known), wires, left, top)
    loops = overhead.loops(graph, layout, top)
    colours = group_colours(graph)
    drawn = _wires(graph, layout, wires, decided, known)
    right = layout.right + MARGIN + (overhead.SIDE_ROOM + 6 if graph.recursion else 0)
    title, title_width = _title(graph, decided)
    width = max(right + MARGIN, title_width + 2 * MARGIN)
    key, bottom = legend(graph, decided, known, colours, MARGIN, layout.bottom + 30, width - MARGIN)
    strokes = [wire.stroke for wire in drawn] + [read_stroke()]
    parts = [
        tooltip(f"Picture of {graph.name}"),
        markers(strokes),
        element("rect", width=width, height=bottom + MARGIN, fill="#ffffff"),
        title,
        *(_band(band, width) for band in layout.bands.values()),
        *(_loop(loop) for loop in loops),
        *(_wire(wire) for wire in sorted(drawn, key=lambda wire: wire.stroke.width)),
        *(_sum(loop) for loop in loops),
        *frames(layout.boxes.values()),
        key,
    ]
    return _document(parts, width, bottom + MARGIN)


def write_picture(path: Path, svg: str) -> None:
    """Writes a picture; only ``.svg`` is known.

    Raises:
        NasRestoreError: another suffix, or the disk refuses.
    """
    path = Path(path)
    if path.suffix.lower() != ".svg":
        found = path.suffix or "no suffix"
        raise NasRestoreError(
            f"{path}: a picture is written as .svg, not as {found}",
            hint=f"write {path.with_suffix('.svg')} and open it in a browser, which can print it",
        )
    write_atomic(path, svg)


def _check_decisions(graph: SearchGraph, decisions: Decisions) -> None:
    candidates = {choice.name: choice.candidates for choice in (*graph.choices, *graph.removed)}
    for name, chosen in decisions.items():
        if name not in candidates and name not in graph.decisions:
            raise ValueError(f"{graph.name!r} has no choice {name!r}")
        for candidate in chosen:
            if name in candidates and candidate not in candidates[name]:
                raise ValueError(f"choice {name!r} has no candidate {candidate!r}")


def _document(parts: Iterable[str], width: float, height: float) -> str:
    body = "\n".join(part for part in parts if part)
    return (
        element(
            "svg",
            f"\n{body}\n",
            xmlns="http://www.w3.org/2000/svg",
            viewBox=f"0 0 {width:.0f} {height:.0f}",
            width=round(width),
            height=round(height),
            font_family=FONT,
            role="img",
        )
        + "\n"
    )


# -- title and rows --------------------------------------------------------------------------


def _title(graph: SearchGraph, decisions: Decisions) -> tuple[str, float]:
    """The two lines at the top, and the width that they need."""
    subtitle = subtitle_of(graph, decisions)
    drawn = text(graph.name, MARGIN, MARGIN + 14, 19, font_weight="bold", fill=INK)
    drawn += text(subtitle, MARGIN, MARGIN + 34, 12.5, fill=MUTED)
    return drawn, max(text_width(graph.name, 19, bold=True), text_width(subtitle, 12.5))


def subtitle_of(graph: SearchGraph, decisions: Decisions) -> str:
    """How many architectures there are, and whether this is one of them."""
    if not graph.choices:
        return "derived network" if decisions else "one architecture, nothing to decide"
    count = count_text(graph.architectures)
    if all(choice.name in decisions for choice in graph.choices):
        return f"one of {count} architectures"
    number = len(graph.choices)
    return f"{count} architectures, {number} choice{'s' * (number != 1)}"


def count_text(count: int) -> str:
    """``2,025``, or ``1.2 × 10^21`` where the digits would not be read."""
    if count < 10**12:
        return f"{count:,}"
    logarithm = math.log10(count)  # of any size, where float(count) would overflow
    exponent = math.floor(logarithm)
    mantissa = round(10 ** (logarithm - exponent), 1)
    if mantissa >= 10:
        mantissa, exponent = mantissa / 10, exponent + 1
    return f"{mantissa:.1f} {TIMES} 10{str(exponent).translate(SUPERSCRIPTS)}"


def _band(band: Band, width: float) -> str:
    label = f"{band.scale.numerator}/{band.scale.denominator}"
    strip = element(
        "rect", x=MARGIN, y=band.top, width=width - 2 * MARGIN, height=band.bottom - band.top,
        rx=8, fill="#f6f7f9",
    )  # fmt: skip
    middle = (band.first + band.last) / 2 + 4
    return strip + text(label, MARGIN + 12, middle, 13, font_weight="bold", fill=MUTED)


# -- wires -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Drawn:
    wire: Wire
    path: str
    stroke: Stroke
    is_kept: bool
    detail: str


def _wires(
    graph: SearchGraph,
    layout: Layout,
    wires: Iterable[Wire],
    decisions: Decisions,
    strengths: Strengths,
) -> list[_Drawn]:
    colours = group_colours(graph)
    paths = route(layout, list(wires))
    drawn = []
    for wire, path in paths.items():
        edge = wire.edge
        if edge is None:
            drawn.append(
                _Drawn(wire, path, read_stroke(), False, f"{wire.source} -> {wire.target}")
            )
            continue
        strength = strengths.get(edge.choice or "", {}).get(edge.candidate)
        is_kept = is_decided(graph, edge, decisions)
        stroke = wire_stroke(edge, colours[edge.link], is_kept, edge.choice in decisions, strength)
        drawn.append(_Drawn(wire, path, stroke, is_kept, _detail(edge, is_kept, strength)))
    return drawn


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
