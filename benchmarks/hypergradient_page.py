"""The page of hypergradients, from a result file of ``benchmarks.hypergradient_table``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

COMMAND = "python -m benchmarks.hypergradient_table --threads 1"
TIMED = "quadratic, condition 100"
THREE = "three levels"
Row = Mapping[str, Any]


def page(result: Mapping[str, Any], source: str) -> str:
    """Markdown, ready to be written."""
    return "\n".join([*_lines(result, source)]) + "\n"


def _lines(result: Mapping[str, Any], source: str) -> Iterator[str]:
    rows, threads = result["oracles"], result["threads"]
    versions = result["environment"]["versions"]
    yield f"<!-- Made by `{COMMAND}`; change that, not this page. -->"
    yield "# Hypergradients: error, time and memory"
    yield ""
    load = result["load_average"]
    yield f"From `benchmarks/results/{source}`, which `{COMMAND}` wrote along with this page; torch"
    yield f"{versions['torch']}, {threads} thread{'s' if threads > 1 else ''}. Times are seconds computed, the least of"
    yield f"{result['rounds']} rounds; other programs ran on the machine (load average {load['before']} before,"
    yield f"{load['after']} after), which slows memory, so that they are rough. What the methods are: [levels](levels.md)."
    yield from _two_levels(rows)
    yield from _three_levels([row for row in rows if row["problem"] == THREE])
    yield from _rdmc(result["rdmc"])
    yield from _places(result["places"])


def _two_levels(rows: Sequence[Row]) -> Iterator[str]:
    rows = [row for row in rows if row["problem"] != THREE]
    problems = list(dict.fromkeys(row["problem"] for row in rows))
    names = list(dict.fromkeys(row["row"] for row in rows))
    by = {(row["row"], row["problem"]): row for row in rows}
    yield from (
        "",
        "## Two levels",
        "",
        "50 lower and 20 upper variables in float64; the largest lower eigenvalue is 1 or, in the quartic, its",
        "inverse is the rate. Entries are errors, relative to the hypergradient with the weights solved for. For",
        "`value_function`, which is a direction of descent and no hypergradient, they are cosines with it.",
        '"Away": the weights are a tenth of their length away from the minimum. "Several minimisers" is the',
        "counter-example of BDA, two lower variables one of which is free. The number is of steps or terms;",
        "adam steps by 0.001, and at a minimum, where the gradient is 0, its derivative is one over its epsilon.",
        "",
    )
    yield from _table(
        ["", *problems],
        [[name, *(_size(by[name, problem]) for problem in problems)] for name in names],
    )
    yield from ("", f"Time and peak memory, {TIMED}:", "")
    cells = [[name, *_cost(by[name, TIMED])] for name in names]
    yield from _table(["", "milliseconds", "peak, kB"], cells)


def _three_levels(rows: Sequence[Row]) -> Iterator[str]:
    yield from (
        "",
        "## Three levels",
        "",
        "50, 20 and 10 variables, quadratic in all, everything below at its minimum; the gradient of the",
        "outermost. Error (cosine for `value_function`), milliseconds and peak memory, by what the innermost",
        "level does meanwhile (`curvature`). The exact one has the innermost level solved for.",
        "",
    )
    cells = [[row["row"], row["curvature"] or "none", _size(row), *_cost(row)] for row in rows]
    yield from _table(["method", "curvature", "error", "milliseconds", "peak, kB"], cells)


def _rdmc(rows: Mapping[str, Row]) -> Iterator[str]:
    yield from (
        "",
        "## One architecture step of rdmc-quick",
        "",
        "The supernet of `recipes/rdmc-quick.yaml` with its objective, Adam, and batches of two patches of 96x96,",
        "float32. No exact gradient is known here. Peak memory is that of tensors, above what was there before.",
        "",
    )
    base = rows["first_order"]["seconds"]
    yield from _table(
        ["method", "seconds", "times first_order", "peak, MB", "what its solver says"],
        [
            [
                name,
                f"{row['seconds']:.2f}",
                f"{row['seconds'] / base:.1f}",
                f"{row['peak'] / 1e6:.0f}",
                row["unsolved"] or "",
            ]
            for name, row in rows.items()
        ],
    )


def _places(rows: Sequence[Row]) -> Iterator[str]:
    yield from (
        "",
        "## Which method is valid where",
        "",
        "What `nasrestore check` answers, for levels put into `rdmc-quick`; a number points to its words below. In a",
        "chain of three, a level of the other kind is the third. A method that is let through is not thereby",
        "exact: see above.",
    )
    reasons: list[str] = []

    def cell(row: Row) -> str:
        if row["answer"] == "valid":
            return "yes"
        text = row["answer"].replace(row["method"], "METHOD")
        if text not in reasons:
            reasons.append(text)
        return f"no ({reasons.index(text) + 1})"

    for kind in dict.fromkeys(row["variables"] for row in rows):
        mine = [row for row in rows if row["variables"] == kind]
        places = list(dict.fromkeys(row["place"] for row in mine))
        by = {(row["method"], row["place"]): cell(row) for row in mine}
        yield from ("", f"Variables: {kind}.", "")
        methods = dict.fromkeys(row["method"] for row in mine)
        yield from _table(
            ["", *places], [[m, *(by[m, place] for place in places)] for m in methods]
        )
    yield ""
    for number, text in enumerate(reasons, 1):
        yield f"{number}. {text}"


def _size(row: Row) -> str:
    if "cosine" in row:
        return f"cos {float(row['cosine']):.3f}"
    return f"{float(row['error']):.1e}"


def _cost(row: Row) -> list[str]:
    return [f"{row['milliseconds']:.2f}", f"{row['peak_bytes'] / 1e3:.0f}"]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
