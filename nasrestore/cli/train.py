"""``nasrestore train``: trains the network that a run decided for, or a named architecture."""

from __future__ import annotations

import shlex
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from nasrestore.api.phases import Options, duration
from nasrestore.cli import options
from nasrestore.cli.kinds import is_folder
from nasrestore.cli.newrun import NewRun, Training
from nasrestore.cli.output import print_json, print_table, say
from nasrestore.cli.progress import ProgressObserver
from nasrestore.cli.report import report_after
from nasrestore.cli.stopping import resumable
from nasrestore.errors import NasRestoreError
from nasrestore.runtime.runfolder import open_run
from nasrestore.spec.load import overrides_of

if TYPE_CHECKING:
    from nasrestore.api.train import TrainResult

EXAMPLE = """
nasrestore train runs/first --budget 1h
nasrestore train runs/first --resume
nasrestore train --recipe rdmc-quick --genotype rdmc-paper --out runs/paper
nasrestore train --recipe rdmc-quick --from runs/first --set data.root=mine   # fine-tuning
"""


def add_arguments(parser: ArgumentParser) -> None:
    options.add_run(parser)
    help_text = "train an architecture of this recipe's space in a new run, instead of a run's"
    parser.add_argument("--recipe", metavar="RECIPE", help=help_text)
    help_text = "with --recipe: the architecture; not needed where nothing is to be decided"
    parser.add_argument("--genotype", metavar="FILE", help=help_text)
    options.add_set(parser, "with --recipe: ")
    options.add_out(parser, "with --recipe: ")
    options.add_seed(parser, "with --recipe: ")
    help_text = (
        "search carries the searched weights over, fresh starts anew, RUN trains on those of another "
        "run's network; default: the recipe's"
    )
    parser.add_argument(
        "--from", dest="weights", type=_weights, metavar="search|fresh|RUN", help=help_text
    )
    options.add_budget(parser)
    options.add_device(parser)
    options.add_resume(parser)
    options.add_json(parser)


def _weights(text: str) -> str:
    """One of two words, or a folder; what else it may be is not known."""
    if text in ("search", "fresh") or is_folder(text):
        return text
    raise ArgumentTypeError(f"expected search, fresh or the folder of a run, got {text!r}")


def run(arguments: Namespace) -> int:
    _check(arguments)
    resume_with = _resumption(arguments)
    with resumable(resume_with) as stop, ProgressObserver(stop) as observer:
        result = _train(arguments, Options(observer, arguments.budget, stop.should_stop))
    _show(result, report_after(result.run), as_json=arguments.json)
    return 0


def _check(arguments: Namespace) -> None:
    """Refuses options that do not go together."""
    if arguments.recipe is None:
        lone = options.given(arguments, "overrides", "genotype", "out", "seed")
        if lone:
            raise NasRestoreError(
                f"{lone[0]} needs --recipe: a run is trained as its own recipe says",
                hint="train another architecture: nasrestore train --recipe RECIPE --genotype FILE",
            )
        if arguments.resume and arguments.weights is not None:
            raise NasRestoreError(
                "--resume goes on with the weights that training has: --from cannot change them",
                hint="leave it out, or start again with --overwrite",
            )
        if arguments.resume and arguments.budget is not None:
            raise NasRestoreError(
                "--resume goes on with the turns that were planned: --budget cannot change them",
                hint="leave it out, or start again with --overwrite",
            )
        return
    if arguments.run is not None:
        raise NasRestoreError(
            f"a run ({arguments.run}) and --recipe were both given",
            hint="--recipe makes a run of its own; name its folder with --out",
        )
    if arguments.resume:
        raise NasRestoreError(
            "--resume and --recipe were both given", hint="nasrestore train RUN --resume"
        )
    if arguments.weights == "search":
        raise NasRestoreError(
            "--from search needs a run that was searched, --recipe starts a new one",
            hint="leave --from out",
        )


def _resumption(arguments: Namespace) -> Callable[[], str | None]:
    """What tells, when it is interrupted, how to go on."""
    if arguments.recipe is None:
        # Found once, so that another run that begins meanwhile is not taken for it.
        arguments.run = open_run(arguments.run).path
        return Training(arguments.run, overwrite=arguments.overwrite).resume_command
    made = NewRun(arguments.out)

    def command() -> str | None:
        folder = made.found()
        return None if folder is None else Training(folder).resume_command()

    return command


def _train(arguments: Namespace, how: Options) -> TrainResult:
    from nasrestore.api.train import train, train_genotype

    if arguments.recipe is None:
        return train(
            arguments.run,
            options=how,
            weights=arguments.weights,
            device=arguments.device,
            resume=arguments.resume,
            overwrite=arguments.overwrite,
        )
    return train_genotype(
        arguments.recipe,
        arguments.genotype,
        overrides_of(arguments.overrides),
        options=how,
        weights=arguments.weights,
        out=arguments.out,
        seed=arguments.seed,
        device=arguments.device,
        overwrite=arguments.overwrite,
    )


def _show(result: TrainResult, report: Path | None, *, as_json: bool) -> None:
    run, summary = result.run.path, result.summary
    if as_json:
        print_json({"run": run, "train": summary, "report": report})
        return
    took = duration(summary["seconds"])
    say(f"trained {summary['turns']:,} turns in {took}, {summary['precision']}")
    say(f"\nrun: {run}")
    if report is not None:
        say(f"report: {report}")
    say("\nnext:")
    name = shlex.quote(str(run))
    what = "images" if result.frames is None else "videos and folders of frames"
    print_table(
        [
            [f"nasrestore evaluate {name}", "measures it on the recipe's test images"],
            [f"nasrestore restore INPUT... --out DIR --run {name}", f"restores {what}"],
        ]
    )
