"""From strengths to decisions: the highest-scoring genotypes within the limits. Torch-free.

The score of a genotype is the sum, over everything decided for, of the logarithm of its strength
(its share of the relaxed choice). Without limits that is argmax, and the top k of a group. With
limits it is exact up to 10^6 architectures, and beyond wherever the search ends in time; otherwise
the result says which score nothing exceeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from nasrestore.errors import NasRestoreError, few
from nasrestore.graph.best_first import Chosen, Costs, Queue, Table, multipliers_for
from nasrestore.graph.cost import Cost, CostModel
from nasrestore.graph.genotype import Genotype, genotype_of
from nasrestore.graph.ir import Choice, Limits, SearchGraph

EXACT = 10**6
_PLAIN = 50_000  # beginnings looked at by score alone, before prices are put on costs
_BEYOND = 150_000  # beginnings looked at where there are more architectures than EXACT
_FLOOR = 1e-300
_UNIT = 2**64  # scores are whole numbers of this unit, so that sums are exact


@dataclass(frozen=True)
class Decided:
    """One genotype with its score.

    Attributes:
        score: sum of the logarithms of the strengths of what was decided for; what links that are
            not kept would have carried counts at its strongest, and what is inside cells that are
            not decided for.
        cost: of the derived network at the limits' size; ``None`` without limits.
        ties: sentences on choices where candidates were equally strong.
        bound: a score that no other architecture within the limits exceeds, where the space is too
            large to be sure that this is the best; ``None`` where it is.
        overruled: a sentence on the choices where the limits left no room for the strongest; empty
            where they did, and for all but the best genotype.
    """

    genotype: Genotype
    score: float
    cost: Cost | None
    ties: tuple[str, ...]
    bound: float | None = None
    overruled: str = ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said aloud: ties, what limits overruled, and how far from the best it may be."""
        said = (*self.ties, self.overruled) if self.overruled else self.ties
        if self.bound is None:
            return said
        told = f"score {self.score:.4f}; a better one within the limits may exist, up to"
        return (*said, f"{told} {self.bound:.4f}")


Strengths = Mapping[str, Sequence[float]]
Decisions = Mapping[str, tuple[str, ...]]


def decide(
    graph: SearchGraph, strengths: Strengths, limits: Limits | None = None, top: int = 1
) -> list[Decided]:
    """The ``top`` highest-scoring genotypes within the limits, best first; fewer if fewer fit.

    Args:
        strengths: for each choice a number in [0, 1] per candidate, in the candidates' order.
        limits: default: the graph's own.

    Raises:
        NasRestoreError: none fits the limits, or none was found in a space too large to be sure.
        ValueError: ``top`` below 1, or strengths that do not fit the choices.
    """
    if top < 1:
        raise ValueError(f"top is at least 1, got {top}")
    limits = graph.limits if limits is None else limits
    search = _Search(graph, strengths, limits, top)
    found, bound = search.run()
    if not found:
        raise NasRestoreError(_none_fits(graph, limits, bound), hint=_least(graph, limits))
    ties = _ties(graph, strengths)
    named = _named(graph, strengths)
    result = []
    for chosen, cost in found:
        whole = search.decisions(chosen)
        logs = (search.logs[c.name][name] for c in graph.choices for name in whole[c.name])
        relevant = graph.relevant(whole)
        said = tuple(sentence for name, sentence in ties.items() if name in relevant)
        genotype = genotype_of(graph, relevant, strengths=named)
        result.append(Decided(genotype, math.fsum(logs), cost, said))
    if search.model is not None:
        first = result[0]
        overruled = _overruled(graph, strengths, first.genotype.decisions)
        result[0] = replace(first, overruled=overruled)
    if bound is None:
        return result
    return [replace(d, bound=b) if (b := bound / _UNIT) > d.score else d for d in result]


