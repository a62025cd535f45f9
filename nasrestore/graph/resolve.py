"""The links of all scopes: their groups, and what comes first where links alone are read."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from fractions import Fraction

from nasrestore.errors import Location, few
from nasrestore.graph.cells import Expansion
from nasrestore.graph.expand import candidates, signature_of
from nasrestore.graph.ir import Choice
from nasrestore.graph.links import Ends, LinkGroup, link_ends, link_group, ordered_pairs
from nasrestore.graph.scope import Copy, Scope
from nasrestore.graph.shapes import Scales
from nasrestore.graph.values import Problems
from nasrestore.spec.source import Tree
from nasrestore.spec.space import LinkSpec

MOST_EDGES = 20_000

Declared = tuple[Scope, str, LinkSpec, Ends]


class Links:
    """The link groups of a space and of every use of a cell.

    Attributes:
        all_known: whether all of them could be resolved.
    """

    def __init__(self, expansion: Expansion, problems: Problems) -> None:
        self.expansion = expansion
        self.problems = problems
        self.all_known = not expansion.open
        self._declared: list[Declared] = []
        self._lost: list[tuple[Scope, str, LinkSpec | None, Ends | None]] = []
        self._unresolved: list[Declared] = []
        self._anchors: dict[str, tuple[str, Fraction]] = {}
        self._position = {copy.name: i for i, copy in enumerate(expansion.copies)}
        for scope in expansion.scopes:
            for name, spec in scope.body.links.items():
                ends = None if spec is None else link_ends(spec, scope.names, scope.env, problems)
                if spec is None or ends is None or scope.body.damaged.get(name):
                    self._lost.append((scope, name, spec, ends))
                else:
                    self._declared.append((scope, name, spec, ends))
        self._find_anchors()

    def _find_anchors(self) -> None:
        """For nodes that read links alone: where the first of them comes from."""
        alone = {copy.name: copy for copy in self.expansion.copies if copy.reads == ()}
        for group in self.expansion.choices:
            first = group.pairs[0]
            self._anchors[first.target] = (first.source, Fraction(1))
        for direction in ("any", "same"):
            self._anchor_by(direction, alone)
        lost = [copy for name, copy in alone.items() if name not in self._anchors]
        if lost and not self._lost:
            self._report_unanchored(lost)
            self.all_known = False

    def _anchor_by(self, direction: str, alone: Container[str]) -> None:
        """By links of a direction that are there whatever the resolutions; in one set they lead forward.

        With ``same``, a node has the resolution of what the first of its links comes from.
        """
        for scope, _, spec, ends in self._declared:
            if spec.direction != direction or ends.sources is None or ends.targets is None:
                continue
            change = _change(scope, spec) if direction == "any" else Fraction(1)
            order = {scope.full(n): i for i, n in enumerate(_all_names(scope))}
            for source, target in ordered_pairs(ends.sources, ends.targets, scope, order):
                full = scope.full(target)
                if full in alone and full not in self._anchors:
                    self._anchors[full] = (scope.full(source), change)

    def _report_unanchored(self, lost: Sequence[Copy]) -> None:
        """One error for each link group that cannot tell a resolution, or for each declared node."""
        names = {copy.name: copy for copy in lost}
        for scope, _, spec, ends in self._declared:
            found = [name for name in ends.targets or () if scope.full(name) in names]
            if found and spec.direction in ("up", "down"):
                message = (
                    f"{spec.direction!r} compares resolutions, and {found[0]} has none of its own"
                )
                hint = "direction: any or same, or a node in its reads: it reads links alone"
                self.problems.add(spec.tree.at("direction"), message, hint)
                for name in found:
                    del names[scope.full(name)]
        declared: dict[Location, list[Copy]] = {}
        for copy in names.values():
            declared.setdefault(copy.at.location, []).append(copy)
        for copies in declared.values():
            several = "s" * (len(copies) == 1)
            message = (
                f"{few([copy.name for copy in copies])} read{several} nothing, and no link leads "
            )
            message += "to it" if several else "to them"
            self.problems.add(copies[0].at.at("reads"), message, "name a node, or add a link")

    def anchors(self) -> dict[str, str]:
        """A node that comes before each node that reads links alone."""
        return {target: source for target, (source, _) in self._anchors.items()}

    def scale_anchors(self) -> dict[str, tuple[str, Fraction]]:
        """The same with the change of resolution on the way."""
        return self._anchors

    def resolved(self, scales: Scales) -> list[LinkGroup]:
        """The groups, those in error left out."""
        groups: list[LinkGroup] = []
        member: dict[str, str] = {}
        self.all_known &= not self._lost
        for declared in self._declared:
            scope, name, spec, ends = declared
            group = link_group(name, spec, ends, scope, scales, self._position, self.problems)
            if group is None:
                self._unresolved.append(declared)
                self.all_known = False
                continue
            groups.append(group)
            self._check_pairs(group, member)
            if len(member) > MOST_EDGES:
                message = f"more than {MOST_EDGES:,} links"
                self.problems.add(spec.tree, message, "name smaller sets of nodes", key=True)
                self.all_known = False
                return groups[:-1]
        return [*groups, *self.expansion.choices]

    def _check_pairs(self, group: LinkGroup, member: dict[str, str]) -> None:
        for pair in group.pairs:
            other = member.setdefault(pair.name, group.name)
            if other != group.name:
                self.problems.add(
                    group.spec.tree,
                    f"the link {pair.name} is in the group {other!r} already",
                    "a pair of nodes has one link: name other nodes, or a direction",
                    key=True,
                )
                return

    def concealed(self, every: Sequence[str]) -> set[str]:
        """The nodes whose shape an unresolved group leaves open, as it may append channels."""
        found: set[str] = set()
        for scope, name, spec, ends in [*self._lost, *self._unresolved]:
            damaged = scope.body.is_damaged(name, "join", "to")
            if spec is not None and spec.join == "add" and not damaged:
                continue
            targets = None if ends is None or damaged else ends.targets
            found.update(every if targets is None else map(scope.full, targets))
        return found


def _all_names(scope: Scope) -> Iterator[str]:
    for block in scope.body.nodes:
        yield from scope.names.copies(block)


def _change(scope: Scope, spec: LinkSpec) -> Fraction:
    """By what operations that links carry change the resolution; errors are said elsewhere."""
    made = None if spec.op is None else candidates(spec, scope.env, Problems())
    if not made:
        return Fraction(1)
    return signature_of(made[0].operation.kind).scale(made[0].operation.params)


def choices_of(
    copies: Sequence[Copy], groups: Sequence[LinkGroup], problems: Problems
) -> tuple[tuple[Choice, ...], tuple[Choice, ...]]:
    """What is to be decided, and what ``keep: 0`` has removed; tied decisions once."""
    found: dict[str, Choice] = {}
    removed: dict[str, Choice] = {}
    for copy in copies:
        if copy.candidates is not None and copy.choice:
            labels = tuple(candidate.operation.label for candidate in copy.candidates)
            made = Choice(copy.choice, "operation", labels, group=copy.decided_by)
            _agree(found, made, copy.at, problems)
    for group in groups:
        for choice in group.choices():
            _agree(removed if group.removed else found, choice, group.spec.tree, problems)
            if choice.name in found and choice.name in removed:
                message = f"the decisions for {choice.name} are tied, but one use removes the links"
                hint = "decisions: copy lets each use of the cell decide for itself"
                problems.add(group.spec.tree, message, hint, key=True)
    several = (c for c in found.values() if c.kind != "operation" or len(c.candidates) > 1)
    return tuple(several), tuple(removed.values())


def fixed_of(
    copies: Sequence[Copy], groups: Sequence[LinkGroup], cells: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """What could be decided for and is not, by the name that its choice would have.

    Args:
        cells: the nodes that are one cell.
    """
    fixed = dict(cells)
    for copy in copies:
        if copy.choice and copy.candidates is not None and len(copy.candidates) == 1:
            fixed[copy.choice] = (copy.candidates[0].operation.label,)
    for group in groups:
        if group.keep:
            continue
        kept = () if group.removed else tuple(pair.candidate for pair in group.pairs)
        fixed.setdefault(group.decided, kept)
        for pair in group.pairs:
            name, own = f"{group.decided}.{pair.into}", () if group.removed else (pair.candidate,)
            fixed[name] = tuple(dict.fromkeys((*fixed.get(name, ()), *own)))
    return fixed


def _agree(found: dict[str, Choice], choice: Choice, at: Tree, problems: Problems) -> None:
    known = found.setdefault(choice.name, choice)
    if known != choice:
        message = f"the decisions for {choice.name} are tied, but "
        if known.candidates != choice.candidates:
            message += "the candidates differ: "
            message += f"{', '.join(known.candidates)} or {', '.join(choice.candidates)}"
        else:
            message += f"one keeps {known.keep}, the other {choice.keep}"
        hint = "decisions: copy lets each use of the cell decide for itself"
        problems.add(at, message, hint, key=True)
