from __future__ import annotations

import json
import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasrestore.registry import schedule as registry
from nasrestore.search.schedule import (
    Plan,
    Replanner,
    constant,
    cosine,
    plan_steps,
    step,
    warm_up,
)

# ---- schedules


def test_names() -> None:
    factories = registry.factories()
    assert factories["constant"] is constant
    assert factories["step"] is step
    assert factories["cosine"] is cosine


def test_constant() -> None:
    assert {constant()(progress) for progress in (0.0, 0.5, 1.0)} == {1.0}


def test_step_falls_exactly_at_its_epochs() -> None:
    # x0.2 after 30, 50 and 80 of 150 epochs, whatever the number of steps in an epoch.
    multiplier = step([30 / 150, 50 / 150, 80 / 150], 0.2)
    for per_epoch in (1, 3, 7, 375):
        plan = Plan(150 * per_epoch)
        for epochs, expected in ((30, 0.2), (50, 0.04), (80, 0.008)):
            at = epochs * per_epoch
            assert multiplier(plan.progress(at)) == pytest.approx(expected)
            assert multiplier(plan.progress(at - 1)) == pytest.approx(expected / 0.2)
    assert multiplier(0.0) == 1.0
    assert multiplier(1.0) == pytest.approx(0.008)


def test_step_without_steps_is_constant() -> None:
    assert step([], 0.1)(0.9) == 1.0
    assert step([0.0], 0.1)(0.0) == pytest.approx(0.1)
    assert [step([0.5], 0.0)(progress) for progress in (0.0, 0.5)] == [1.0, 0.0]


def test_cosine_closed_form() -> None:
    # 3e-4 down to 1e-6.
    multiplier = cosine(1e-6 / 3e-4)
    assert multiplier(0.0) == 1.0
    assert 3e-4 * multiplier(1.0) == pytest.approx(1e-6)
    assert 3e-4 * multiplier(0.5) == pytest.approx((3e-4 + 1e-6) / 2)
    assert cosine()(1 / 3) == pytest.approx(0.75)
    assert cosine()(1.0) == pytest.approx(0.0)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_cosine_only_falls(final: float, one: float, other: float) -> None:
    multiplier = cosine(final)
    earlier, later = sorted((one, other))
    assert multiplier(earlier) >= multiplier(later) - 1e-12
    assert final - 1e-12 <= multiplier(later) <= 1 + 1e-12


def test_warm_up_is_a_ramp_on_the_schedule_behind_it() -> None:
    multiplier = warm_up(0.1, cosine(0.5))
    assert multiplier(0.0) == 0.0
    assert multiplier(0.05) == pytest.approx(0.5 * cosine(0.5)(0.05))
    assert multiplier(0.1) == cosine(0.5)(0.1)
    assert multiplier(0.7) == cosine(0.5)(0.7)
    assert warm_up(0.0, constant())(0.0) == 1.0


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda: step([0.5, 0.2], 0.1), "0.5, 0.2"),
        (lambda: step([30, 50], 0.1), "30, 50"),
        (lambda: step([math.nan], 0.1), "nan"),
        (lambda: step([0.5], -0.1), "got -0.1"),
        (lambda: cosine(1.5), "got 1.5"),
        (lambda: cosine(math.nan), "got nan"),
        (lambda: warm_up(1.0, constant()), "got 1.0"),
        (lambda: plan_steps(0.0, 10, 5), "got 0.0 s"),
        (lambda: plan_steps(math.nan, 10, 5), "nan"),
        (lambda: plan_steps(1.0, 0.0, 5), "budget of 0.0 s"),
        (lambda: plan_steps(1.0, 10, 0), "0 steps"),
        (lambda: Replanner(Plan(10), 0.0), "got 0.0 s"),
        (lambda: Replanner(Plan(10), math.nan), "got nan s"),
        (lambda: Plan(-1), "total -1"),
        (lambda: Plan(5, 6), "start 6"),
        (lambda: Plan(5, 0, 1.5), "progress 1.5"),
        (lambda: Plan(9, 3).progress(2), "step 2"),
        (lambda: Plan(9).replanned(3, 2), "got 2"),
    ],
)
def test_what_makes_no_sense_is_refused(make: object, found: str) -> None:
    with pytest.raises(ValueError, match=found):
        make()  # type: ignore[operator]


# ---- plans


def test_progress_runs_from_zero_to_one() -> None:
    plan = Plan(4)
    assert [plan.progress(at) for at in range(6)] == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    assert Plan(0).progress(0) == 1.0


def test_progress_after_replanning_closed_form() -> None:
    # Half of 100 steps are done, 25 remain: each is worth twice as much from there on.
    plan = Plan(100).replanned(50, 75)
    assert plan.progress(50) == 0.5
    assert [plan.progress(50 + k) for k in (1, 5, 25)] == pytest.approx([0.52, 0.6, 1.0])
    assert plan.replanned(60, 60).progress(60) == 1.0


@given(st.data())
def test_progress_never_falls_over_any_replanning(data: st.DataObject) -> None:
    plan = Plan(data.draw(st.integers(1, 200)))
    last = -1.0
    at = 0
    while at < plan.total:
        progress = plan.progress(at)
        assert last < progress < 1
        last = progress
        if data.draw(st.booleans()):
            total = data.draw(st.integers(at + 1, plan.total))
            shortened = plan.replanned(at, total)
            assert shortened.progress(at) == progress
            plan = shortened
        at += data.draw(st.integers(1, 20))


