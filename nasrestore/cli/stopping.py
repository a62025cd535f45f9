"""Ctrl-C in a long run: the first one lets the turn end and a checkpoint be written.

Before the first turn has ended there is nothing to wait for: then it interrupts at once, as a
second one does always.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from nasrestore.errors import NasRestoreError

INTERRUPTED = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM)
STDERR = 2
NOTICE = "stopping after this turn; once more stops at once"


class Stopped(NasRestoreError):
    """The user stopped a run; the message says how to go on with it."""

    exit_status = INTERRUPTED


class Stop:
    """Whether the user asked to stop.

    Attributes:
        asked: the first signal has come.
        announces: whether that is to be said on stderr; a progress display says it itself.
    """

    def __init__(self) -> None:
        self.asked = False
        self.announces = True
        self._awaited = False

    def should_stop(self) -> bool:
        """Asked after every turn."""
        self._awaited = True
        return self.asked

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The handler of a signal.

        Raises:
            KeyboardInterrupt: nobody asks whether to stop yet, or this is the second signal.
        """
        if self.asked or not self._awaited:
            raise KeyboardInterrupt
        self.asked = True
        if self.announces:
            with suppress(OSError):  # not print: the signal may have come in the middle of one
                os.write(STDERR, f"{NOTICE}\n".encode())


@contextmanager
def resumable(how: Callable[[], str | None]) -> Iterator[Stop]:
    """Takes signals inside the block, and says how to resume when it is interrupted.

    Args:
        how: the command that goes on; None where there is nothing to go on with.

    Raises:
        Stopped: the block was interrupted.
    """
    stop = Stop()
    before = _install(stop)
    try:
        yield stop
    except KeyboardInterrupt:
        raise _stopped("interrupted", how()) from None
    except Exception as error:
        if not _is_interruption(error):
            raise
        raise _stopped(f"interrupted: {error}", how()) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def terminable() -> Iterator[None]:
    """Inside the block a request to terminate is an interruption, so that files are ended well."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = None
    if threading.current_thread() is threading.main_thread():
        before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _install(stop: Stop) -> dict[int, Any]:
    if threading.current_thread() is not threading.main_thread():
        return {}  # Python hands signals to the main thread alone
    return {number: signal.signal(number, stop.handle) for number in SIGNALS}


def _is_interruption(error: Exception) -> bool:
    """Whether a loop has left because it was asked to; its module may not even be imported."""
    loop = sys.modules.get("nasrestore.search.loop")
    return loop is not None and isinstance(error, loop.Interrupted)


def _stopped(what: str, command: str | None) -> Stopped:
    if command is None:
        return Stopped(f"{what}; there is nothing to resume")
    return Stopped(f"{what}; go on with: {command}")
