"""Judgements of a search that is over: closed forms, and where the line is."""

from __future__ import annotations

import math
from typing import Any

import pytest

from nasrestore.graph.compile import compile_space
from nasrestore.graph.ir import Choice
from nasrestore.search.health import decided, logged, splits
from nasrestore.search.health.course import courses, entropy_share
from nasrestore.search.health.finding import Finding, finding_of, ordered
from nasrestore.spec.space import parse_space

PAIR = Choice("pair", "links", ("a", "b", "c", "d"), keep=2)
CELL = Choice("cell", "operation", ("none", "conv", "skip"))


def looks(*strengths: dict[str, list[float]], **more: Any) -> list[dict[str, Any]]:
    return [
        {"event": "strengths", "phase": "search", "turn": 10 * (i + 1), "strengths": one, **more}
        for i, one in enumerate(strengths)
    ]


# -- courses ----------------------------------------------------------------------------------


def test_entropy_is_a_share_of_the_greatest() -> None:
    assert entropy_share([0.25] * 4) == pytest.approx(1)
    assert entropy_share([1, 0, 0, 0]) == 0 == entropy_share([1.0])
    assert entropy_share([0.5, 0.5, 0, 0]) == pytest.approx(0.5)  # log 2 over log 4
    assert entropy_share([0.9, 0.9]) == pytest.approx(1)  # a sigmoid's do not sum to one
    p = 0.8
    expected = -(p * math.log(p) + (1 - p) * math.log(1 - p)) / math.log(2)
    assert entropy_share([0.8, 0.2]) == pytest.approx(expected)


def test_leading_margin_and_runner_up() -> None:
    (one,) = courses([PAIR], looks({"pair": [0.1, 0.4, 0.3, 0.2]}))
    assert one.leading == ("b", "c") and one.runner_up == "d"
    assert one.margin == pytest.approx(0.1) and one.log_margin == pytest.approx(math.log(1.5))
    assert (one.changes, one.changed) == (0, None)


def test_none_is_never_decided_for() -> None:
    (one,) = courses([CELL], looks({"cell": [0.8, 0.15, 0.05]}))
    assert one.leading == ("conv",) and one.runner_up == "skip"
    assert one.margin == pytest.approx(0.1)


def test_changes_are_of_the_set_not_of_its_order() -> None:
    found = looks(
        {"pair": [0.4, 0.3, 0.2, 0.1]},
        {"pair": [0.3, 0.4, 0.2, 0.1]},  # the same two
        {"pair": [0.3, 0.2, 0.4, 0.1]},
        {"pair": [0.4, 0.3, 0.2, 0.1]},
    )
    (one,) = courses([PAIR], found)
    assert (one.changes, one.changed) == (2, 40)
    assert one.turns == (10, 20, 30, 40)


def test_turns_that_were_taken_again_count_once_and_training_not_at_all() -> None:
    found = [
        *looks({"pair": [0.4, 0.3, 0.2, 0.1]}, {"pair": [0.1, 0.2, 0.3, 0.4]}),
        *looks({"pair": [0.4, 0.3, 0.2, 0.1]}, {"pair": [0.4, 0.3, 0.2, 0.1]}),
        *looks({"pair": [0.1, 0.2, 0.3, 0.4]}, phase="train"),
    ]
    (one,) = courses([PAIR], found)
    assert one.turns == (10, 20) and one.changes == 0


def test_looks_of_another_space_are_left_out() -> None:
    assert courses([PAIR], looks({"pair": [0.5, 0.5]}, {"other": [1.0]})) == []


def test_nothing_else_to_decide_for() -> None:
    forced = Choice("forced", "links", ("a", "b"), keep=2)
    (one,) = courses([forced], looks({"forced": [0.5, 0.5]}))
    assert one.runner_up is None and one.margin is None and one.log_margin is None
    assert one.entropy is None and decided.judge_course(one, 10) == []


def test_links_that_are_measured_by_their_operations_mix_nothing_themselves() -> None:
    links = Choice("links", "links", ("a", "b", "c"), 1, measured_by=("a/op", "b/op", "c/op"))
    (one,) = courses([links], looks({"links": [0.5, 0.45, 0.4]}))
    assert one.entropy is None and one.margin == pytest.approx(0.05)
    assert [f.check for f in decided.judge_course(one, 10)] == ["margin", "stability"]


