"""What commands print: aligned tables, JSON, and emphasis where a terminal shows it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TextIO

DIM, BOLD, RED = "2", "1", "1;31"


def colours(stream: TextIO) -> bool:
    """Whether a stream is a terminal that is to show colours."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return not plain and stream.isatty()


def styled(text: str, style: str, stream: TextIO) -> str:
    return f"\x1b[{style}m{text}\x1b[0m" if text and colours(stream) else text


def dimmed(text: str) -> str:
    """Text for stderr that steps back."""
    return styled(text, DIM, sys.stderr)


def marked(text: str) -> str:
    """Text for stderr that stands out."""
    return styled(text, RED, sys.stderr)


def complain(text: str) -> None:
    """A line on stderr, after all that stdout has so far."""
    with suppress(OSError):  # nobody may read stdout any more; this may still be read
        sys.stdout.flush()
    print(text, file=sys.stderr)


def say(text: str = "") -> None:
    """A line on stdout."""
    print(text)


def title(text: str) -> None:
    """A line on stdout that heads others."""
    print(styled(text, BOLD, sys.stdout))


def print_json(value: Any) -> None:
    """Strict JSON on stdout; infinities are the texts ``inf`` and ``-inf``."""
    from nasrestore.runtime.runlog import json_text

    print(json_text(value, indent=2), end="")


def print_table(rows: Sequence[Sequence[str]], *, heads: bool = False, indent: int = 2) -> None:
    """Rows in columns as wide as need be; figures stand to the right.

    Args:
        heads: the first row says what the columns are.
    """
    if not rows:
        return
    columns = list(zip(*rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    figures = [all(map(_is_figure, column[heads:])) for column in columns]
    for number, row in enumerate(rows):
        cells = [
            cell.rjust(width) if figure else cell.ljust(width)
            for cell, width, figure in zip(row, widths, figures, strict=True)
        ]
        line = " " * indent + "  ".join(cells).rstrip()
        title(line) if heads and number == 0 else say(line)


def _is_figure(text: str) -> bool:
    return text[:1].isdigit() or text in ("", "-")


def count(number: float | None) -> str:
    """``2,025``, or a dash for what is not known."""
    return "-" if number is None else f"{int(number):,}"
