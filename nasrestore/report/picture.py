"""The picture of a space or of an architecture, as SVG written by hand: no torch, no matplotlib.

A row for each resolution, columns in the order of execution. Boxes are inputs, nodes and outputs;
solid arrows always are, dashed ones are candidates, bold ones are decided for. Uses of cells are boxes
of the space, and each cell is drawn beside it or below it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from nasrestore.errors import NasRestoreError
from nasrestore.graph.ir import SearchGraph
from nasrestore.report.boxes import Decisions, Strengths
from nasrestore.report.legend import Entry, legend, mark_entries
from nasrestore.report.panel import Panel
from nasrestore.report.strokes import INK, MUTED, markers, read_stroke
from nasrestore.report.svg import FONT, TIMES, element, text, text_width, tooltip
from nasrestore.report.views import views_of
from nasrestore.runtime.checkpoint import write_atomic

MARGIN = 20.0
TITLE_ROOM = 56.0
BETWEEN, BELOW = 36.0, 44.0  # parts beside and below each other
USUAL_WIDTH = 1200.0
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
    panels = [Panel(view, decided, known) for view in views_of(graph, decided, known)]
    title, title_width = _title(graph, decided)
    width = max(MARGIN + _widest(panels), title_width + MARGIN) + MARGIN
    drawn, entries, bottom = _arranged(panels, width)
    shown = [node for panel in panels for node in panel.view.graph.nodes]
    entries += mark_entries(graph, decided, known, shown)
    key, bottom = legend(entries, MARGIN, bottom + 30, width - MARGIN)
    strokes = [stroke for panel in panels for stroke in panel.strokes] + [read_stroke()]
    parts = [
        tooltip(f"Picture of {graph.name}"),
        markers(strokes),
        element("rect", width=width, height=bottom + MARGIN, fill="#ffffff"),
        title,
        *drawn,
        key,
    ]
    return _document(parts, width, bottom + MARGIN)


def _widest(panels: Sequence[Panel]) -> float:
    """Room for the widest part, and for narrow ones beside each other where that saves a row."""
    widest = max(panel.width for panel in panels)
    pairs = [a.width + BETWEEN + b.width for a, b in itertools.pairwise(panels)]
    return max(widest, *(pair for pair in pairs if pair <= USUAL_WIDTH), 0.0)


def _arranged(panels: Sequence[Panel], width: float) -> tuple[list[str], list[Entry], float]:
    """The parts, beside each other as far as they fit; what the key below says first; the end."""
    entries = [Entry("main input", read_stroke())]
    top = MARGIN + TITLE_ROOM
    if len(panels) == 1:
        drawn, bottom = panels[0].draw(MARGIN, top, width - MARGIN)
        return drawn, entries + panels[0].entries, bottom
    found: list[str] = []
    left, bottom = MARGIN, top
    for number, panel in enumerate(panels):
        if left > MARGIN and left + panel.width > width - MARGIN:
            left, top = MARGIN, bottom + BELOW
        following = panels[number + 1].width if number + 1 < len(panels) else width
        end = left + panel.width
        right = end if end + BETWEEN + following <= width - MARGIN else width - MARGIN
        part, lower = panel.draw_part(left, top, right)
        found.append(part)
        left, bottom = end + BETWEEN, max(bottom, lower)
    return found, entries, bottom


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
    every = {choice.name: tuple(decisions.get(choice.name, ())) for choice in graph.choices}
    if all(every[name] for name in graph.relevant(every)):
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
