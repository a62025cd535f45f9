"""Where nodes and links are declared: in a space, or in a cell of which each use is a scope of its own.

Within a scope names are local; a full name has the scope's prefix: ``dna.2/layer.1`` is the node
``layer.1`` of the cell that ``dna.2`` is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nasrestore.graph.expand import Candidate
from nasrestore.graph.values import Environment, Problems
from nasrestore.registry import did_you_mean
from nasrestore.spec.source import Tree
from nasrestore.spec.space_parts import Body

_REFERENCE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:\.([0-9]{1,9})(?:-([0-9]{1,9}))?)?")

WEIGHTS = "weights"


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
        if low > high:
            message = f"{text!r}: the range runs backwards"
            problems.add(tree, message, f"write {block}.{high}-{low}")
            return None
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
class Scope:
    """A space, or one use of a cell.

    Attributes:
        names: what references mean here.
        prefix: of the full names of what is declared here.
        outside: for each input of the cell, the full name of what it stands for.
        decided: prefix of the names of its choices; scopes that decide alike have the same.
        weights: prefix of the names of those whose weights are used; scopes with the same weights
            have that of the first.
        group: parameter group of what names none.
    """

    body: Body
    names: Names
    env: Environment
    prefix: str = ""
    outside: Mapping[str, str] = field(default_factory=dict)
    decided: str = ""
    weights: str = ""
    group: str = WEIGHTS

    def full(self, name: str) -> str:
        """The full name of what is called so here."""
        return self.outside.get(name, self.prefix + name)

    def group_of(self, given: str) -> str:
        return self.group if given == WEIGHTS else given


@dataclass(frozen=True)
class Copy:
    """A copy of a declared node before its shapes are known.

    Attributes:
        name: its full name.
        at: where it is declared.
        reads: what it reads, by full names; none where it reads links alone, ``None`` where an
            error leaves it open.
        candidates: its operations; ``None`` where an error leaves them open.
        broken: whether ``between`` is in error.
        choice: name of the choice, where there are several candidates; empty where nobody declares
            candidates.
        decided_by: group of that choice's architecture parameters.
        weights: full name of the copy whose weights it has.
    """

    name: str
    block: str
    index: int
    at: Tree
    reads: tuple[str, ...] | None
    between: Candidate | None
    candidates: tuple[Candidate, ...] | None
    broken: bool = False
    group: str = WEIGHTS
    choice: str = ""
    decided_by: str = "architecture"
    weights: str = ""
