"""``nasrestore list``: what is shipped."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nasrestore.cli import options
from nasrestore.cli.failure import shown_path
from nasrestore.cli.kinds import KINDS, description_of
from nasrestore.cli.output import print_json, print_table, say, title
from nasrestore.errors import SpecError
from nasrestore.spec.shipped import shipped
from nasrestore.spec.source import read_yaml

EXAMPLE = """
nasrestore list
nasrestore list --json
"""


def add_arguments(parser: ArgumentParser) -> None:
    options.add_json(parser)


def run(arguments: Namespace) -> int:
    found = {f"{kind}s": {path: _description(path) for path in shipped(kind)} for kind in KINDS}
    if arguments.json:
        print_json({kind: _facts(files) for kind, files in found.items()})
        return 0
    for kind, files in found.items():
        title(kind)
        print_table([[path.stem, text or " ", shown_path(path)] for path, text in files.items()])
        say()
    say("nasrestore show NAME says more, nasrestore copy NAME gives a copy to edit.")
    return 0


def _facts(files: Mapping[Path, str | None]) -> list[dict[str, Any]]:
    return [{"name": path.stem, "description": text, "path": path} for path, text in files.items()]


def _description(path: Path) -> str | None:
    try:
        return description_of(read_yaml(path))
    except SpecError:
        return None  # `check` says what is wrong with it
