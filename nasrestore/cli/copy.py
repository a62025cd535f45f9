"""``nasrestore copy``: a shipped file with all that it needs, to be edited."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from nasrestore.cli import options
from nasrestore.cli.kinds import shipped_file
from nasrestore.cli.output import print_json, say
from nasrestore.errors import NasRestoreError
from nasrestore.runtime.checkpoint import write_atomic
from nasrestore.spec.shipped import Kind, find
from nasrestore.spec.source import Tree, read_yaml

EXAMPLE = """
nasrestore copy rdmc-quick
nasrestore copy rdmc-quick --to my-recipe.yaml
"""

SPACES = "spaces"  # a recipe and its space may share their name


def add_arguments(parser: ArgumentParser) -> None:
    help_text = "a shipped recipe (with what it extends, and its space), space or genotype"
    parser.add_argument("name", metavar="NAME", help=help_text)
    help_text = "a folder, or a file that ends in .yaml; default: here"
    parser.add_argument("--to", type=Path, default=Path(), metavar="PATH", help=help_text)
    parser.add_argument("--overwrite", action="store_true", help="replace files that differ")
    options.add_json(parser)


def run(arguments: Namespace) -> int:
    source, kind = shipped_file(arguments.name)
    to: Path = arguments.to
    named = to.suffix in (".yaml", ".yml") and not to.is_dir()
    target = to if named else to / source.name
    copies: dict[Path, str] = {}
    _collect(source, kind, target, copies)
    written = _write(copies, overwrite=arguments.overwrite)
    if arguments.json:
        print_json({"kind": kind, "file": target, "files": list(copies), "written": written})
        return 0
    for path in copies:
        say(f"{path}" if path in written else f"{path} (the same is there already)")
    return 0


def _collect(source: Path, kind: Kind, target: Path, copies: dict[Path, str]) -> None:
    """Adds the text of a file and of those that it names, which it names as they lie then."""
    text = source.read_text(encoding="utf-8")
    if copies.get(target) == text:
        return  # two of them name it
    if target in copies:
        raise NasRestoreError(
            f"{target} would be two files: {source.stem!r} needs another of that name",
            hint="choose another name with --to",
        )
    tree = read_yaml(source)
    copies[target] = text
    for key, needed, folder in (("extends", "recipe", "."), ("space", "space", SPACES)):
        value = tree.child(key) if kind == "recipe" else None
        if value is not None and value.kind == "mapping":  # a space with other settings
            value = value.child("extends")
        if value is None or not isinstance(value.value, str):
            continue
        needed_kind: Kind = "recipe" if needed == "recipe" else "space"
        path = find(value.value, needed_kind, source.parent)
        place = Path(folder) / path.name
        text = _renamed(text, value, place.as_posix())
        copies[target] = text
        _collect(path, needed_kind, target.parent / place, copies)


def _renamed(text: str, value: Tree, name: str) -> str:
    """The text with another value at a place; comments and all else stay as they are."""
    lines = text.splitlines(keepends=True)
    row, column = value.location.line - 1, value.location.column - 1
    before, after = lines[row][:column], lines[row][column:]
    quote = after[0] if after[0] in "'\"" else ""
    written = f"{quote}{value.value}{quote}"
    assert after.startswith(written), f"{value.location}: {written} expected"
    lines[row] = f"{before}{name}{after[len(written) :]}"
    return "".join(lines)


def _write(copies: dict[Path, str], *, overwrite: bool) -> list[Path]:
    """Writes what is not there yet; nothing at all where something else is."""
    wanted = [path for path, text in copies.items() if not _holds(path, text)]
    existing = [path for path in wanted if path.exists()]
    if existing and not overwrite:
        raise NasRestoreError(
            f"there is another file already: {', '.join(map(str, existing))}",
            hint="--overwrite replaces it, --to FOLDER copies to somewhere else",
        )
    for path in wanted:
        write_atomic(path, copies[path])
    return wanted


def _holds(path: Path, text: str) -> bool:
    try:
        return path.read_text(encoding="utf-8") == text
    except (OSError, ValueError):
        return False