# -- how sure, how settled --------------------------------------------------------------------


def kinds(findings: list[Finding]) -> dict[str, str]:
    return {finding.check: finding.kind for finding in findings}


def judged(
    *strengths: list[float], total: int | None = None, spread: float = 0.0
) -> dict[str, Any]:
    found = looks(*({"pair": one} for one in strengths))
    (one,) = courses([PAIR], found)
    findings = decided.judge_course(one, total or 10 * len(strengths), spread)
    return {finding.check: finding for finding in findings}


def test_a_sure_and_settled_choice_is_well() -> None:
    found = judged(*[[0.45, 0.45, 0.06, 0.04]] * 12)
    assert {name: f.kind for name, f in found.items()} == {
        "entropy": "ok",
        "margin": "ok",
        "stability": "ok",
    }


def test_equal_candidates_are_undecided_and_a_tie() -> None:
    found = judged(*[[0.25] * 4] * 3)
    assert found["entropy"].kind == "soft" and found["entropy"].value == pytest.approx(1)
    assert (
        found["margin"].kind == "soft" and "b and c are equally strong" in found["margin"].sentence
    )


def test_a_margin_within_what_the_start_makes() -> None:
    strengths = [[0.4, 0.3, 0.3 / math.e**0.1, 0.02]] * 5
    assert judged(*strengths, spread=0.05)["margin"].kind == "ok"
    found = judged(*strengths, spread=0.2)["margin"]
    assert found.kind == "soft" and "less than the random start alone makes" in found.sentence


def test_a_margin_within_its_own_unrest() -> None:
    back_and_forth = [[0.4, 0.3 + 0.01 * (-1) ** i, 0.3 - 0.01 * (-1) ** i, 0.0] for i in range(20)]
    found = judged(*back_and_forth, [0.4, 0.31, 0.29, 0.0])["margin"]
    assert found.kind == "soft" and "from one look to the next" in found.sentence


@pytest.mark.parametrize(("changed_at", "kind"), [(30, "ok"), (90, "ok"), (100, "soft")])
def test_a_late_change_is_unsettled(changed_at: int, kind: str) -> None:
    first, then = [0.5, 0.2, 0.2, 0.1], [0.1, 0.2, 0.2, 0.5]
    found = judged(*(first if turn < changed_at else then for turn in range(10, 101, 10)))
    assert found["stability"].kind == kind and found["stability"].value == 1


def test_checkpoints_that_decide_differently() -> None:
    same = {8: {"pair": ("a", "b")}, 10: {"pair": ("b", "a")}}
    assert kinds(decided.judge_checkpoints(same)) == {"checkpoints": "ok"}
    (found,) = decided.judge_checkpoints({8: {"pair": ("a", "b")}, 10: {"pair": ("a", "c")}})
    assert found.kind == "soft" and "turn 8 and 10 decide differently for pair" in found.sentence
    assert decided.judge_checkpoints({10: {"pair": ("a",)}}) == []


# -- what kind of operations ------------------------------------------------------------------

SPACE = """
format: 1
space: four
inputs: {rainy: {channels: 3}}
nodes:
  first: {op: conv, with: {channels: 4}}
  middle: {op: {choice: [dense, residual, identity, none]}, repeat: 4}
  last: {op: conv, with: {channels: 3}}
links:
  skip: {from: first, to: last, direction: any, join: add, adapter: conv_1x1, keep: 1}
outputs: {restored: {from: last, add: rainy}}
"""


@pytest.mark.parametrize(("free", "kind"), [(0, "ok"), (2, "ok"), (3, "soft"), (4, "soft")])
def test_operations_without_parameters_take_over(free: int, kind: str) -> None:
    graph = compile_space(parse_space(SPACE))
    names = [c.name for c in graph.choices if c.kind == "operation"]
    assert len(names) == 4
    decisions = {n: ("identity" if i < free else "residual",) for i, n in enumerate(names)}
    (found,) = decided.judge_operations(graph, {**decisions, "skip": ("first->last",)})
    assert found.kind == kind and found.value == free / 4
    assert "33% would" in found.sentence  # one of three that can be decided for


