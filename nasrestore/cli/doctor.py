"""``nasrestore doctor``: the health of a search, in plain sentences."""

from __future__ import annotations

import re
import shlex
import textwrap
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrestore.api.phases import Options
from nasrestore.cli import options
from nasrestore.cli.kinds import is_folder
from nasrestore.cli.output import complain, print_json, say, title
from nasrestore.cli.progress import ProgressObserver
from nasrestore.errors import NasRestoreError, RunStopped
from nasrestore.spec.load import overrides_of
from nasrestore.spec.shipped import is_path, shipped

if TYPE_CHECKING:
    from nasrestore.api.doctor import Diagnosis
    from nasrestore.search.health.finding import Finding

EXAMPLE = """
nasrestore doctor
nasrestore doctor runs/first --picture health.svg
nasrestore doctor rdmc-quick --set space.width=8
"""
HEADS = {
    "hard": "hard: nothing may be decided by this search",
    "soft": "soft: to be known, and what to do",
    "ok": "ok",
}
WIDTH = 100


def add_arguments(parser: ArgumentParser) -> None:
    help_text = "a run folder, or a recipe; default: the newest run under runs/"
    parser.add_argument("what", metavar="RUN or RECIPE", nargs="?", help=help_text)
    options.add_set(parser)
    help_text = "draw strengths, margins and eigenvalues over the turns into this file"
    parser.add_argument(
        "--picture", type=_picture, metavar="FILE", help=f"{help_text}, .svg or .png"
    )
    parser.add_argument("--no-data", action="store_true", help="do not open the images")
    options.add_device(parser)
    options.add_json(parser)


def _picture(text: str) -> Path:
    from argparse import ArgumentTypeError

    path = Path(text)
    if path.suffix.lower() not in (".svg", ".png"):
        raise ArgumentTypeError(f"expected a file ending in .svg or .png, got {text!r}")
    return path


def run(arguments: Namespace) -> int:
    found = _examine(arguments)
    if arguments.picture is not None:
        _draw(found, arguments.picture)
    if arguments.json:
        print_json(_facts(found))
    else:
        _print(found, arguments.picture)
    return 0 if found.ok else RunStopped.exit_status


def _examine(arguments: Namespace) -> Diagnosis:
    from nasrestore.api.doctor import examine_recipe, examine_run

    what, data = arguments.what, not arguments.no_data
    recipe = what is not None and _is_recipe(what)
    if arguments.overrides and not recipe:
        raise NasRestoreError(
            "--set changes a recipe: a run is looked at as it was",
            hint="name a recipe, or leave --set out",
        )
    if arguments.picture is not None and recipe:
        raise NasRestoreError(
            "--picture draws what a search did: a recipe has done nothing yet",
            hint="search first, then name its run",
        )
    with ProgressObserver() as observer:
        how: dict[str, Any] = {"data": data, "device": arguments.device}
        if recipe:
            overrides = overrides_of(arguments.overrides)
            return examine_recipe(what, overrides, options=Options(observer), **how)
        return _naming_run(examine_run(what, options=Options(observer), **how))


def _naming_run(found: Diagnosis) -> Diagnosis:
    """With the folder in the commands that findings advise."""
    assert found.run is not None
    place = shlex.quote(str(found.run.path))
    named = [
        replace(one, advice=re.sub(r"\bRUN\b", lambda _: place, one.advice))
        for one in found.findings
    ]
    return replace(found, findings=tuple(named))


def _is_recipe(text: str) -> bool:
    """Whether a text means a recipe: a file, or the name of a shipped one."""
    if is_folder(text):
        return False
    path = Path(text).expanduser()
    return (
        path.is_file()
        or path.suffix in (".yaml", ".yml")
        or (not is_path(text) and any(text == file.stem for file in shipped("recipe")))
    )


def _facts(found: Diagnosis) -> dict[str, Any]:
    return {
        "run": None if found.run is None else found.run.path,
        "recipe": found.name,
        "ok": found.ok,
        "findings": [finding.plain() for finding in found.findings],
        "choices": [
            {
                "name": course.name,
                "leading": list(course.leading),
                "runner_up": course.runner_up,
                "entropy": course.entropy,
                "margin": course.margin,
                "changes": course.changes,
                "changed": course.changed,
            }
            for course in found.choices
        ],
    }


def _draw(found: Diagnosis, path: Path) -> None:
    from nasrestore.api.run import open_recipe
    from nasrestore.report.health import health_plot

    assert found.run is not None
    choices = open_recipe(found.run).prepared.graph.choices
    if not health_plot(found.records, choices, path):
        complain(f"nothing was drawn: {found.run.path} has logged no strengths")


def _print(found: Diagnosis, picture: Path | None) -> None:
    for kind, head in HEADS.items():
        of_kind = [finding for finding in found.findings if finding.kind == kind]
        if of_kind:
            title(head)
            for alike in _with_one_advice(of_kind):
                _print_findings(alike)
            say()
    counts = [sum(finding.kind == kind for finding in found.findings) for kind in HEADS]
    place = f"recipe {found.name}" if found.run is None else f"run: {found.run.path}"
    say(f"{place}; {counts[0]} hard, {counts[1]} soft, {counts[2]} ok")
    if picture is not None and picture.is_file():
        say(f"picture: {picture}")


def _with_one_advice(findings: Sequence[Finding]) -> Iterable[list[Finding]]:
    """Findings of one check that ask for the same, together, where the first of them stands."""
    alike: dict[tuple[str, str], list[Finding]] = {}
    for index, finding in enumerate(findings):
        check = finding.check if finding.advice else f"{index}"  # without advice: in their order
        alike.setdefault((check, finding.advice), []).append(finding)
    return alike.values()


def _print_findings(alike: Sequence[Finding]) -> None:
    """What was found of several, then what to do about all of them."""
    for finding in alike:
        text = f"{finding.sentence}." if not finding.sentence.endswith(".") else finding.sentence
        for line in _wrapped(f"{finding.check}: {text}", "  "):
            say(line)
    advice = alike[0].advice
    if advice:
        for line in _wrapped(f"{advice[0].upper()}{advice[1:]}.", "      "):
            say(line)


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=f"{indent}    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def health_lines(findings: Sequence[Finding], run: Path) -> list[str]:
    """One or two lines on soft findings, to end a search with; none where there are none."""
    soft = [finding for finding in findings if finding.kind == "soft"]
    if not soft:
        return []
    checks = ", ".join(dict.fromkeys(finding.check.replace("_", "-") for finding in soft))
    more = f"nasrestore doctor {shlex.quote(str(run))} says more"
    first = f"health: {len(soft)} things to know ({checks}); {more}" if len(soft) > 1 else ""
    return [first] if first else [f"health: {soft[0].sentence}", f"  {more}"]
