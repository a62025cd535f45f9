"""Error, time and memory of every hypergradient, and where in a chain each is valid.

    python -m benchmarks.hypergradient_table --threads 1

Small problems in float64 whose hypergradient is known exactly, one architecture step of the quick
RDMC recipe, and the answers of the checks that recipes go through. Writes a result file and, from it, the
page ``docs/hypergradients-table.md``; ``--from FILE`` writes the page alone, from a result file. Times
are the least of the rounds that the process computed, not those on the clock, so that it matters little
what else the machine does; they want one thread.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import nasrestore as nr
from benchmarks.hypergradient_page import page
from benchmarks.hypergradient_places import answers
from benchmarks.hypergradient_problems import (
    Problem,
    bilevel,
    cosine,
    error,
    several_minimisers,
    trilevel,
)
from benchmarks.hypergradient_rdmc import measured as on_rdmc
from benchmarks.paired import arguments, write_result
from benchmarks.peak import MEASURE, peak_bytes

PAGE = Path(__file__).resolve().parents[1] / "docs" / "hypergradients-table.md"
DIRECTIONS = ("value_function",)  # no hypergradients: their cosine is what tells
Named = Mapping[str, Any]


def two_levels() -> list[Problem]:
    return [
        bilevel("quadratic, condition 1", 1.0),
        bilevel("quadratic, condition 100", 100.0),
        bilevel("quadratic, condition 10^4", 1e4),
        bilevel("quartic", 100.0, quartic=0.05),
        bilevel("quadratic 100, away", 100.0, away=0.1),
        bilevel("quartic, away", 100.0, quartic=0.05, away=0.1),
        several_minimisers(),
    ]


def methods(rate: float) -> Iterator[tuple[str, Named]]:
    """Methods by the name of their row.

    Args:
        rate: one over the largest eigenvalue of the lower Hessian.
    """
    yield "first_order", {"name": "first_order"}
    yield "finite_difference", {"name": "finite_difference", "rate": rate}
    for steps in (1, 10, 100):
        yield f"unrolled, {steps} sgd", _unrolled(steps, "sgd", rate=rate)
    yield "unrolled, 100 sgd, momentum 0.9", _unrolled(100, "sgd", rate=rate, momentum=0.9)
    for steps in (1, 10):
        yield f"unrolled, {steps} adam", _unrolled(steps, "adam", rate=1e-3)
    for terms in (1, 20, 200, 2000):
        yield f"neumann, {terms}", {"name": "neumann", "terms": terms, "rate": rate}
    for steps in (5, 20, 100):
        yield f"conjugate_gradient, {steps}", {"name": "conjugate_gradient", "steps": steps}
    for steps in (10, 100):
        yield f"aggregation, {steps}", {"name": "aggregation", "steps": steps, "lower_rate": rate}
    for follow in (0, 10):
        method = {"name": "value_function", "steps": 10, "rate": rate, "follow": follow}
        yield f"value_function, follow {follow}", method


def _unrolled(steps: int, optimizer: str, **settings: float) -> Named:
    return {"name": "unrolled", "steps": steps, "optimizer": optimizer, **settings}


def three_levels(problem: Problem) -> Iterator[tuple[str, str | None, Named, Named | None]]:
    """Row, curvature's name, method and curvature."""
    curvatures: dict[str, Named] = {
        "frozen": {"name": "frozen"},
        "unrolled, 1": _curvature(1, problem),
        "unrolled, 20": _curvature(20, problem),
        "resolved": {"name": "resolved"},
    }
    rate = problem.rate
    rows: dict[str, Named] = {
        "finite_difference": {"name": "finite_difference", "rate": rate},
        "unrolled, 1 sgd": _unrolled(1, "sgd", rate=rate),
        "unrolled, 20 sgd": _unrolled(20, "sgd", rate=rate),
        "neumann, 20": {"name": "neumann", "terms": 20, "rate": rate},
        "conjugate_gradient, 20": {"name": "conjugate_gradient", "steps": 20},
        "aggregation, 10": {"name": "aggregation", "steps": 10, "lower_rate": rate},
        "value_function, follow 0": {"name": "value_function", "steps": 10, "rate": rate},
    }
    yield "first_order", None, {"name": "first_order"}, None
    for row, method in rows.items():
        for name, curvature in curvatures.items():
            yield row, name, method, curvature


def _curvature(steps: int, problem: Problem) -> Named:
    return {"name": "unrolled", "steps": steps, "optimizer": "sgd", "rate": problem.inner_rate}


def measured(
    problem: Problem, method: Named, curvature: Named | None, rounds: int
) -> dict[str, Any]:
    """Error (a cosine for a direction), milliseconds and peak bytes."""

    def run() -> Any:
        return nr.hypergradient_of(problem.chain, problem.at, method, curvature=curvature)

    found = run()
    gradient: Tensor = found.of["a"].detach()
    times = []
    for _ in range(rounds):
        began = time.process_time()
        run()
        times.append(time.process_time() - began)
    kind = "cosine" if method["name"] in DIRECTIONS else "error"
    size = cosine(gradient, problem.exact) if kind == "cosine" else error(gradient, problem.exact)
    return {
        kind: size,
        "milliseconds": round(1e3 * min(times), 3),
        "peak_bytes": peak_bytes(run),
        "unsolved": found.unsolved,
        **{key: value for key, value in found.record.items() if key == "residual"},
    }


def oracles(rounds: int) -> list[dict[str, Any]]:
    rows = []
    for problem in two_levels():
        for row, method in methods(problem.rate):
            figures = measured(problem, method, None, rounds)
            rows.append({"problem": problem.name, "row": row, "method": dict(method), **figures})
        print(problem.name, "done")
    problem = trilevel()
    for row, name, method, curvature in three_levels(problem):
        figures = measured(problem, method, curvature, rounds)
        entry = {"problem": problem.name, "row": row, "curvature": name, "method": dict(method)}
        rows.append({**entry, **figures})
    return rows


def main() -> int:
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("--threads", type=int, default=None, help="default: torch's own")
    parser.add_argument("--from", dest="source", type=Path, help="a result file: the page alone")
    parser.add_argument("--page", type=Path, default=PAGE, help="where the page goes")
    options = parser.parse_args()
    if options.source is None:
        if options.threads is not None:
            torch.set_num_threads(options.threads)
        before = os.getloadavg()[0]
        content = {
            "threads": torch.get_num_threads(),
            "rounds": options.rounds,
            "peak": MEASURE,
            "oracles": oracles(options.rounds),
            "rdmc": on_rdmc(options.rounds),
            "places": answers(),
            "load_average": {"before": round(before, 2), "after": round(os.getloadavg()[0], 2)},
        }
        options.source = write_result("hypergradient-table", content, options.out)
        print(options.source)
    options.page.write_text(page(json.loads(options.source.read_text()), options.source.name))
    print(options.page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
