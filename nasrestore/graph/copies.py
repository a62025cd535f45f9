"""From declared nodes to their copies: what each reads, and with which operations."""

from __future__ import annotations

import graphlib
import heapq
import itertools
from collections.abc import Mapping, Sequence

from nasrestore.graph.expand import Candidate, candidates, plain_operation
from nasrestore.graph.links import LinkGroup
from nasrestore.graph.scope import Copy, Names, Scope
from nasrestore.graph.values import Environment, Problems, evaluate_integer
from nasrestore.spec.source import Tree
from nasrestore.spec.space import NodeSpec
from nasrestore.spec.space_parts import Body

MOST_COPIES = 1000


def names_of(body: Body, sources: Sequence[str], env: Environment, problems: Problems) -> Names:
    """All names that are declared, with the number of copies of every node."""
    blocks: dict[str, int | None] = {}
    unknown: set[str] = set()
    total = 0
    for name, spec in body.nodes.items():
        blocks[name] = None
        if spec is None or body.is_damaged(name, "repeat"):
            unknown.add(name)
        elif spec.repeat is not None:
            at = spec.tree.at("repeat")
            count = evaluate_integer(spec.repeat, at, env, problems, least=1, most=MOST_COPIES)
            total += count or 1
            if total > MOST_COPIES:
                problems.add(at, f"more than {MOST_COPIES} nodes in all", "repeat less")
                count = None
            if count is None:
                unknown.add(name)
            blocks[name] = count or 1
    return Names(blocks, sources, frozenset(unknown), body.complete)


def copies_of_operation(
    scope: Scope, block: str, spec: NodeSpec, last: Sequence[str] | None, problems: Problems
) -> list[Copy]:
    """The copies of a node that is an operation; what is broken stays open in them.

    Args:
        last: the last copy of the node before, by its local name; ``None`` where that is open.
    """
    body, names = scope.body, scope.names
    reads = None
    if not body.is_damaged(block, "reads"):
        reads = first_reads(spec, last, names, problems)
    _check_repeat(scope, block, spec, problems)
    found: list[Copy] = []
    operations: tuple[Candidate, ...] | None = None if body.is_damaged(block, "with") else ()
    broken = body.is_damaged(block, "between")
    for index, name in enumerate(names.copies(block), start=1):
        here = scope.env.at(index)
        # after an error every other copy would say the same again
        operations = None if operations is None else candidates(spec, here, problems)
        between = None
        if spec.between is not None and not broken and (index > 1 or block in names.unknown):
            between = plain_operation(spec.between, spec.tree.at("between"), here, problems)
            broken = between is None
        if index > 1 and reads:
            reads = (names.copies(block)[index - 2],)
        found.append(_copy(scope, block, index, name, spec, reads, between, operations, broken))
    return found


def _copy(
    scope: Scope,
    block: str,
    index: int,
    name: str,
    spec: NodeSpec,
    reads: tuple[str, ...] | None,
    between: Candidate | None,
    operations: tuple[Candidate, ...] | None,
    broken: bool,
) -> Copy:
    tied = spec.decisions == "node"
    owner = name if spec.weights == "copy" else scope.names.copies(block)[0]
    return Copy(
        scope.full(name),
        scope.prefix + block,
        index,
        spec.tree,
        None if reads is None else tuple(map(scope.full, reads)),
        between,
        operations,
        broken,
        group=scope.group_of(spec.group),
        choice=scope.decided + (block if tied else name),
        decided_by="architecture" if spec.op is None or isinstance(spec.op, str) else spec.op.group,
        weights=scope.weights + owner,
    )


def _check_repeat(scope: Scope, block: str, spec: NodeSpec, problems: Problems) -> None:
    """``between`` needs copies, and operations are not tied over the uses of a cell."""
    if (
        spec.between is not None
        and scope.names.blocks[block] is None
        and block not in scope.names.unknown
    ):
        problems.add(
            spec.tree.at("between"),
            f"between acts between copies, and {block!r} has no repeat",
            "give it a repeat, or make it a node of its own",
            key=True,
        )
    if spec.cell is not None:
        return
    for key, value in (("decisions", spec.decisions), ("weights", spec.weights)):
        if value == "cell":
            message = f"{block!r} is an operation, and no cell whose uses could be tied"
            problems.add(spec.tree.at(key), message, "node ties its copies")


