"""Plots of a run's log: losses over steps, and the strengths of candidates over turns, as PNG.

Drawn with matplotlib's figures alone: pyplot would keep state, and might want a display.
"""

from __future__ import annotations

import io
import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrestore.graph.ir import Choice
from nasrestore.report.fonts import drawable
from nasrestore.runtime.checkpoint import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Records = Sequence[Mapping[str, Any]]
Series = tuple[list[float], list[float]]

DPI = 144
PANEL = (5.6, 3.2)  # inches
COLUMNS = 2
MOST_POINTS = 1500  # of a drawn line; more are averaged
MOST_CHOICES = 24
MOST_NAMED = 4
SMOOTHING = 0.04  # of the run, as the window of the running mean
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#a34a86", "#8a6d00", "#3a8fc4", "#5b3fa0", "#c0392b")
TOTAL_COLOUR, OTHER_COLOUR = "#1c2430", "#b4bcc8"


def loss_plot(records: Records, path: Path) -> bool:
    """Draws every level's terms over its steps: each value pale, their running mean strong.

    An axis is logarithmic where all its values are positive; what is not finite is left out.

    Args:
        records: the lines of a ``log.jsonl``.
        path: a ``.png`` file.

    Returns:
        False where there was nothing to draw, and nothing was written.

    Raises:
        NasRestoreError: the disk refuses.
    """
    return _write(path, loss_png(records))


def strengths_plot(records: Records, choices: Iterable[Choice], path: Path) -> bool:
    """Draws for each choice the strengths of its candidates over the turns of the search.

    The strongest at the end, as many as are kept, are coloured and named.

    Args:
        records: the lines of a ``log.jsonl``; its events "strengths" are used.
        choices: of the graph, whose candidates the events list in order.
        path: a ``.png`` file.

    Returns:
        False where there was nothing to draw, and nothing was written.

    Raises:
        NasRestoreError: the disk refuses.
    """
    return _write(path, strengths_png(records, choices))


def _write(path: Path, png: bytes | None) -> bool:
    if png is not None:
        write_atomic(Path(path), png)
    return png is not None


def loss_png(records: Records) -> bytes | None:
    """The plot that :func:`loss_plot` writes; None where there is nothing to draw."""
    panels = _losses(records)
    if not panels:
        return None
    figure, axes = grid(len(panels))
    for axis, ((phase, level), terms) in zip(axes, panels.items(), strict=True):
        _draw_losses(axis, terms)
        label(axis, f"{phase}: {level}" if phase else level, "step", "loss")
    return _png(figure)


def strengths_png(records: Records, choices: Iterable[Choice]) -> bytes | None:
    """The plot that :func:`strengths_plot` writes; None where there is nothing to draw."""
    drawn = choice_series(records, choices)
    if not drawn:
        return None
    figure, axes = grid(min(len(drawn), MOST_CHOICES))
    for axis, (choice, series) in zip(axes, drawn, strict=False):
        draw_strengths(axis, choice, series)
        label(axis, choice.name, "turn", "strength")
    if len(drawn) > MOST_CHOICES:
        figure.suptitle(f"the first {MOST_CHOICES} of {len(drawn)} choices", fontsize=10)
    return _png(figure)


# -- figures ---------------------------------------------------------------------------------


def grid(count: int) -> tuple[Figure, list[Axes]]:
    """A figure with ``count`` axes, and no more."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(count, COLUMNS)
    rows = -(-count // columns)
    figure = Figure(
        figsize=(PANEL[0] * columns, PANEL[1] * rows), layout="constrained", facecolor="white"
    )
    FigureCanvasAgg(figure)
    return figure, [figure.add_subplot(rows, columns, i + 1) for i in range(count)]


def label(axis: Axes, title: str, x: str, y: str) -> None:
    axis.set_title(drawable(title), fontsize=10, loc="left", fontweight="bold", parse_math=False)
    axis.set_xlabel(x, fontsize=9)
    axis.set_ylabel(y, fontsize=9)
    axis.tick_params(labelsize=8)
    axis.grid(visible=True, color="#e6e9ee", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})
    return file.getvalue()


# -- losses ----------------------------------------------------------------------------------


def _losses(records: Records) -> dict[tuple[str, str], dict[str, Series]]:
    """For each phase and level, each term's values over the steps, finite ones only."""
    found: dict[tuple[str, str], dict[str, Series]] = {}
    for record in records:
        if "event" in record or "terms" not in record:
            continue
        panel = found.setdefault((str(record.get("phase", "")), str(record["level"])), {})
        for name, value in record["terms"].items():
            if math.isfinite(value):
                steps, values = panel.setdefault(name, ([], []))
                steps.append(float(record["step"]))
                values.append(float(value))
    return {key: terms for key, terms in found.items() if terms}


