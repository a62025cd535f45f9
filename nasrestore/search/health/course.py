"""How each choice went over a search, from the strengths that its log holds. Torch-free."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nasrestore.graph.ir import Choice

Record = Mapping[str, Any]


@dataclass(frozen=True)
class ChoiceCourse:
    """One choice over the turns of a search.

    Attributes:
        leading: what would be decided for at the end, strongest first.
        runner_up: the strongest that would not; ``None`` where nothing else can be decided for.
        entropy: of the strengths at the end, over the greatest there can be: 1 where all are equal;
            ``None`` where they mix nothing, since all candidates stay or links are measured by
            the operations on them.
        margin: strength of the last of the leading, less that of the runner-up.
        log_margin: the difference of their logarithms: with a softmax of temperature 1, of their
            logits.
        changes: how many times the leading ones changed, as a set.
        changed: the turn in which they did last; ``None`` for never.
        unrest: largest change of the margin between these two from one look to the next, over the
            last quarter.
        turns: of every look.
        margins: at every look, between those that led then.
    """

    name: str
    leading: tuple[str, ...]
    runner_up: str | None
    entropy: float | None
    margin: float | None
    log_margin: float | None
    changes: int
    changed: int | None
    unrest: float
    turns: tuple[int, ...]
    margins: tuple[float | None, ...]


def courses(choices: Iterable[Choice], records: Sequence[Record]) -> list[ChoiceCourse]:
    """The course of each choice that the log of a search holds.

    Args:
        records: lines of a ``log.jsonl``. Events of turns that a resumed run took again count once.
    """
    events: dict[int, Mapping[str, Sequence[float]]] = {}
    for record in records:
        if record.get("event") == "strengths" and record.get("phase", "search") == "search":
            events[int(record["turn"])] = record["strengths"]
    return [found for choice in choices if (found := _course(choice, events)) is not None]


def _course(
    choice: Choice, events: Mapping[int, Mapping[str, Sequence[float]]]
) -> ChoiceCourse | None:
    looks = {
        turn: [float(value) for value in strengths[choice.name]]
        for turn, strengths in sorted(events.items())
        if len(strengths.get(choice.name, ())) == len(choice.candidates)
    }
    if not looks:
        return None
    turns, values = list(looks), list(looks.values())
    orders = [_order(choice, strengths) for strengths in values]
    leads = [frozenset(order[: choice.keep]) for order in orders]
    moved = [
        turn for turn, new, old in zip(turns[1:], leads[1:], leads, strict=False) if new != old
    ]
    margins = tuple(_margin(v, o, choice.keep) for v, o in zip(values, orders, strict=True))
    order = orders[-1]
    beaten = order[choice.keep] if len(order) > choice.keep else None
    mixes = not choice.measured_by and choice.keep < len(choice.candidates)
    return ChoiceCourse(
        choice.name,
        tuple(choice.candidates[i] for i in order[: choice.keep]),
        None if beaten is None else choice.candidates[beaten],
        entropy_share(values[-1]) if mixes else None,
        margins[-1],
        None
        if beaten is None
        else _log_ratio(values[-1][order[choice.keep - 1]], values[-1][beaten]),
        len(moved),
        moved[-1] if moved else None,
        0.0 if beaten is None else _unrest(values, order[choice.keep - 1], beaten),
        tuple(turns),
        margins,
    )


def entropy_share(strengths: Sequence[float]) -> float:
    """The entropy of strengths, scaled to sum to 1, over that of equal ones; 0 for one alone."""
    total = math.fsum(strengths)
    if len(strengths) < 2 or not total > 0:
        return 0.0
    shares = [value / total for value in strengths]
    entropy = -math.fsum(share * math.log(share) for share in shares if share > 0)
    return entropy / math.log(len(shares))


def _order(choice: Choice, strengths: Sequence[float]) -> list[int]:
    """The places of what can be decided for, strongest first, ties in the order of candidates."""
    places = [i for i, name in enumerate(choice.candidates) if name in choice.decidable]
    return sorted(places, key=lambda i: -strengths[i])


def _margin(strengths: Sequence[float], order: Sequence[int], keep: int) -> float | None:
    if len(order) <= keep:
        return None
    return strengths[order[keep - 1]] - strengths[order[keep]]


def _log_ratio(more: float, less: float) -> float:
    return math.inf if less <= 0 else math.log(more / less)


def _unrest(values: Sequence[Sequence[float]], kept: int, beaten: int) -> float:
    last = values[-max(2, len(values) // 4) :]
    between = [strengths[kept] - strengths[beaten] for strengths in last]
    return max((abs(b - a) for a, b in itertools.pairwise(between)), default=0.0)