def first_reads(
    spec: NodeSpec, last: Sequence[str] | None, names: Names, problems: Problems
) -> tuple[str, ...] | None:
    """What the first copy reads; without ``reads`` the last copy of the node before."""
    if spec.reads is None:
        return reads_by_default(spec, last, names, problems)
    at = spec.tree.at("reads")
    if isinstance(spec.reads, dict):
        message = "an operation reads nodes, and has no inputs by name"
        problems.add(at, message, "reads: a node, or a list of nodes")
        return None
    return reads_named(spec.reads, at, names, problems)


def reads_by_default(
    spec: NodeSpec, last: Sequence[str] | None, names: Names, problems: Problems
) -> tuple[str, ...] | None:
    """The node before, or for the first node the only source; ``None`` where that is open."""
    if last or last is None:
        return None if last is None else tuple(last)
    if len(names.sources) == 1:
        return tuple(names.sources)
    if names.complete:
        message = "the first node must say what it reads"
        problems.add(spec.tree, message, f"reads: {', '.join(names.sources)}", key=True)
    return None


def reads_named(
    value: str | Sequence[str], at: Tree, names: Names, problems: Problems
) -> tuple[str, ...] | None:
    """Local names of what is read: of several copies the last, of a range all."""
    texts = [value] if isinstance(value, str) else list(value)
    trees = [at] if isinstance(value, str) else [at.at(i) for i in range(len(texts))]
    sets = [
        names.find(text, tree, problems, sources=True)
        for text, tree in zip(texts, trees, strict=True)
    ]
    if any(found is None for found in sets):
        return None
    chosen = [
        found if "-" in text else found[-1:]
        for text, found in zip(texts, sets, strict=True)
        if found is not None
    ]
    return tuple(itertools.chain.from_iterable(chosen))


Anchors = Mapping[str, str]


def ordered(
    copies: Sequence[Copy],
    groups: Sequence[LinkGroup],
    problems: Problems,
    anchors: Anchors | None = None,
) -> list[Copy] | None:
    """The copies in an order in which they can be computed, the file's where it can be.

    ``None`` where there is none, which is an error of the reads or of a group of links.

    Args:
        anchors: for nodes that read links alone, a node that comes before.
    """
    position = {copy.name: i for i, copy in enumerate(copies)}
    before = {c.name: {r for r in c.reads or () if r in position} for c in copies}
    for target, source in (anchors or {}).items():
        if source in position:
            before[target].add(source)
    for group in groups:
        for pair in () if group.removed else group.pairs:
            if pair.source in position and pair.target in position:
                before[pair.target].add(pair.source)
    try:
        sorter = graphlib.TopologicalSorter(before)
        sorter.prepare()
    except graphlib.CycleError as error:
        _report_cycle(error.args[1], copies, groups, problems)
        return None
    ready = [position[name] for name in sorter.get_ready()]
    heapq.heapify(ready)
    order: list[Copy] = []
    while ready:
        copy = copies[heapq.heappop(ready)]
        order.append(copy)
        sorter.done(copy.name)
        for name in sorter.get_ready():
            heapq.heappush(ready, position[name])
    return order


def _report_cycle(
    cycle: Sequence[str],
    copies: Sequence[Copy],
    groups: Sequence[LinkGroup],
    problems: Problems,
) -> None:
    shown = [*cycle[:6], "...", cycle[-1]] if len(cycle) > 8 else cycle
    path = " -> ".join(shown)
    steps = list(itertools.pairwise(cycle))
    for group in groups:
        pairs = {(pair.source, pair.target) for pair in group.pairs}
        if not group.removed and not pairs.isdisjoint(steps):
            hint = "links lead from what is computed first to what is computed later"
            problems.add(group.spec.tree, f"these links close a cycle: {path}", hint, key=True)
            return
    position = {copy.name: i for i, copy in enumerate(copies)}
    # some step leads backwards in the file: only an explicit `reads` does
    guilty = next(copies[position[b]] for a, b in steps if position[a] >= position[b])
    hint = "a node can only read what does not depend on it"
    problems.add(guilty.at.at("reads"), f"a cycle: {path}", hint)
