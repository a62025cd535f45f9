"""From a space to its search graph, with every error of the file at once. Torch-free."""

from __future__ import annotations

import graphlib
import heapq
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from nasrestore.errors import raise_all
from nasrestore.graph.check import check_graph
from nasrestore.graph.expand import (
    Environment,
    Problems,
    candidates,
    constants,
    evaluate_integer,
    plain_operation,
    signature_of,
)
from nasrestore.graph.ir import (
    Choice,
    Edge,
    Limits,
    Node,
    Operation,
    Output,
    Recursion,
    SearchGraph,
    Shape,
)
from nasrestore.graph.links import LinkGroup, Names, link_group
from nasrestore.graph.signature import SignatureError
from nasrestore.spec.source import Tree
from nasrestore.spec.space import MacsLimitSpec, NodeSpec, OutputSpec, SpaceSpec

MOST_COPIES = 1000
MOST_EDGES = 20_000
MOST_STAGES = 100


@dataclass
class _Copy:
    """A copy of a declared node before its shapes are known."""

    name: str
    block: str
    index: int
    spec: NodeSpec
    reads: tuple[str, ...]
    between: Operation | None
    operations: tuple[Operation, ...]


def compile_space(spec: SpaceSpec) -> SearchGraph:
    """The search graph of a space.

    Raises:
        SpecError: everything that is wrong with it, each with file, line and column.
    """
    problems = Problems()
    graph = _Compiler(spec, problems).graph()
    if graph is not None and not problems.errors:
        check_graph(graph, spec, problems)
    raise_all(problems.errors)
    assert graph is not None
    return graph


