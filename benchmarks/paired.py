"""Paired measurement: all sides in one process, in turns, and their ratios pair by pair.

What else the machine does slows neighbouring runs alike, so a ratio within one round says more than
two medians taken minutes apart.
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nasrestore.runtime.determinism import environment
from nasrestore.runtime.runlog import json_text

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Rounds:
    """Seconds of each side, one value a round: index i of every side was measured together.

    ``computed`` are those that this process spent on its processors, all threads together: they
    grow less with what else the machine does, but count threads that only wait for each other.
    """

    seconds: Mapping[str, list[float]]
    computed: Mapping[str, list[float]] = field(default_factory=dict)

    def median(self, side: str) -> float:
        return statistics.median(self.seconds[side])

    def ratios(self, slow: str, fast: str) -> list[float]:
        """How many times faster ``fast`` was than ``slow``, round by round."""
        return [a / b for a, b in zip(self.seconds[slow], self.seconds[fast], strict=True)]

    def summary(self, baseline: str) -> dict[str, dict[str, Any]]:
        """For each side: seconds (min, median, max) and how many times faster than ``baseline``."""
        rows: dict[str, dict[str, Any]] = {
            side: {
                "seconds": spread(times),
                "times_faster": spread(self.ratios(baseline, side)),
                "all_seconds": [round(value, 5) for value in times],
            }
            for side, times in self.seconds.items()
        }
        for side, times in self.computed.items():
            rows[side]["cpu_seconds"] = spread(times)
        return rows


def spread(values: list[float]) -> dict[str, float]:
    found = {"min": min(values), "median": statistics.median(values), "max": max(values)}
    return {name: round(value, 4) for name, value in found.items()}


def alternate(
    sides: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    warm_ups: int = 2,
    synchronise: Callable[[], object] = lambda: None,
) -> Rounds:
    """Runs A B A B ...: every side once a round, after warm-up rounds that do not count.

    Args:
        synchronise: called before a clock is read, where a device computes on its own.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    computed: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(warm_ups + rounds):
        for name, run in sides.items():
            synchronise()
            began, before = time.perf_counter(), time.process_time()
            run()
            synchronise()
            if number >= warm_ups:
                seconds[name].append(time.perf_counter() - began)
                computed[name].append(time.process_time() - before)
    return Rounds(seconds, computed)


def print_table(summary: Mapping[str, Mapping[str, Any]], baseline: str) -> None:
    """Seconds and ratios of ``Rounds.summary`` as text."""
    width = max(len(name) for name in summary)
    print(f"{'':{width}}  {'seconds min / median / max':>28}  times faster than {baseline}")
    for name, row in summary.items():
        times, ratio = row["seconds"], row["times_faster"]
        shown = f"{times['min']:.3f} / {times['median']:.3f} / {times['max']:.3f}"
        faster = f"{ratio['min']:.2f} / {ratio['median']:.2f} / {ratio['max']:.2f}"
        print(f"{name:{width}}  {shown:>28}  {faster}")


def write_result(name: str, content: Mapping[str, Any], out: Path = RESULTS) -> Path:
    """Writes ``NAME-YYYY-MM-DD.json`` with the date, the machine and the versions in it."""
    today = datetime.date.today().isoformat()
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{name}-{today}.json"
    whole = {"benchmark": name, "date": today, **content, "environment": environment()}
    path.write_text(json_text(whole, indent=1))  # strict: infinities become the string "inf"
    return path


def arguments(description: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """A parser with the options that all benchmarks share."""
    parser = argparse.ArgumentParser(description=(description or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=rounds, help="rounds that count")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the result file")
    return parser
