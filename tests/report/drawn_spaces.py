"""Spaces to draw, and a reader of the SVG that was drawn."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from nasrestore.graph.compile import compile_space
from nasrestore.graph.ir import SearchGraph
from nasrestore.spec.space import load_space_spec, parse_space

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"

CHAIN = """
format: 1
space: chain
inputs: {rainy: {channels: 3}}
nodes:
  stem: {op: conv_bn_relu, with: {channels: 16}}
  cell:
    repeat: 4
    op:
      choice:
        - residual
        - dense
        - dilated
        - spatial_attention
        - channel_attention
        - {op: separable_conv, with: {channels: 16}}
        - identity
        - none
  head: {op: conv, with: {channels: 3}}
outputs: {restored: {from: head, add: rainy}}
"""

CELL = """
format: 1
space: cell
inputs: {before: {channels: 8}, previous: {channels: 8}}
nodes:
  node:
    repeat: 4
    reads: previous
    op: {choice: [residual, separable_conv, identity]}
    with: {channels: 8}
  gather: {reads: node.1-4, op: conv_1x1, with: {channels: 8}}
links:
  inside: {from: [before, previous, node], to: node, keep: {per: node, k: 2}}
outputs: {cell: gather}
"""

# Three inputs and the state, two sums, three outputs, a resolution above the input's.
BRANCHES = """
format: 1
space: branches
inputs: {left: {channels: 3}, middle: {channels: 3}, right: {channels: 3}}
recursion: {stages: 2, state: restored, start: middle, weights: own}
nodes:
  a: {reads: [left, middle], op: conv_bn_relu, with: {channels: 16}}
  b: {reads: [middle, right, restored], op: conv_bn_relu, with: {channels: 16}}
  down: {reads: [a, b], repeat: 2, op: conv_stride_2, with: {channels: 24}}
  cell: {repeat: 2, op: {choice: [residual, dense, identity]}}
  up: {repeat: 2, op: conv_bn_relu, with: {channels: 24}, between: bilinear_2}
  finer: {op: pixel_shuffle_2}
  wide: {op: conv_bn_relu, with: {channels: 16}}
  finest: {op: pixel_shuffle_2}
  head: {reads: a, op: conv, with: {channels: 3}}
  aux: {reads: [head, a], op: conv, with: {channels: 3}}
links:
  same: {from: a, to: head, direction: same, join: concat}
  any: {from: [left, a, b, down], to: [cell, up], direction: any, keep: 3}
outputs:
  restored: {from: head, add: restored}
  second: {from: aux, add: right}
  third: finest
"""


def rdmc() -> SearchGraph:
    return compile_space(load_space_spec(ROOT / "spaces" / "rdmc.yaml"))


def space(text: str) -> SearchGraph:
    return compile_space(parse_space(text))


@dataclass(frozen=True)
class Rect:
    """A drawn box."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    def overlaps(self, other: Rect) -> bool:
        return (
            self.x < other.right
            and other.x < self.right
            and self.y < other.bottom
            and other.y < self.bottom
        )

    def holds(self, x: float, y: float) -> bool:
        return self.x < x < self.right and self.y < y < self.bottom


class Drawing:
    """A picture, read back from its text."""

    def __init__(self, svg: str) -> None:
        self.root = ElementTree.fromstring(svg)
        self.groups = list(self.root.iter(f"{SVG}g"))

    def named(self, attribute: str) -> list[str]:
        return [g.attrib[attribute] for g in self.groups if attribute in g.attrib]

    def group(self, attribute: str, name: str) -> ElementTree.Element:
        (found,) = [g for g in self.groups if g.get(attribute) == name]
        return found

    def path(self, attribute: str, name: str) -> ElementTree.Element:
        path = self.group(attribute, name).find(f"{SVG}path")
        assert path is not None
        return path

    def rects(self) -> dict[tuple[str, str], Rect]:
        """The boxes by kind and name."""
        found = {}
        for kind in ("input", "state", "node", "output"):
            for name in self.named(f"data-{kind}"):
                rect = self.group(f"data-{kind}", name).find(f"{SVG}rect")
                assert rect is not None
                sizes = (float(rect.attrib[a]) for a in ("x", "y", "width", "height"))
                found[kind, name] = Rect(*sizes)
        return found

    def texts(self) -> list[str]:
        return ["".join(text.itertext()) for text in self.root.iter(f"{SVG}text")]


def points_along(path: str) -> list[tuple[float, float]]:
    """Points on a path of M, L, Q and C, 24 to a piece, and its end."""
    pieces = re.findall(r"([MLQC])([^MLQC]*)", path)
    assert "".join(letter + rest for letter, rest in pieces) == path
    found: list[tuple[float, float]] = []
    for letter, rest in pieces:
        numbers = [float(n) for n in re.findall(r"-?[\d.]+", rest)]
        ends = list(zip(numbers[::2], numbers[1::2], strict=True))
        if letter == "M":
            found += ends
            continue
        found += _bezier([found[-1], *ends])
    return found


def _bezier(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """De Casteljau's construction."""

    def at(t: float) -> tuple[float, float]:
        level = points
        while len(level) > 1:
            level = [
                (a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t)
                for a, b in itertools.pairwise(level)
            ]
        return level[0]

    return [at(i / 24) for i in range(1, 25)]
