"""``nasrestore report``: a run's HTML page, written again."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from nasrestore.cli import options
from nasrestore.cli.output import complain, print_json, say

if TYPE_CHECKING:
    from nasrestore.api.run import RunLike

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
        say(str(path))
    return 0


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
    page = run_page(opened.folder, opened.prepared.graph, decisions, strengths)
    write_atomic(opened.folder.report, page)
    return opened.folder.report


def report_after(run: RunLike) -> Path | None:
    """The page at the end of another command, whose work does not fail with it."""
    try:
        return write_report(run)
    except Exception as error:
        complain(f"the report could not be written: {str(error) or type(error).__name__}")
        return None
