"""From strengths to decisions: the highest-scoring genotypes within the limits. Torch-free.

The score of a genotype is the sum, over everything decided for, of the logarithm of its strength
(its share of the relaxed choice). Without limits that is argmax, and the top k of a group. With
limits, architectures are visited best first, so the first that fits is the best that fits.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from nasrestore.errors import NasRestoreError
from nasrestore.graph.cost import Cost, CostModel
from nasrestore.graph.genotype import Genotype, genotype_of
from nasrestore.graph.ir import Choice, Limits, SearchGraph

EXACT = 10**6
_FLOOR = 1e-30
_LISTED = 50_000


@dataclass(frozen=True)
class Decided:
    """One genotype with its score.

    Attributes:
        score: sum of the logarithms of the strengths of what was decided for.
        cost: of the derived network, where the graph's signatures tell it.
        ties: sentences on choices where candidates were equally strong.
    """

    genotype: Genotype
    score: float
    cost: Cost | None
    ties: tuple[str, ...]


Strengths = Mapping[str, Sequence[float]]


def decide(
    graph: SearchGraph, strengths: Strengths, limits: Limits | None = None, top: int = 1
) -> list[Decided]:
    """The ``top`` highest-scoring genotypes within the limits, best first.

    Args:
        strengths: for each choice a number in [0, 1] per candidate, in the candidates' order.
        limits: default: the graph's own.

    Raises:
        NasRestoreError: none fits the limits, or none was found among the first 10^6.
    """
    limits = graph.limits if limits is None else limits
    limited = limits.parameters is not None or limits.macs is not None
    model = CostModel(graph, limits.size) if limited else None
    ties = _ties(graph, strengths)
    found: list[Decided] = []
    visited = 0
    for score, decisions in _best_first(graph, strengths, limits, model):
        visited += 1
        cost = None if model is None else model.cost(decisions)
        if cost is None or cost.within(limits.parameters, limits.macs):
            genotype = genotype_of(graph, decisions, strengths=_named(graph, strengths))
            found.append(Decided(genotype, score, cost, ties))
            if len(found) == top:
                return found
        if visited >= EXACT:
            break
    if not found:
        raise NasRestoreError(_none_fits(graph, limits, visited), hint="raise the limits")
    return found


def _none_fits(graph: SearchGraph, limits: Limits, visited: int) -> str:
    wanted = [
        f"{value:,} {what}"
        for value, what in ((limits.parameters, "parameters"), (limits.macs, "multiply-adds"))
        if value is not None
    ]
    among = "" if visited < EXACT else f" among the {visited:,} strongest"
    return f"no architecture of {graph.name!r} keeps within {' and '.join(wanted)}{among}"


def _named(graph: SearchGraph, strengths: Strengths) -> dict[str, dict[str, float]]:
    return {
        c.name: dict(zip(c.candidates, map(float, strengths[c.name]), strict=True))
        for c in graph.choices
    }


def _ties(graph: SearchGraph, strengths: Strengths) -> tuple[str, ...]:
    """Choices whose last one kept is exactly as strong as the first one dropped."""
    said = []
    for choice in graph.choices:
        weights = dict(zip(choice.candidates, strengths[choice.name], strict=True))
        ranked = sorted(choice.decidable, key=lambda c: -weights[c])
        if len(ranked) > choice.keep:
            last, dropped = ranked[choice.keep - 1], ranked[choice.keep]
            if weights[last] == weights[dropped]:
                said.append(
                    f"{choice.name}: {last} and {dropped} are equally strong; the first is taken"
                )
    return tuple(said)


@dataclass(frozen=True)
class _Option:
    """One decision of one choice."""

    score: float
    decision: tuple[str, ...]
    cost: Cost


def _options(choice: Choice, strengths: Sequence[float], model: CostModel | None) -> list[_Option]:
    """The decisions of a choice, best first; the first ``_LISTED`` of very many."""
    weights = dict(zip(choice.candidates, strengths, strict=True))
    logs = {c: math.log(max(float(weights[c]), _FLOOR)) for c in choice.decidable}
    ranked = sorted(choice.decidable, key=lambda c: -logs[c])  # stable: ties go to the first
    position = {c: i for i, c in enumerate(choice.candidates)}
    options = []
    for decision in itertools.islice(_subsets(ranked, logs, choice.keep), _LISTED):
        ordered = tuple(sorted(decision, key=position.__getitem__))
        cost = Cost() if model is None else model.summand(choice, ordered)
        options.append(_Option(sum(logs[c] for c in ordered), ordered, cost))
    return options


def _subsets(
    ranked: Sequence[str], logs: Mapping[str, float], keep: int
) -> Iterator[tuple[str, ...]]:
    """All subsets of ``keep`` of a ranked list, from the highest sum down."""

    def total(indices: tuple[int, ...]) -> float:
        return -sum(logs[ranked[i]] for i in indices)

    first = tuple(range(keep))
    heap = [(total(first), first)]
    seen = {first}
    while heap:
        _, indices = heapq.heappop(heap)
        yield tuple(ranked[i] for i in indices)
        for place, index in enumerate(indices):
            following = index + 1
            if following < len(ranked) and following not in indices:
                moved = (*indices[:place], following, *indices[place + 1 :])
                if moved not in seen:
                    seen.add(moved)
                    heapq.heappush(heap, (total(moved), moved))


def _best_first(
    graph: SearchGraph, strengths: Strengths, limits: Limits, model: CostModel | None
) -> Iterator[tuple[float, dict[str, tuple[str, ...]]]]:
    """Whole genotypes from the highest score down, those surely above the limits left out."""
    prunes = model is not None and model.additive
    options = [_options(c, strengths[c.name], model if prunes else None) for c in graph.choices]
    rest = [0.0]
    for choice in reversed(options):
        rest.append(rest[-1] + choice[0].score)
    rest.reverse()
    least = _least_rest(options)
    start = model.constant() if prunes and model is not None else Cost()
    heap: list[tuple[float, tuple[int, ...], float, Cost]] = []

    def push(chosen: tuple[int, ...], score: float, cost: Cost) -> None:
        """Adds a beginning of a genotype; ``score`` and ``cost`` are without its last decision."""
        depth = len(chosen)
        if depth and chosen[-1] < len(options[depth - 1]):
            bound = score + options[depth - 1][chosen[-1]].score + rest[depth]
            heapq.heappush(heap, (-bound, chosen, score, cost))

    if not options:
        yield 0.0, {}
        return
    push((0,), 0.0, start)
    pops = 0
    while heap and pops < 4 * EXACT:
        pops += 1
        _, chosen, score, cost = heapq.heappop(heap)
        push((*chosen[:-1], chosen[-1] + 1), score, cost)
        option = options[len(chosen) - 1][chosen[-1]]
        score, cost = score + option.score, cost + option.cost
        if prunes and not (cost + least[len(chosen)]).within(limits.parameters, limits.macs):
            continue
        if len(chosen) < len(options):
            push((*chosen, 0), score, cost)
            continue
        pairs = zip(graph.choices, options, chosen, strict=True)
        yield score, {c.name: o[i].decision for c, o, i in pairs}


def _least_rest(options: Sequence[Sequence[_Option]]) -> list[Cost]:
    least = [Cost()]
    for choice in reversed(options):
        parameters = min(o.cost.parameters for o in choice)
        least.append(least[-1] + Cost(parameters, min(o.cost.macs for o in choice)))
    least.reverse()
    return least


def cheapest(model: CostModel, what: Literal["parameters", "macs"]) -> int | Fraction:
    """The least that any architecture costs: exact where the cost is additive, a bound otherwise."""
    graph = model.graph
    decisions: dict[str, tuple[str, ...]] = {}
    for choice in graph.choices:
        names = sorted(
            choice.decidable, key=lambda c, choice=choice: getattr(model.summand(choice, (c,)), what)
        )
        decisions[choice.name] = tuple(names[: choice.keep])
    return getattr(model.cost(decisions), what) if model.additive else 0
