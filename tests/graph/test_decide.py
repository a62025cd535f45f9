"""Decisions against brute force: the strongest, and the strongest within limits."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping
from fractions import Fraction

import pytest
from graph_spaces import CELL, CONCATENATED, CONDITIONAL, compiled, rdmc
from hypothesis import given
from hypothesis import strategies as st

from nasrestore.errors import NasRestoreError
from nasrestore.graph import decide as deciding
from nasrestore.graph.cost import Cost, CostModel, graph_cost
from nasrestore.graph.decide import Decided, decide
from nasrestore.graph.derive import derive
from nasrestore.graph.ir import Limits, SearchGraph

Strengths = dict[str, list[float]]
Decisions = Mapping[str, tuple[str, ...]]

CONCAT = ("space.links.skip_up.join=concat", "space.links.skip_down.join=concat")


def _random_strengths(graph: SearchGraph, seed: int) -> Strengths:
    """For each choice shares that sum to one, as a softmax gives them."""
    generator = random.Random(seed)
    found = {}
    for choice in graph.choices:
        raw = [generator.gammavariate(1, 1) + 1e-9 for _ in choice.candidates]
        found[choice.name] = [value / sum(raw) for value in raw]
    return found


def _every(graph: SearchGraph) -> Iterator[Decisions]:
    options = [itertools.combinations(c.decidable, c.keep) for c in graph.choices]
    names = [choice.name for choice in graph.choices]
    for combination in itertools.product(*options):
        yield dict(zip(names, combination, strict=True))


def _score(graph: SearchGraph, strengths: Strengths, decisions: Decisions) -> float:
    return math.fsum(
        math.log(strengths[c.name][c.candidates.index(name)])
        for c in graph.choices
        for name in decisions[c.name]
    )


def _brute_force(
    graph: SearchGraph, strengths: Strengths, limits: Limits, costs: list[tuple[Decisions, Cost]]
) -> list[tuple[float, Decisions]]:
    fitting = [d for d, cost in costs if cost.within(limits.parameters, limits.macs)]
    scored = [(_score(graph, strengths, decisions), decisions) for decisions in fitting]
    return sorted(scored, key=lambda pair: -pair[0])


# -- without limits --------------------------------------------------------------------------


@given(st.integers(0, 10**6))
def test_each_group_keeps_its_strongest(seed: int) -> None:
    graph = rdmc()
    strengths = _random_strengths(graph, seed)
    (found,) = decide(graph, strengths)
    for choice in graph.choices:
        by_strength = dict(zip(choice.candidates, strengths[choice.name], strict=True))
        strongest = sorted(choice.candidates, key=by_strength.__getitem__)[-2:]
        assert set(found.genotype.decisions[choice.name]) == set(strongest)
    assert found.score == pytest.approx(_score(graph, strengths, found.genotype.decisions))
    assert found.cost is None and found.ties == () and found.bound is None


def test_decisions_are_in_the_order_of_the_candidates() -> None:
    graph = rdmc()
    strengths = {c.name: [0.1 * i for i in range(1, 11)] for c in graph.choices}
    (found,) = decide(graph, strengths)
    for choice in graph.choices:
        assert found.genotype.decisions[choice.name] == choice.candidates[-2:]
    assert found.genotype.digest == graph.digest and found.genotype.space == "rdmc"
    assert found.genotype.strengths["skip_up"][graph.choices[0].candidates[0]] == 0.1


def test_none_is_never_decided_for() -> None:
    graph = compiled(CELL % 2)
    weights = [0.01] * 8
    weights[graph.choices[0].candidates.index("none")] = 0.9
    weights[graph.choices[0].candidates.index("dense")] = 0.03
    (found,) = decide(graph, {c.name: weights for c in graph.choices})
    assert found.genotype.decisions == {"cell.1": ("dense",), "cell.2": ("dense",)}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("top", [1, 7, 2025])
def test_alternatives_come_in_order(seed: int, top: int) -> None:
    graph = rdmc()
    strengths = _random_strengths(graph, seed)
    found = decide(graph, strengths, top=top)
    every = sorted((_score(graph, strengths, d) for d in _every(graph)), reverse=True)
    assert [d.score for d in found] == pytest.approx(every[:top])
    assert len({str(d.genotype.decisions) for d in found}) == len(found) == top


def test_no_more_alternatives_than_architectures() -> None:
    graph = compiled(CELL % 1)
    assert len(decide(graph, _random_strengths(graph, 0), top=100)) == 7


def test_keep_per_node_decides_for_each_node() -> None:
    graph = compiled(
        "nodes:\n  a: {repeat: 4, op: dense}\n"
        "links: {l: {from: [rainy, a], to: a.2-4, keep: {per: node, k: 2}}}\noutputs: {o: a}"
    )
    strengths = _random_strengths(graph, 3)
    (found,) = decide(graph, strengths)
    for choice in graph.choices:
        best = sorted(zip(strengths[choice.name], choice.candidates, strict=True))[-2:]
        assert set(found.genotype.decisions[choice.name]) == {name for _, name in best}


def test_a_space_with_nothing_to_decide() -> None:
    graph = compiled("nodes:\n  a: {op: dense}\noutputs: {o: a}")
    (found,) = decide(graph, {})
    assert found.genotype.decisions == {} and found.score == 0
    with pytest.raises(
        NasRestoreError, match="no architecture of 'made' keeps within 1 parameters"
    ):
        decide(graph, {}, Limits(parameters=1))


# -- ties ------------------------------------------------------------------------------------


def test_ties_go_to_the_first_and_are_said() -> None:
    graph = rdmc()
    (found,) = decide(graph, {c.name: [0.1] * 10 for c in graph.choices})
    for choice in graph.choices:
        assert found.genotype.decisions[choice.name] == choice.candidates[:2]
    assert len(found.ties) == 2
    assert found.ties[0] == (
        "skip_up: encoder.3->decoder.4 and encoder.3->decoder.5 are equally strong; "
        "the first is taken"
    )
    assert found.notes == found.ties


def test_no_tie_among_what_is_kept_or_dropped() -> None:
    graph = rdmc()
    weights = [0.3, 0.3, 0.1, 0.1, 0.1, 0.02, 0.02, 0.02, 0.02, 0.02]
    (found,) = decide(graph, {c.name: weights for c in graph.choices})
    assert found.ties == ()


def test_ties_go_to_the_first_that_fits() -> None:
    graph = compiled(CELL % 3)
    equal = {c.name: [1 / 8] * 8 for c in graph.choices}
    cost = CostModel(graph).cost({f"cell.{i}": ("dilated",) for i in (1, 2, 3)})
    (found,) = decide(graph, equal, Limits(parameters=cost.parameters))
    first = next(d for d in _every(graph) if CostModel(graph).cost(d).within(cost.parameters, None))
    assert found.genotype.decisions == first


def test_strengths_that_vanish_are_still_ordered() -> None:
    graph = compiled(CELL % 1)
    weights = [0.0, 1e-200, 1e-100, 0.0, 0.0, 1.0, 0.0, 0.0]  # all but `none` are tiny
    found = decide(graph, {"cell.1": weights}, top=2)
    assert [d.genotype.decisions["cell.1"] for d in found] == [("dilated",), ("dense",)]


# -- within limits ---------------------------------------------------------------------------


@pytest.mark.parametrize("overrides", [(), CONCAT], ids=["add", "concat"])
def test_limits_are_kept_exactly_over_all_2025(overrides: tuple[str, ...]) -> None:
    graph = rdmc(*overrides)
    model = CostModel(graph, (64, 64))
    costs = [(decisions, model.cost(decisions)) for decisions in _every(graph)]
    macs = sorted(cost.macs for _, cost in costs)
    parameters = sorted(cost.parameters for _, cost in costs)
    generator = random.Random(7)
    for seed in range(25):
        strengths = _random_strengths(graph, seed)
        limits = Limits(
            generator.choice([None, generator.choice(parameters)]),
            int(generator.choice(macs[: 1 + len(macs) // 4])) + 1,
            (64, 64),
        )
        expected = _brute_force(graph, strengths, limits, costs)
        if not expected:
            with pytest.raises(NasRestoreError, match="no architecture of 'rdmc' keeps within"):
                decide(graph, strengths, limits)
            continue
        found = decide(graph, strengths, limits, top=4)
        assert [d.score for d in found] == pytest.approx([score for score, _ in expected[:4]])
        assert found[0].genotype.decisions == expected[0][1]
        assert all(d.bound is None for d in found)


@pytest.mark.parametrize("text", [CONCATENATED, CONDITIONAL, CELL % 3])
@pytest.mark.parametrize("plain", [50_000, 0], ids=["by score", "by price"])
def test_limits_are_kept_exactly_whatever_the_cost_depends_on(
    text: str, plain: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deciding, "_PLAIN", plain)
    graph = compiled(text)
    model = CostModel(graph)
    generator = random.Random(3)
    every = list(_every(graph))
    costs = [(decisions, model.cost(decisions)) for decisions in every]
    parameters = sorted(cost.parameters for _, cost in costs)
    macs = sorted(cost.macs for _, cost in costs)
    for seed in range(8):
        strengths = _random_strengths(graph, seed)
        limits = Limits(
            generator.choice(parameters[: len(parameters) // 2]),
            generator.choice([None, int(generator.choice(macs)) + 1]),
        )
        expected = _brute_force(graph, strengths, limits, costs)
        if expected:
            found = decide(graph, strengths, limits, top=3)
            assert [d.score for d in found] == pytest.approx([score for score, _ in expected[:3]])


def test_the_cost_is_that_of_the_derived_network() -> None:
    graph = rdmc()
    limits = Limits(macs=760_000_000, size=(64, 64))
    (found,) = decide(graph, _random_strengths(graph, 0), limits)
    assert found.cost == graph_cost(derive(graph, found.genotype), (64, 64))
    assert found.cost is not None and found.cost.macs <= 760_000_000


def test_the_spaces_own_limits_hold_by_default() -> None:
    graph = compiled("limits: {parameters: 1000}\n" + CELL % 2)
    (found,) = decide(graph, {c.name: [0.9] + [0.1] * 7 for c in graph.choices})
    assert found.cost is not None and found.cost.parameters <= 1000
    (free,) = decide(graph, {c.name: [0.9] + [0.1] * 7 for c in graph.choices}, Limits())
    assert free.genotype.decisions["cell.1"] == ("residual",)


def test_what_limits_overrule_is_said_of_the_first_choices() -> None:
    graph = compiled(CELL % 5)
    strengths = {c.name: [0.5, 0.2, 0.1, 0.05, 0.04, 0.03, 0.06, 0.02] for c in graph.choices}
    smallest = int(CostModel(graph, (128, 128)).least().parameters)
    found = decide(graph, strengths, Limits(parameters=smallest), top=2)[0]
    assert all(names == ("identity",) for names in found.genotype.decisions.values())
    assert found.notes == (
        "because of the limits, the strongest is not always taken: "
        + "; ".join(f"cell.{i} takes identity, not residual" for i in (1, 2, 3))
        + "; and 2 more",
    )
    roomy = decide(graph, strengths, Limits(parameters=10**9), top=2)
    assert [one.notes for one in roomy] == [(), ()]


def test_limits_that_nothing_meets() -> None:
    graph = rdmc()
    limits = Limits(parameters=249_890, macs=10**10, size=(64, 96))
    with pytest.raises(NasRestoreError) as caught:
        decide(graph, _random_strengths(graph, 0), limits)
    assert caught.value.message == (
        "no architecture of 'rdmc' keeps within 249,890 parameters and 10,000,000,000 "
        "multiply-adds at 64x96"
    )
    hint = caught.value.hint
    assert hint is not None and "none goes below 249,891 parameters, nor below 1," in hint


# -- beyond 10^6 architectures ---------------------------------------------------------------


def _dynamic_programme(graph: SearchGraph, strengths: Strengths, limits: Limits) -> float:
    """The best score within limits, from the best for every total cost."""
    model = CostModel(graph, limits.size)
    best = {(model.base.parameters, model.base.macs): 0.0}
    for choice in graph.choices:
        following: dict[tuple[int, Fraction], float] = {}
        for (parameters, macs), score in best.items():
            for name in choice.decidable:
                share = model.share(choice.name, name)
                total = (parameters + share.parameters, macs + share.macs)
                new = score + math.log(strengths[choice.name][choice.candidates.index(name)])
                following[total] = max(new, following.get(total, -math.inf))
        best = following
    return max(s for (p, m), s in best.items() if Cost(p, m).within(limits.parameters, limits.macs))


@pytest.mark.parametrize("seed", range(6))
def test_a_large_space_within_limits_is_solved_exactly(seed: int) -> None:
    graph = compiled(CELL % 10)
    assert graph.architectures == 7**10 > 10**8
    strengths = _random_strengths(graph, seed)
    model = CostModel(graph, (32, 32))
    least = model.least()
    room = 0.1 + 0.12 * seed
    most = model.cost({c.name: ("residual(kernel=5)",) for c in graph.choices})
    limits = Limits(
        None if seed == 2 else int(least.parameters + room * (most.parameters - least.parameters)),
        None if seed == 3 else int(least.macs + (1 - room) * (most.macs - least.macs)),
        (32, 32),
    )
    (found,) = decide(graph, strengths, limits)
    assert found.score == pytest.approx(_dynamic_programme(graph, strengths, limits))
    assert found.bound is None


def test_a_huge_space_within_limits_answers() -> None:
    graph = compiled(CELL % 40)
    strengths = _random_strengths(graph, 0)
    least = CostModel(graph).least()
    limits = Limits(parameters=least.parameters + 40_000)
    found = decide(graph, strengths, limits, top=3)
    assert [d.score for d in found] == sorted((d.score for d in found), reverse=True)
    assert all(d.cost is not None and d.cost.within(limits.parameters, None) for d in found)


def test_a_huge_group_of_equal_links() -> None:
    graph = compiled(
        "nodes:\n  a: {repeat: 40, op: dense}\nlinks: {l: {from: a, to: a, keep: 20}}\noutputs: {o: a}"
    )
    (found,) = decide(graph, {"l": [1 / 780] * 780})
    assert found.genotype.decisions["l"] == graph.choice("l").candidates[:20]


def _unsure(monkeypatch: pytest.MonkeyPatch) -> tuple[SearchGraph, Strengths]:
    """A space whose costs have no useful bound, and little time for it."""
    monkeypatch.setattr(deciding, "_PLAIN", 20)
    monkeypatch.setattr(deciding, "_BEYOND", 20)
    monkeypatch.setattr(deciding, "EXACT", 20)
    graph = compiled(CONDITIONAL)
    return graph, _random_strengths(graph, 1)


def test_what_is_not_sure_to_be_the_best_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, strengths = _unsure(monkeypatch)
    weights = {n: [0.9] + [0.03] * (len(w) - 1) for n, w in strengths.items()}
    least = min(CostModel(graph).cost(d).parameters for d in _every(graph))
    (found,) = decide(graph, weights, Limits(parameters=least))
    assert found.cost is not None and found.cost.parameters == least
    assert found.bound is not None and found.bound > found.score
    assert f"up to {found.bound:.4f}" in found.notes[-1]


def test_what_was_not_found_is_not_called_impossible(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, strengths = _unsure(monkeypatch)
    monkeypatch.setattr(deciding._Search, "_by_rising_price", lambda search: [])
    weights = {n: [0.9] + [0.03] * (len(w) - 1) for n, w in strengths.items()}
    least = min(CostModel(graph).cost(d).parameters for d in _every(graph))
    with pytest.raises(NasRestoreError, match="no architecture of 'made' was found that keeps"):
        decide(graph, weights, Limits(parameters=least))


def test_wrong_arguments_are_programming_errors() -> None:
    graph = rdmc()
    with pytest.raises(ValueError, match="top is at least 1"):
        decide(graph, _random_strengths(graph, 0), top=0)
    with pytest.raises(ValueError, match="argument"):
        decide(graph, {c.name: [0.5] for c in graph.choices})


def test_decided_is_plain_data() -> None:
    (found,) = decide(rdmc(), _random_strengths(rdmc(), 0))
    assert isinstance(found, Decided) and isinstance(found.score, float)
