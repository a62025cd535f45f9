"""From declared nodes to their copies: what each reads, and with which operations."""

from __future__ import annotations

import graphlib
import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from nasrestore.graph.expand import Candidate, candidates, plain_operation
from nasrestore.graph.links import LinkGroup, Names
from nasrestore.graph.values import Environment, Problems, evaluate_integer
from nasrestore.spec.parts import SpaceParts
from nasrestore.spec.space import NodeSpec

MOST_COPIES = 1000


@dataclass(frozen=True)
class Copy:
    """A copy of a declared node before its shapes are known.

    Attributes:
        reads: what it reads; ``None`` where an error leaves it open.
        candidates: its operations; ``None`` where an error leaves them open.
        broken: whether ``between`` is in error.
    """

    name: str
    block: str
    index: int
    spec: NodeSpec
    reads: tuple[str, ...] | None
    between: Candidate | None
    candidates: tuple[Candidate, ...] | None
    broken: bool = False


def names_of(
    space: SpaceParts, sources: Sequence[str], env: Environment, problems: Problems
) -> Names:
    """All names, with the number of copies of every node."""
    blocks: dict[str, int | None] = {}
    unknown: set[str] = set()
    total = 0
    for name, spec in space.nodes.items():
        blocks[name] = None
        if spec is None or space.is_damaged(name, "repeat"):
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
    return Names(blocks, sources, frozenset(unknown), space.complete)


def copies_of(space: SpaceParts, names: Names, env: Environment, problems: Problems) -> list[Copy]:
    """The copies of all nodes, in the order of the file; what is broken stays open in them."""
    result: list[Copy] = []
    last: list[str] | None = []
    for block, spec in space.nodes.items():
        if spec is not None:
            damaged = space.is_damaged(block, "reads")
            reads = None if damaged else _first_reads(spec, last, names, problems)
            result += _copies(block, spec, reads, space, names, env, problems)
        last = None if block in names.unknown else names.copies(block)[-1:]
    return result


def _copies(
    block: str,
    spec: NodeSpec,
    first_reads: tuple[str, ...] | None,
    space: SpaceParts,
    names: Names,
    env: Environment,
    problems: Problems,
) -> list[Copy]:
    repeated = names.blocks[block] is not None
    if spec.between is not None and not repeated and block not in names.unknown:
        problems.add(
            spec.tree.at("between"),
            f"between acts between copies, and {block!r} has no repeat",
            "give it a repeat, or make it a node of its own",
            key=True,
        )
    found: list[Copy] = []
    operations: tuple[Candidate, ...] | None = None if space.is_damaged(block, "with") else ()
    broken = space.is_damaged(block, "between")
    for index, name in enumerate(names.copies(block), start=1):
        here = env.at(index)
        # after an error every other copy would say the same again
        operations = None if operations is None else candidates(spec, here, problems)
        between = None
        if spec.between is not None and not broken and (index > 1 or block in names.unknown):
            between = _between(spec, here, problems)
            broken = between is None
        reads = first_reads if index == 1 else (found[-1].name,)
        found.append(Copy(name, block, index, spec, reads, between, operations, broken))
    return found


def _between(spec: NodeSpec, env: Environment, problems: Problems) -> Candidate | None:
    assert spec.between is not None
    return plain_operation(spec.between, spec.tree.at("between"), env, problems)


def _first_reads(
    spec: NodeSpec, last: list[str] | None, names: Names, problems: Problems
) -> tuple[str, ...] | None:
    """What the first copy reads; without ``reads`` the last copy of the node before."""
    if spec.reads is None:
        if last or last is None:
            return None if last is None else tuple(last)
        if len(names.sources) == 1:
            return tuple(names.sources)
        if names.complete:
            message = "the first node must say what it reads"
            problems.add(spec.tree, message, f"reads: {', '.join(names.sources)}", key=True)
        return None
    at = spec.tree.at("reads")
    texts = [spec.reads] if isinstance(spec.reads, str) else list(spec.reads)
    if not texts:
        problems.add(at, "an empty list: a node reads at least one other", "name what it reads")
        return None
    trees = [at] if isinstance(spec.reads, str) else [at.at(i) for i in range(len(texts))]
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


def ordered(
    copies: Sequence[Copy], groups: Sequence[LinkGroup], problems: Problems
) -> list[Copy] | None:
    """The copies in an order in which they can be computed, the file's where it can be.

    ``None`` where there is none, which is an error of the reads or of a group of links.
    """
    position = {copy.name: i for i, copy in enumerate(copies)}
    before = {c.name: {r for r in c.reads or () if r in position} for c in copies}
    for group in groups:
        for source, target in () if group.removed else group.pairs:
            if source in position and target in position:
                before[target].add(source)
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
        if not group.removed and not set(steps).isdisjoint(group.pairs):
            hint = "links lead from what is computed first to what is computed later"
            problems.add(group.spec.tree, f"these links close a cycle: {path}", hint, key=True)
            return
    position = {copy.name: i for i, copy in enumerate(copies)}
    # some step leads backwards in the file: only an explicit `reads` does
    guilty = next(copies[position[b]] for a, b in steps if position[a] >= position[b])
    hint = "a node can only read what does not depend on it"
    problems.add(guilty.spec.tree.at("reads"), f"a cycle: {path}", hint)