def _none_fits(graph: SearchGraph, limits: Limits, bound: int | None) -> str:
    wanted = [
        f"{value:,} {what}"
        for value, what in (
            (limits.parameters, "parameters"),
            (limits.macs, f"multiply-adds at {limits.size[0]}x{limits.size[1]}"),
        )
        if value is not None
    ]
    found = "keeps" if bound is None else "was found that keeps"
    return f"no architecture of {graph.name!r} {found} within {' and '.join(wanted)}"


def _least(graph: SearchGraph, limits: Limits) -> str:
    """What the limits must at least be raised to."""
    least = CostModel(graph, limits.size).least()
    return (
        f"raise the limits: none goes below {least.parameters:,} parameters, "
        f"nor below {int(least.macs):,} multiply-adds"
    )


def _named(graph: SearchGraph, strengths: Strengths) -> dict[str, dict[str, float]]:
    return {
        c.name: dict(zip(c.candidates, map(float, strengths[c.name]), strict=True))
        for c in graph.choices
    }


def _ties(graph: SearchGraph, strengths: Strengths) -> dict[str, str]:
    """A sentence for each of the choices whose last one kept is exactly as strong as the first one dropped."""
    said = {}
    for choice in graph.choices:
        weights = dict(zip(choice.candidates, strengths[choice.name], strict=True))
        ranked = sorted(choice.decidable, key=lambda c, weights=weights: -weights[c])  # type: ignore[misc]
        if len(ranked) > choice.keep:
            last, dropped = ranked[choice.keep - 1], ranked[choice.keep]
            if weights[last] == weights[dropped]:
                said[choice.name] = (
                    f"{choice.name}: {last} and {dropped} are equally strong; the first is taken"
                )
    return said


def _overruled(graph: SearchGraph, strengths: Strengths, decisions: Decisions) -> str:
    """A sentence on the choices that took a weaker candidate than they left, which limits alone do."""
    said = []
    for choice in graph.choices:
        weights = dict(zip(choice.candidates, strengths[choice.name], strict=True))
        taken = decisions.get(choice.name, ())
        left = [name for name in choice.decidable if name not in taken]
        if not taken or not left:
            continue
        weakest = min(taken, key=weights.__getitem__)
        strongest = max(left, key=weights.__getitem__)
        if weights[strongest] > weights[weakest]:
            said.append(f"{choice.name} takes {weakest}, not {strongest}")
    if not said:
        return ""
    return f"because of the limits, the strongest is not always taken: {few(said, between='; ')}"


Found = list[tuple[Chosen, Cost | None]]