def _draw_losses(axis: Axes, terms: Mapping[str, Series]) -> None:
    # The total last, above the others.
    for number, name in enumerate(sorted(terms, key=lambda name: name == "total")):
        colour = TOTAL_COLOUR if name == "total" else COLOURS[number % len(COLOURS)]
        steps, values = _thinned(terms[name])
        axis.plot(steps, values, color=colour, alpha=0.22, linewidth=0.8)
        axis.plot(
            steps, smoothed(values), color=colour, linewidth=1.8, label=drawable(name).lstrip("_")
        )
    drawn = [value for _, values in terms.values() for value in values]
    if min(drawn) > 0:
        _set_logarithmic(axis, max(drawn) / min(drawn))
    legend = axis.legend(fontsize=8, frameon=False, ncols=2)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _set_logarithmic(axis: Axes, ratio: float) -> None:
    """A logarithmic axis whose numbers are written out, and that has some whatever its range."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    axis.set_yscale("log")
    subs = (1.0, 2.0, 5.0) if ratio < 1e3 else (1.0,)
    axis.yaxis.set_major_locator(MaxNLocator(6) if ratio < 10 else LogLocator(subs=subs))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_locator(NullLocator())


def _thinned(series: Series) -> Series:
    """The means of equally many values each, so that no line has more points than can be seen."""
    steps, values = series
    size = -(-len(steps) // MOST_POINTS)
    starts = range(0, len(steps), size)
    return (
        [math.fsum(steps[i : i + size]) / len(steps[i : i + size]) for i in starts],
        [math.fsum(values[i : i + size]) / len(values[i : i + size]) for i in starts],
    )


def smoothed(values: Sequence[float]) -> list[float]:
    """The mean over a window around each value, which is cut off at both ends.

    A constant stays the constant, a straight line stays the line away from its ends.
    """
    reach = int(SMOOTHING * len(values) / 2)
    sums = [0.0, *itertools.accumulate(values)]
    result = []
    for i in range(len(values)):
        begin, end = max(0, i - reach), min(len(values), i + reach + 1)
        result.append((sums[end] - sums[begin]) / (end - begin))
    return result


# -- strengths -------------------------------------------------------------------------------


def choice_series(records: Records, choices: Iterable[Choice]) -> list[tuple[Choice, list[Series]]]:
    """The choices of which a log has strengths, with those of each candidate over the turns."""
    events = [record for record in records if record.get("event") == "strengths"]
    return [(choice, series) for choice in choices if (series := _strengths(events, choice))]


def _strengths(events: Records, choice: Choice) -> list[Series]:
    """For each candidate its strengths over the turns; empty where none was logged.

    An event of another space, with another number of candidates, is left out.
    """
    turns: list[float] = []
    columns: dict[int, list[float]] = defaultdict(list)
    for event in events:
        values = event["strengths"].get(choice.name)
        if values is None or len(values) != len(choice.candidates):
            continue
        turns.append(float(event["turn"]))
        for i, value in enumerate(values):
            columns[i].append(float(value))
    return [(turns, columns[i]) for i in range(len(choice.candidates))] if turns else []


def draw_strengths(axis: Axes, choice: Choice, series: Sequence[Series]) -> None:
    last = [values[-1] if math.isfinite(values[-1]) else -math.inf for _, values in series]
    order = sorted(range(len(series)), key=lambda i: -last[i])
    leading = [i for i in order if choice.candidates[i] in choice.decidable][: choice.keep]
    named = [*leading, *(i for i in order if i not in leading)][: max(choice.keep + 1, 2)]
    named = named[:MOST_NAMED] if choice.keep < MOST_NAMED else leading
    for i in reversed(order):
        turns, values = series[i]
        rank = leading.index(i) if i in leading else None
        colour = OTHER_COLOUR if rank is None else COLOURS[rank % len(COLOURS)]
        width = 0.9 if rank is None else 1.9
        axis.plot(
            turns, values, color=colour, linewidth=width, marker="." if len(turns) < 3 else ""
        )
    _name_lines(axis, choice, series, named, leading)


def _name_lines(
    axis: Axes,
    choice: Choice,
    series: Sequence[Series],
    named: Sequence[int],
    leading: Sequence[int],
) -> None:
    """Names beside the ends of the lines, moved apart where they would overlap."""
    low, high = axis.get_ylim()
    distance = (high - low) * 0.075
    places = [(series[i][1][-1], i) for i in named if math.isfinite(series[i][1][-1])]
    y = math.inf
    for value, i in sorted(places, reverse=True):
        y = min(value, y - distance)
        rank = leading.index(i) if i in leading else None
        axis.annotate(
            drawable(choice.candidates[i]),
            xy=(1.0, y),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            fontsize=8,
            va="center",
            color="#5d6878" if rank is None else COLOURS[rank % len(COLOURS)],
            fontweight="normal" if rank is None else "bold",
            parse_math=False,
            annotation_clip=False,
        )
    axis.set_ylim(low, high)
