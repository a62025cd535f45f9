"""The boxes of a picture as SVG."""

from __future__ import annotations

from collections.abc import Iterable

from nasrestore.report.boxes import (
    DOT,
    LINE_HEIGHT,
    NAME_SIZE,
    PADDING,
    TEXT_SIZE,
    Box,
    Line,
)
from nasrestore.report.strokes import ACCENT, BLOCK_FILLS, INK, MUTED, cell_frame, dot
from nasrestore.report.svg import element, text, tooltip

BAR, BAR_HEIGHT = 30.0, 5.0
FIGURE = 28.0


def frames(boxes: Iterable[Box]) -> Iterable[str]:
    """Each box; the copies of a block have one colour."""
    found = list(boxes)
    blocks = list(dict.fromkeys(box.block for box in found if box.kind == "node"))
    for box in found:
        fill = "#ffffff"
        if box.kind == "node":
            fill = BLOCK_FILLS[blocks.index(box.block) % len(BLOCK_FILLS)]
        yield _frame(box, fill)


def frames_behind(boxes: Iterable[Box]) -> Iterable[str]:
    """The second frames of cells; arrows end above them."""
    for box in boxes:
        if box.is_cell:
            yield cell_frame(box.x, box.y, box.width, box.height, 6)


def _frame(box: Box, fill: str) -> str:
    is_node = box.kind == "node"
    frame = element(
        "rect", x=box.x, y=box.y, width=box.width, height=box.height,
        rx=6 if is_node else 16, fill=fill, stroke=INK, stroke_width=1.2,
        stroke_dasharray="4 3" if box.kind == "state" else None,
    )  # fmt: skip
    y = box.y + PADDING + LINE_HEIGHT * 0.55
    lines = []
    for number, line in enumerate(box.lines):
        lines.append(_line(box, line, y + number * LINE_HEIGHT))
    content = tooltip(box.detail) + frame + "".join(lines)
    name = box.key if box.kind != "output" else box.lines[0].text
    return element("g", content, class_=box.kind, **{f"data_{box.kind}": name})


def _line(box: Box, line: Line, y: float) -> str:
    if line.role not in ("decided", "candidate"):
        bold = "bold" if line.role == "name" else None
        size = NAME_SIZE if line.role == "name" else TEXT_SIZE
        fill = MUTED if line.role == "muted" else INK
        middle = box.x + box.width / 2
        return text(line.text, middle, y, size, text_anchor="middle", font_weight=bold, fill=fill)
    chosen = line.role == "decided"
    x = box.x + PADDING
    label = text(
        line.text, x + DOT, y, TEXT_SIZE, fill=INK,
        font_weight="bold" if chosen else None, class_=line.role,
    )  # fmt: skip
    return dot(x + 4, y - 4, chosen) + label + _figure(box, line, y)


def _figure(box: Box, line: Line, y: float) -> str:
    """The strength beside a candidate, as a bar and in figures."""
    if line.strength is None:
        return ""
    right = box.right - PADDING
    left = right - FIGURE - BAR
    share = min(max(line.strength, 0.0), 1.0)
    bar = {"x": left, "y": y - 6.5, "height": BAR_HEIGHT, "rx": 1}
    track = element("rect", **bar, width=BAR, fill="#ffffff")
    filled = element("rect", **bar, width=BAR * share, fill=ACCENT)
    figure = text(f"{line.strength:.2f}", right, y, 10, text_anchor="end", fill=MUTED)
    return track + filled + figure
