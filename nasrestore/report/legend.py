"""The key below a picture: link groups, how many are kept, and what bold and dashed mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from nasrestore.graph.ir import Choice, Edge, SearchGraph
from nasrestore.report.boxes import Decisions, Strengths
from nasrestore.report.strokes import (
    DASHES,
    INK,
    MUTED,
    Stroke,
    dot,
    is_decided,
    read_stroke,
)
from nasrestore.report.svg import element, text, text_width

SIZE = 12.0
SAMPLE = 34.0
ROW = 22.0
BETWEEN = 26.0


@dataclass(frozen=True)
class Entry:
    """What a mark means: a line, the dot of an operation, or nothing but words."""

    words: str
    mark: Stroke | Literal["decided", "candidate"] | None = None

    @property
    def words_at(self) -> float:
        """Where the words begin, from the left end of the mark."""
        if self.mark is None:
            return 0.0
        return SAMPLE + 8 if isinstance(self.mark, Stroke) else 12.0

    @property
    def width(self) -> float:
        return self.words_at + text_width(self.words, SIZE)


def legend(
    graph: SearchGraph,
    decisions: Decisions,
    strengths: Strengths,
    colours: Mapping[str, str],
    left: float,
    top: float,
    right: float,
) -> tuple[str, float]:
    """The key between two margins, and its lower end."""
    x, y, drawn = left, top, []
    for entry in entries(graph, decisions, strengths, colours):
        if x > left and x + entry.width > right:
            x, y = left, y + ROW
        drawn.append(_draw(entry, x, y))
        x += entry.width + BETWEEN
    return element("g", "".join(drawn), class_="legend"), y


def entries(
    graph: SearchGraph, decisions: Decisions, strengths: Strengths, colours: Mapping[str, str]
) -> list[Entry]:
    """What the key says, in order."""
    found = [Entry("main input", read_stroke())]
    for link, colour in colours.items():
        edges = [edge for edge in graph.edges if edge.link == link]
        is_choice = any(edge.choice is not None for edge in edges)
        if any(is_decided(graph, edge, decisions) for edge in edges):
            stroke = Stroke(colour, 3.0)
        else:
            stroke = Stroke(colour, 1.6 if is_choice else 1.3, dashes=DASHES if is_choice else None)
        found.append(Entry(f"{link}: {group_words(graph, edges)}", stroke))
    found += [Entry(f"{name}: removed") for name in _removed(graph)]
    if any(choice.kind == "links" and choice.name in decisions for choice in graph.choices):
        found.append(Entry("not kept", Stroke(MUTED, 1.0, 0.6, DASHES)))
    found += [Entry(f"{mark} operation", mark) for mark in _operation_marks(graph, decisions)]
    if any(choice.kind == "links" and choice.name in strengths for choice in graph.choices):
        found.append(Entry("thicker: stronger", Stroke(MUTED, 3.0, dashes=DASHES)))
    return found


def _operation_marks(
    graph: SearchGraph, decisions: Decisions
) -> Iterator[Literal["decided", "candidate"]]:
    operations = {choice.name for choice in graph.choices if choice.kind == "operation"}
    decided = {node.name for node in graph.nodes if node.name in graph.decisions}
    if decided or operations & set(decisions):
        yield "decided"
    if operations:
        yield "candidate"


def _removed(graph: SearchGraph) -> list[str]:
    return list(dict.fromkeys(choice.name.partition(".")[0] for choice in graph.removed))


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
    if len(choices) == 1 and "." not in choices[0].name:
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
    return dot(x + 4, y, entry.mark == "decided") + words