@dataclass
class _Search:
    """One search for the best genotypes within limits."""

    graph: SearchGraph
    strengths: Strengths
    limits: Limits
    top: int
    logs: dict[str, dict[str, float]] = field(default_factory=dict)
    idle: bool = field(init=False)

    def __post_init__(self) -> None:
        limited = self.limits.parameters is not None or self.limits.macs is not None
        self.model = CostModel(self.graph, self.limits.size) if limited else None
        for c in self.graph.choices:
            weights = dict(zip(c.candidates, self.strengths[c.name], strict=True))
            self.logs[c.name] = {n: math.log(max(_FLOOR, weights[n])) for n in c.decidable}
        self.scale = self._denominator()
        self.tables = [self._table(choice) for choice in self.graph.choices]
        self.idle = any(c.measured_by or c.kind == "cells" for c in self.graph.choices)
        self.spare = self._spare()

    def run(self) -> tuple[Found, int | None]:
        """What was found, best first, and a bound on the scores of the rest, if it is not all."""
        if not self.tables:
            cost = self._cost(())
            return ([((), cost)] if self._fits(cost) else []), None
        queue = Queue(self.tables, self.spare)
        small = self._size() <= _PLAIN
        found, done = self._collect(queue, None if self.model is None or small else _PLAIN)
        if done:
            return found, None
        prices = multipliers_for(self.tables, self.spare)
        queue = Queue(self.tables, self.spare, prices)
        exact = self._size() <= EXACT
        found, done = self._collect(queue, None if exact else _BEYOND)
        if done:
            return found, None
        return found or self._by_rising_price(), queue.bound

    def _size(self) -> int:
        """How many architectures the queue may have to give."""
        if any(choice.kind == "cells" for choice in self.graph.choices):
            return math.prod(choice.decisions for choice in self.graph.choices)
        return self.graph.architectures

    def decisions(self, chosen: Chosen) -> dict[str, tuple[str, ...]]:
        return {
            c.name: tuple(c.decidable[i] for i in indices)
            for c, indices in zip(self.graph.choices, chosen, strict=True)
        }

    def _collect(self, queue: Queue, most: int | None) -> tuple[Found, bool]:
        """The best that the queue gives, and whether nothing better can be left in it."""
        best: list[tuple[int, Chosen, Cost | None]] = []
        seen: set[frozenset[tuple[str, tuple[str, ...]]]] = set()
        while queue.bound is not None:
            if len(best) == self.top and queue.bound <= best[-1][0]:
                break
            if most is not None and queue.taken >= most:
                return [(chosen, cost) for _, chosen, cost in best], False
            chosen = queue.take()
            if chosen is None or not self._fits(cost := self._cost(chosen)):
                continue
            if self.idle:  # what dropped links and cells hold makes no other network
                network = frozenset(self.graph.relevant(self.decisions(chosen)).items())
                if network in seen:
                    continue
                seen.add(network)
            best.append((self._score(chosen), chosen, cost))
            best.sort(key=lambda entry: -entry[0])  # stable: ties in the queue's order
            del best[self.top :]
        return [(chosen, cost) for _, chosen, cost in best], True

    def _by_rising_price(self) -> Found:
        """Any architecture that fits, from ever higher prices on parameters and multiply-adds."""
        tables = [
            replace(table, costs=[self._whole(c) for c in self._estimates(choice)])
            for table, choice in zip(self.tables, self.graph.choices, strict=True)
        ]
        for step in range(0, 160, 2):
            for prices in ((1 << step, 0), (0, 1 << step), (1 << step, 1 << step)):
                chosen = tuple(table.best(prices) for table in tables)
                if self._fits(cost := self._cost(chosen)):
                    return [(chosen, cost)]
        return []

    def _score(self, chosen: Chosen) -> int:
        pairs = zip(self.tables, chosen, strict=True)
        return sum(table.scores[i] for table, indices in pairs for i in indices)

    def _cost(self, chosen: Chosen) -> Cost | None:
        return None if self.model is None else self.model.cost(self.decisions(chosen))

    def _fits(self, cost: Cost | None) -> bool:
        return cost is None or cost.within(self.limits.parameters, self.limits.macs)

    # -- in whole numbers --------------------------------------------------------------------

    def _shares(self, choice: Choice) -> list[Cost]:
        if self.model is None:
            return [Cost()] * len(choice.decidable)
        return [self.model.share(choice.name, candidate) for candidate in choice.decidable]

    def _estimates(self, choice: Choice) -> list[Cost]:
        assert self.model is not None
        return [self.model.estimate(choice, candidate) for candidate in choice.decidable]

    def _denominator(self) -> int:
        if self.model is None:
            return 1
        shares = [share for choice in self.graph.choices for share in self._shares(choice)]
        return math.lcm(*(cost.macs.denominator for cost in (*shares, self.model.base)))

    def _table(self, choice: Choice) -> Table:
        logs = self.logs[choice.name]
        costs = [self._whole(share) for share in self._shares(choice)]
        return Table([int(logs[c] * _UNIT) for c in choice.decidable], costs, choice.keep)

    def _whole(self, cost: Cost) -> Costs:
        return cost.parameters, int(cost.macs * self.scale)

    def _spare(self) -> tuple[int | None, int | None]:
        """The limits, less what every architecture costs."""
        if self.model is None:
            return None, None
        base, limits = self._whole(self.model.base), self.limits
        return (
            None if limits.parameters is None else limits.parameters - base[0],
            None if limits.macs is None else limits.macs * self.scale - base[1],
        )
