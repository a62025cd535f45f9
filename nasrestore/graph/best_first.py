"""Architectures from the highest score down, those surely above the limits left out. Torch-free.

Two orders. By score alone, the first that fits is the best that fits, and of equal ones the first
in the file; but where limits bind, very many that do not fit may come before it. By Lagrangian bound
(score - multipliers x cost + multipliers x limits, which is at least the score of what fits), those
that fit come early, and all that is left is bounded by what the queue holds.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

Costs = tuple[int, int]
Multipliers = tuple[int, int]

FREE: Multipliers = (0, 0)


@dataclass(frozen=True)
class Table:
    """One choice in whole numbers, so that sums are exact and ties are ties.

    Attributes:
        scores: of each candidate.
        costs: (parameters, multiply-adds) of each candidate.
        keep: how many are decided for.
    """

    scores: Sequence[int]
    costs: Sequence[Costs]
    keep: int

    def priced(self, multipliers: Multipliers) -> list[int]:
        """The scores, less what the costs are worth."""
        u, v = multipliers
        return [s - u * p - v * m for s, (p, m) in zip(self.scores, self.costs, strict=True)]

    def best(self, multipliers: Multipliers) -> tuple[int, ...]:
        """The candidates of the highest price, ties to the first; in the candidates' order."""
        prices = self.priced(multipliers)
        ranked = sorted(range(len(prices)), key=lambda i: -prices[i])
        return tuple(sorted(ranked[: self.keep]))

    def cost(self, chosen: Sequence[int]) -> Costs:
        return sum(self.costs[i][0] for i in chosen), sum(self.costs[i][1] for i in chosen)

    def least(self) -> Costs:
        """The least that any decision costs, parameters and multiply-adds each by themselves."""
        parameters, macs = zip(*self.costs, strict=True)
        return sum(heapq.nsmallest(self.keep, parameters)), sum(heapq.nsmallest(self.keep, macs))


Chosen = tuple[tuple[int, ...], ...]


@dataclass
class _Options:
    """The decisions of one choice by falling price, made as they are asked for."""

    table: Table
    multipliers: Multipliers
    made: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rest = self._subsets()

    def get(self, index: int) -> tuple[int, tuple[int, ...]] | None:
        """(price, candidates) of the decision of that rank."""
        while len(self.made) <= index:
            following = next(self.rest, None)
            if following is None:
                return None
            self.made.append(following)
        return self.made[index]

    def _subsets(self) -> Iterator[tuple[int, tuple[int, ...]]]:
        prices = self.table.priced(self.multipliers)
        ranked = sorted(range(len(prices)), key=lambda i: -prices[i])  # stable: ties to the first
        first = tuple(range(self.table.keep))
        heap = [(-sum(prices[ranked[i]] for i in first), first)]
        seen = {first}
        while heap:
            negative, places = heapq.heappop(heap)
            yield -negative, tuple(sorted(ranked[i] for i in places))
            for at, place in enumerate(places):
                if place + 1 < len(ranked) and place + 1 not in places:
                    moved = (*places[:at], place + 1, *places[at + 1 :])
                    if moved not in seen:
                        seen.add(moved)
                        change = prices[ranked[place]] - prices[ranked[place + 1]]
                        heapq.heappush(heap, (negative + change, moved))


class Queue:
    """Beginnings of architectures by falling bound.

    Args:
        limits: on (parameters, multiply-adds), less what every architecture costs; ``None``: none.
        multipliers: what a parameter and a multiply-add are worth, in units of the score.

    Attributes:
        taken: how many beginnings were taken off the queue.
    """

    def __init__(
        self,
        tables: Sequence[Table],
        limits: tuple[int | None, int | None],
        multipliers: Multipliers = FREE,
    ) -> None:
        self.tables = tables
        self.limits = limits
        self.taken = 0
        self._options = [_Options(table, multipliers) for table in tables]
        credit = sum(u * (limit or 0) for u, limit in zip(multipliers, limits, strict=True))
        self._rest = [credit]
        self._least: list[Costs] = [(0, 0)]
        for options in reversed(self._options):
            best = options.get(0)
            assert best is not None
            self._rest.append(self._rest[-1] + best[0])
            below = options.table.least()
            self._least.append((self._least[-1][0] + below[0], self._least[-1][1] + below[1]))
        self._rest.reverse()
        self._least.reverse()
        self._heap: list[tuple[int, tuple[int, ...], int, Costs]] = []
        self._push((), 0, 0, (0, 0))

    @property
    def bound(self) -> int | None:
        """No architecture still to come scores higher; ``None`` where none is to come."""
        return -self._heap[0][0] if self._heap else None

    def _push(self, before: tuple[int, ...], rank: int, price: int, cost: Costs) -> None:
        """Adds a beginning; ``price`` and ``cost`` are without its last decision."""
        depth = len(before)
        option = self._options[depth].get(rank) if depth < len(self._options) else None
        if option is not None:
            bound = price + option[0] + self._rest[depth + 1]
            heapq.heappush(self._heap, (-bound, (*before, rank), price, cost))

    def take(self) -> Chosen | None:
        """Takes off the best beginning; gives its candidates if it is a whole architecture."""
        self.taken += 1
        _, ranks, price, cost = heapq.heappop(self._heap)
        depth = len(ranks)
        self._push(ranks[:-1], ranks[-1] + 1, price, cost)
        option = self._options[depth - 1].get(ranks[-1])
        assert option is not None
        own = self.tables[depth - 1].cost(option[1])
        cost = (cost[0] + own[0], cost[1] + own[1])
        if not self._may_fit(cost, depth):
            return None
        if depth < len(self._options):
            self._push(ranks, 0, price + option[0], cost)
            return None
        chosen = [options.get(r) for options, r in zip(self._options, ranks, strict=True)]
        return tuple(pair[1] for pair in chosen if pair is not None)

    def _may_fit(self, cost: Costs, depth: int) -> bool:
        least = self._least[depth]
        return all(
            limit is None or spent + rest <= limit
            for spent, rest, limit in zip(cost, least, self.limits, strict=True)
        )


def multipliers_for(tables: Sequence[Table], limits: tuple[int | None, int | None]) -> Multipliers:
    """Prices at which the best architecture just fits: they make the bound nearly tight.

    Any that are not negative give a bound; these come from a few rounds of bisection, one price
    at a time.
    """
    found = [0, 0]
    for which in itertools.islice(itertools.cycle((0, 1)), 6):
        limit = limits[which]
        if limit is None:
            continue

        def excess(price: int, which: int = which, limit: int = limit) -> int:
            tried = (price, found[1]) if which == 0 else (found[0], price)
            return sum(t.cost(t.best(tried))[which] for t in tables) - limit

        found[which] = _crossing(excess, _highest_price(tables, which))
        if None in limits:
            break
    return found[0], found[1]


def _highest_price(tables: Sequence[Table], which: int) -> int:
    """At this price the cheapest candidates come first, whatever their scores."""
    spread = max(max(table.scores) - min(table.scores) for table in tables)
    return 4 * spread + 1


def _crossing(excess: Callable[[int], int], most: int) -> int:
    """The lowest price found at which nothing is in excess; 0 where nothing ever is."""
    if excess(0) <= 0:
        return 0
    low, high = 0, 1
    while high < most and excess(high) > 0:
        low, high = high, high * 16
    for _ in range(40):
        if high - low <= max(1, high >> 20):
            break
        middle = (low + high) // 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return high
