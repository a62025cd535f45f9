"""The compiled search graph: every copy, edge and choice by name, with its shapes. Torch-free.

A supernet's graph and a derived network's are the same classes; a derived graph merely has no
choices left. Resolution is a fraction of the input's (``scale`` 1/4 is two halvings below it).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import Any, Literal

from nasrestore.graph.alternatives import Alternatives

Direction = Literal["same", "up", "down"]


@dataclass(frozen=True)
class Shape:
    """Channels and resolution of a feature map, and the frames of a clip.

    Attributes:
        frames: length of the frames axis of a clip, N T C H W; ``None`` for an image, N C H W.
    """

    channels: int
    scale: Fraction = Fraction(1)
    frames: int | None = None

    def __str__(self) -> str:
        each = "" if self.frames is None else f"{self.frames} frames of "
        return f"{each}{self.channels} channels at {self.scale} of the input's resolution"


@dataclass(frozen=True)
class Operation:
    """An operation with all its parameters; ``label`` is what a genotype calls it."""

    kind: str
    params: Mapping[str, Any]
    label: str

    def __hash__(self) -> int:
        return hash((self.kind, self.label))


@dataclass(frozen=True)
class Node:
    """One copy of a declared node; a node of a cell is there once for each use of the cell.

    Its main input is ``reads`` concatenated, then ``between``; links join after that. Without
    ``reads`` it is the sum of its links.

    Attributes:
        read: shape of ``reads`` concatenated, before ``between``; without them, of its first link.
        main: shape of the main input, after ``between`` and before links join.
        input: shape that the operation reads, with every link that can join.
        choice: name of the choice that decides between several ``candidates``; nodes whose
            decisions are tied have the same.
        weights: name of the node whose weights it has: its own, or that of the first copy.
        decided_by: in a derived graph, the choice that decided its operation.
    """

    name: str
    block: str
    index: int
    reads: tuple[str, ...]
    between: Operation | None
    candidates: tuple[Operation, ...]
    choice: str | None
    group: str
    read: Shape
    main: Shape
    input: Shape
    output: Shape
    weights: str = ""
    decided_by: str | None = None

    def __post_init__(self) -> None:
        if not self.weights:
            object.__setattr__(self, "weights", self.name)


@dataclass(frozen=True)
class Edge:
    """A link from one node's output to another's input.

    Attributes:
        link: the link group that it was declared in.
        source: the node that it comes from; where links carry operations, the operation's.
        factor: resolution of the target over the source's: 2 is up, 1/4 is two levels down.
        channels: what arrives, after the adapter.
        choice: name of the choice that may drop it; ``None`` where it is fixed.
        candidate: what a decision calls it: its name, within a cell without that of the cell's use.
        weights: name of the link whose adapter it has.
        decided_by: in a derived graph, the choice that kept it.
    """

    name: str
    link: str
    source: str
    target: str
    join: Literal["add", "concat"]
    adapter: Operation | None
    factor: Fraction
    from_shape: Shape
    channels: int
    choice: str | None
    group: str
    candidate: str = ""
    weights: str = ""
    decided_by: str | None = None

    def __post_init__(self) -> None:
        for attribute in ("candidate", "weights"):
            if not getattr(self, attribute):
                object.__setattr__(self, attribute, self.name)

    @property
    def direction(self) -> Direction:
        return "same" if self.factor == 1 else "up" if self.factor > 1 else "down"

    @property
    def adapter_scale(self) -> Fraction:
        """Resolution of the smaller side, where the adapter computes."""
        return self.from_shape.scale * min(self.factor, Fraction(1))


@dataclass(frozen=True)
class Choice:
    """Something to decide: ``keep`` of the ``candidates``.

    Attributes:
        kind: between operations at nodes, between links, or between the cells that a node may be.
        group: of its architecture parameters, by which a level owns them.
        measured_by: for links that carry a choice of operations each, these choices: a link is as
            strong as its strongest operation but ``none``, and has no architecture parameter itself.
        decidable: the candidates that a decision may name; ``none`` is never decided for.
    """

    name: str
    kind: Literal["operation", "links", "cells"]
    candidates: tuple[str, ...]
    keep: int = 1
    group: str = "architecture"
    measured_by: tuple[str, ...] = ()

    @property
    def decidable(self) -> tuple[str, ...]:
        return tuple(c for c in self.candidates if self.kind != "operation" or c != "none")

    @property
    def decisions(self) -> int:
        """Number of different decisions."""
        return math.comb(len(self.decidable), self.keep)


@dataclass(frozen=True)
class Output:
    """A named output; ``add`` is the input, the state or the node that is added to the node's."""

    name: str
    node: str
    add: str | None


