"""Commands are found, options are checked, and what is misspelt is suggested."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest
from command_calls import Call

from nasrestore.cli.main import COMMANDS, entry
from nasrestore.cli.parser import Parser
from nasrestore.errors import NasRestoreError


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_overview_lists_every_command_by_group(call: Call, arguments: list[str]) -> None:
    done = call(*arguments)
    assert done.status == 0 and done.err == ""
    lines = done.out.splitlines()
    for name, command in COMMANDS.items():
        assert any(line.startswith(f"  {name} ") and command.help in line for line in lines)
    groups = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert groups == ["find:", "use:", "look:", "set up:"]


def test_version_is_one_line(call: Call) -> None:
    done = call("--version")
    assert done.status == 0
    assert done.out.startswith("nasrestore ") and done.out.count("\n") == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_ends_with_an_example(call: Call, name: str) -> None:
    done = call(name, "--help")
    assert done.status == 0 and done.err == ""
    before, _, example = done.out.partition("example:\n")
    assert f"usage: nasrestore {name}" in before
    lines = example.strip().splitlines()
    assert lines and all(line.strip().startswith(f"nasrestore {name}") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["serach"], "unknown command 'serach' (did you mean 'search'?)"),
        (["xyzzy"], "unknown command 'xyzzy'"),
        (["--verison"], "unknown option '--verison' (did you mean '--version'?)"),
        (["--json", "list"], "unknown option '--json'"),
        (["search", "--budgt", "10m"], "unknown option '--budgt' (did you mean '--budget'?)"),
        (["search", "rdmc", "--sed=3"], "unknown option '--sed' (did you mean '--seed'?)"),
        (["search", "rdmc", "--bud", "10m"], "unknown option '--bud'"),
        (["search"], "the following arguments are required: RECIPE"),
        (["search", "rdmc", "more"], "unexpected argument 'more'"),
        (["search", "rdmc", "--seed"], "--seed: expected one argument"),
        (["restore", "a.png"], "the following arguments are required: --out"),
        (["search", "rdmc", "--resume", "--overwrite"], "--overwrite: not allowed with"),
    ],
)
def test_wrong_arguments_are_one_line_and_a_hint(
    call: Call, arguments: list[str], message: str
) -> None:
    done = call(*arguments)
    assert done.status == 2 and done.out == ""
    first, *rest = done.err.splitlines()
    assert first.startswith(f"error: {message}")
    assert len(rest) <= 1 and all(line.startswith("hint: ") for line in rest)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seed", "-1"], "--seed: expected a whole number from 0 on, got '-1'"),
        (["--seed", "x"], "--seed: expected a whole number from 0 on, got 'x'"),
        (["--budget", "soon"], "--budget: expected a time such as 90s, 10m or 2h, got 'soon'"),
        (["--device", "gpu"], "--device: expected auto, cpu, cuda or cuda:1, got 'gpu'"),
        (["--set", "nothing"], "--set nothing: expected KEY=VALUE"),
    ],
)
def test_values_of_options_are_checked(call: Call, arguments: list[str], message: str) -> None:
    done = call("search", "rdmc", *arguments)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"error: {message}")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("250000", 250_000),
        ("250_000", 250_000),
        ("250k", 250_000),
        ("2.5M", 2_500_000),
        ("3G", 3 * 10**9),
        ("1e6", 10**6),
    ],
)
def test_amounts_have_units(text: str, number: int) -> None:
    from nasrestore.cli.options import amount

    assert amount(text) == number


def test_sizes_are_height_and_width(call: Call) -> None:
    from nasrestore.cli.options import size

    assert size("480x320") == (480, 320)
    done = call("profile", "rdmc", "--size", "480")
    assert done.status == 2 and "--size: expected HEIGHTxWIDTH" in done.err


def parsed(*arguments: str) -> argparse.Namespace:
    parser = Parser("restore", "restore images", "nasrestore restore a.png --out b")
    parser.add_argument("inputs", nargs="+")
    parser.add_argument("--out", required=True)
    parser.add_argument("--tile", type=int)
    return parser.parse(arguments)


def test_options_and_positionals_mix() -> None:
    found = parsed("a.png", "--out", "d", "b.png", "--tile", "5", "c.png")
    assert found.inputs == ["a.png", "b.png", "c.png"]
    assert (found.out, found.tile) == ("d", 5)


def test_names_after_two_dashes_are_no_options() -> None:
    assert parsed("--out", "d", "--", "-odd.png", "--odder.png").inputs == [
        "-odd.png",
        "--odder.png",
    ]


def test_a_negative_number_is_a_value() -> None:
    assert parsed("a.png", "--out", "d", "--tile", "-3").tile == -3


def test_an_unknown_option_does_not_lose_its_value_to_a_positional() -> None:
    with pytest.raises(NasRestoreError, match="unknown option '--tyle'"):
        parsed("a.png", "--out", "d", "--tyle", "5")


def test_closed_stdout_ends_quietly(here: Path, environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "nasrestore", "list"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, text=True, env=environment, **pipes)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == ""
    assert process.wait() == 0


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_stream_that_was_never_open_is_no_bug(
    stream: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["nasrestore", "lst"])
    monkeypatch.setattr(sys, stream, None)
    status = entry()
    getattr(sys, stream).close()
    assert status == 2
