"""Judgements of a search from its log: how it ended, what stopped it, how its solvers fared. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, median

from nasrestore.search.health.course import Record
from nasrestore.search.health.finding import Finding, finding_of

SHARE = 0.1  # of a level's steps, at either end
RESUME = "go on with it: nasrestore search RUN/recipe.yaml --resume --out RUN"


def search_steps(records: Sequence[Record]) -> list[Record]:
    return [record for record in records if _is_step(record)]


def _is_step(record: Record) -> bool:
    return "event" not in record and record.get("phase", "search") == "search"


def logged_findings(records: Sequence[Record]) -> list[Finding]:
    """What the monitor said during the search; hard ones, unless the search went on after them."""
    last = max((i for i, r in enumerate(records) if _is_step(r)), default=-1)
    said = [(i, finding_of(dict(r))) for i, r in enumerate(records) if r.get("event") == "finding"]
    return [finding for i, finding in said if finding.kind != "hard" or i > last]


def judge_end(records: Sequence[Record], turns: int, planned: int | None) -> list[Finding]:
    """Whether the search ended, and if not, why.

    Args:
        turns: that a checkpoint has.
        planned: turns of the whole search.
    """
    last = _last_event(records)
    if last is not None and last["event"] == "stopped":
        known = [f.sentence for f in logged_findings(records) if f.kind == "hard"]
        return [_stopped(last, known)]
    if last is not None and last["event"] == "crashed":
        return [_crashed(last)]
    if planned is None:
        sentence = "the search has left no checkpoint yet"
        return [Finding("soft", "end", "search", sentence, RESUME)]
    if turns >= planned:
        sentence = f"the search ended after {turns:,} turns; no loss was infinite or not a number"
        return [Finding("ok", "end", "search", sentence, "", float(turns))]
    how = "was interrupted" if last is not None else "has not ended"
    return [
        Finding(
            "soft",
            "end",
            "search",
            f"the search {how}: its last checkpoint is of turn {turns:,} of {planned:,}",
            RESUME,
            float(turns),
        )
    ]


def _last_event(records: Sequence[Record]) -> Record | None:
    """What ended the search last, unless it went on after that."""
    for record in reversed(records):
        if record.get("phase", "search") != "search":
            continue
        if record.get("event") in ("stopped", "interrupted", "crashed"):
            return record
        if "event" not in record:
            return None
    return None


def _stopped(event: Record, known: Sequence[str]) -> Finding:
    reason = str(event.get("reason", "no reason was logged"))
    if reason in known:
        reason = "the finding above"
    finite = "not finite" in reason or "norm of the gradient" in reason
    return Finding(
        "hard",
        "finite" if finite else "stopped",
        "search",
        f"the search stopped itself in turn {event.get('turn')}: {reason}",
        "lower the learning rate, clip the gradient (clip:), or set precision=fp32"
        if finite
        else "remove the cause, then search again",
    )


def _crashed(event: Record) -> Finding:
    return Finding(
        "hard",
        "crashed",
        "search",
        f"the search crashed in turn {event.get('turn')}: {event.get('reason')}",
        f"mend what raised it (a plugin, if one is named), then {RESUME}",
    )


def judge_objectives(records: Sequence[Record]) -> list[Finding]:
    """Whether each level's objective fell over its steps."""
    found = []
    for level, totals in _totals(records).items():
        if len(totals) < 20:
            continue
        first, last = ends(totals)
        said = f"the objective of level {level!r} went from {first:.4g} to {last:.4g}"
        if last < first:
            found.append(Finding("ok", "objective", level, said, "", last - first))
        else:
            advice = (
                "raise its learning rate, or search longer: decisions are worth what was learnt"
            )
            found.append(
                Finding(
                    "soft", "objective", level, f"{said}: it did not fall", advice, last - first
                )
            )
    return found


def ends(totals: Sequence[float]) -> tuple[float, float]:
    """The means over the first and the last tenth."""
    count = max(1, int(SHARE * len(totals)))
    return fmean(totals[:count]), fmean(totals[-count:])


def start_of(records: Sequence[Record], level: str) -> float | None:
    """The objective of a level at its beginning."""
    totals = _totals(records).get(level)
    return None if not totals else ends(totals)[0]


def _totals(records: Sequence[Record]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for record in search_steps(records):
        if "total" in record["terms"]:
            found.setdefault(str(record["level"]), []).append(float(record["terms"]["total"]))
    return found


def judge_solvers(records: Sequence[Record]) -> list[Finding]:
    """Residuals of the hypergradients' solvers, and what they could not solve."""
    said = {
        str(record["text"]).partition(":")[0]: record
        for record in records
        if record.get("event") == "unsolved" and record.get("phase", "search") == "search"
    }
    residuals: dict[str, dict[str, list[float]]] = {}
    for record in search_steps(records):
        for name in RESIDUALS:
            if name in record:
                of_level = residuals.setdefault(str(record["level"]), {})
                of_level.setdefault(name, []).append(float(record[name]))
    found = []
    for level, by_name in residuals.items():
        middle = median(next(iter(by_name.values())))
        figures = "; ".join(_figures(RESIDUALS[name], by_name[name]) for name in by_name)
        unsolved = said.pop(f"level {level!r}", None)
        if unsolved is None:
            sentence = f"the solver of level {level!r} converged: {figures}"
            found.append(Finding("ok", "solver", level, sentence, "", middle))
        else:
            found.append(_unsolved(level, f"{unsolved['text']}; {figures}", middle))
    return found + [_unsolved(name, str(event["text"]), None) for name, event in said.items()]


RESIDUALS = {
    "residual": "residual",
    "response_residual": "residual of the responses further below",
}


def _figures(name: str, values: Sequence[float]) -> str:
    return (
        f"median {name} {median(values):.3g} over {len(values):,} steps, largest {max(values):.3g}"
    )


def _unsolved(level: str, sentence: str, value: float | None) -> Finding:
    return Finding(
        "soft",
        "solver",
        level,
        sentence,
        "give its hypergradient or curvature more steps or damping, or take another; unsolved: stop "
        "stops there",
        value,
    )