@dataclass(frozen=True)
class Use:
    """One use of a cell, whose nodes and links have names that begin with ``NAME/``.

    Attributes:
        name: of the node that it puts out.
        inputs: for each input of the cell what it stands for: a node, an input or the state.
    """

    name: str
    cell: str
    inputs: Mapping[str, str]


def ends_of(outputs: Iterable[Output]) -> list[str]:
    """What outputs come from: nodes, and what is added to them."""
    return [name for o in outputs for name in (o.node, o.add) if name is not None]


@dataclass(frozen=True)
class Recursion:
    """Stages with a carried state."""

    stages: int
    state: str
    start: str
    weights: Literal["shared", "own"] = "shared"
    norm: Literal["shared", "per_stage"] = "shared"


@dataclass(frozen=True)
class Limits:
    """What a derived network may cost: parameters, and multiply-adds at (height, width)."""

    parameters: int | None = None
    macs: int | None = None
    size: tuple[int, int] = (128, 128)


@dataclass(frozen=True)
class SearchGraph:
    """A compiled space. ``nodes`` are in the order of execution.

    Attributes:
        removed: link groups with ``keep: 0``, and choices of nodes that nothing reads without them;
            their entries in a genotype are ignored.
        decisions: of a derived graph, what was decided.
        groups: every parameter group that the file names, those of removed links too.
        fixed: what could be decided for elsewhere and is not here, with what it is: a node's operation
            or cell, all the links of a group. Entries for it in a genotype are ignored, too.
        idle: cells that no node is.
        flows: for each input that is an optical flow, the clip whose flow it is.
        uses: of cells, those in uses of other cells included, inner ones first.
    """

    name: str
    inputs: Mapping[str, Shape]
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    choices: tuple[Choice, ...]
    outputs: tuple[Output, ...]
    recursion: Recursion | None = None
    limits: Limits = Limits()
    removed: tuple[Choice, ...] = ()
    fixed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    idle: tuple[str, ...] = ()
    decisions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    flows: Mapping[str, str] = field(default_factory=dict)
    uses: tuple[Use, ...] = ()

    @cached_property
    def _nodes(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def _edges_into(self) -> dict[str, list[Edge]]:
        found: dict[str, list[Edge]] = {}
        for edge in self.edges:
            found.setdefault(edge.target, []).append(edge)
        return found

    def node(self, name: str) -> Node:
        return self._nodes[name]

    def choice(self, name: str) -> Choice:
        return next(choice for choice in self.choices if choice.name == name)

    def into(self, node: str) -> Iterator[Edge]:
        """The edges that join at a node, in their order."""
        return iter(self._edges_into.get(node, ()))

    @property
    def architectures(self) -> int:
        """How many different networks can be derived, by what their decisions have an effect on.

        The operations of a link that is dropped count for nothing, nor do the choices inside a cell
        that is not decided for. A node that loses all its readers with dropped links counts as
        if it were there.
        """
        by_name = {choice.name: choice for choice in self.choices}
        sizes = {choice.name: choice.decisions for choice in self.choices}
        for choice in self.choices:
            if choice.measured_by:
                each = [by_name[name].decisions for name in choice.measured_by]
                sizes[choice.name] = _elementary(each, choice.keep)
        for name in (name for choice in self.choices for name in choice.measured_by):
            sizes.pop(name, None)
        return self._alternatives.networks(sizes)

    @cached_property
    def _alternatives(self) -> Alternatives:
        """Which choices hang on choices between cells."""
        cells = {c.name: c.candidates for c in self.choices if c.kind == "cells"}
        ends = {e.source: (e.choice, e.candidate) for e in self.edges if e.choice in cells}
        enabled: dict[str, dict[str, dict[str, None]]] = {
            name: {cell: {} for cell in candidates} for name, candidates in cells.items()
        }
        free: dict[str, None] = {}
        places: tuple[Node | Edge, ...] = (*self.nodes, *self.edges)
        for place in places:
            if place.choice is None:
                continue
            within = [end for end in ends if place.name.startswith(f"{end}/")]
            if not within:
                free[place.choice] = None
                continue
            choice, cell = ends[max(within, key=len)]
            assert choice is not None
            enabled[choice][cell][place.choice] = None
        return Alternatives(free, enabled)

    @property
    def deciding(self) -> tuple[str, ...]:
        """The groups of the architecture parameters, those of removed choices too."""
        choices = [c for c in (*self.choices, *self.removed) if not c.measured_by]
        return tuple(dict.fromkeys(choice.group for choice in choices)) or ("architecture",)

    def relevant(self, decisions: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        """The decisions without those that change nothing.

        These are for operations of links that are not kept, and for what is inside cells that are
        not decided for.
        """
        idle = {
            operation
            for choice in self.choices
            for link, operation in zip(choice.candidates, choice.measured_by, strict=False)
            if link not in decisions.get(choice.name, ())
        }
        idle |= {choice.name for choice in self.choices} - self._alternatives.alive(decisions)
        return {name: names for name, names in decisions.items() if name not in idle}

    def with_inputs(self, read: Container[str]) -> SearchGraph:
        """The graph with those of its inputs that are read."""
        start = None if self.recursion is None else self.recursion.start
        inputs = {name: s for name, s in self.inputs.items() if name in read or name == start}
        if len(inputs) == len(self.inputs):
            return self
        clips = {clip for name, clip in self.flows.items() if name in inputs}
        # a flow is of its clip, which therefore comes along
        inputs = {n: s for n, s in self.inputs.items() if n in inputs or n in clips}
        flows = {name: clip for name, clip in self.flows.items() if name in inputs}
        return replace(self, inputs=inputs, flows=flows)

    @property
    def clip(self) -> str | None:
        """The input that is a clip of frames; ``None`` for a network on images."""
        return next((n for n, s in self.inputs.items() if s.frames and n not in self.flows), None)

    @property
    def frames(self) -> int | None:
        """Length of the clip; ``None`` for a network on images."""
        return None if self.clip is None else self.inputs[self.clip].frames

    @property
    def multiple(self) -> int:
        """Height and width of an input must be multiples of this."""
        scales = [s.scale for n in self.nodes for s in (n.main, n.output)]
        return math.lcm(*(scale.denominator for scale in scales), 1)

    @property
    def stages(self) -> int:
        return 1 if self.recursion is None else self.recursion.stages

    @property
    def digest(self) -> str:
        return digest_of(self.choices)


def _elementary(numbers: Sequence[int], k: int) -> int:
    """The sum, over all k of the numbers, of their product."""
    sums = [1] + [0] * k
    for number in numbers:
        for i in range(k, 0, -1):
            sums[i] += sums[i - 1] * number
    return sums[k]


def digest_of(choices: tuple[Choice, ...]) -> str:
    """A short hash of names, candidates and keep of the choices; no order counts."""
    rows = sorted([c.name, c.kind, sorted(c.candidates), c.keep] for c in choices)
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]