def test_a_choice_of_nothing_but_free_operations_is_no_collapse() -> None:
    space = SPACE.replace("[dense, residual, identity, none]", "[identity, none]")
    graph = compile_space(parse_space(space))
    decisions = {c.name: (c.decidable[0],) for c in graph.choices}
    assert decided.judge_operations(graph, decisions)[0].kind == "ok"


def test_tied_operations_count_once_and_those_in_dropped_cells_not_at_all() -> None:
    text = """
format: 1
space: cells
inputs: {rainy: {channels: 3}}
cells:
  free: {nodes: {layer: {repeat: 2, op: {choice: [identity, residual]}}}}
  other: {nodes: {only: {op: {choice: [identity, dense]}}}}
nodes:
  chain: {cell: free, repeat: 3}
  body: {cell: {choice: [free, other]}}
outputs: {restored: body}
"""
    graph = compile_space(parse_space(text))
    decisions = {
        "free/layer.1": ("identity",), "free/layer.2": ("residual",),
        "other/only": ("identity",), "body": ("free",),
    }  # fmt: skip
    (found,) = decided.judge_operations(graph, decisions)
    assert found.value == 1 / 2 and found.sentence.startswith("1 of 2 operations")
    (found,) = decided.judge_operations(graph, {**decisions, "body": ("other",)})
    assert found.value == 2 / 3 and "free/layer.1: identity" in found.sentence


def test_what_hangs_on_a_changed_decision_is_no_change_of_its_own() -> None:
    turns = {8: {"body": ("a",), "a/first": ("x",)}, 12: {"body": ("b",), "b/first": ("y",)}}
    (found,) = decided.judge_checkpoints(turns)
    assert found.value == 1 and "differently for body" in found.sentence


def test_links_do_not_count() -> None:
    from nasrestore.graph.genotype import load_genotype
    from nasrestore.spec.load import load_recipe
    from nasrestore.spec.shipped import find

    graph = compile_space(load_recipe("rdmc").space)
    paper = load_genotype(find("rdmc-paper", "genotype"))
    assert decided.judge_operations(graph, paper.decisions) == []


# -- what deciding loses ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("supernet", "derived", "gained", "kind"),
    [
        (1.0, 0.9, 1.0, "ok"),
        (1.0, 1.5, 1.0, "ok"),
        (1.0, 1.6, 1.0, "soft"),
        (1.0, 1.05, None, "ok"),
        (1.0, 1.2, None, "soft"),
        (-0.9, -0.5, 0.5, "soft"),  # of an objective that is negative
        (1.0, 1.2, -0.1, "soft"),
    ],
)
def test_the_gap_over_what_was_gained(
    supernet: float, derived: float, gained: float | None, kind: str
) -> None:
    found = decided.judge_gap(supernet, derived, gained)
    assert found.kind == kind and found.value == pytest.approx(derived - supernet)


# -- what the log says ------------------------------------------------------------------------


def step(turn: int, total: float, level: str = "upper", **more: Any) -> dict[str, Any]:
    return {"step": turn, "level": level, "phase": "search", "terms": {"total": total}, **more}


def event(name: str, **fields: Any) -> dict[str, Any]:
    return {"event": name, "phase": "search", **fields}


def test_how_a_search_ended() -> None:
    def end(*records: dict[str, Any], turns: int = 5, planned: int | None = 10) -> Finding:
        (found,) = logged.judge_end(records, turns, planned)
        return found

    assert end(step(9, 1.0), turns=10).kind == "ok"
    assert "has not ended" in end(step(4, 1.0)).sentence
    assert "was interrupted" in end(step(4, 1.0), event("interrupted", turn=5)).sentence
    assert "no checkpoint" in end(planned=None).sentence
    reason = "level 'weights': loss not finite: mse is nan"
    bad = end(step(4, 1.0), event("stopped", turn=5, reason=reason))
    assert (bad.kind, bad.check) == ("hard", "finite") and "mse is nan" in bad.sentence
    other = end(event("stopped", turn=5, reason="the very same batch"))
    assert (other.kind, other.check) == ("hard", "stopped")
    said = {
        "event": "finding",
        **Finding("hard", "batches", "upper", "the very same batch").plain(),
    }
    known = end(said, event("stopped", turn=5, reason="the very same batch"))
    assert known.sentence == "the search stopped itself in turn 5: the finding above"


