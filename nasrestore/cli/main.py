"""The command ``nasrestore``: finds the command that was named, runs it, and gives its exit status.

0 done; 1 a bug; 2 what the user gave is wrong; 3 the run stopped itself; 130 interrupted.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from nasrestore.cli.failure import show_failure
from nasrestore.cli.parser import Parser
from nasrestore.errors import NasRestoreError
from nasrestore.plugin_errors import raised_by_plugin

OVERVIEW = "nasrestore finds and trains networks for image restoration."
MORE = "nasrestore COMMAND --help says more, with an example."


class Command(NamedTuple):
    """A command of the module ``nasrestore.cli.NAME``, which only its own call imports."""

    group: str
    arguments: str
    help: str


COMMANDS = {
    "search": Command("find", "RECIPE", "search a recipe's space; leaves a run folder"),
    "derive": Command("find", "[RUN]", "decide again, under limits if wanted; carry weights over"),
    "train": Command("find", "[RUN]", "train the network that a run decided for"),
    "evaluate": Command("use", "[RUN]", "measure a run on test images, or anybody's results"),
    "restore": Command("use", "INPUT...", "restore images, folders of images, and videos"),
    "synthesize": Command("use", "CLEAN...", "make rainy pairs or clips of clean photos or video"),
    "show": Command("look", "FILE", "a space, recipe, genotype or run: size, choices, cost"),
    "check": Command("look", "FILE...", "find every error in recipes, spaces and genotypes"),
    "profile": Command("look", "RECIPE", "parameters, multiply-adds and latency of a network"),
    "doctor": Command("look", "[RUN]", "the health of a run's search, or of a recipe's, in words"),
    "report": Command("look", "[RUN]", "write a run's HTML page again"),
    "list": Command("set up", "", "the recipes, spaces and genotypes that are shipped"),
    "copy": Command("set up", "NAME", "copy a shipped file, with all that it needs, to edit it"),
    "schema": Command("set up", "KIND", "JSON Schema of a kind of file, for editors"),
}


def entry() -> int:
    """The console script."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started this process
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  for as long as it runs
        with suppress(AttributeError, ValueError):
            # A file's name may hold what the terminal's encoding does not know.
            getattr(sys, name).reconfigure(errors="backslashreplace")
    return main(sys.argv[1:])


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and gives its exit status; nothing is raised.

    Args:
        argv: what follows ``nasrestore``; default: this process's own.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        status = _run(arguments)
        sys.stdout.flush()
        return status
    except SystemExit as leaving:  # argparse leaves so after --help
        if raised_by_plugin(leaving) is not None:
            return show_failure(leaving)
        return leaving.code if isinstance(leaving.code, int) else 0
    except BrokenPipeError:
        _forget_stdout()
        return 0
    except BaseException as error:
        status = show_failure(error, *arguments[:1])
        with suppress(OSError):
            sys.stdout.flush()
            return status
        _forget_stdout()
        return status


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    name, *rest = arguments
    if name == "--version":
        from nasrestore.runtime.checkpoint import package_version

        print(f"nasrestore {package_version()}")
        return 0
    if name not in COMMANDS:
        raise _unknown(name)
    module = importlib.import_module(f"nasrestore.cli.{name}")
    parser = Parser(name, COMMANDS[name].help, module.EXAMPLE)
    module.add_arguments(parser)
    status: int = module.run(parser.parse(rest))
    return status


def _unknown(name: str) -> NasRestoreError:
    if name.startswith("-"):
        close = difflib.get_close_matches(name, ["--help", "--version"], n=1, cutoff=0.8)
        what, hint = "option", "options come after the command; nasrestore --help lists commands"
    else:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        what, hint = "command", "nasrestore --help lists them"
    if not close:
        return NasRestoreError(f"unknown {what} {name!r}", hint=hint)
    return NasRestoreError(f"unknown {what} {name!r} (did you mean {close[0]!r}?)")


def overview() -> str:
    """All commands by group, without importing any."""
    width = max(len(f"{name} {c.arguments}") for name, c in COMMANDS.items())
    lines = [OVERVIEW, "", "usage: nasrestore COMMAND ..."]
    group = ""
    for name, command in COMMANDS.items():
        if command.group != group:
            group = command.group
            lines += ["", f"{group}:"]
        lines.append(f"  {f'{name} {command.arguments}':<{width}}  {command.help}")
    return "\n".join([*lines, "", MORE])


def _forget_stdout() -> None:
    """Points stdout to nowhere, so that the interpreter's last flush has nobody to complain to."""
    with suppress(OSError, ValueError, AttributeError):
        descriptor = sys.stdout.fileno()
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
