"""``nasrestore show``: what a space, a recipe, a genotype or a run holds."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nasrestore.assemble.prepare import Prepared, prepare
from nasrestore.cli import options
from nasrestore.cli.decisions import genotype_facts, print_genotype
from nasrestore.cli.describe import Facts, print_recipe, print_space, recipe_facts, space_facts
from nasrestore.cli.figures import print_summaries
from nasrestore.cli.kinds import (
    KINDS,
    KnownFile,
    description_of,
    is_folder,
    known_file,
    others_called,
    refuse_overrides_of_genotype,
    space_of,
    space_of_genotype,
)
from nasrestore.cli.output import complain, print_json, say
from nasrestore.errors import NasRestoreError
from nasrestore.graph.genotype import load_genotype, read_genotype
from nasrestore.graph.ir import SearchGraph
from nasrestore.runtime.runfolder import open_run, read_result
from nasrestore.spec.load import Override, overrides_of
from nasrestore.spec.shipped import Kind

EXAMPLE = """
nasrestore show rdmc
nasrestore show rdmc-paper --picture rdmc-paper.svg
nasrestore show tmics-light --kind genotype
nasrestore show runs/first --json
"""


ORDER: tuple[Kind, ...] = ("space", "recipe", "genotype")


@dataclass
class Shown:
    """What is shown, and what a picture draws; what a file does not have is None.

    Attributes:
        others: the other kinds of shipped files that have the name.
    """

    graph: SearchGraph
    run: Path | None = None
    recipe: Facts | None = None
    space: Facts | None = None
    description: str | None = None
    genotype: Facts | None = None
    result: Facts | None = None
    others: Sequence[Kind] = ()

    def facts(self) -> Facts:
        """For JSON: what is shown alone stands at the top; a run holds its genotype."""
        about = {**(self.space or {}), **(self.recipe or {})}
        if self.run is not None:
            return {"run": self.run, **about, "genotype": self.genotype, "result": self.result}
        return about or self.genotype or {}


def add_arguments(parser: ArgumentParser) -> None:
    help_text = "a file, a run folder, or the name of a shipped space, recipe or genotype"
    parser.add_argument("file", metavar="FILE", help=help_text)
    help_text = "which one, where shipped files of several kinds share the name"
    parser.add_argument("--kind", choices=KINDS, help=help_text)
    help_text = "also draw it into this file"
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", help=help_text)
    help_text = "the space of a genotype; default: the shipped one that it names"
    parser.add_argument("--space", metavar="FILE", help=help_text)
    options.add_set(parser)
    options.add_json(parser)


def run(arguments: Namespace) -> int:
    overrides = overrides_of(arguments.overrides)
    if is_folder(arguments.file):
        shown = _run_folder(Path(arguments.file).expanduser(), overrides)
    else:
        file = known_file(arguments.file, (arguments.kind,) if arguments.kind else ORDER)
        shown = _file(file, arguments.space, overrides)
        shown.others = [] if arguments.kind else others_called(file)
    for note in shown.genotype["notes"] if shown.genotype else ():
        complain(note)
    if arguments.picture is not None:
        _draw(shown, arguments.picture)
    if arguments.json:
        print_json(shown.facts())
        return 0
    _print(shown)
    if arguments.picture is not None:
        say(f"\npicture: {arguments.picture}")
    return 0


def _file(file: KnownFile, space: str | None, overrides: Sequence[Override]) -> Shown:
    if file.kind == "space":
        graph = space_of(file, overrides)
        facts = {**space_facts(graph), "description": description_of(file.tree)}
        return Shown(graph, space=facts, description=facts["description"])
    if file.kind == "recipe":
        return _recipe(prepare(file.path, overrides))
    refuse_overrides_of_genotype(overrides)
    return _genotype(file, space)


def _recipe(prepared: Prepared) -> Shown:
    return Shown(
        prepared.graph,
        recipe=recipe_facts(prepared),
        space=space_facts(prepared.graph),
        description=description_of(prepared.tree.at("space")),
    )


def _genotype(file: KnownFile, space: str | None) -> Shown:
    genotype = read_genotype(file.tree)
    graph = space_of_genotype(file, space)
    if graph is None:
        raise NasRestoreError(
            f"{file.text} decides the space {genotype.space!r}, which is not a shipped one",
            hint="name its file: --space FILE",
        )
    return Shown(graph, genotype=genotype_facts(genotype, graph))


def _run_folder(path: Path, overrides: Sequence[Override]) -> Shown:
    if overrides:
        raise NasRestoreError("--set cannot change a run", hint="show its recipe instead")
    folder = open_run(path)
    shown = _recipe(prepare(folder.recipe))
    shown.run, shown.result = path, read_result(folder)
    if folder.genotype.is_file():
        shown.genotype = genotype_facts(load_genotype(folder.genotype), shown.graph)
    return shown


def _print(shown: Shown) -> None:
    parts: list[Callable[[], None]] = []
    if shown.run is not None:
        parts.append(lambda: say(f"run {shown.run}"))
    if shown.recipe is not None:
        parts.append(partial(print_recipe, shown.recipe))
    if shown.space is not None:
        parts.append(partial(print_space, shown.space, shown.description))
    if shown.genotype is not None:
        parts.append(partial(print_genotype, shown.genotype))
    elif shown.run is not None:
        parts.append(lambda: say("nothing is decided yet"))
    if shown.result is not None and shown.result.get("evaluations"):
        parts.append(partial(print_summaries, shown.result["evaluations"]))
    for kind in shown.others:
        parts.append(partial(say, f"There is a {kind} of this name, too: --kind {kind} shows it."))
    for number, part in enumerate(parts):
        if number:
            say()
        part()


def _draw(shown: Shown, path: Path) -> None:
    from nasrestore.report.picture import space_svg, write_picture

    found = shown.genotype
    if found is None:
        write_picture(path, space_svg(shown.graph))
        return
    decisions = {name: tuple(names) for name, names in found["decisions"].items()}
    write_picture(path, space_svg(shown.graph, decisions, found["strengths"]))
