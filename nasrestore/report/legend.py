"""The key below a picture: link groups, how many are kept, and what bold and dashed mean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from nasrestore.graph.ir import Choice, Edge, Node, SearchGraph
from nasrestore.report.boxes import Decisions, Strengths
from nasrestore.report.strokes import (
    DASHES,
    INK,
    MUTED,
    Stroke,
    cell_frame,
    dot,
    is_decided,
)
from nasrestore.report.svg import element, text, text_width
from nasrestore.report.views import CELL

SIZE = 12.0
SAMPLE = 34.0
ROW = 22.0
BETWEEN = 26.0


@dataclass(frozen=True)
class Entry:
    """What a mark means: a line, the dot of an operation, or nothing but words."""

    words: str
    mark: Stroke | Literal["decided", "candidate", "cell"] | None = None

    @property
    def words_at(self) -> float:
        """Where the words begin, from the left end of the mark."""
        if self.mark is None:
            return 0.0
        if self.mark == "cell":
            return 30.0
        return SAMPLE + 8 if isinstance(self.mark, Stroke) else 12.0

    @property
    def width(self) -> float:
        return self.words_at + text_width(self.words, SIZE)


def legend(entries: Iterable[Entry], left: float, top: float, right: float) -> tuple[str, float]:
    """The key between two margins, and its lower end."""
    x, y, drawn = left, top, []
    for entry in entries:
        if x > left and x + entry.width > right:
            x, y = left, y + ROW
        drawn.append(_draw(entry, x, y))
        x += entry.width + BETWEEN
    return element("g", "".join(drawn), class_="legend"), y


def link_entries(
    graph: SearchGraph, decisions: Decisions, colours: Mapping[str, str]
) -> list[Entry]:
    """What the key says of each link group."""
    found = []
    for link, colour in colours.items():
        edges = [edge for edge in graph.edges if edge.link == link]
        is_choice = any(edge.choice is not None for edge in edges)
        if any(is_decided(edge, decisions) for edge in edges):
            stroke = Stroke(colour, 3.0)
        else:
            stroke = Stroke(colour, 1.6 if is_choice else 1.3, dashes=DASHES if is_choice else None)
        found.append(Entry(f"{link}: {group_words(graph, edges)}", stroke))
    return found


def mark_entries(
    graph: SearchGraph, decisions: Decisions, strengths: Strengths, shown: Iterable[Node]
) -> list[Entry]:
    """What the key says of the whole picture, after the links.

    Args:
        shown: the nodes of all its parts.
    """
    cells = [node for node in shown if node.candidates[0].kind == CELL]
    links = [choice.name for choice in graph.choices if choice.kind == "links"]
    found = [Entry(f"{name}: removed") for name in _removed(graph)]
    if any(name in decisions for name in links):
        found.append(Entry("not kept", Stroke(MUTED, 1.0, 0.6, DASHES)))
    is_open = any(node.choice is not None or node.decided_by is not None for node in cells)
    what = "operation or cell" if is_open else "operation"
    found += [Entry(f"{mark} {what}", mark) for mark in _operation_marks(graph, decisions)]
    if any(name in strengths for name in links):
        found.append(Entry("thicker: stronger", Stroke(MUTED, 3.0, dashes=DASHES)))
    if cells:
        found.append(Entry("a cell, drawn by itself", "cell"))
    return found


def _operation_marks(
    graph: SearchGraph, decisions: Decisions
) -> Iterator[Literal["decided", "candidate"]]:
    operations = {choice.name for choice in graph.choices if choice.kind != "links"}
    if any(n.decided_by is not None for n in graph.nodes) or operations & set(decisions):
        yield "decided"
    if operations:
        yield "candidate"


def _removed(graph: SearchGraph) -> list[str]:
    """Names of groups, of choices for each node without the node."""
    names = [choice.name.rpartition("/") for choice in graph.removed]
    return list(dict.fromkeys(use + slash + name.partition(".")[0] for use, slash, name in names))


def group_words(graph: SearchGraph, edges: list[Edge]) -> str:
    """``2 of 10 kept, added through conv_1x1``."""
    names = dict.fromkeys(edge.choice for edge in edges if edge.choice is not None)
    choices = [graph.choice(name) for name in names]
    words = _kept_words(choices, len(edges))
    words += ", added" if edges[0].join == "add" else ", appended"
    adapters = dict.fromkeys(edge.adapter.kind for edge in edges if edge.adapter is not None)
    return f"{words} through {' or '.join(adapters)}" if adapters else words


def _kept_words(choices: list[Choice], count: int) -> str:
    if not choices:
        return "1 link" if count == 1 else f"{count} links"
    if len(choices) == 1 and "." not in choices[0].name.rpartition("/")[2]:
        return f"{choices[0].keep} of {count} kept"
    into = "one node" if len(choices) == 1 else f"each of {len(choices)} nodes"
    return f"{choices[0].keep} kept into {into}, of {count} in all"


def _draw(entry: Entry, x: float, y: float) -> str:
    words = text(entry.words, x + entry.words_at, y + 4, SIZE, fill=INK)
    if entry.mark is None:
        return words
    if isinstance(entry.mark, Stroke):
        path = f"M{x:.1f},{y:.1f} h{SAMPLE:.0f}"
        return element("path", d=path, fill="none", **entry.mark.attributes()) + words
    if entry.mark == "cell":
        return (
            cell_frame(x, y - 6, 18, 12, 3)
            + element("rect", x=x, y=y - 6, width=18, height=12, rx=3, fill="#ffffff", stroke=INK)
            + words
        )
    return dot(x + 4, y, entry.mark == "decided") + words
