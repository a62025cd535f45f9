"""``nasrestore report``: a run's figures, and its HTML page written again."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from nasrestore.cli import options
from nasrestore.cli.output import complain, print_json, say
from nasrestore.report.measures import (
    FIDELITY,
    PERCEPTUAL,
    WARPING,
    Measure,
    present,
    which_lpips,
)

if TYPE_CHECKING:
    from nasrestore.api.run import RunLike
    from nasrestore.runtime.runfolder import RunFolder
    from nasrestore.search.health.finding import Finding

EXAMPLE = """
nasrestore report runs/first
"""


def add_arguments(parser: ArgumentParser) -> None:
    options.add_run(parser)
    options.add_json(parser)


def run(arguments: Namespace) -> int:
    path = write_report(arguments.run)
    if arguments.json:
        print_json({"report": path})
    else:
        for line in _figures(path.parent):
            say(line)
        say(f"report: {path}")
    return 0


def _figures(run: Path) -> list[str]:
    """What was measured on the test images, before and after, if anything was."""
    from nasrestore.runtime.runfolder import RunFolder, read_result

    result = read_result(RunFolder(run))
    if "protocol" not in result:
        return []
    tested = [
        row
        for row in result.get("evaluations") or ()
        if (row.get("split"), row.get("protocol")) == ("test", result["protocol"])
    ]
    latest = {**(tested[-1] if tested else {}), **result}
    measures = [*FIDELITY, *present([latest], (*PERCEPTUAL, WARPING))]
    return [
        f"test images, protocol {result['protocol']}:",
        *(_figure(measure, *measure.of(latest)) for measure in measures),
        *(f"  {sentence}" for sentence in which_lpips([latest])),
    ]


def _figure(measure: Measure, before: float | str | None, after: float | str | None) -> str:
    if before is None or after is None:
        return f"  {measure.name} was not measured"
    was, now = float(before), float(after)
    shown = [f"{value:.{measure.places}f} {measure.unit}".rstrip() for value in (was, now)]
    gain = f"{now - was:+.{measure.places}f}"
    return f"  {measure.name} {shown[0]} before, {shown[1]} after ({gain})"


def write_report(run: RunLike) -> Path:
    """Writes ``report.html`` of a run and gives its path.

    Raises:
        NasRestoreError: it is no run, or the disk refuses.
    """
    from nasrestore.api.run import open_recipe
    from nasrestore.runtime.runfolder import write_atomic

    opened = open_recipe(run)
    genotype = opened.genotype if opened.folder.genotype.is_file() else None
    from nasrestore.report.page import run_page

    decisions, strengths = (
        (None, None) if genotype is None else (genotype.decisions, genotype.strengths)
    )
    findings = _findings(opened.folder)
    page = run_page(opened.folder, opened.prepared.graph, decisions, strengths, findings)
    write_atomic(opened.folder.report, page)
    return opened.folder.report


def _findings(run: RunFolder) -> tuple[Finding, ...]:
    """On the health of its search, once that has begun; its images stay closed."""
    from nasrestore.api.doctor import examine_run
    from nasrestore.api.phases import Options
    from nasrestore.search.loop import Silent

    if not run.log.is_file():
        return ()
    return examine_run(run, options=Options(Silent()), data=False).findings


def report_after(run: RunLike) -> Path | None:
    """The page at the end of another command, whose work does not fail with it."""
    try:
        return write_report(run)
    except Exception as error:
        complain(f"the report could not be written: {str(error) or type(error).__name__}")
        return None
