"""Progress: plain lines now and then, a bar on a terminal."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from nasrestore.cli.live import LiveDisplay
from nasrestore.cli.progress import LineDisplay, ProgressObserver, Status
from nasrestore.cli.stopping import NOTICE, Stop


class Clock:
    """A clock that is set by hand, seconds."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def observer(clock: Clock, stream: io.StringIO) -> ProgressObserver:
    return ProgressObserver(display=LineDisplay(stream, clock), clock=clock)


def report(turn: int, total: int = 100, **more: object) -> SimpleNamespace:
    records = [
        SimpleNamespace(level="weights", terms={"ssim": 9.0, "total": 0.5}),
        SimpleNamespace(level="weights", terms={"total": 0.25}),
        SimpleNamespace(level="architecture", terms={"total": 0.125}),
    ]
    found = {"phase": "search", "left": 80.0, "records": records, "leading": {}}
    return SimpleNamespace(turn=turn, total=total, **{**found, **more})


def test_a_turn_is_one_line_with_losses_and_leading_candidates(
    observer: ProgressObserver, stream: io.StringIO
) -> None:
    observer.turn(report(20, leading={"skip_up": ("encoder.3->decoder.4", 0.234)}))
    assert stream.getvalue() == (
        "search: 20 of 100, 1 min 20 s left; weights 0.25, architecture 0.125; "
        "skip_up encoder.3->decoder.4 0.23\n"
    )


def test_of_many_choices_a_few_are_named(observer: ProgressObserver, stream: io.StringIO) -> None:
    observer.turn(report(20, leading={f"c.{i}": ("a", 0.5) for i in range(1, 10)}))
    assert stream.getvalue().endswith("c.3 a 0.50, c.4 a 0.50, and 5 more\n")


def test_lines_come_at_the_start_every_ten_seconds_and_at_the_end(
    observer: ProgressObserver, stream: io.StringIO, clock: Clock
) -> None:
    shown = []
    for turn in range(1, 101):
        before = len(stream.getvalue())
        observer.turn(report(turn))
        if len(stream.getvalue()) > before:
            shown.append(turn)
        clock.now += 0.5
    assert shown == [1, 21, 41, 61, 81, 100]
    assert (
        stream.getvalue().splitlines()[-1] == "search: 100 of 100; weights 0.25, architecture 0.125"
    )


def test_each_thing_begins_with_a_line_of_its_own(
    observer: ProgressObserver, stream: io.StringIO
) -> None:
    observer.loading("training images", 1, 40)
    observer.loading("training images", 2, 40)
    observer.loading("test images", 1, 4)
    assert stream.getvalue().splitlines() == ["training images: 1 of 40", "test images: 1 of 4"]


def test_time_left_follows_the_pace_since_the_first(
    observer: ProgressObserver, stream: io.StringIO, clock: Clock
) -> None:
    observer.loading("training images", 1, 41)
    clock.now = 20.0
    observer.loading("training images", 11, 41)
    assert stream.getvalue().splitlines()[-1] == "training images: 11 of 41, 1 min 00 s left"


def test_the_same_again_starts_anew(
    observer: ProgressObserver, stream: io.StringIO, clock: Clock
) -> None:
    for _ in range(2):
        for done in (1, 2):
            observer.loading("measured", done, 2)
            clock.now += 5
    assert stream.getvalue().splitlines() == ["measured: 1 of 2", "measured: 2 of 2"] * 2


def test_part_of_an_image_is_not_counted_as_one() -> None:
    assert Status("restored images", 2.75, 10).count == "2 of 10"


def test_a_length_that_nobody_knows_is_not_made_up(
    observer: ProgressObserver, stream: io.StringIO, clock: Clock
) -> None:
    for done in (1, 2):
        observer.loading("restored frames", done, None)
        clock.now += 20
    observer.loading("restored frames", 3, 3)
    assert stream.getvalue().splitlines() == [
        "restored frames: 1", "restored frames: 2", "restored frames: 3 of 3",
    ]  # fmt: skip


def test_messages_are_shown_as_they_are(observer: ProgressObserver, stream: io.StringIO) -> None:
    observer.message("data.root [is] 'not' given")
    assert stream.getvalue() == "data.root [is] 'not' given\n"


def test_where_nothing_is_shown_no_display_is_made() -> None:
    with ProgressObserver() as observer:
        assert observer._display is None


def live(stop: Stop, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> LiveDisplay:
    monkeypatch.setenv("TERM", "xterm-256color")
    console = Console(file=stream, force_terminal=True, width=120, color_system=None)
    return LiveDisplay(lambda: stop.asked, console)


def test_a_terminal_gets_a_bar_and_the_leading_candidates(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = Stop()
    display = live(stop, stream, monkeypatch)
    with ProgressObserver(stop, display) as observer:
        observer.turn(report(20, leading={"skip_up": ("encoder.3->decoder.4", 0.234)}))
        display._live.refresh()
        assert "20 of 100, 1 min 20 s left, weights 0.25, architecture 0.125" in stream.getvalue()
        assert "skip_up encoder.3->decoder.4 0.23" in stream.getvalue()
        assert "━" in stream.getvalue()


def test_the_bar_says_that_the_run_is_about_to_stop(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = Stop()
    display = live(stop, stream, monkeypatch)
    with ProgressObserver(stop, display) as observer:
        observer.turn(report(20))
        stop.asked = True
        display._live.refresh()
    assert NOTICE in stream.getvalue()


def test_a_finished_bar_leaves_a_line_and_the_cursor(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    display = live(Stop(), stream, monkeypatch)
    with ProgressObserver(display=display) as observer:
        observer.message("data.root [is] 'not' given")
        observer.turn(report(100))
    assert "data.root [is] 'not' given" in stream.getvalue()
    assert "search: 100 of 100, 0 s; weights 0.25, architecture 0.125" in stream.getvalue()
    assert stream.getvalue().rindex("\x1b[?25h") > stream.getvalue().rindex("\x1b[?25l")
