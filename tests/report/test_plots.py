from __future__ import annotations

import io
import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from PIL import Image

from nasrestore.graph.ir import Choice
from nasrestore.report import plots
from nasrestore.report.plots import (
    loss_plot,
    loss_png,
    smoothed,
    strengths_plot,
    strengths_png,
)

LINKS = Choice("skip_up", "links", tuple(f"encoder.{i}->decoder.4" for i in range(1, 6)), keep=2)
CELL = Choice("cell", "operation", ("residual", "none", "identity"))


def step(number: int, level: str = "weights", phase: str = "search", **terms: float) -> dict:
    return {"step": number, "level": level, "phase": phase, "terms": terms}


def strengths(turn: int, **values: list[float]) -> dict:
    return {"event": "strengths", "phase": "search", "turn": turn, "strengths": values}


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots of few pixels, which are drawn faster."""
    monkeypatch.setattr(plots, "DPI", 30)


@pytest.fixture
def axes(monkeypatch: pytest.MonkeyPatch) -> list[Axes]:
    """The axes of the figures that are drawn from now on."""
    found: list[Axes] = []
    grid = plots.grid

    def watched(count: int) -> Any:
        figure, made = grid(count)
        found.extend(made)
        return figure, made

    monkeypatch.setattr(plots, "grid", watched)
    return found


def test_nothing_to_draw(tmp_path: Path) -> None:
    records = [{"event": "log", "format": 1}, step(0, total=math.nan)]
    assert not loss_plot(records, tmp_path / "loss.png")
    assert not strengths_plot(records, [LINKS], tmp_path / "strengths.png")
    assert list(tmp_path.iterdir()) == []


def test_plots_are_png_files(tmp_path: Path) -> None:
    assert loss_plot([step(0, total=1.0)], tmp_path / "a" / "loss.png")
    assert strengths_plot([strengths(1, cell=[0.5, 0.3, 0.2])], [CELL], tmp_path / "strengths.png")
    for path in (tmp_path / "a" / "loss.png", tmp_path / "strengths.png"):
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert image.width == int(plots.PANEL[0] * plots.DPI)


def test_the_same_records_give_the_same_file() -> None:
    records = [step(i, total=1.0 / (i + 1)) for i in range(20)]
    assert loss_png(records) == loss_png(records)


def test_each_phase_and_level_has_its_axes(axes: list[Axes]) -> None:
    records = [
        step(0, "weights", ssim=0.5, total=0.6),
        step(0, "architecture", total=0.6),
        step(0, "weights", "train", total=0.3),
    ]
    loss_png(records)
    titles = [axis.get_title(loc="left") for axis in axes]
    assert titles == ["search: weights", "search: architecture", "train: weights"]
    legend = axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["ssim", "total"]


@pytest.mark.parametrize(
    ("values", "scale"),
    [([1.0, 0.1], "log"), ([0.3, 0.29], "log"), ([1.0, 0.0], "linear"), ([1.0, -0.1], "linear")],
)
def test_an_axis_is_logarithmic_where_all_is_positive(
    axes: list[Axes], values: list[float], scale: str
) -> None:
    loss_png([step(i, total=value) for i, value in enumerate(values)])
    (axis,) = axes
    assert axis.get_yscale() == scale
    low, high = axis.get_ylim()
    assert any(low <= tick <= high for tick in axis.get_yticks())


def test_what_is_not_finite_is_left_out(axes: list[Axes]) -> None:
    loss_png([step(0, total=1.0), step(1, total=math.inf), step(2, total=0.5, extra=math.nan)])
    raw, mean = axes[0].get_lines()
    assert np.asarray(raw.get_xdata()).tolist() == [0, 2]
    assert np.asarray(mean.get_ydata()).tolist() == [1.0, 0.5]


def test_a_long_run_is_drawn_with_few_points(axes: list[Axes]) -> None:
    loss_png([step(i, total=2.0) for i in range(10_001)])
    (raw, _) = axes[0].get_lines()
    assert len(np.asarray(raw.get_xdata())) <= plots.MOST_POINTS
    assert set(np.asarray(raw.get_ydata())) == {2.0}


def test_smoothing_keeps_constants_lines_and_means() -> None:
    assert smoothed([3.0] * 400) == pytest.approx([3.0] * 400)
    rising = [float(i) for i in range(400)]
    assert smoothed(rising)[20:-20] == pytest.approx(rising[20:-20])
    assert smoothed([1.0]) == [1.0]
    assert smoothed([]) == []
    noisy = np.random.default_rng(0).normal(size=1000)
    assert np.std(smoothed(noisy.tolist())) < 0.3


def test_the_leading_candidates_are_named(axes: list[Axes]) -> None:
    records = [
        strengths(1, skip_up=[0.4] * 5, cell=[0.4, 0.3, 0.3]),
        strengths(2, skip_up=[0.1, 0.7, 0.2, 0.9, 0.1], cell=[0.2, 0.7, 0.1]),
    ]
    strengths_png(records, [LINKS, CELL])
    assert [axis.get_title(loc="left") for axis in axes] == ["skip_up", "cell"]
    links, cell = ({t.get_text(): t.get_fontweight() for t in axis.texts} for axis in axes)
    assert links == {
        "encoder.4->decoder.4": "bold",
        "encoder.2->decoder.4": "bold",
        "encoder.3->decoder.4": "normal",
    }
    # "none" leads, but is never decided for.
    assert cell == {"residual": "bold", "none": "normal"}
    assert [len(axis.get_lines()) for axis in axes] == [5, 3]


def test_names_do_not_overlap(axes: list[Axes]) -> None:
    strengths_png([strengths(1, skip_up=[0.4] * 5), strengths(2, skip_up=[0.4] * 5)], [LINKS])
    places = sorted(text.xy[1] for text in axes[0].texts)  # type: ignore[attr-defined]
    low, high = axes[0].get_ylim()
    assert all(b - a > 0.07 * (high - low) for a, b in itertools.pairwise(places))


def test_choices_without_strengths_are_left_out(axes: list[Axes]) -> None:
    records = [strengths(1, cell=[0.5, 0.5], skip_up=[0.2] * 5)]
    strengths_png(records, [CELL, LINKS])
    assert [axis.get_title(loc="left") for axis in axes] == ["skip_up"]


def test_many_choices_are_cut_off(axes: list[Axes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "MOST_CHOICES", 2)
    choices = [Choice(f"cell.{i}", "operation", ("a", "b")) for i in range(3)]
    png = strengths_png([strengths(1, **{c.name: [0.6, 0.4] for c in choices})], choices)
    assert png is not None
    assert len(axes) == 2
    (text,) = axes[0].figure.texts or [axes[0].figure._suptitle]  # type: ignore[union-attr]
    assert text.get_text() == "the first 2 of 3 choices"


def test_odd_names_and_values_are_drawn_without_a_warning() -> None:
    odd = "_$x^ 雨 \\frac{ \n%"
    choice = Choice(odd, "operation", (odd, "b"))
    assert loss_png([step(0, odd, odd, **{odd: 0.5, "_": 0.25})])
    assert strengths_png([strengths(3, **{odd: [math.nan, 1.0]})], [choice])
    assert strengths_png([strengths(3, **{odd: [1.0, "nan"]})], [choice])  # type: ignore[list-item]


def test_pyplot_is_not_used() -> None:
    with Image.open(io.BytesIO(loss_png([step(0, total=1.0)]) or b"")) as image:
        assert image.mode in ("RGB", "RGBA")
    source = Path(plots.__file__).read_text(encoding="utf-8")
    assert "import matplotlib.pyplot" not in source
    assert "from matplotlib import pyplot" not in source
