"""argparse with errors of one line, and with a suggestion for an option that is misspelt."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
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
        """The arguments; options and positionals in any order.

        Raises:
            NasRestoreError: an unknown option, with the nearest; or anything else amiss.
        """
        self._check_options(argv)
        found, extra = self.parse_known_intermixed_args(list(argv))
        if extra:
            self.error(f"unexpected argument {extra[0]!r}")
        return found

    def error(self, message: str) -> NoReturn:
        raise NasRestoreError(
            message.removeprefix("argument "), hint=f"{self.prog} --help says more"
        )

    def _check_options(self, argv: Sequence[str]) -> None:
        # Before argparse does: it would take an unknown option's value for a positional.
        known = self._option_string_actions
        for name in _option_names(argv):
            if name not in known:
                close = nearest(name, known)
                guess = f" (did you mean {close!r}?)" if close else ""
                self.error(f"unknown option {name!r}{guess}")


def _option_names(argv: Sequence[str]) -> Iterator[str]:
    for argument in argv:
        if argument == "--":
            return
        name = argument.partition("=")[0]
        if len(name) > 1 and name[0] == "-" and " " not in name and not _NUMBER.match(name):
            yield name


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.strip().splitlines())
