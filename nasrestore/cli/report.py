"""``nasrestore report``: a run's figures, and its HTML page written again."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from nasrestore.cli import options
from nasrestore.cli.output import complain, print_json, say

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
    psnr, ssim = (
        [float(result[f"{name}_{when}"]) for when in ("before", "after")]
        for name in ("psnr", "ssim")
    )
    return [
        f"test images, protocol {result['protocol']}:",
        f"  PSNR {psnr[0]:.2f} dB before, {psnr[1]:.2f} dB after ({psnr[1] - psnr[0]:+.2f})",
        f"  SSIM {ssim[0]:.4f} before, {ssim[1]:.4f} after ({ssim[1] - ssim[0]:+.4f})",
    ]


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
