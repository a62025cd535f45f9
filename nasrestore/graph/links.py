"""Link groups: from node sets and a direction to single edges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from nasrestore.graph.expand import Candidate, candidates, plain_operation
from nasrestore.graph.ir import Choice
from nasrestore.graph.scope import Copy, Names, Scope
from nasrestore.graph.values import Environment, Problems, evaluate_integer
from nasrestore.spec.source import Tree
from nasrestore.spec.space import ChoiceSpec, KeepSpec, LinkSpec

MOST_PAIRS = 100_000


@dataclass(frozen=True)
class Ends:
    """The two sets of nodes of a link group; ``None`` where an error leaves one open.

    Attributes:
        known: whether the rest of the group is right.
    """

    sources: list[str] | None
    targets: list[str] | None
    keep: int | None
    per_node: bool
    known: bool


@dataclass(frozen=True)
class Pair:
    """One link.

    Attributes:
        source: full name of what it comes from; where links carry operations, of the operation.
        target: full name of the node that it joins at.
        name: its own full name.
        candidate: what decisions call it, by local names.
        into: local name of the target.
        weights: full name of the link whose adapter it has.
    """

    source: str
    target: str
    name: str
    candidate: str
    into: str
    weights: str


@dataclass(frozen=True)
class LinkGroup:
    """A link group, resolved: its links and what is kept of them.

    Attributes:
        decided: name of its choice, where it is one.
        operations: what its links carry, a copy for each.
        measured: whether a link is as strong as its operations.
        cells: whether it is a choice between cells.
    """

    name: str
    spec: LinkSpec
    pairs: tuple[Pair, ...]
    keep: int | None
    per_node: bool
    decided: str
    group: str
    env: Environment
    operations: tuple[Copy, ...] = ()
    cells: bool = False

    @property
    def removed(self) -> bool:
        return self.keep == 0

    @property
    def measured(self) -> bool:
        return isinstance(self.spec.op, ChoiceSpec)

    def choice_of(self, pair: Pair) -> str | None:
        """The name of the choice that may drop a link."""
        if self.keep is None:
            return None
        return f"{self.decided}.{pair.into}" if self.per_node else self.decided

    def choices(self) -> Iterator[Choice]:
        """One choice of the group, or one for each node; none where all links stay."""
        sets: dict[str, list[int]] = {}
        for number, pair in enumerate(self.pairs):
            name = self.choice_of(pair)
            if name is not None:
                sets.setdefault(name, []).append(number)
        for name, numbers in sets.items():
            members = tuple(self.pairs[n].candidate for n in numbers)
            measures = tuple(self.operations[n].choice for n in numbers) if self.measured else ()
            kind: Literal["links", "cells"] = "cells" if self.cells else "links"
            yield Choice(name, kind, members, self.keep or 0, self.spec.decides, measures)


def node_set(
    names: Names, value: str | Sequence[str], tree: Tree, problems: Problems, *, sources: bool
) -> list[str] | None:
    """The nodes of ``from`` or ``to``, in the order given, none twice; ``None`` after an error."""
    texts = [value] if isinstance(value, str) else list(value)
    trees = [tree] if isinstance(value, str) else [tree.at(i) for i in range(len(texts))]
    if not texts:
        problems.add(tree, "an empty set of nodes", "name at least one node")
    sets = [
        names.find(t, at, problems, sources=sources) for t, at in zip(texts, trees, strict=True)
    ]
    if not sets or any(found is None for found in sets):
        return None
    return list(dict.fromkeys(name for found in sets for name in found or ()))


def link_ends(spec: LinkSpec, names: Names, env: Environment, problems: Problems) -> Ends:
    """What a link group says by itself, before any resolution is known."""
    at = spec.tree
    sources = node_set(names, spec.source, at.at("from"), problems, sources=True)
    targets = node_set(names, spec.target, at.at("to"), problems, sources=False)
    keep, per_node, known = _keep(spec, env, problems)
    if spec.adapter is not None:
        filled = {"channels": 1}  # by each target's number, once that is known
        known &= plain_operation(spec.adapter, at.at("adapter"), env, problems, filled) is not None
    if sources and targets and len(sources) * len(targets) > MOST_PAIRS:
        message = f"{len(sources)} x {len(targets)} pairs of nodes, at most {MOST_PAIRS:,} are read"
        problems.add(at, message, "name smaller sets of nodes", key=True)
        sources = None
    return Ends(sources, targets, keep, per_node, known)


def _keep(spec: LinkSpec, env: Environment, problems: Problems) -> tuple[int | None, bool, bool]:
    if spec.keep is None:
        return None, False, True
    at, per_node = spec.tree.at("keep"), isinstance(spec.keep, KeepSpec) and spec.keep.per == "node"
    if isinstance(spec.keep, KeepSpec):
        k = evaluate_integer(spec.keep.k, at.at("k"), env, problems, least=0)
    else:
        k = evaluate_integer(spec.keep, at, env, problems, least=0)
    return k, per_node, k is not None


def link_group(
    name: str,
    spec: LinkSpec,
    ends: Ends,
    scope: Scope,
    scales: Mapping[str, tuple[Fraction, Fraction]],
    order: Mapping[str, int],
    problems: Problems,
) -> LinkGroup | None:
    """The group's links; ``None`` after an error, and where an error elsewhere leaves them open.

    Args:
        scales: (resolution at the input, resolution at the output) of every node and source, as
            far as they are known.
        order: the position of every node in the file: within one set, links lead forward only.
    """
    sources, targets = ends.sources, ends.targets
    if sources is None or targets is None or not ends.known:
        return None
    full = scope.full
    if spec.direction != "any" and not scales.keys() >= set(map(full, (*sources, *targets))):
        return None
    found = [
        (source, target)
        for source, target in ordered_pairs(sources, targets, scope, order)
        if spec.direction == "any"
        or spec.direction == _direction(scales[full(source)][1], scales[full(target)][0])
    ]
    if not found:
        _report_empty(spec, sources, targets, problems)
        return None
    before = problems.found
    _check_keep(spec, ends.keep, ends.per_node, found, problems)
    made = None if spec.op is None else candidates(spec, scope.env, problems)
    if problems.found > before:
        return None
    pairs = [_pair(source, target, scope) for source, target in found]
    operations = [_carried(pair, spec, made, scope) for pair in pairs if made is not None]
    if operations:
        pairs = [
            replace(pair, source=copy.name) for pair, copy in zip(pairs, operations, strict=True)
        ]
    return LinkGroup(
        scope.prefix + name, spec, tuple(pairs), ends.keep, ends.per_node, scope.decided + name,
        scope.group_of(spec.group), scope.env, tuple(operations),
    )  # fmt: skip


def ordered_pairs(
    sources: Sequence[str], targets: Sequence[str], scope: Scope, order: Mapping[str, int]
) -> Iterator[tuple[str, str]]:
    """Local names of the ends of all links that may be, whatever their direction."""
    overlapping = bool(set(sources) & set(targets))
    for source in sources:
        for target in targets:
            if source == target:
                continue
            place = order.get(scope.full(source), -1)
            if not overlapping or place < order.get(scope.full(target), MOST_PAIRS):
                yield source, target


def _pair(source: str, target: str, scope: Scope) -> Pair:
    local = f"{source}->{target}"
    return Pair(
        scope.full(source), scope.full(target), scope.prefix + local, local, target,
        scope.weights + local,
    )  # fmt: skip


def _carried(pair: Pair, spec: LinkSpec, made: tuple[Candidate, ...] | None, scope: Scope) -> Copy:
    """The operation that a link carries, as a node between its ends."""
    op = spec.op
    return Copy(
        f"{pair.name}/op",
        f"{pair.name}/op",
        1,
        spec.tree,
        (pair.source,),
        None,
        made,
        group=scope.group_of(spec.group),
        choice=f"{scope.decided}{pair.candidate}/op",
        decided_by=op.group if isinstance(op, ChoiceSpec) else spec.decides,
        weights=f"{pair.weights}/op",
    )


def _report_empty(
    spec: LinkSpec, sources: Sequence[str], targets: Sequence[str], problems: Problems
) -> None:
    way = "" if spec.direction == "any" else f" {spec.direction!r}"
    problems.add(
        spec.tree.at("direction"),
        f"an empty choice: no link leads{way} from {_few(sources)} to {_few(targets)}",
        "direction compares the resolutions of the two ends; within one set links lead forward",
    )


def _few(names: Sequence[str]) -> str:
    return ", ".join(names if len(names) <= 6 else [*names[:3], "...", names[-1]])


def _direction(source: Fraction, target: Fraction) -> str:
    return "same" if source == target else "up" if target > source else "down"


def _check_keep(
    spec: LinkSpec,
    keep: int | None,
    per_node: bool,
    pairs: Sequence[tuple[str, str]],
    problems: Problems,
) -> None:
    if not keep:
        return
    at = spec.tree.at("keep", "k")
    if not per_node and keep > len(pairs):
        problems.add(at, f"cannot keep {keep} of a group of {len(pairs)} links")
    for target, count in Counter(target for _, target in pairs).items() if per_node else ():
        if keep > count:
            problems.add(at, f"cannot keep {keep} links into {target}, which has {count}")
            break
