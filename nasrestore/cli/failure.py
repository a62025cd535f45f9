"""From an error to what the user reads on stderr, and to the exit status."""

from __future__ import annotations

import os
import traceback
from collections.abc import Sequence
from pathlib import Path

from nasrestore.cli.output import complain, dimmed, marked
from nasrestore.cli.stopping import INTERRUPTED, Stopped
from nasrestore.errors import Location, NasRestoreError, RunStopped, SpecError
from nasrestore.plugin_errors import raised_by_plugin

MOST_ERRORS = 50
_LESS_MEMORY = {
    "restore": "smaller tiles (--tile 256), or another device (--device)",
    "evaluate": "another device (--device), or smaller images",
}
_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


def show_failure(error: BaseException, command: str = "") -> int:
    """Says on stderr what went wrong with a command, and gives the exit status."""
    if isinstance(error, KeyboardInterrupt):
        complain("interrupted")
        return INTERRUPTED
    if _out_of_memory(error):
        error = RunStopped(
            f"out of memory: {_first_line(error)}",
            hint=_LESS_MEMORY.get(
                command, "smaller patches or batches (--set data.batch=2), or another device"
            ),
        )
    error = raised_by_plugin(error) or error
    if isinstance(error, OSError):
        error = _disk_error(error)
    if isinstance(error, ModuleNotFoundError):
        error = _missing_package(error)
    if isinstance(error, SpecError):
        show_errors(errors_in(error))
    elif isinstance(error, Stopped):
        complain(error.message)
    elif isinstance(error, NasRestoreError):
        complain(f"{marked('error:')} {error.message}")
        if error.hint:
            complain(dimmed(f"hint: {error.hint}"))
    else:
        traceback.print_exception(type(error), error, error.__traceback__)
        complain(f"{marked('error:')} this is a bug in nasrestore, please report it")
        return 1
    return error.exit_status


def errors_in(error: SpecError) -> Sequence[SpecError]:
    """All the errors that one stands for."""
    several: Sequence[SpecError] = getattr(error, "errors", (error,))
    return several


def show_errors(errors: Sequence[SpecError]) -> None:
    """One line each, the first fifty."""
    for error in errors[:MOST_ERRORS]:
        parts = [shown_location(error.location), error.path, error.message]
        text = ": ".join(part for part in parts if part)
        hint = dimmed(_on_one_line(f" ({error.hint})")) if error.hint else ""
        complain(f"{marked('error:')} {_on_one_line(text)}{hint}")
    if len(errors) > MOST_ERRORS:
        complain(f"... and {len(errors) - MOST_ERRORS} more")


def _on_one_line(text: str) -> str:
    """What names and values may hold, YAML's quoted ones too, must not look like another error."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shown_location(location: Location | None) -> str:
    """``FILE:LINE:COLUMN``; of a ``--set``, which has one line, its text alone."""
    if location is None:
        return ""
    if location.file.startswith("--set "):
        return location.file
    return str(Location(shown_path(location.file), location.line, location.column))


def shown_path(path: str | os.PathLike[str]) -> str:
    """The path as it is, or from the current folder where that is shorter."""
    name = os.fspath(path)
    try:
        relative = os.path.relpath(name)
    except (OSError, ValueError):  # no current folder any more, or another drive
        return name
    return relative if len(relative) < len(name) else name


def _disk_error(error: OSError) -> BaseException:
    """The message for what a disk may refuse; the error itself for anything else."""
    from nasrestore.runtime.checkpoint import disk_errors

    try:
        with disk_errors(Path(str(error.filename or "the output"))):
            raise error
    except NasRestoreError as known:
        return known
    except OSError:
        return error


def _missing_package(error: ModuleNotFoundError) -> BaseException:
    package = (error.name or "").partition(".")[0]
    if package in ("", "nasrestore"):
        return error
    return NasRestoreError(
        f"the package {package!r} is not installed", hint="install nasrestore again: it brings it"
    )


def _out_of_memory(error: BaseException) -> bool:
    """Also torch's own two kinds, of which one is a RuntimeError like any other."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(sign in text for sign in _MEMORY)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "no more is known"
