"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import argparse
import re
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from pathlib import Path

_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?(?:e\d{1,2})?)([kMG]?)", re.IGNORECASE)
_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


# -- values ----------------------------------------------------------------------------------


def budget(text: str) -> float:
    """Seconds of ``90s``, ``10m`` or ``2h``."""
    from nasrestore.graph.recipe_check import seconds

    found = seconds(text)
    if found is None:
        raise ArgumentTypeError(f"expected a time such as 90s, 10m or 2h, got {text!r}")
    return found


def size(text: str) -> tuple[int, int]:
    """(height, width) of ``HEIGHTxWIDTH``."""
    from nasrestore.graph.compile import parse_size

    found = parse_size(text)
    if found is None:
        raise ArgumentTypeError(
            f"expected HEIGHTxWIDTH such as 480x320, each from 1 to 999999, got {text!r}"
        )
    return found


def device(text: str) -> str:
    """``auto``, ``cpu``, ``cuda`` or ``cuda:1``; whether it is there is found out later."""
    if not _DEVICE.fullmatch(text):
        raise ArgumentTypeError(f"expected auto, cpu, cuda or cuda:1, got {text!r}")
    return text


def whole(least: int) -> Callable[[str], int]:
    """Reads a whole number from ``least`` on."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            raise ArgumentTypeError(f"expected a whole number from {least} on, got {text!r}")
        return number

    return read


def amount(text: str) -> int:
    """``250000``, ``250k``, ``2.5M`` or ``3G``."""
    match = _AMOUNT.fullmatch(text.replace("_", ""))
    number = 0 if match is None else int(float(match[1]) * _FACTORS[match[2].lower()])
    if number < 1:
        raise ArgumentTypeError(f"expected a number such as 250000, 250k or 2.5M, got {text!r}")
    return number


def one_of(*names: str) -> Callable[[str], str]:
    """Reads one of some words."""

    def read(text: str) -> str:
        if text not in names:
            expected = f"{', '.join(names[:-1])} or {names[-1]}"
            raise ArgumentTypeError(f"expected {expected}, got {text!r}")
        return text

    return read


# -- options ---------------------------------------------------------------------------------


def add_recipe(parser: ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help="a path, or the name of a shipped recipe")


def add_run(parser: ArgumentParser) -> None:
    help_text = "a run folder; default: the newest under runs/"
    parser.add_argument("run", metavar="RUN", nargs="?", type=Path, help=help_text)


def add_set(parser: ArgumentParser, when: str = "") -> None:
    """``--set``; ``when`` begins its help, as it does that of ``--out`` and ``--seed``."""
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=f"{when}change a value, such as search.levels[0].steps=2 or space.width=8; repeatable",
    )


def add_out(parser: ArgumentParser, when: str = "") -> None:
    help_text = f"{when}the run folder; default: runs/NAME-DATE-TIME"
    parser.add_argument("--out", type=Path, metavar="DIR", help=help_text)


def add_budget(parser: ArgumentParser) -> None:
    help_text = "wall-clock time that the run is fitted to, such as 90s, 10m or 2h"
    parser.add_argument("--budget", type=budget, metavar="TIME", help=help_text)


def add_device(parser: ArgumentParser) -> None:
    help_text = "auto, cpu, cuda or cuda:1; default: the recipe's"
    parser.add_argument("--device", type=device, metavar="DEVICE", help=help_text)


def add_precision(parser: ArgumentParser) -> None:
    help_text = "fp32 or bf16; default: fp32"
    parser.add_argument(
        "--precision", type=one_of("fp32", "bf16"), metavar="PRECISION", help=help_text
    )


def add_seed(parser: ArgumentParser, when: str = "") -> None:
    help_text = f"{when}of everything random; default: the recipe's"
    parser.add_argument("--seed", type=whole(0), metavar="N", help=help_text)


def add_size(parser: ArgumentParser, help_text: str) -> None:
    parser.add_argument("--size", type=size, metavar="HxW", help=help_text)


def add_resume(parser: ArgumentParser) -> None:
    """``--resume`` and ``--overwrite``, of which one may be given."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--resume", action="store_true", help="go on from the newest checkpoint")
    group.add_argument("--overwrite", action="store_true", help="start again in spite of one")


def add_json(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--json", action="store_true", help="print JSON, and nothing else, on stdout"
    )


def given(arguments: argparse.Namespace, *names: str) -> list[str]:
    """Those of the named options that were given, as they are written."""
    values = vars(arguments)
    written = {name: "set" if name == "overrides" else name.replace("_", "-") for name in names}
    return [f"--{written[name]}" for name in names if values[name] not in (None, [])]
