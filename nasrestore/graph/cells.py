"""Cells: each use of one becomes copies of its nodes, with names of their own.

``dna: {cell: derain, repeat: 4}`` makes nodes ``dna.1/layer.1``, ... and, for what each use puts out,
``dna.1``. Where the decisions of all uses are tied, their choices are called ``derain/layer.1``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from nasrestore.graph.cell_reads import (
    Bindings,
    Reads,
    check_inputs,
    first_bindings,
    named_cells,
)
from nasrestore.graph.copies import MOST_COPIES, copies_of_operation, names_of, reads_named
from nasrestore.graph.expand import Candidate, plain_operation
from nasrestore.graph.ir import Operation, Use
from nasrestore.graph.links import LinkGroup, Pair
from nasrestore.graph.scope import Copy, Scope
from nasrestore.graph.values import (
    Environment,
    Number,
    Problems,
    constants,
    given_constants,
)
from nasrestore.registry import did_you_mean
from nasrestore.spec.source import Tree
from nasrestore.spec.space import CellChoiceSpec, LinkSpec, NodeSpec
from nasrestore.spec.space_parts import CellParts

MOST_NESTED = 8
BETWEEN = ".between"  # after the name of a use; no declared node can be called so


@dataclass
class Expansion:
    """All copies of a space, those within cells included.

    Attributes:
        scopes: the space and every use of a cell, whose links are still to be resolved.
        drops_unused: whether what is given to a cell that does not read it is left out.
        choices: the nodes that are one of several cells, as groups of links from each.
        uses: of cells, inner ones first.
        fixed: the nodes that are one cell, by what a choice would be called, with the cell's name.
        open: whether an error leaves some copies or links out.
    """

    cells: Mapping[str, CellParts]
    problems: Problems
    drops_unused: bool = False
    copies: list[Copy] = field(default_factory=list)
    scopes: list[Scope] = field(default_factory=list)
    choices: list[LinkGroup] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    fixed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    open: bool = False
    used: set[str] = field(default_factory=set)
    _first: dict[str, str] = field(default_factory=dict)
    _within: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for cell in self.cells.values():
            check_inputs(cell, self.problems)

    def add(self, scope: Scope) -> None:
        """The copies of everything that is declared in a scope."""
        self.scopes.append(scope)
        last: list[str] | None = []
        for block, spec in scope.body.nodes.items():
            if len(self.copies) > MOST_COPIES:
                self._full(scope)
                return
            if spec is not None and spec.cell is None:
                self.copies += copies_of_operation(scope, block, spec, last, self.problems)
            elif spec is not None:
                self._uses(scope, block, spec, last)
            unknown = spec is None or block in scope.names.unknown
            last = None if unknown else scope.names.copies(block)[-1:]
            self.open |= spec is None

    def _full(self, scope: Scope) -> None:
        at = scope.body.tree.at("nodes")
        self.problems.add(at, f"more than {MOST_COPIES} nodes in all", "repeat less", key=True)
        self.open = True

    # -- uses of a cell ----------------------------------------------------------------------

    def _uses(self, scope: Scope, block: str, spec: NodeSpec, last: Sequence[str] | None) -> None:
        cells = self._cells(spec)
        if cells is None or scope.body.is_damaged(block, "reads", "with", "between", "cell"):
            self.open = True
            return
        reads = first_bindings(scope, spec, cells, last, self.problems, lenient=self.drops_unused)
        for index, name in enumerate(scope.names.copies(block), start=1):
            if index > 1 and reads is not None:
                reads = self._next_reads(scope, block, index, spec, reads)
            self._use(scope, block, index, name, spec, cells, reads)
            if len(self.copies) > MOST_COPIES:
                return self._full(scope)

    def _cells(self, spec: NodeSpec) -> dict[str, CellParts] | None:
        """The cells that a node may be; ``None`` after an error."""
        at = spec.tree.at("cell")
        choice = spec.cell if isinstance(spec.cell, CellChoiceSpec) else None
        names = [str(spec.cell)] if choice is None else choice.choice
        listed = at if choice is None else at.at("choice")
        found: dict[str, CellParts] = {}
        before = self.problems.found
        if not names:
            self.problems.add(listed, "an empty choice", "name at least one cell")
        for i, name in enumerate(names):
            tree = listed if choice is None else listed.at(i)
            self.used.add(name)
            if name in found:
                self.problems.add(tree, f"the cell {name!r} is named twice", "name another one")
            elif name not in self.cells:
                self.problems.add(tree, f"unknown cell {name!r}", did_you_mean(name, self.cells))
            elif name in self._within or len(self._within) >= MOST_NESTED:
                path = " -> ".join([*self._within, name])
                self.problems.add(tree, f"cells within cells: {path}", "a cell cannot be in itself")
            else:
                found[name] = self.cells[name]
        return found if self.problems.found == before else None

    def _next_reads(
        self, scope: Scope, block: str, index: int, spec: NodeSpec, before: Bindings
    ) -> Bindings:
        """The most recent ones: all that the copy before read but the first, and that copy."""
        previous: Reads = (scope.names.copies(block)[index - 2],)
        if spec.between is not None:
            previous = (self._between(scope, block, index, previous[0], spec),)
        names = list(before)
        following = [*list(before.values())[1:], previous]
        return dict(zip(names, following, strict=True))

    def _between(self, scope: Scope, block: str, index: int, read: str, spec: NodeSpec) -> str:
        assert spec.between is not None
        env = scope.env.at(index)
        made = plain_operation(spec.between, spec.tree.at("between"), env, self.problems)
        names = scope.names.copies(block)
        local = names[index - 1] + BETWEEN
        owner = local if spec.weights == "copy" else names[1] + BETWEEN
        copy = _plain(scope, local, block, spec, (scope.full(read),), made)
        self.copies.append(replace(copy, weights=scope.weights + owner))
        return local

    def _use(
        self,
        scope: Scope,
        block: str,
        index: int,
        name: str,
        spec: NodeSpec,
        cells: Mapping[str, CellParts],
        reads: Bindings | None,
    ) -> None:
        """One copy of the node: the cell's nodes, or those of each cell that it may be."""
        given = self._given(spec, cells, scope.env.at(index))
        ends: list[tuple[str, str]] = []
        for cell_name, cell in cells.items():
            suffix = f"/{cell_name}" if isinstance(spec.cell, CellChoiceSpec) else ""
            local = name + suffix
            own = {key: value for key, value in given.items() if key in cell.constants}
            bound = None
            if reads is not None and cell.inputs is not None:
                bound = {key: reads[key] for key in cell.inputs}
            inner = self._scope_of(scope, block, name, suffix, spec, cell_name, cell, own, bound)
            self._within.append(cell_name)
            self.add(inner)
            self._within.pop()
            self._put_out(scope, local, block, spec, cell, inner, reads is not None)
            self.uses.append(Use(scope.full(local), cell_name, inner.outside))
            ends.append((cell_name, local))
        if isinstance(spec.cell, CellChoiceSpec):
            self._choose(scope, block, index, name, spec, ends)
        else:
            self.fixed[_decided(scope, block, name, spec)] = tuple(cells)

    def _given(
        self, spec: NodeSpec, cells: Mapping[str, CellParts], env: Environment
    ) -> dict[str, Number | None]:
        known = [key for cell in cells.values() for key in cell.constants]
        for key, tree in spec.params.items():
            if key not in known:
                hint = did_you_mean(key, known) if known else "it declares none"
                message = f"{named_cells(cells)} has no constant {key!r}"
                self.problems.add(tree, message, hint, key=True)
        return given_constants(spec.params, env, self.problems)

    def _scope_of(
        self,
        scope: Scope,
        block: str,
        name: str,
        suffix: str,
        spec: NodeSpec,
        cell_name: str,
        cell: CellParts,
        given: Mapping[str, Number | None],
        bound: Bindings | None,
    ) -> Scope:
        local = name + suffix
        section = cell.tree.at("constants")
        env = constants(section, cell.constants, cell.complete, self.problems, scope.env, given)
        first = scope.names.copies(block)[0] + suffix
        prefix = scope.prefix + local + "/"
        self._first.setdefault(cell_name, prefix)
        tied = spec.decisions or "cell"
        decided = {
            "cell": f"{cell_name}/",
            "node": f"{scope.decided}{block}{suffix}/",
            "copy": f"{scope.decided}{local}/",
        }
        weights = {
            "cell": self._first[cell_name],
            "node": f"{scope.weights}{first}/",
            "copy": f"{scope.weights}{local}/",
        }
        outside = self._outside(scope, local, block, spec, bound)
        names = names_of(cell, list(cell.inputs or ()), env, self.problems)
        return Scope(
            cell, names, env, prefix, outside, decided[tied], weights[spec.weights],
            scope.group_of(spec.group),
        )  # fmt: skip

    def _outside(
        self, scope: Scope, local: str, block: str, spec: NodeSpec, bound: Bindings | None
    ) -> dict[str, str]:
        """The full name of what each input stands for; several are concatenated first."""
        found: dict[str, str] = {}
        for name, reads in (bound or {}).items():
            if len(reads) == 1:
                found[name] = scope.full(reads[0])
                continue
            at = f"{local}/{name}"
            self.copies.append(
                _plain(scope, at, block, spec, tuple(map(scope.full, reads)), identity(spec.tree))
            )
            found[name] = scope.full(at)
        return found

    def _put_out(
        self,
        scope: Scope,
        local: str,
        block: str,
        spec: NodeSpec,
        cell: CellParts,
        inner: Scope,
        known: bool,
    ) -> None:
        """The node that has the name of the use, and what the cell puts out."""
        at = cell.tree.at("output")
        reads: Reads | None = None
        if cell.output is not None and known:
            if not cell.output:
                self.problems.add(at, "an empty output: a cell puts out at least one node")
            value = cell.output[0] if len(cell.output) == 1 else list(cell.output)
            reads = reads_named(value, at, inner.names, self.problems) or None
        self.open |= reads is None
        full = None if reads is None else tuple(map(inner.full, reads))
        self.copies.append(_plain(scope, local, block, spec, full, identity(spec.tree)))

    def _choose(
        self,
        scope: Scope,
        block: str,
        index: int,
        name: str,
        spec: NodeSpec,
        ends: Sequence[tuple[str, str]],
    ) -> None:
        """The node that is one of several cells: the sum of those kept, which is one."""
        assert isinstance(spec.cell, CellChoiceSpec)
        self.copies.append(
            replace(_plain(scope, name, block, spec, (), identity(spec.tree)), index=index)
        )
        target = scope.full(name)
        pairs = tuple(
            Pair(
                scope.full(local), target, f"{scope.full(local)}->{target}", cell, name,
                f"{scope.full(local)}->{target}",
            )
            for cell, local in ends
        )  # fmt: skip
        made = LinkSpec(
            tree=spec.tree,
            source=[local for _, local in ends],
            target=name,
            direction="any",
            join="add",
            op=None,
            adapter=None,
            keep=1,
            group="weights",
            decides=spec.cell.group,
        )
        decided = _decided(scope, block, name, spec)
        self.choices.append(
            LinkGroup(
                target, made, pairs, 1, False, decided, scope.group_of(spec.group), scope.env,
                cells=True,
            )
        )  # fmt: skip


def _decided(scope: Scope, block: str, name: str, spec: NodeSpec) -> str:
    """What the choice is called of which cell a node is."""
    return scope.decided + (block if spec.decisions == "node" else name)


def identity(at: Tree) -> Candidate:
    """Its input, as an operation that is declared at a place."""
    return Candidate(Operation("identity", {}, "identity"), at, {})


def _plain(
    scope: Scope,
    local: str,
    block: str,
    spec: NodeSpec,
    reads: Reads | None,
    operation: Candidate | None,
) -> Copy:
    """A copy with one operation, by its local name and full reads."""
    full = scope.full(local)
    return Copy(
        full, scope.prefix + block, 1, spec.tree, reads, None,
        None if operation is None else (operation,),
        group=scope.group_of(spec.group), weights=full,
    )  # fmt: skip
