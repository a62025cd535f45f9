"""The picture of a search's health: strengths with the margin between what leads and what does not."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrestore.graph.ir import Choice
from nasrestore.report import plots
from nasrestore.report.plots import Records, Series
from nasrestore.runtime.checkpoint import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARGIN_COLOUR = "#f0c987"


def health_plot(records: Records, choices: Iterable[Choice], path: Path) -> bool:
    """Draws strengths, margins and, where they were looked at, eigenvalues over the turns.

    Args:
        records: the lines of a ``log.jsonl``.
        path: a ``.png`` or ``.svg`` file.

    Returns:
        False where there was nothing to draw, and nothing was written.

    Raises:
        NasRestoreError: the disk refuses.
    """
    figure = _figure(records, choices)
    if figure is None:
        return False
    write_atomic(path, _saved(figure, path.suffix.lower().removeprefix(".")))
    return True


def _figure(records: Records, choices: Iterable[Choice]) -> Figure | None:
    found = plots.choice_series(records, choices)
    looks = _eigenvalues(records)
    if not found and not looks[0]:
        return None
    drawn = found[: plots.MOST_CHOICES]
    figure, axes = plots.grid(len(drawn) + bool(looks[0]))
    for axis, (choice, series) in zip(axes, drawn, strict=False):
        plots.draw_strengths(axis, choice, series)
        margin = _draw_margin(axis, choice, series)
        said = "" if margin is None else f", margin {margin:.3g}"
        plots.label(axis, f"{choice.name}{said}", "turn", "strength")
    if looks[0]:
        _draw_eigenvalues(axes[-1], looks)
    return figure


def _draw_margin(axis: Axes, choice: Choice, series: Sequence[Series]) -> float | None:
    """Shades what lies between the last that leads and the first that does not; the last width."""
    places = [i for i, name in enumerate(choice.candidates) if name in choice.decidable]
    if len(places) <= choice.keep:
        return None
    turns = series[places[0]][0]
    ranked = [
        sorted((series[i][1][step] for i in places), reverse=True) for step in range(len(turns))
    ]
    last = [values[choice.keep - 1] for values in ranked]
    first = [values[choice.keep] for values in ranked]
    axis.fill_between(turns, first, last, color=MARGIN_COLOUR, alpha=0.6, linewidth=0, zorder=0)
    return last[-1] - first[-1]


def _eigenvalues(records: Records) -> Series:
    found = {
        float(record["turn"]): float(record["value"])
        for record in records
        if record.get("event") == "eigenvalue"
    }
    turns = [turn for turn in sorted(found) if math.isfinite(found[turn])]
    return turns, [found[turn] for turn in turns]


def _draw_eigenvalues(axis: Axes, looks: Series) -> None:
    axis.plot(*looks, color=plots.COLOURS[1], linewidth=1.8, marker=".")
    plots.label(axis, "largest eigenvalue, validation Hessian", "turn", "eigenvalue")


def _saved(figure: Figure, kind: str) -> bytes:
    from matplotlib import rc_context

    file = io.BytesIO()
    plain: dict[str, Any] = {"Date": None} if kind == "svg" else {"Software": None}
    with rc_context({"svg.hashsalt": "nasrestore"}):  # the same picture is the same file
        figure.savefig(file, format=kind, dpi=plots.DPI, metadata=plain)
    return file.getvalue()
