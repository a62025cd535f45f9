"""From a space to its search graph, with every error of the file at once. Torch-free.

An error leaves open what rests on it, and the rest is still checked: a name that cannot be resolved
silences neither the parameters of other nodes nor the shapes that do not depend on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from nasrestore.errors import SpecError, raise_all
from nasrestore.graph.cells import Expansion
from nasrestore.graph.check import Wiring, check_graph, check_limits, check_shapes, check_wiring
from nasrestore.graph.copies import names_of, ordered
from nasrestore.graph.head import (
    check_names,
    inputs_of,
    limits_of,
    outputs_of,
    parse_size,
    recursion_of,
)
from nasrestore.graph.ir import Choice, Limits, Output, Recursion, SearchGraph, Shape, Use
from nasrestore.graph.links import LinkGroup
from nasrestore.graph.prune import without_dead
from nasrestore.graph.resolve import Links, choices_of, fixed_of
from nasrestore.graph.scope import Copy, Scope
from nasrestore.graph.shapes import Assembly, assemble, scales_of
from nasrestore.graph.values import Problems, constants
from nasrestore.spec.source import Tree
from nasrestore.spec.space import SpaceSpec, check_format, read_space
from nasrestore.spec.space_parts import SpaceParts, parts_of, read_parts

__all__ = ["compile_space", "compile_tree", "parse_size"]


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
        self.inputs, self.flows = inputs_of(space, self.env, problems)
        self.sources = _sources(self.inputs, self.recursion)

    def graph(self) -> SearchGraph | None:
        """The graph; ``None`` after an error."""
        space, env, problems = self.space, self.env, self.problems
        distinct = check_names(space, problems)
        names = names_of(space, self._source_names(), env, problems)
        expansion = Expansion(space.cells, problems, space.drops_unused)
        expansion.add(Scope(space, names, env))
        self._check_cells_used(expansion)
        copies = expansion.copies
        links = Links(expansion, problems)
        outputs = outputs_of(space, names, self._source_names(), problems)
        limits = limits_of(space, env, problems)
        order = ordered(copies, [], problems, links.anchors()) if distinct else None
        if order is None:
            return None
        scales = scales_of(order, self.sources, links.scale_anchors(), problems)
        groups = links.resolved(scales)
        copies = [*copies, *(copy for group in groups for copy in group.operations)]
        order = ordered(copies, groups, problems)
        if order is None:
            return None
        scales = scales_of(order, self.sources, links.scale_anchors(), problems)
        wiring = self._wiring(copies, links, groups, outputs)
        if wiring is not None:
            check_wiring(wiring, space, problems)
        concealed = links.concealed([copy.name for copy in order])
        assembly = assemble(order, groups, concealed, scales, self.sources, problems)
        check_shapes(assembly, outputs, self.recursion, self.sources, space, problems)
        if problems.errors or wiring is None:
            return None
        choices, removed = choices_of(copies, groups, problems)
        if problems.errors:
            return None
        graph = self._finished(
            assembly, groups, choices, removed, outputs, limits, tuple(expansion.uses)
        )
        fixed = fixed_of(copies, groups, expansion.fixed)
        idle = tuple(name for name in space.cells if name not in expansion.used)
        return replace(graph, fixed=fixed, idle=idle)

    def _source_names(self) -> list[str]:
        state = [] if self.recursion is None else [self.recursion.state]
        return list(dict.fromkeys([*self.space.inputs, *state]))

    def _check_cells_used(self, expansion: Expansion) -> None:
        for name, cell in self.space.cells.items():
            known = self.space.complete and not expansion.open and not self.space.drops_unused
            if name not in expansion.used and known:
                message = f"no node is the cell {name!r}"
                self.problems.add(cell.tree, message, f"a node with cell: {name}", key=True)

    def _wiring(
        self,
        copies: Sequence[Copy],
        links: Links,
        groups: Sequence[LinkGroup],
        outputs: Sequence[Output],
    ) -> Wiring | None:
        """What reads what; ``None`` where an error leaves some of it open."""
        space = self.space
        known = (
            space.complete
            and len(outputs) > 0
            and links.all_known
            and all(copy.reads is not None for copy in copies)
            and len(outputs) == len(space.outputs)
        )
        return Wiring(copies, groups, outputs, self.recursion) if known else None

    def _finished(
        self,
        assembly: Assembly,
        groups: Sequence[LinkGroup],
        choices: tuple[Choice, ...],
        removed: tuple[Choice, ...],
        outputs: Sequence[Output],
        limits: Limits,
        uses: tuple[Use, ...],
    ) -> SearchGraph:
        built = [*(n.group for n in assembly.nodes), *(g.group for g in groups)]
        graph = SearchGraph(
            self.space.name,
            self.inputs,
            tuple(assembly.nodes),
            tuple(assembly.edges),
            choices,
            tuple(outputs),
            self.recursion,
            limits,
            removed,
            groups=tuple(dict.fromkeys(built)),
            flows=self.flows,
            uses=uses,
        )
        places = {group.name: group.spec.tree for group in groups}
        check_graph(graph, places, self.problems)
        graph = without_dead(graph, places, self.problems)
        if not self.problems.errors:
            check_limits(graph, self.space, self.problems)
        return graph


def _sources(inputs: Mapping[str, Shape], recursion: Recursion | None) -> dict[str, Shape]:
    """The shapes of what nodes may read besides nodes: the inputs and the state."""
    shapes = dict(inputs)
    if recursion is not None and recursion.start in shapes:
        shapes[recursion.state] = shapes[recursion.start]
    return shapes
