"""The page of a run: one HTML file that needs nothing else, for readers without this package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nasrestore.graph.ir import SearchGraph
from nasrestore.report import results
from nasrestore.report.boxes import Decisions, Strengths
from nasrestore.report.html import document, figure, folded, image, section, text
from nasrestore.report.picture import space_svg
from nasrestore.report.plots import loss_png, strengths_png
from nasrestore.runtime.checkpoint import disk_errors
from nasrestore.runtime.runfolder import RunFolder, read_result
from nasrestore.runtime.runlog import read_log
from nasrestore.search.health.finding import Finding
from nasrestore.spec.source import read_yaml

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def run_page(
    run: RunFolder,
    graph: SearchGraph | None = None,
    decisions: Decisions | None = None,
    strengths: Strengths | None = None,
    findings: Sequence[Finding] = (),
) -> str:
    """The text of ``report.html``. What the run does not have yet is left out.

    Plots, pictures and styles are part of the page; it loads nothing and runs no script.

    Args:
        run: its recipe, result, log and the PNG files under ``pictures`` are read.
        graph: the compiled space, not the derived network.
        decisions: for each choice what was decided for.
        strengths: for each choice the mixing weight of each candidate.
        findings: on the health of the search.

    Raises:
        NasRestoreError: a file of the run is damaged or of another version.
        ValueError: decisions that the graph does not have.
    """
    recipe = _recipe(run)
    result = read_result(run)
    records = read_log(run.log) if run.log.is_file() else []
    decided, known = decisions or {}, strengths or {}
    if graph is not None:  # a whole genotype also decides what dropped links and cells hold
        decided = graph.relevant(decided)
    name = str(recipe.get("recipe") or run.path.name or "run")
    space = [] if graph is None else _space(graph, decided, known, result)
    return document(
        f"{name}: report",
        [
            _header(name, recipe, records),
            results.headline(result),
            results.evaluations(result),
            _pictures(run),
            *space,
            results.health(findings),
            _plots(records, graph),
            results.conditions(result, recipe),
            _recipe_text(run),
        ],
    )


def _recipe(run: RunFolder) -> Mapping[str, Any]:
    """The recipe as plain data; empty where there is none."""
    if not run.recipe.is_file():
        return {}
    tree = read_yaml(run.recipe)
    plain = tree.plain()
    return plain if isinstance(plain, Mapping) else {}


def _header(name: str, recipe: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> str:
    lines = [f"<h1>{text(name)}</h1>"]
    if recipe.get("description"):
        lines.append(f"<p>{text(recipe['description'])}</p>")
    start = next((record["time"] for record in records if record.get("time")), None)
    if start is not None:
        shown = str(start)[:16].replace("T", " ")
        lines.append(f'<p class="muted">begun {text(shown)} UTC</p>')
    return "<header>\n" + "\n".join(lines) + "\n</header>"


def _space(
    graph: SearchGraph, decisions: Decisions, strengths: Strengths, result: Mapping[str, Any]
) -> list[str]:
    title = "Architecture" if decisions else "Search space"
    picture = figure(space_svg(graph, decisions, strengths))
    return [
        section(title, picture, results.derivation(result)),
        section("Decisions", results.decision_table(graph, decisions, strengths)),
    ]


def _plots(records: Sequence[Mapping[str, Any]], graph: SearchGraph | None) -> str:
    plots = [("losses over steps", loss_png(records))]
    if graph is not None:
        plots.append(("strengths over turns", strengths_png(records, graph.choices)))
    shown = [figure(image(png, caption), caption) for caption, png in plots if png is not None]
    return section("Course", *shown)


def _pictures(run: RunFolder) -> str:
    """The PNG files of the run, by name; one that is not whole is left out."""
    if not run.pictures.is_dir():
        return ""
    shown = []
    for path in sorted(run.pictures.glob("*.png")):
        with disk_errors(path, "read"):
            png = path.read_bytes()
        if png.startswith(PNG_SIGNATURE):
            caption = path.stem.replace("_", " ").replace("-", " ")
            shown.append(figure(image(png, caption), caption))
    return section("Images", *shown)


def _recipe_text(run: RunFolder) -> str:
    if not run.recipe.is_file():
        return ""
    with disk_errors(run.recipe, "read"):
        recipe = run.recipe.read_text(encoding="utf-8-sig", errors="replace")
    return section("Recipe", folded("recipe.yaml", recipe))
