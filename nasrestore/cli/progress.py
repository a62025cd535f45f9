"""What a long command shows on stderr: a bar on a terminal, now and then a line anywhere else."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TextIO

from nasrestore.api.phases import duration
from nasrestore.cli.stopping import Stop

if TYPE_CHECKING:
    from nasrestore.search.loop import TurnReport

SECONDS_BETWEEN_LINES = 10.0
MOST_CHOICES = 4  # named while a search runs; the log has all


@dataclass(frozen=True)
class Status:
    """How far something is.

    Attributes:
        done: of ``total``; a fraction counts what is under way.
        total: None where nobody knows.
        left: seconds until the end; None while that cannot be told.
        losses: of each level, the last total.
        leading: for each of the first choices, the strongest candidate.
    """

    what: str
    done: float
    total: int | None
    left: float | None = None
    losses: str = ""
    leading: str = ""

    @property
    def count(self) -> str:
        whole = "" if self.total is None else f" of {self.total:,}"
        return f"{int(self.done):,}{whole}"

    @property
    def remaining(self) -> str:
        return "" if self.left is None else f"{duration(self.left)} left"

    @property
    def finished(self) -> bool:
        return self.total is not None and self.done >= self.total


class Display(Protocol):
    """Where statuses are shown."""

    def show(self, status: Status) -> None: ...

    def say(self, text: str) -> None: ...

    def close(self) -> None: ...


class ProgressObserver:
    """Shows a run's progress; the observer that searches and trainings report to.

    A context manager: on leaving, the terminal is as it was.

    Args:
        stop: says on the bar that the run is about to stop.
        display: default: a bar where stderr is a terminal, lines otherwise.
    """

    def __init__(
        self,
        stop: Stop | None = None,
        display: Display | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stop = stop or Stop()
        self._given = display
        self._display: Display | None = None
        self._clock = clock
        self._loading = ("", 0.0, 0.0)  # what, when it began, how much had been done by then

    def __enter__(self) -> ProgressObserver:
        return self

    def __exit__(self, *_: object) -> None:
        if self._display is not None:
            self._display.close()
            self._display = None

    @property
    def display(self) -> Display:
        # Made when there is something to show, so that an input error does not wait for rich.
        if self._display is None:
            self._display = self._given or _suitable_display(self.stop)
        return self._display

    def turn(self, report: TurnReport) -> None:
        """A turn of a search or a training has ended."""
        totals = {record.level: record.terms["total"] for record in report.records}
        losses = ", ".join(f"{level} {total:.4g}" for level, total in totals.items())
        shown = [f"{c} {name} {share:.2f}" for c, (name, share) in report.leading.items()]
        if len(shown) > MOST_CHOICES:
            shown[MOST_CHOICES:] = [f"and {len(shown) - MOST_CHOICES} more"]
        self.display.show(
            Status(report.phase, report.turn, report.total, report.left, losses, ", ".join(shown))
        )

    def message(self, text: str) -> None:
        """A sentence for the user."""
        self.display.say(text)

    def loading(self, what: str, done: float, total: int | None) -> None:
        """So many of ``total`` images or frames are decoded, measured or restored."""
        now = self._clock()
        if self._loading[0] != what or done < self._loading[2]:
            self._loading = (what, now, done)
        _, began, first = self._loading
        left = None
        if total is not None and done > first:
            left = (now - began) / (done - first) * (total - done)
        status = Status(what, done, total, left)
        self.display.show(status)
        if status.finished:
            self._loading = ("", 0.0, 0.0)


class LineDisplay:
    """Plain lines: one at the start, one about every ten seconds, one at the end."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._what = ""
        self._last = 0.0

    def show(self, status: Status) -> None:
        now = self._clock()
        new = status.what != self._what
        if new or status.finished or now - self._last >= SECONDS_BETWEEN_LINES:
            parts = (status.count, "" if status.finished else status.remaining)
            figures = (", ".join(filter(None, parts)), status.losses, status.leading)
            self.say(f"{status.what}: {'; '.join(filter(None, figures))}")
            self._last = now
        self._what = "" if status.finished else status.what

    def say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    def close(self) -> None:
        return None


def _suitable_display(stop: Stop) -> Display:
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        from nasrestore.cli.live import LiveDisplay

        stop.announces = False
        return LiveDisplay(lambda: stop.asked)
    return LineDisplay(sys.stderr)