class _Compiler:
    def __init__(self, spec: SpaceSpec, problems: Problems) -> None:
        self.spec = spec
        self.tree = spec.tree
        self.problems = problems
        trees = self.tree.at("constants").value if spec.constants else {}
        self.env: Environment = constants(trees, spec.constants, problems)
        self.inputs = {name: Shape(i.channels) for name, i in spec.inputs.items()}
        self.recursion = self._recursion()
        self.sources = dict(self.inputs)
        if self.recursion is not None and self.recursion.start in self.inputs:
            self.sources[self.recursion.state] = self.inputs[self.recursion.start]

    def graph(self) -> SearchGraph | None:
        """The graph, or ``None`` where errors leave nothing to go on with."""
        self._check_names()
        repeats = {name: self._repeat(node) for name, node in self.spec.nodes.items()}
        self.names = Names(repeats, list(self.sources))
        copies = self._copies()
        outputs = self._outputs()
        limits = self._limits()
        if self.problems.errors or not copies:
            if not self.spec.nodes:
                self.problems.add(self.tree.at("nodes"), "a space needs at least one node")
            return None
        read_order = self._order(copies, [])
        if read_order is None:
            return None
        scales = self._scales(read_order)
        if scales is None:
            return None
        groups = self._groups(copies, scales)
        if self.problems.errors:
            return None
        pairs = [pair for group in groups for pair in group.pairs]
        order = self._order(copies, [p for g in groups if g.keep != 0 for p in g.pairs], groups)
        if order is None or len(pairs) > MOST_EDGES:
            return None
        return self._assemble(order, groups, scales, outputs, limits)

    # -- what the file says ------------------------------------------------------------------

    def _check_names(self) -> None:
        sections = ("inputs", "nodes", "links")
        seen: dict[str, str] = {}
        for section in sections:
            for name, tree in self.tree.at(section).value.items() if getattr(self.spec, section) else ():
                if name in seen:
                    message = f"{name!r} is the name of one of the {seen[name]} already"
                    self.problems.add(tree, message, "choose another name", key=True)
                seen[name] = section
        recursion = self.spec.recursion
        if recursion is not None and recursion.state in seen:
            self.problems.add(
                recursion.tree.at("state"),
                f"the state {recursion.state!r} is the name of one of the {seen[recursion.state]}",
                "the state has the name of an output",
            )

    def _recursion(self) -> Recursion | None:
        spec = self.spec.recursion
        if spec is None:
            return None
        at = spec.tree
        stages = evaluate_integer(
            spec.stages, at.at("stages"), self.env, self.problems, least=1, most=MOST_STAGES
        )
        if spec.state not in self.spec.outputs:
            names = ", ".join(self.spec.outputs)
            self.problems.add(at.at("state"), f"no output is called {spec.state!r}", f"outputs: {names}")
        if spec.start not in self.inputs:
            names = ", ".join(self.inputs)
            self.problems.add(at.at("start"), f"no input is called {spec.start!r}", f"inputs: {names}")
        return Recursion(stages or 1, spec.state, spec.start, spec.weights, spec.norm)

    def _repeat(self, node: NodeSpec) -> int | None:
        if node.repeat is None:
            return None
        at = node.tree.at("repeat")
        found = evaluate_integer(
            node.repeat, at, self.env, self.problems, least=1, most=MOST_COPIES
        )
        return found or 1

    def _copies(self) -> list[_Copy]:
        result: list[_Copy] = []
        last: str | None = None
        for block, spec in self.spec.nodes.items():
            first = self._first_reads(spec, last)
            for index, name in enumerate(self.names.copies(block), start=1):
                env = {**self.env, "index": index}
                between = None
                if spec.between is not None and (index > 1 or self.names.blocks[block] is None):
                    if self.names.blocks[block] is None:
                        self.problems.add(
                            spec.tree.at("between"),
                            "between acts between copies, and this node has none",
                            "give it a repeat, or make it a node of its own",
                            key=True,
                        )
                    at = spec.tree.at("between")
                    between = plain_operation(spec.between, at, env, self.problems)
                reads = first if index == 1 else (f"{block}.{index - 1}",)
                operations = candidates(spec, env, self.problems)
                result.append(_Copy(name, block, index, spec, reads, between, operations))
            last = self.names.copies(block)[-1]
        return result

    def _first_reads(self, spec: NodeSpec, last: str | None) -> tuple[str, ...]:
        if spec.reads is None:
            if last is not None:
                return (last,)
            if len(self.sources) == 1:
                return tuple(self.sources)
            names = ", ".join(self.sources)
            self.problems.add(spec.tree, f"the first node must say what it reads: {names}", key=True)
            return ()
        at = spec.tree.at("reads")
        texts = [spec.reads] if isinstance(spec.reads, str) else list(spec.reads)
        trees = [at] if isinstance(spec.reads, str) else [at.at(i) for i in range(len(texts))]
        if not texts:
            self.problems.add(at, "an empty list: a node reads at least one other")
        found: list[str] = []
        for text, tree in zip(texts, trees, strict=True):
            names = self.names.find(text, tree, self.problems, sources=True)
            if "-" in text and len(names) > 1:
                found += names
            elif names:
                found.append(names[-1])
        return tuple(found)

    def _outputs(self) -> tuple[Output, ...]:
        result = []
        if not self.spec.outputs:
            self.problems.add(self.tree.at("outputs"), "a space needs at least one output")
        for name, spec in self.spec.outputs.items():
            at = self.tree.at("outputs", name)
            text = spec.source if isinstance(spec, OutputSpec) else spec
            node_at = at.at("from") if isinstance(spec, OutputSpec) else at
            nodes = self.names.find(text, node_at, self.problems, sources=False)
            add = spec.add if isinstance(spec, OutputSpec) else None
            if add is not None and add not in self.sources:
                names = ", ".join(self.sources)
                self.problems.add(at.at("add"), f"no input is called {add!r}", f"known: {names}")
            if nodes:
                result.append(Output(name, nodes[-1], add))
        return tuple(result)

    def _limits(self) -> Limits:
        spec = self.spec.limits
        if spec is None:
            return Limits()
        at = spec.tree

        def whole(value: object, tree: Tree) -> int | None:
            if value is None:
                return None
            return evaluate_integer(value, tree, self.env, self.problems, least=1)  # type: ignore[arg-type]

        parameters = whole(spec.parameters, at.at("parameters"))
        if not isinstance(spec.macs, MacsLimitSpec):
            return Limits(parameters, whole(spec.macs, at.at("macs")))
        macs = whole(spec.macs.most, at.at("macs", "most"))
        size = parse_size(spec.macs.at)
        if size is None:
            message = f"expected HEIGHTxWIDTH such as 128x128, got {spec.macs.at!r}"
            self.problems.add(at.at("macs", "at"), message)
        return Limits(parameters, macs, size or (128, 128))

    # -- order and resolution ----------------------------------------------------------------

    def _order(
        self,
        copies: Sequence[_Copy],
        pairs: Sequence[tuple[str, str]],
        groups: Sequence[LinkGroup] = (),
    ) -> list[_Copy] | None:
        """The copies in an order in which they can be computed, the file's where it can be."""
        position = {copy.name: i for i, copy in enumerate(copies)}
        before: dict[str, set[str]] = {c.name: {r for r in c.reads if r in position} for c in copies}
        for source, target in pairs:
            if source in position:
                before[target].add(source)
        try:
            sorter = graphlib.TopologicalSorter(before)
            sorter.prepare()
        except graphlib.CycleError as error:
            self._report_cycle(error.args[1], copies, groups)
            return None
        ready = [position[name] for name in sorter.get_ready()]
        heapq.heapify(ready)
        order: list[_Copy] = []
        while ready:
            copy = copies[heapq.heappop(ready)]
            order.append(copy)
            sorter.done(copy.name)
            for name in sorter.get_ready():
                heapq.heappush(ready, position[name])
        return order

    def _report_cycle(
        self, cycle: Sequence[str], copies: Sequence[_Copy], groups: Sequence[LinkGroup]
    ) -> None:
        path = " -> ".join(cycle)
        steps = set(zip(cycle, cycle[1:], strict=False))
        for group in groups:
            if group.keep != 0 and steps & set(group.pairs):
                self.problems.add(group.spec.tree, f"these links close a cycle: {path}", key=True)
                return
        guilty = next(c for c in copies if c.name in cycle)
        self.problems.add(guilty.spec.tree.at("reads"), f"a cycle: {path}", "nodes cannot read themselves")

    def _scales(self, order: Sequence[_Copy]) -> dict[str, tuple[Fraction, Fraction]] | None:
        """(resolution at the operation's input, at its output) of every copy and source."""
        scales = {name: (shape.scale, shape.scale) for name, shape in self.sources.items()}
        for copy in order:
            if not copy.operations or not copy.reads:
                return None
            read = {name: scales[name][1] for name in copy.reads}
            if len(set(read.values())) > 1:
                shown = ", ".join(f"{name} at {scale}" for name, scale in read.items())
                self.problems.add(
                    copy.spec.tree.at("reads"),
                    f"cannot concatenate different resolutions: {shown}",
                    "read one of them through a link, which inserts an adapter",
                )
                return None
            at_input = next(iter(read.values())) * _scale(copy.between)
            factors = {op.label: _scale(op) for op in copy.operations}
            if len(set(factors.values())) > 1:
                shown = ", ".join(f"{label} x{factor}" for label, factor in factors.items())
                message = f"candidates change the resolution differently: {shown}"
                self.problems.add(copy.spec.tree.at("op"), message)
                return None
            scales[copy.name] = (at_input, at_input * next(iter(factors.values())))
        return scales

    def _groups(
        self, copies: Sequence[_Copy], scales: Mapping[str, tuple[Fraction, Fraction]]
    ) -> list[LinkGroup]:
        order = {copy.name: i for i, copy in enumerate(copies)}
        found = [
            link_group(name, spec, self.names, scales, order, self.env, self.problems)
            for name, spec in self.spec.links.items()
        ]
        groups = [group for group in found if group is not None]
        if sum(len(group.pairs) for group in groups) > MOST_EDGES:
            message = f"more than {MOST_EDGES} links"
            self.problems.add(self.tree.at("links"), message, "name smaller sets of nodes")
        return groups

    # -- shapes ------------------------------------------------------------------------------

    def _assemble(
        self,
        order: Sequence[_Copy],
        groups: Sequence[LinkGroup],
        scales: Mapping[str, tuple[Fraction, Fraction]],
        outputs: tuple[Output, ...],
        limits: Limits,
    ) -> SearchGraph | None:
        shapes = dict(self.sources)
        nodes: list[Node] = []
        edges: list[Edge] = []
        link_choices, removed = _link_choices(groups)
        choice_of = {c: choice.name for choice in link_choices for c in choice.candidates}
        for copy in order:
            read = Shape(sum(shapes[n].channels for n in copy.reads), scales[copy.reads[0]][1])
            main = self._main_shape(copy, read, scales[copy.name][0])
            if main is None:
                return None
            joined = main.channels
            for group in groups:
                for source, target in group.pairs:
                    if target != copy.name or group.keep == 0:
                        continue
                    edge = self._edge(group, source, target, shapes[source], main, choice_of)
                    if edge is None:
                        return None
                    edges.append(edge)
                    joined += edge.channels if edge.join == "concat" else 0
            node = self._node(copy, read, main, Shape(joined, main.scale))
            if node is None:
                return None
            nodes.append(node)
            shapes[node.name] = node.output
        operation_choices = [
            Choice(n.name, "operation", tuple(op.label for op in n.candidates))
            for n in nodes
            if n.choice is not None
        ]
        return SearchGraph(
            self.spec.space,
            self.inputs,
            tuple(nodes),
            tuple(edges),
            (*operation_choices, *link_choices),
            outputs,
            self.recursion,
            limits,
            removed,
        )

    def _main_shape(self, copy: _Copy, read: Shape, scale: Fraction) -> Shape | None:
        channels = read.channels
        if copy.between is not None:
            try:
                channels = signature_of(copy.between.kind).channels(channels, copy.between.params)
            except SignatureError as error:
                self.problems.add(copy.spec.tree.at("between"), f"{copy.name}: {error}", error.hint)
                return None
        return Shape(channels, scale)

    def _edge(
        self,
        group: LinkGroup,
        source: str,
        target: str,
        arriving: Shape,
        main: Shape,
        choice_of: Mapping[str, str],
    ) -> Edge | None:
        spec, name = group.spec, f"{source}->{target}"
        adapter: Operation | None = None
        at = spec.tree.at("adapter") if spec.adapter is not None else spec.tree
        if spec.adapter is not None or (spec.join == "add" and arriving.channels != main.channels):
            wanted = spec.adapter or "conv_1x1"
            fill = {"channels": main.channels}
            adapter = plain_operation(wanted, at, self.env, self.problems, fill)
            if adapter is None:
                return None
        channels = arriving.channels
        if adapter is not None:
            signature = signature_of(adapter.kind)
            try:
                channels = signature.channels(channels, adapter.params)
                if signature.scale(adapter.params) != 1:
                    raise SignatureError("an adapter keeps the resolution; resampling is inserted")
            except SignatureError as error:
                self.problems.add(at, f"{name}: {error}", error.hint)
                return None
        if spec.join == "add" and channels != main.channels:
            self.problems.add(
                at,
                f"{name}: cannot add {channels} channels to the {main.channels} of {target}",
                "adapter: conv_1x1 fits them, join: concat appends them",
            )
            return None
        factor = main.scale / arriving.scale
        return Edge(
            name, group.name, source, target, spec.join, adapter, factor, arriving, channels,
            choice_of.get(name), spec.group,
        )  # fmt: skip

    def _node(self, copy: _Copy, read: Shape, main: Shape, joined: Shape) -> Node | None:
        outputs: dict[str, Shape] = {}
        for op in copy.operations:
            signature = signature_of(op.kind)
            scale = joined.scale * signature.scale(op.params)
            try:
                outputs[op.label] = Shape(signature.channels(joined.channels, op.params), scale)
            except SignatureError as error:
                at = copy.spec.tree.at("op")
                self.problems.add(at, f"{copy.name}: operation {op.label!r}: {error}", error.hint)
                return None
        if len({shape.channels for shape in outputs.values()}) > 1:
            shown = ", ".join(f"{label} {shape.channels}" for label, shape in outputs.items())
            message = f"{copy.name}: candidates differ in output channels: {shown}"
            self.problems.add(copy.spec.tree.at("op"), message, "give all the same channels")
            return None
        return Node(
            copy.name,
            copy.block,
            copy.index,
            copy.reads,
            copy.between,
            copy.operations,
            copy.name if len(copy.operations) > 1 else None,
            copy.spec.group,
            read,
            main,
            joined,
            next(iter(outputs.values())),
        )


def _scale(operation: Operation | None) -> Fraction:
    return Fraction(1) if operation is None else signature_of(operation.kind).scale(operation.params)


def _link_choices(groups: Sequence[LinkGroup]) -> tuple[list[Choice], tuple[Choice, ...]]:
    choices: list[Choice] = []
    removed: list[Choice] = []
    for group in groups:
        if group.keep is None:
            continue
        sets: dict[str, list[str]] = {}
        for source, target in group.pairs:
            name = f"{group.name}.{target}" if group.per_node else group.name
            sets.setdefault(name, []).append(f"{source}->{target}")
        for name, members in sets.items():
            choice = Choice(name, "links", tuple(members), group.keep)
            (choices if group.keep else removed).append(choice)
    return choices, tuple(removed)


def parse_size(text: str) -> tuple[int, int] | None:
    """(height, width) from ``128x128``; ``None`` where it is something else."""
    match = re.fullmatch(r"(\d{1,6})[xX](\d{1,6})", text)
    if match is None or 0 in (height := int(match[1]), width := int(match[2])):
        return None
    return height, width