def test_a_search_that_went_on_after_it_stopped_is_not_stopped() -> None:
    stopped = event("stopped", turn=5, reason="loss not finite: mse is nan")
    said = {"event": "finding", **Finding("hard", "batches", "upper", "the same").plain()}
    known = {"event": "finding", **Finding("soft", "ownership", "c", "frozen").plain()}
    records = [step(4, 1.0), said, known, stopped, step(4, 1.0), step(9, 1.0)]
    (found,) = logged.judge_end(records, 10, 10)
    assert found.kind == "ok"
    assert [f.check for f in logged.logged_findings(records)] == ["ownership"]
    assert [f.check for f in logged.logged_findings(records[:4])] == ["batches", "ownership"]


def test_an_objective_that_does_not_fall() -> None:
    falls = [step(i, 10.0 - i / 10) for i in range(40)]
    rises = [step(i, float(i), "other") for i in range(40)]
    short = [step(i, float(i), "short") for i in range(5)]
    found = logged.judge_objectives([*falls, *rises, *short])
    assert {f.subject: f.kind for f in found} == {"upper": "ok", "other": "soft"}
    assert logged.start_of(falls, "upper") == pytest.approx(10 - 0.15)  # of the first four
    assert logged.start_of(falls, "none") is None


def test_solvers() -> None:
    steps = [step(i, 1.0, residual=10.0**-i) for i in range(5)]
    (found,) = logged.judge_solvers(steps)
    assert found.kind == "ok" and found.value == pytest.approx(1e-2)
    said = event("unsolved", step=1, text="level 'upper': the solver left a residual of 1")
    (found,) = logged.judge_solvers([*steps, said])
    assert found.kind == "soft" and "residual of 1; median residual 0.01" in found.sentence


def test_the_responses_further_below_are_judged_as_the_solver_is() -> None:
    steps = [step(i, 1.0, response_residual=10.0**-i) for i in range(5)]
    (found,) = logged.judge_solvers(steps)
    assert found.kind == "ok" and "responses further below 0.01 over 5" in found.sentence
    said = event("unsolved", step=1, text="level 'upper': the response of level 'w' is solved for")
    both = [step(i, 1.0, residual=1e-9, response_residual=0.5) for i in range(5)]
    (found,) = logged.judge_solvers([*both, said])
    assert found.kind == "soft" and "median residual 1e-09 over 5" in found.sentence
    assert "responses further below 0.5 over 5" in found.sentence


# -- data -------------------------------------------------------------------------------------


def test_a_scene_in_two_splits() -> None:
    apart = {"train": ["a"], "validation": ["b"], "test": ["c"]}
    assert [f.kind for f in splits.judge_members(apart)] == ["ok"]
    (found,) = splits.judge_members({**apart, "validation": ["b", "c"]})
    assert found.kind == "hard" and found.subject == "validation, test"
    assert "share 1 scene: c" in found.sentence


def test_leaks_are_hard_and_counted_by_splits() -> None:
    class Leak:
        def __init__(self, a: str, b: str) -> None:
            self.split_a, self.split_b = a, b

        def __str__(self) -> str:
            return f"one in {self.split_a} shows the scene of one in {self.split_b}"

    found = splits.judge_leaks([Leak("validation", "test"), Leak("validation", "test")])
    assert [f.kind for f in found] == ["hard"] and found[0].value == 2
    assert "worth nothing" in found[0].sentence
    assert splits.judge_leaks([Leak("train", "train")])[0].kind == "ok"


def test_what_decides_reads_what_trains() -> None:
    given = {"weights": "train", "architecture": "validation", "hyper": "train"}
    found = splits.judge_reading(given, ["architecture", "hyper"])
    assert [(f.subject, f.kind) for f in found] == [("architecture", "ok"), ("hyper", "soft")]
    assert splits.judge_reading({"all": "train"}, ["all"]) == []


# -- findings ---------------------------------------------------------------------------------


def test_hard_ones_come_first_and_each_once() -> None:
    soft, hard, ok = (Finding(k, "c", "s", k) for k in ("soft", "hard", "ok"))  # type: ignore[arg-type]
    assert ordered([ok, soft, hard, soft]) == [hard, soft, ok]
    assert finding_of({"time": "now", **hard.plain()}) == hard
