"""Errors become messages on stderr and exit statuses."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
from command_calls import Call, Called

from nasrestore.cli import list as list_command
from nasrestore.cli.failure import MOST_ERRORS, show_failure, shown_path
from nasrestore.cli.stopping import Stopped
from nasrestore.errors import Location, NasRestoreError, RunStopped, SpecError, SpecErrors


@pytest.fixture
def failing(call: Call, monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], Called]:
    """Runs a command that fails with a given error."""

    def run(error: BaseException) -> Called:
        def fail(_: object) -> int:
            raise error

        monkeypatch.setattr(list_command, "run", fail)
        return call("list")

    return run


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (NasRestoreError("no data", hint="give some"), 2, "error: no data\nhint: give some\n"),
        (NasRestoreError("no data"), 2, "error: no data\n"),
        (
            RunStopped("not finite", hint="a lower rate"),
            3,
            "error: not finite\nhint: a lower rate\n",
        ),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (Stopped("interrupted; go on with: X"), 130, "interrupted; go on with: X\n"),
        (BrokenPipeError(), 0, ""),
    ],
)
def test_status_and_message(
    failing: Callable[[BaseException], Called], error: BaseException, status: int, text: str
) -> None:
    done = failing(error)
    assert (done.status, done.out, done.err) == (status, "", text)


def test_anything_else_is_a_bug_with_its_traceback(
    failing: Callable[[BaseException], Called],
) -> None:
    done = failing(ZeroDivisionError("by zero"))
    assert done.status == 1
    assert "Traceback" in done.err and "ZeroDivisionError: by zero" in done.err
    assert done.err.endswith("error: this is a bug in nasrestore, please report it\n")


def test_a_missing_package_is_named(failing: Callable[[BaseException], Called]) -> None:
    done = failing(ModuleNotFoundError("No module named 'torchvision'", name="torchvision.ops"))
    assert done.status == 2
    assert done.err.startswith("error: the package 'torchvision' is not installed\nhint: ")
    own = ModuleNotFoundError("No module named 'nasrestore.x'", name="nasrestore.x")
    assert failing(own).status == 1


def test_what_a_disk_refuses_is_no_bug(failing: Callable[[BaseException], Called]) -> None:
    done = failing(OSError(errno.ENOSPC, "No space left on device", "runs/a/log.jsonl"))
    assert done.status == 2
    assert done.err.startswith("error: cannot write runs/a/log.jsonl: the disk is full")
    assert "Traceback" not in done.err


def test_an_unknown_error_of_the_system_is_a_bug(
    failing: Callable[[BaseException], Called],
) -> None:
    assert failing(OSError(errno.ENOTTY, "Not a typewriter")).status == 1


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"),
        type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory."),
    ],
)
def test_out_of_memory_is_a_run_that_stopped(
    failing: Callable[[BaseException], Called], error: BaseException
) -> None:
    done = failing(error)
    assert done.status == 3
    assert done.err.startswith("error: out of memory") and "hint: smaller patches" in done.err


@pytest.mark.parametrize(("command", "hint"), [("restore", "--tile"), ("evaluate", "--device")])
def test_commands_that_train_nothing_have_their_own_way_out_of_memory(
    capsys: pytest.CaptureFixture[str], command: str, hint: str
) -> None:
    assert show_failure(MemoryError(), command) == 3
    said = capsys.readouterr().err
    assert hint in said and "data.batch" not in said


def spec_error(line: int, file: str = "a.yaml") -> SpecError:
    return SpecError(Location(file, line, 5), "search.steps", "expected 1", "such as 1")


def test_an_error_in_a_file_is_one_line_with_its_place(
    failing: Callable[[BaseException], Called],
) -> None:
    done = failing(spec_error(14))
    assert done.status == 2
    assert done.err == "error: a.yaml:14:5: search.steps: expected 1 (such as 1)\n"


def test_all_errors_of_a_file_are_shown_in_order(
    failing: Callable[[BaseException], Called],
) -> None:
    done = failing(SpecErrors([spec_error(9), spec_error(2)]))
    places = [line.split(":")[2] for line in done.err.splitlines()]
    assert places == ["2", "9"]


def test_no_more_than_fifty_errors_are_shown(failing: Callable[[BaseException], Called]) -> None:
    done = failing(SpecErrors([spec_error(line) for line in range(1, MOST_ERRORS + 8)]))
    lines = done.err.splitlines()
    assert len(lines) == MOST_ERRORS + 1
    assert lines[-1] == "... and 7 more"


def test_places_in_overrides_have_no_line(failing: Callable[[BaseException], Called]) -> None:
    at = Location("--set search.steps=x", 1, 14)
    done = failing(SpecError(at, "search.steps", "expected an integer, got 'x'"))
    assert done.err == "error: --set search.steps=x: search.steps: expected an integer, got 'x'\n"


def test_paths_are_relative_where_that_is_shorter(
    failing: Callable[[BaseException], Called], here: Path
) -> None:
    done = failing(spec_error(1, str(here / "deep" / "a.yaml")))
    assert done.err.startswith("error: deep/a.yaml:1:5: ")
    assert shown_path("/x") == "/x"
    assert shown_path("b/a.yaml") == "b/a.yaml"


def test_stderr_has_no_colours_where_it_is_no_terminal(
    failing: Callable[[BaseException], Called],
) -> None:
    assert "\x1b" not in failing(NasRestoreError("no", hint="yes")).err


def test_colours_need_a_terminal_that_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    from nasrestore.cli.output import RED, styled

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert styled("error:", RED, Terminal()) == "\x1b[1;31merror:\x1b[0m"
    assert styled("error:", RED, io.StringIO()) == "error:"
    monkeypatch.setenv("NO_COLOR", "1")
    assert styled("error:", RED, Terminal()) == "error:"
