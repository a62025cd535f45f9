"""The queue of architectures: every one comes, by falling bound."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from nasrestore.graph.best_first import Queue, Table, multipliers_for

tables = st.lists(
    st.integers(1, 5).flatmap(
        lambda n: st.builds(
            Table,
            st.lists(st.integers(-50, 0), min_size=n, max_size=n),
            st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=n, max_size=n),
            st.integers(1, n),
        )
    ),
    min_size=1,
    max_size=4,
)


@given(tables, st.none() | st.integers(0, 30), st.none() | st.integers(0, 30))
def test_the_queue_gives_every_architecture_by_falling_bound(
    given_tables: list[Table], parameters: int | None, macs: int | None
) -> None:
    limits = (parameters, macs)
    prices = multipliers_for(given_tables, limits)
    assert min(prices) >= 0
    every = list(
        itertools.product(
            *(itertools.combinations(range(len(t.scores)), t.keep) for t in given_tables)
        )
    )

    def fits(chosen: tuple[tuple[int, ...], ...]) -> bool:
        costs = [t.cost(c) for t, c in zip(given_tables, chosen, strict=True)]
        totals = [sum(cost[i] for cost in costs) for i in (0, 1)]
        return all(x is None or total <= x for total, x in zip(totals, limits, strict=True))

    for multipliers in ((0, 0), prices):
        queue = Queue(given_tables, limits, multipliers)
        found, bounds = [], []
        while (bound := queue.bound) is not None:
            bounds.append(bound)
            chosen = queue.take()
            if chosen is not None and fits(chosen):
                found.append(chosen)
                score = sum(
                    t.scores[i] for t, c in zip(given_tables, chosen, strict=True) for i in c
                )
                assert score <= bound
        assert bounds == sorted(bounds, reverse=True)
        assert sorted(found) == sorted(filter(fits, every))
