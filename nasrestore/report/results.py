"""What a run's page says in words and tables: what was run, what was measured, what was decided."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nasrestore.graph.ir import Choice, SearchGraph
from nasrestore.report.boxes import Decisions, Strengths
from nasrestore.report.html import Cell, Markup, section, table, text
from nasrestore.report.measures import (
    FIDELITY,
    PERCEPTUAL,
    WARPING,
    Measure,
    measured_how,
    present,
    which_lpips,
)
from nasrestore.search.health.finding import Finding, ordered

ARROW = "→"
MISSING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
PHASES = ("search", "train")
DEVICE_KEYS = ("cpu", "architecture", "cores", "threads", "memory_gb", "gpus")


# -- headline and measurements ---------------------------------------------------------------


def headline(result: Mapping[str, Any]) -> str:
    """The latest figures of the recipe's test split, large."""
    if result.get("psnr_after") is None and result.get("ssim_after") is None:
        return ""
    tiles = []
    for name, unit, places in (("psnr", "dB", 2), ("ssim", "", 4)):
        after = result.get(f"{name}_after")
        if after is None:
            continue
        before = decimal(result.get(f"{name}_before"), places)
        shown = f"<span>{text(before)} {ARROW}</span> {text(decimal(after, places))}"
        title = f"{name.upper()} {f'in {unit}' if unit else ''}".strip()
        tiles.append(f'<div class="figure">{title}<b>{shown}</b></div>')
    protocol = result.get("protocol")
    note = f"test images, rainy {ARROW} restored"
    note += f", protocol {protocol}" if protocol else ""
    tested = [row for row in result.get("evaluations") or () if row.get("split") == "test"]
    if any("overlap" in row for row in tested):
        note += "; scenes may have been trained on (overlap: accepted)"
    return f'<div class="figures">{"".join(tiles)}</div>\n<p class="muted">{text(note)}</p>'


def evaluations(result: Mapping[str, Any]) -> str:
    """Every evaluation, in the order in which they were made."""
    entries = list(result.get("evaluations") or ())
    measures = [*FIDELITY, *present(entries, (*PERCEPTUAL, WARPING))]
    head = ["data", "split", "protocol", "images"]
    for measure in measures:
        head += [f"{measure.name} before", "after", "gain"]
    rows: list[list[Cell]] = []
    for entry in entries:
        row: list[Cell] = [_said(entry.get(key)) for key in ("data", "split", "protocol", "images")]
        if "overlap" in entry:
            row[1] = f"{row[1]} (overlap: {entry['overlap']})"
        for measure in measures:
            figures, places = measure.of(entry), measure.places
            row += [*(decimal(figure, places) for figure in figures), gain(*figures, places)]
        rows.append(row)
    shown = table(rows, head, range(3, len(head)))
    return section("Results", shown, *(_notes(entries, measures) if rows else ()))


def _notes(entries: Iterable[Mapping[str, Any]], measures: Iterable[Measure]) -> list[str]:
    """What the figures are, below their table."""
    sentences = ["PSNR in dB; figures of different protocols cannot be compared."]
    sentences += [f"{sentence}." for sentence in which_lpips(entries)]
    sentences += [f"{sentence}." for sentence in measured_how(entries)]
    if WARPING in measures:
        of_clean = {entry["warping_clean"] for entry in entries if "warping_clean" in entry}
        shown = ", ".join(decimal(figure, WARPING.places) for figure in sorted(of_clean))
        sentences.append(f"Warping error of the clean clips: {shown}; it is no fidelity.")
    return [f'<p class="muted">{text(sentence)}</p>' for sentence in sentences]


def decimal(value: object, places: int) -> str:
    """A figure of ``result.json``, where "inf" and "nan" may stand for a number."""
    if value is None:
        return MISSING
    number = float(value)  # type: ignore[arg-type]
    if number != number:
        return "not a number"
    if number in (float("inf"), -float("inf")):
        return "∞" if number > 0 else f"{MINUS}∞"
    return f"{number:.{places}f}".replace("-", MINUS)


def gain(before: object, after: object, places: int) -> str:
    """The difference with its sign."""
    if before is None or after is None:
        return ""
    difference = float(after) - float(before)  # type: ignore[arg-type]
    shown = decimal(difference, places)
    return f"+{shown}" if difference > 0 else "" if difference != difference else shown


# -- what was run ----------------------------------------------------------------------------


def conditions(result: Mapping[str, Any], recipe: Mapping[str, Any]) -> str:
    """How long each phase took, with which seed and precision, on which machine."""
    phases = [name for name in PHASES if isinstance(result.get(name), Mapping)]
    rows: list[list[Cell]] = []
    for name in phases:
        found = result[name]
        budget = (recipe.get(name) or {}).get("budget")
        time = found.get("seconds")
        rows.append(
            [
                name,
                _said(found.get("turns")),
                MISSING if time is None else duration(float(time)),
                budget or "none",
                _said(found.get("precision")),
                _said(found.get("seed", recipe.get("seed"))),
            ]
        )
    head = ("phase", "turns", "time", "budget", "precision", "seed")
    return section("Run", table(rows, head, (1, 2)), _machines({n: result[n] for n in phases}))


