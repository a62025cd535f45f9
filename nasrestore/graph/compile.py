"""From a space to its search graph, with every error of the file at once. Torch-free.

An error leaves open what rests on it, and the rest is still checked: a name that cannot be resolved
silences neither the parameters of other nodes nor the shapes that do not depend on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nasrestore.errors import SpecError, raise_all
from nasrestore.graph.check import Wiring, check_graph, check_limits, check_shapes, check_wiring
from nasrestore.graph.copies import Copy, copies_of, names_of, ordered
from nasrestore.graph.head import check_names, limits_of, outputs_of, parse_size, recursion_of
from nasrestore.graph.ir import Choice, Limits, Output, Recursion, SearchGraph, Shape
from nasrestore.graph.links import Ends, LinkGroup, link_ends, link_group
from nasrestore.graph.prune import without_dead
from nasrestore.graph.shapes import Assembly, Scales, assemble, scales_of
from nasrestore.graph.values import Problems, constants
from nasrestore.spec.parts import SpaceParts, parts_of, read_parts
from nasrestore.spec.source import Tree
from nasrestore.spec.space import SpaceSpec, check_format, read_space

__all__ = ["compile_space", "compile_tree", "parse_size"]

MOST_EDGES = 20_000


def compile_space(spec: SpaceSpec) -> SearchGraph:
    """The search graph of a space.

    Raises:
        SpecError: everything that is wrong with it, each with file, line and column.
    """
    problems = Problems()
    graph = _Compiler(parts_of(spec), problems).graph()
    raise_all(problems.errors)
    assert graph is not None, "no graph, and no error that says why"
    return graph


def compile_tree(tree: Tree) -> SearchGraph:
    """The search graph of a space from its located tree; errors of form and of meaning together.

    Raises:
        SpecError: everything that is wrong with it, each with file, line and column.
    """
    check_format(tree, "space")
    try:
        spec = read_space(tree)
    except SpecError as error:
        raise_all([*getattr(error, "errors", [error]), *beyond_form(tree)])
        raise
    return compile_space(spec)


def beyond_form(tree: Tree) -> list[SpecError]:
    """What is wrong with a space beyond its form, as far as the rest of it can be read."""
    problems = Problems()
    if tree.kind == "mapping":
        _Compiler(read_parts(tree), problems).graph()
    return problems.errors


class _Compiler:
    """The steps, each of which reads what the ones before left known."""

    def __init__(self, space: SpaceParts, problems: Problems) -> None:
        self.space = space
        self.problems = problems
        section = space.tree.at("constants")
        self.env = constants(section, space.constants, space.complete, problems)
        self.recursion = recursion_of(space, self.env, problems)
        self.sources = _sources(space, self.recursion)

    def graph(self) -> SearchGraph | None:
        """The graph; ``None`` after an error."""
        space, env, problems = self.space, self.env, self.problems
        distinct = check_names(space, problems)
        names = names_of(space, self._source_names(), env, problems)
        copies = copies_of(space, names, env, problems)
        ends = {
            name: None if spec is None else link_ends(spec, names, env, problems)
            for name, spec in space.links.items()
        }
        outputs = outputs_of(space, names, self._source_names(), problems)
        limits = limits_of(space, env, problems)
        order = ordered(copies, [], problems) if distinct else None
        if order is None:
            return None
        scales = scales_of(order, self.sources, problems)
        groups = self._groups(ends, scales, copies)
        order = ordered(copies, groups, problems)
        if order is None:
            return None
        wiring = self._wiring(copies, groups, outputs)
        if wiring is not None:
            check_wiring(wiring, space, problems)
        assembly = self._assembly(order, groups, ends, scales)
        check_shapes(assembly, outputs, self.recursion, self.sources, space, problems)
        if problems.errors or wiring is None:
            return None
        return self._finished(assembly, groups, outputs, limits)

    def _source_names(self) -> list[str]:
        state = [] if self.recursion is None else [self.recursion.state]
        return list(dict.fromkeys([*self.space.inputs, *state]))

    def _groups(
        self, ends: Mapping[str, Ends | None], scales: Scales, copies: Sequence[Copy]
    ) -> list[LinkGroup]:
        space = self.space
        position = {copy.name: i for i, copy in enumerate(copies)}
        groups: list[LinkGroup] = []
        member: dict[tuple[str, str], str] = {}
        for name, spec in space.links.items():
            end = ends[name]
            if spec is None or end is None or space.damaged.get(name):
                continue
            group = link_group(name, spec, end, scales, position, self.problems)
            if group is None:
                continue
            groups.append(group)
            self._check_pairs(group, member)
            if len(member) > MOST_EDGES:
                message = f"more than {MOST_EDGES:,} links"
                self.problems.add(spec.tree, message, "name smaller sets of nodes", key=True)
                return groups[:-1]
        return groups

    def _check_pairs(self, group: LinkGroup, member: dict[tuple[str, str], str]) -> None:
        for source, target in group.pairs:
            other = member.setdefault((source, target), group.name)
            if other != group.name:
                self.problems.add(
                    group.spec.tree,
                    f"the link {source}->{target} is in the group {other!r} already",
                    "a pair of nodes has one link: name other nodes, or a direction",
                    key=True,
                )
                return

    def _wiring(
        self, copies: Sequence[Copy], groups: Sequence[LinkGroup], outputs: Sequence[Output]
    ) -> Wiring | None:
        """What reads what; ``None`` where an error leaves some of it open."""
        space = self.space
        known = (
            space.complete
            and len(outputs) > 0
            and all(spec is not None for spec in space.nodes.values())
            and all(copy.reads is not None for copy in copies)
            and len(groups) == len(space.links)
            and len(outputs) == len(space.outputs)
        )
        return Wiring(copies, groups, outputs, self.recursion) if known else None

    def _assembly(
        self,
        order: Sequence[Copy],
        groups: Sequence[LinkGroup],
        ends: Mapping[str, Ends | None],
        scales: Scales,
    ) -> Assembly:
        resolved = {group.name for group in groups}
        concealed: set[str] = set()
        for name, spec in self.space.links.items():
            end = ends[name]
            damaged = self.space.is_damaged(name, "join", "to")
            if name in resolved or (spec is not None and spec.join == "add" and not damaged):
                continue
            targets = None if end is None or damaged else end.targets
            concealed.update([copy.name for copy in order] if targets is None else targets)
        return assemble(order, groups, concealed, scales, self.sources, self.env, self.problems)

    def _finished(
        self,
        assembly: Assembly,
        groups: Sequence[LinkGroup],
        outputs: Sequence[Output],
        limits: Limits,
    ) -> SearchGraph | None:
        choices = [
            Choice(n.name, "operation", tuple(op.label for op in n.candidates))
            for n in assembly.nodes
            if n.choice is not None
        ]
        found = [(choice, group.removed) for group in groups for choice in group.choices()]
        named = [*self.space.nodes.values(), *self.space.links.values()]
        graph = SearchGraph(
            self.space.name,
            {name: shape for name, shape in self.sources.items() if name in self.space.inputs},
            tuple(assembly.nodes),
            tuple(assembly.edges),
            (*choices, *(choice for choice, removed in found if not removed)),
            tuple(outputs),
            self.recursion,
            limits,
            tuple(choice for choice, removed in found if removed),
            groups=tuple(dict.fromkeys(spec.group for spec in named if spec is not None)),
        )
        check_graph(graph, self.space, self.problems)
        graph = without_dead(graph, self.space, self.problems)
        if not self.problems.errors:
            check_limits(graph, self.space, self.problems)
        return graph


def _sources(space: SpaceParts, recursion: Recursion | None) -> dict[str, Shape]:
    """The shapes of what nodes may read besides nodes: the inputs and the state."""
    shapes = {n: Shape(spec.channels) for n, spec in space.inputs.items() if spec is not None}
    if recursion is not None and recursion.start in shapes:
        shapes[recursion.state] = shapes[recursion.start]
    return shapes
