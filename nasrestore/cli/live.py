"""A progress bar on a terminal, drawn by rich."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nasrestore.api.phases import duration
from nasrestore.cli.progress import Status
from nasrestore.cli.stopping import NOTICE

REFRESHES_PER_SECOND = 4
BAR_WIDTH = 24


class LiveDisplay:
    """One line with a bar, one with the leading candidates; finished bars become a plain line.

    Args:
        stopping: whether the run is about to stop, which the bar then says.
        console: default: stderr.
    """

    def __init__(self, stopping: Callable[[], bool], console: Console | None = None) -> None:
        self._stopping = stopping
        self._status: Status | None = None
        self._began = time.monotonic()
        self._console = console or Console(stderr=True)
        self._live = Live(
            console=self._console,
            get_renderable=self._drawn,
            refresh_per_second=REFRESHES_PER_SECOND,
            transient=True,
            redirect_stdout=False,  # stdout is for results
        )
        self._live.start()

    def show(self, status: Status) -> None:
        if self._status is None or self._status.what != status.what:
            self._began = time.monotonic()
        self._status = status
        if status.finished:
            self._status = None
            self._live.refresh()  # or the old bar is drawn once more below the line
            took = duration(time.monotonic() - self._began)
            self.say(
                "; ".join(filter(None, (f"{status.what}: {status.count}, {took}", status.losses)))
            )

    def say(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)

    def close(self) -> None:
        self._live.stop()

    def _drawn(self) -> RenderableType:
        status = self._status
        if status is None:
            return Text("")
        bar = ProgressBar(total=status.total, completed=status.done, width=BAR_WIDTH)
        line = Table.grid(padding=(0, 1))
        line.add_column(no_wrap=True)
        line.add_column()
        line.add_column(no_wrap=True, overflow="ellipsis")
        figures = (status.count, NOTICE if self._stopping() else status.remaining, status.losses)
        line.add_row(Text(status.what), bar, Text(", ".join(filter(None, figures))))
        if not status.leading:
            return line
        return Group(line, Text(status.leading, style="dim", no_wrap=True, overflow="ellipsis"))
