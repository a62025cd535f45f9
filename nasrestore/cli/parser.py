"""argparse with errors of one line, and with a suggestion for an option that is misspelt."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import NoReturn

from nasrestore.errors import NasRestoreError
from nasrestore.registry import nearest

_NUMBER = re.compile(r"-\.?\d")


class Parser(argparse.ArgumentParser):
    """The arguments of one command.

    Args:
        command: its name.
        description: one line.
        example: command lines to end the help with.
    """

    def __init__(self, command: str, description: str, example: str) -> None:
        super().__init__(
            prog=f"nasrestore {command}",
            description=f"{description[0].upper()}{description[1:]}.",
            epilog=f"example:\n{_indented(example)}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        """The arguments; options and positionals in any order, positionals alone after ``--``.

        Raises:
            NasRestoreError: an unknown option, with the nearest; or anything else amiss.
        """
        options, positionals = self._sorted(argv)
        found, extra = self.parse_known_args(
            [*options, *(["--"] if positionals else []), *positionals]
        )
        if extra:
            self.error(f"unexpected argument {next(e for e in extra if e != '--')!r}")
        return found

    def error(self, message: str) -> NoReturn:
        raise NasRestoreError(
            message.removeprefix("argument "), hint=f"{self.prog} --help says more"
        )

    def _sorted(self, argv: Sequence[str]) -> tuple[list[str], list[str]]:
        """Options with their values, and positionals.

        argparse alone would take an unknown option's value for a positional, and refuse
        positionals on both sides of an option.
        """
        known = self._option_string_actions
        options: list[str] = []
        positionals: list[str] = []
        rest = list(argv)
        while rest:
            argument = rest.pop(0)
            name = _option_name(argument)
            if argument == "--":
                return options, positionals + rest
            if name is None:
                positionals.append(argument)
                continue
            if name not in known:
                self._refuse(name)
            options.append(argument)
            takes_value = known[name].nargs != 0 and "=" not in argument
            if takes_value and rest and rest[0] != "--" and _option_name(rest[0]) is None:
                options[-1] = f"{argument}={rest.pop(0)}"  # argparse takes -10:10 for an option
        return options, positionals

    def _refuse(self, name: str) -> NoReturn:
        close = nearest(name, self._option_string_actions)
        guess = f" (did you mean {close!r}?)" if close else ""
        self.error(f"unknown option {name!r}{guess}")


def _option_name(argument: str) -> str | None:
    """What is an option by its looks; None where it is a value."""
    name = argument.partition("=")[0]
    looks = len(name) > 1 and name[0] == "-" and " " not in name and not _NUMBER.match(name)
    return name if looks else None


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.strip().splitlines())
