"""Measured figures as tables: means before and after, by data set and protocol."""

from __future__ import annotations

from collections.abc import Sequence

from nasrestore.cli.output import print_table, say, title
from nasrestore.report.measures import (
    FIDELITY,
    PERCEPTUAL,
    WARPING,
    Measure,
    Summary,
    present,
    which_lpips,
)


def print_summaries(summaries: Sequence[Summary]) -> None:
    """A table of means by protocol, under the name of each data set."""
    for data in dict.fromkeys((row["data"], row["split"]) for row in summaries):
        title(f"{data[0]} ({data[1]})")
        rows = [row for row in summaries if (row["data"], row["split"]) == data]
        _print_table(rows)
        for sentence in which_lpips(rows):
            say(f"  {sentence}")
        steady = rows[0]
        if "warping_after" in steady:
            of_clean = f"of the clean clips {steady['warping_clean']:.{WARPING.places}f}"
            say(f"  {WARPING.name} {_change(steady, WARPING)}; {of_clean}")


def _print_table(rows: Sequence[Summary]) -> None:
    measures = [*FIDELITY, *present(rows, PERCEPTUAL)]
    table = [["protocol", "images", *(f"{m.name} before -> after" for m in measures), ""]]
    for row in rows:
        changes = [_change(row, measure) for measure in measures]
        overlap = f"overlap: {row['overlap']}" if "overlap" in row else ""
        table.append([str(row["protocol"]), _count(row), *changes, overlap])
    print_table(table, heads=True)


def _count(row: Summary) -> str:
    """How many images; of clips how many frames in how many."""
    clips = row.get("sequences")
    if clips is None:
        return str(row["images"])
    return f"{row['images']} in {clips} clip{'s' * (clips != 1)}"


def _change(row: Summary, measure: Measure) -> str:
    """``25.10 -> 28.04 dB (+2.94)``; result files hold infinities as texts."""
    was, now = (None if value is None else float(value) for value in measure.of(row))
    shown = ["-" if value is None else f"{value:.{measure.places}f}" for value in (was, now)]
    unit = f" {measure.unit}" if measure.unit else ""
    gain = "" if was is None or now is None else f" ({now - was:+.{measure.places}f})"
    return f"{' -> '.join(shown)}{unit}{gain}"
