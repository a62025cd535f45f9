"""Link groups: from node sets and a direction to single edges."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from nasrestore.graph.expand import Environment, Problems, evaluate_integer
from nasrestore.registry import did_you_mean
from nasrestore.spec.source import Tree
from nasrestore.spec.space import KeepSpec, LinkSpec

_REFERENCE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:\.(\d+)(?:-(\d+))?)?")


@dataclass(frozen=True)
class Names:
    """What a file may refer to: blocks with the number of their copies, and sources without copies.

    ``copies`` is ``None`` for a node without ``repeat``, whose copy has the block's own name.
    """

    blocks: Mapping[str, int | None]
    sources: Sequence[str]

    def copies(self, block: str) -> list[str]:
        count = self.blocks[block]
        return [block] if count is None else [f"{block}.{i}" for i in range(1, count + 1)]

    def find(self, text: str, tree: Tree, problems: Problems, *, sources: bool) -> list[str]:
        """The nodes that ``encoder``, ``encoder.3`` or ``encoder.1-4`` mean; empty after an error."""
        match = _REFERENCE.fullmatch(text)
        if match is None:
            hint = "such as encoder, encoder.3 or encoder.1-4"
            problems.add(tree, f"expected the name of a node, got {text!r}", hint)
            return []
        block, first, last = match.groups()
        if sources and text in self.sources:
            return [text]
        if block not in self.blocks:
            known = [*self.blocks, *(self.sources if sources else ())]
            problems.add(tree, f"unknown node {block!r}", did_you_mean(block, known))
            return []
        names = self.copies(block)
        if first is None:
            return names
        if self.blocks[block] is None:
            problems.add(tree, f"{block!r} has no copies to number", f"write {block}")
            return []
        low, high = int(first), int(last or first)
        if not 1 <= low <= high <= len(names):
            problems.add(tree, f"{text!r}: {block!r} has the copies 1 to {len(names)}")
            return []
        return names[low - 1 : high]


@dataclass(frozen=True)
class LinkGroup:
    """A link group, resolved: its pairs of nodes and what is kept of them."""

    name: str
    spec: LinkSpec
    pairs: tuple[tuple[str, str], ...]
    keep: int | None
    per_node: bool


def node_set(
    names: Names, value: str | Sequence[str], tree: Tree, problems: Problems, *, sources: bool
) -> list[str]:
    """The nodes of ``from`` or ``to``, in the order given, none twice."""
    texts = [value] if isinstance(value, str) else list(value)
    trees = [tree] if isinstance(value, str) else [tree.at(i) for i in range(len(texts))]
    found: dict[str, None] = {}
    for text, at in zip(texts, trees, strict=True):
        found.update(dict.fromkeys(names.find(text, at, problems, sources=sources)))
    if not texts:
        problems.add(tree, "an empty set of nodes")
    return list(found)


def link_group(
    name: str,
    spec: LinkSpec,
    names: Names,
    scales: Mapping[str, tuple[Fraction, Fraction]],
    order: Mapping[str, int],
    env: Environment,
    problems: Problems,
) -> LinkGroup | None:
    """The group's pairs; ``None`` after an error.

    Args:
        scales: (resolution at the input, resolution at the output) of every node and source.
        order: the position of every node in the file: within one set, links lead forward only.
    """
    before = len(problems.errors)
    at = spec.tree
    sources = node_set(names, spec.source, at.at("from"), problems, sources=True)
    targets = node_set(names, spec.target, at.at("to"), problems, sources=False)
    keep, per_node = _keep(spec, env, problems)
    if len(problems.errors) > before:
        return None
    overlapping = bool(set(sources) & set(targets))
    pairs = tuple(
        (source, target)
        for source in sources
        for target in targets
        if source != target
        and (not overlapping or order.get(source, -1) < order[target])
        and spec.direction in ("any", _direction(scales[source][1], scales[target][0]))
    )
    if not pairs:
        problems.add(
            at.at("direction"),
            f"an empty choice: no link leads {spec.direction!r} from "
            f"{', '.join(sources)} to {', '.join(targets)}",
            "direction compares the resolutions of the two ends",
        )
        return None
    _check_keep(spec, keep, per_node, pairs, problems)
    return LinkGroup(name, spec, pairs, keep, per_node)


def _direction(source: Fraction, target: Fraction) -> str:
    return "same" if source == target else "up" if target > source else "down"


def _keep(spec: LinkSpec, env: Environment, problems: Problems) -> tuple[int | None, bool]:
    if spec.keep is None:
        return None, False
    at = spec.tree.at("keep")
    if isinstance(spec.keep, KeepSpec):
        k = evaluate_integer(spec.keep.k, at.at("k"), env, problems, least=0)
        return k, spec.keep.per == "node"
    return evaluate_integer(spec.keep, at, env, problems, least=0), False


def _check_keep(
    spec: LinkSpec,
    keep: int | None,
    per_node: bool,
    pairs: Sequence[tuple[str, str]],
    problems: Problems,
) -> None:
    at = spec.tree.at("keep")
    if not keep:
        return
    if not per_node and keep > len(pairs):
        problems.add(at, f"cannot keep {keep} of a group of {len(pairs)} links")
    for target in dict.fromkeys(target for _, target in pairs) if per_node else ():
        count = sum(1 for _, other in pairs if other == target)
        if keep > count:
            problems.add(at, f"cannot keep {keep} links into {target}, which has {count}")
