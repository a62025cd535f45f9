"""Link groups: from node sets and a direction to single edges."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from nasrestore.graph.expand import plain_operation
from nasrestore.graph.ir import Choice
from nasrestore.graph.values import Environment, Problems, evaluate_integer
from nasrestore.registry import did_you_mean
from nasrestore.spec.source import Tree
from nasrestore.spec.space import KeepSpec, LinkSpec

_REFERENCE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:\.([0-9]{1,9})(?:-([0-9]{1,9}))?)?")

MOST_PAIRS = 100_000


@dataclass(frozen=True)
class Names:
    """What a file may refer to: blocks with the number of their copies, and sources without copies.

    ``copies`` is ``None`` for a node without ``repeat``, whose copy has the block's own name.

    Attributes:
        unknown: blocks whose number of copies is not known after an error.
        complete: whether these are all the names that the file declares.
    """

    blocks: Mapping[str, int | None]
    sources: Sequence[str]
    unknown: frozenset[str] = frozenset()
    complete: bool = True

    def copies(self, block: str) -> list[str]:
        count = self.blocks[block]
        return [block] if count is None else [f"{block}.{i}" for i in range(1, count + 1)]

    def find(self, text: str, tree: Tree, problems: Problems, *, sources: bool) -> list[str] | None:
        """The nodes that ``encoder``, ``encoder.3`` or ``encoder.1-4`` mean.

        ``None`` after an error, and where an error elsewhere leaves it open.
        """
        match = _REFERENCE.fullmatch(text)
        if match is None:
            hint = "such as encoder, encoder.3 or encoder.1-4"
            problems.add(tree, f"expected the name of a node, got {text[:60]!r}", hint)
            return None
        block, first, last = match.groups()
        if sources and text in self.sources:
            return [text]
        if block in self.unknown:
            return None
        if block not in self.blocks:
            self._report_unknown(block, first is not None, tree, problems, sources)
            return None
        names = self.copies(block)
        if first is None:
            return names
        if self.blocks[block] is None:
            problems.add(tree, f"{text!r}: {block!r} has no repeat, so no copies", f"write {block}")
            return None
        low, high = int(first), int(last or first)
        if not 1 <= low <= high <= len(names):
            problems.add(tree, f"{text!r}: {block!r} has the copies 1 to {len(names)}")
            return None
        return names[low - 1 : high]

    def _report_unknown(
        self, block: str, numbered: bool, tree: Tree, problems: Problems, sources: bool
    ) -> None:
        if block in self.sources:
            what = "is no node and has no copies" if numbered else "is no node, but what nodes read"
            problems.add(tree, f"{block!r} {what}", did_you_mean(block, self.blocks))
        elif self.complete:
            known = [*self.blocks, *(self.sources if sources else ())]
            problems.add(tree, f"unknown node {block!r}", did_you_mean(block, known))


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
class LinkGroup:
    """A link group, resolved: its pairs of nodes and what is kept of them."""

    name: str
    spec: LinkSpec
    pairs: tuple[tuple[str, str], ...]
    keep: int | None
    per_node: bool

    @property
    def removed(self) -> bool:
        return self.keep == 0

    def choices(self) -> Iterator[Choice]:
        """One choice of the group, or one for each node; none where all links stay."""
        if self.keep is None:
            return
        sets: dict[str, list[str]] = {}
        for source, target in self.pairs:
            name = f"{self.name}.{target}" if self.per_node else self.name
            sets.setdefault(name, []).append(f"{source}->{target}")
        for name, members in sets.items():
            yield Choice(name, "links", tuple(members), self.keep)


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
    scales: Mapping[str, tuple[Fraction, Fraction]],
    order: Mapping[str, int],
    problems: Problems,
) -> LinkGroup | None:
    """The group's pairs; ``None`` after an error, and where an error elsewhere leaves them open.

    Args:
        scales: (resolution at the input, resolution at the output) of every node and source, as
            far as they are known.
        order: the position of every node in the file: within one set, links lead forward only.
    """
    sources, targets = ends.sources, ends.targets
    if sources is None or targets is None or not ends.known:
        return None
    if spec.direction != "any" and not scales.keys() >= {*sources, *targets}:
        return None
    overlapping = bool(set(sources) & set(targets))
    pairs = tuple(
        (source, target)
        for source in sources
        for target in targets
        if source != target
        and (not overlapping or order.get(source, -1) < order[target])
        and (
            spec.direction == "any"
            or spec.direction == _direction(scales[source][1], scales[target][0])
        )
    )
    if not pairs:
        _report_empty(spec, sources, targets, problems)
        return None
    before = problems.found
    _check_keep(spec, ends.keep, ends.per_node, pairs, problems)
    if problems.found > before:
        return None
    return LinkGroup(name, spec, pairs, ends.keep, ends.per_node)


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
