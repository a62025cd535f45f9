"""``nasrestore profile``: parameters, multiply-adds and latency of a network."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrestore.cli import options
from nasrestore.cli.kinds import is_folder
from nasrestore.cli.output import complain, count, print_json, print_table, say, title
from nasrestore.spec.load import overrides_of

if TYPE_CHECKING:
    from nasrestore.api.profile import Profile

EXAMPLE = """
nasrestore profile rdmc --genotype rdmc-paper --size 128x128
nasrestore profile runs/first --device cpu
"""

DEFAULT_SIZE = (128, 128)


def add_arguments(parser: ArgumentParser) -> None:
    help_text = "a path, the name of a shipped recipe, or a run folder"
    parser.add_argument("recipe", metavar="RECIPE", help=help_text)
    help_text = "the architecture; default: the run's, where RECIPE is a run"
    parser.add_argument("--genotype", metavar="FILE", help=help_text)
    options.add_size(parser, "size of the image; default: 128x128")
    options.add_set(parser)
    options.add_device(parser)
    help_text = "count only, measure no time"
    parser.add_argument("--no-latency", dest="latency", action="store_false", help=help_text)
    options.add_json(parser)


def run(arguments: Namespace) -> int:
    from nasrestore.api.profile import profile

    recipe, genotype = _recipe(arguments.recipe, arguments.genotype)
    found = profile(
        recipe,
        genotype,
        overrides_of(arguments.overrides),
        size=arguments.size or DEFAULT_SIZE,
        device=arguments.device,
        latency=arguments.latency,
    )
    if arguments.json:
        for note in found.notes:
            complain(note)
        print_json(_facts(found))
    else:
        _print(found)
    return 0


def _recipe(text: str, genotype: str | None) -> tuple[str, str | None]:
    """Recipe and genotype; those of a run, where a run's folder is given."""
    if not is_folder(text):
        return text, genotype
    from nasrestore.runtime.runfolder import open_run

    run = open_run(Path(text).expanduser())
    if genotype is None and run.genotype.is_file():
        genotype = str(run.genotype)
    return str(run.recipe), genotype


def _facts(found: Profile) -> dict[str, Any]:
    return {
        "name": found.name,
        "size": found.size,
        "parameters": found.parameters,
        "macs": found.analytic_macs if found.macs is None else found.macs,
        "analytic_macs": found.analytic_macs,
        "unsupported": found.unsupported,
        "latency_seconds": found.latency,
        "by_operator": found.by_operator,
        "device": found.device,
        "notes": found.notes,
    }


def _print(found: Profile) -> None:
    height, width = found.size
    title(f"{found.name} at {height}x{width}")
    rows = [["parameters", count(found.parameters)]]
    if found.macs is not None:
        rows.append(["multiply-adds (fvcore)", count(found.macs)])
        rows += [[f"  {name}", count(macs)] for name, macs in found.by_operator.items()]
    rows.append(["multiply-adds of convolutions", count(found.analytic_macs)])
    if found.latency is not None:
        rows.append([f"latency on {found.device}", f"{1000 * found.latency:.1f} ms"])
    print_table(rows)
    if found.unsupported:
        names = ", ".join(f"{name} ({times})" for name, times in found.unsupported.items())
        say(f"  fvcore counts nothing for: {names}")
    for note in found.notes:
        say(f"  {note}")