def _machines(phases: Mapping[str, Mapping[str, Any]]) -> str:
    """The machine and versions; of each phase where they differ."""
    found = {
        name: phase["environment"] for name, phase in phases.items() if phase.get("environment")
    }
    if len({repr(environment) for environment in found.values()}) == 1:
        found = {"": next(iter(found.values()))}
    rows: list[list[Cell]] = []
    for name, environment in found.items():
        suffix = f" ({name})" if name else ""
        rows += [
            [f"{what}{suffix}", said]
            for what, said in (
                ("machine", _machine(environment.get("machine") or {})),
                ("versions", _listed((environment.get("versions") or {}).items())),
                ("system", _said(environment.get("os"))),
            )
            if said
        ]
    return table(rows)


def _machine(machine: Mapping[str, Any]) -> str:
    parts = [*(machine.get("gpus") or ()), machine.get("cpu"), machine.get("architecture")]
    if machine.get("cores"):
        parts.append(f"{machine['cores']} cores")
    if machine.get("threads"):
        parts.append(f"{machine['threads']} threads")
    if machine.get("memory_gb"):
        parts.append(f"{machine['memory_gb']} GB memory")
    other = {k: v for k, v in machine.items() if k not in DEVICE_KEYS}
    return ", ".join(str(part) for part in (*parts, _listed(other.items())) if part)


def _listed(items: Iterable[tuple[str, Any]]) -> str:
    return ", ".join(f"{name} {value}" for name, value in items if value is not None)


def derivation(result: Mapping[str, Any]) -> str:
    """The plain facts that the derivation left."""
    found = result.get("derive")
    if not isinstance(found, Mapping):
        return ""
    plain = (str, int, float, bool)
    rows: list[list[Cell]] = [
        [str(name).replace("_", " "), f"{value:,}" if type(value) is int else _said(value)]
        for name, value in found.items()
        if isinstance(value, plain)
    ]
    return table(rows)


def health(findings: Iterable[Finding]) -> str:
    """What ``doctor`` found, hard findings first."""
    rows: list[list[Cell]] = [
        [Markup(f"<b>{one.kind}</b>") if one.kind != "ok" else "ok", one.check.replace("_", " "),
         one.sentence, one.advice]
        for one in ordered(findings)
    ]  # fmt: skip
    return section("Health", table(rows, ["", "check", "found", "what to do"]))


def duration(seconds: float) -> str:
    """``1 h 2 min``, ``3 min 20 s`` or ``4.2 s``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def _said(value: object) -> str:
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


# -- decisions -------------------------------------------------------------------------------


def decision_table(graph: SearchGraph, decisions: Decisions, strengths: Strengths) -> str:
    """For each choice what was decided, how strong it is, and by how much it won."""
    choices = [choice for choice in graph.choices if choice.name in decisions]
    has_strengths = any(strengths.get(choice.name) for choice in choices)
    head = ["choice", "decided", "of", "keep"]
    rows: list[list[Cell]] = []
    for choice in choices:
        decided = decisions[choice.name]
        row: list[Cell] = [
            choice.name,
            _bold(decided),
            str(len(choice.decidable)),
            str(choice.keep),
        ]
        if has_strengths:
            known = strengths.get(choice.name, {})
            figures = [decimal(known.get(name), 3) for name in decided]
            row.append(Markup("<br>".join(map(text, figures))))
            lead = margin(choice, decided, known)
            row.append(MISSING if lead is None else decimal(lead, 3))
        rows.append(row)
    if has_strengths:
        head += ["strength", "margin"]
    note = (
        "<p class='muted'>Strength: mixing weight at the end of the search. Margin: the weakest "
        "that was kept over the strongest that was not; 0 is a tie.</p>"
    )
    shown = table(rows, head, (2, 3, 4, 5))
    return shown + (note if has_strengths and rows else "")


def margin(choice: Choice, decided: Iterable[str], strengths: Mapping[str, float]) -> float | None:
    """By how much the weakest of the decided leads the strongest of the others.

    None where a strength is missing or nothing else could be decided for.
    """
    kept = set(decided)
    if any(name not in strengths for name in choice.decidable):
        return None
    others = [strengths[name] for name in choice.decidable if name not in kept]
    own = [strengths[name] for name in kept]
    return min(own) - max(others) if own and others else None


def _bold(names: Iterable[str]) -> Markup:
    return Markup("<br>".join(f"<b>{text(name)}</b>" for name in names))
