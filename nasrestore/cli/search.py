"""``nasrestore search``: from a recipe to a run folder with decisions."""

from __future__ import annotations

import shlex
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from nasrestore.api.phases import Options
from nasrestore.assemble.prepare import prepare
from nasrestore.cli import options
from nasrestore.cli.decisions import print_decisions
from nasrestore.cli.doctor import health_lines
from nasrestore.cli.newrun import NewRun
from nasrestore.cli.output import print_json, print_table, say, title
from nasrestore.cli.progress import ProgressObserver
from nasrestore.cli.report import report_after
from nasrestore.cli.stopping import resumable
from nasrestore.errors import NasRestoreError
from nasrestore.spec.load import overrides_of

if TYPE_CHECKING:
    from nasrestore.api.search import SearchResult

EXAMPLE = """
nasrestore search rdmc-quick --budget 10m
nasrestore search rdmc --set data.root=Rain200L --out runs/rain200
nasrestore search rdmc --resume --out runs/rain200
"""


def add_arguments(parser: ArgumentParser) -> None:
    options.add_recipe(parser)
    options.add_set(parser)
    options.add_out(parser)
    options.add_budget(parser)
    options.add_device(parser)
    options.add_seed(parser)
    options.add_resume(parser)
    options.add_json(parser)


def run(arguments: Namespace) -> int:
    from nasrestore.api.search import search

    overrides = overrides_of(arguments.overrides)
    out = _resumed_run(arguments) if arguments.resume else arguments.out
    made = NewRun(out)

    def resume_with() -> str | None:
        folder = out if arguments.resume else made.found()
        if folder is None:
            return None
        recipe = shlex.quote(arguments.recipe)
        return f"nasrestore search {recipe} --resume --out {shlex.quote(str(folder))}"

    with resumable(resume_with) as stop, ProgressObserver(stop) as observer:
        result = search(
            arguments.recipe,
            overrides,
            options=Options(observer, arguments.budget, stop.should_stop),
            out=out,
            seed=arguments.seed,
            device=arguments.device,
            resume=arguments.resume,
            overwrite=arguments.overwrite,
        )
    _show(result, report_after(result.run), as_json=arguments.json)
    return 0


def _resumed_run(arguments: Namespace) -> Path:
    """The folder of the run to resume: the one given, or the newest of the recipe's name."""
    from nasrestore.runtime.runfolder import newest_run

    if arguments.budget is not None:
        raise NasRestoreError(
            "--resume goes on with the turns that were planned: --budget cannot change them",
            hint="leave it out, or start a new run",
        )
    name = prepare(arguments.recipe).recipe.recipe
    out: Path = arguments.out if arguments.out is not None else newest_run(name=name).path
    return out


def _show(result: SearchResult, report: Path | None, *, as_json: bool) -> None:
    genotype, run = result.genotype, result.run.path
    if as_json:
        print_json(
            {
                "run": run,
                "space": genotype.space,
                "digest": genotype.digest,
                "decisions": genotype.decisions,
                "strengths": genotype.strengths,
                "notes": result.notes,
                "health": [finding.plain() for finding in result.health],
                "unsearched": result.unsearched,
                "report": report,
            }
        )
        return
    title(f"decided for space {genotype.space}")
    print_decisions(genotype.decisions, genotype.strengths)
    for note in result.notes:
        say(f"  {note}")
    for line in health_lines(result.health, run):
        say(line)
    say(f"\nrun: {run}")
    if report is not None:
        say(f"report: {report}")
    say("\nnext:")
    name = shlex.quote(str(run))
    print_table(
        [
            [f"nasrestore derive {name}", "carries the weights over, under limits if wanted"],
            [f"nasrestore train {name}", "trains the network that was decided for"],
        ]
    )
    for line in _unsearched(result):
        say(line)


def _unsearched(result: SearchResult) -> list[str]:
    """What ends the output where there was time for no step of the architecture."""
    if not result.unsearched:
        return []
    whole = set(result.genotype.decisions) <= set(result.unsearched)
    what = "nothing" if whole else f"{', '.join(result.unsearched)}: nothing"
    return [
        f"\n{what} was searched: no level that decides it took a step, so that the decisions are",
        "what the search started with (where all start equal, the first candidates)",
        "search longer (--budget, search.steps), or let the level begin earlier (start:)",
    ]