def test_plan_steps() -> None:
    assert plan_steps(0.5, 600, 10_000) == 1200
    assert plan_steps(0.5, 600, 1000) == 1000
    assert plan_steps(0.7, 1.0, 10) == 1
    assert plan_steps(5.0, 1.0, 10) == 1
    assert plan_steps(1e-300, 1e300, 7) == 7
    assert plan_steps(1.0, math.inf, 7) == 7


# ---- replanning


def run(replanner: Replanner, seconds: Sequence[float]) -> tuple[int, float, list[float]]:
    """Steps of the given lengths until the plan ends: how many, how long, the progress of each."""
    done, elapsed, progress = 0, 0.0, []
    for length in seconds:
        if done >= replanner.plan.total:
            break
        progress.append(replanner.plan.progress(done))
        done += 1
        elapsed += length
        assert done <= replanner.update(done, elapsed).total <= replanner.most
    return done, elapsed, progress


def test_a_machine_that_keeps_its_pace_keeps_the_plan() -> None:
    replanner = Replanner(Plan(100), 100.0)
    done, _, _ = run(replanner, [1.0] * 200)
    assert done == 100
    assert replanner.plan == Plan(100)


def test_a_plan_that_was_cut_grows_again_up_to_what_was_wanted() -> None:
    slow, fast = [4.0] * 20, [1.0] * 300
    replanner = Replanner(Plan(100), 100.0)
    done, elapsed, progress = run(replanner, slow[:12] + fast)
    assert 55 <= done <= 65 and 90 <= elapsed <= 105  # 12 slow ones, the rest of the time fast
    assert progress == sorted(progress)
    short = Replanner(Plan(10), 100.0, most=40)
    done, _, _ = run(short, fast)
    assert done == 40


def test_within_the_tolerance_nothing_changes() -> None:
    replanner = Replanner(Plan(100), 100.0)
    run(replanner, [1.04] * 200)
    assert replanner.plan == Plan(100)


def test_a_faster_machine_ends_earlier_and_never_does_more() -> None:
    assert run(Replanner(Plan(100), 100.0), [0.1] * 200)[0] == 100


def test_half_the_pace_is_half_the_steps() -> None:
    replanner = Replanner(Plan(1000), 1000.0)
    done, elapsed, progress = run(replanner, [2.0] * 2000)
    assert elapsed <= 1000
    assert done == pytest.approx(500, rel=0.01)
    # The schedule is compressed, not cut off.
    assert progress[-1] > 0.99


def test_a_machine_that_slows_down_half_way() -> None:
    done, elapsed, progress = run(Replanner(Plan(1000), 1000.0), [1.0] * 500 + [3.0] * 1000)
    assert elapsed <= 1.05 * 1000 + 3
    assert 650 <= done <= 700
    assert progress[-1] > 0.99


def test_a_slow_first_step_does_not_shorten_the_plan() -> None:
    replanner = Replanner(Plan(100), 100.0)
    done, elapsed, _ = run(replanner, [4.0] + [1.0] * 200)
    assert (done, elapsed) == (100, 103.0)


@pytest.mark.parametrize("at", [2, 60, 500, 970])
def test_a_hiccup_does_not_count_for_the_rest(at: int) -> None:
    done, _, _ = run(Replanner(Plan(1000), 1000.0), [1.0] * at + [3.0] * 10 + [1.0] * 2000)
    assert done == 1000


def test_regular_interruptions_are_paid_for_step_by_step() -> None:
    # Every 100 seconds something else takes 30.
    done, elapsed, progress = run(Replanner(Plan(1000), 1000.0), ([1.0] * 99 + [31.0]) * 20)
    assert elapsed <= 1.05 * 1000
    assert 750 <= done <= 850
    assert progress[-1] > 0.95


def test_a_budget_that_one_step_exceeds_ends_after_it() -> None:
    assert run(Replanner(Plan(100), 1.0), [5.0] * 100)[0] == 1


def test_no_budget_no_change() -> None:
    assert run(Replanner(Plan(10), None), [1e9] * 20)[0] == 10


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.floats(0.0, 50.0), min_size=60, max_size=60),
    st.floats(1.0, 200.0),
    st.integers(1, 60),
)
def test_the_budget_holds_whatever_the_machine_does(
    seconds: list[float], budget: float, total: int
) -> None:
    replanner = Replanner(Plan(total), budget)
    done, elapsed, progress = run(replanner, seconds)
    assert elapsed <= 1.05 * budget + seconds[done - 1] + 1e-6
    assert progress == sorted(set(progress))


def test_resumed_it_decides_as_if_it_had_never_stopped() -> None:
    lengths = [1.0] * 30 + [2.0] * 30 + [1.5] * 100
    straight = Replanner(Plan(100), 100.0)
    expected = run(straight, lengths)

    first = Replanner(Plan(100), 100.0)
    elapsed = 0.0
    for done, length in enumerate(lengths[:40], 1):
        elapsed += length
        first.update(done, elapsed)
    state = json.loads(json.dumps(first.state_dict()))
    second = Replanner(Plan(7), 3.0)
    second.load_state_dict(state)
    done = 40
    while done < second.plan.total:
        elapsed += lengths[done]
        done += 1
        second.update(done, elapsed)
    assert (done, elapsed) == expected[:2]
    assert second.plan == straight.plan
    assert second.state_dict() == straight.state_dict()
