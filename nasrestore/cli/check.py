"""``nasrestore check``: every error of recipes, spaces and genotypes, without torch."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import Any

from nasrestore.assemble.lpips import check_lpips_files
from nasrestore.assemble.prepare import prepare
from nasrestore.cli import options
from nasrestore.cli.describe import frozen_lines, level_sentence, recipe_facts
from nasrestore.cli.failure import errors_in, show_errors, shown_path
from nasrestore.cli.kinds import (
    KnownFile,
    known_file,
    refuse_overrides_of_genotype,
    space_of,
    space_of_genotype,
)
from nasrestore.cli.output import print_json, say
from nasrestore.errors import NasRestoreError, SpecError
from nasrestore.graph.genotype import fit, read_genotype
from nasrestore.graph.ir import SearchGraph
from nasrestore.spec.load import Override, overrides_of

EXAMPLE = """
nasrestore check recipes/*.yaml
nasrestore check my-recipe.yaml --json
nasrestore check my-recipe.yaml --set space.width=24
"""

Facts = dict[str, Any]


def add_arguments(parser: ArgumentParser) -> None:
    help_text = "recipes, spaces and genotypes: paths, or names of shipped ones"
    parser.add_argument("files", metavar="FILE", nargs="+", help=help_text)
    help_text = "the space of genotypes; default: the shipped one that each names"
    parser.add_argument("--space", metavar="FILE", help=help_text)
    options.add_set(parser)
    options.add_json(parser)


def run(arguments: Namespace) -> int:
    overrides = overrides_of(arguments.overrides)
    if overrides and len(arguments.files) > 1:
        raise NasRestoreError(
            f"--set changes one recipe or space, got {len(arguments.files)} files",
            hint="check that file by itself",
        )
    found = [_checked(text, arguments.space, overrides) for text in arguments.files]
    if arguments.json:
        facts = [{**f, "errors": [_error_facts(e) for e in errors]} for f, errors in found]
        print_json({"ok": not any(errors for _, errors in found), "files": facts})
    else:
        for facts_of_file, errors in found:
            if not errors:
                _print(facts_of_file)
    errors = [error for _, errors in found for error in errors]
    show_errors(errors)
    return NasRestoreError.exit_status if errors else 0


def _checked(
    text: str, space: str | None, overrides: Sequence[Override]
) -> tuple[Facts, Sequence[SpecError]]:
    """What a file is, and what is wrong with it."""
    facts: Facts = {"file": text, "ok": False, "kind": None}
    try:
        file = known_file(text)
        facts["kind"] = file.kind
        facts |= _facts(file, space, overrides)
    except SpecError as error:
        if facts["kind"] == "space":
            return facts, [_without_plugins(one) for one in errors_in(error)]
        return facts, errors_in(error)
    except NasRestoreError as error:
        return facts, [SpecError(None, text, error.message, error.hint)]
    return {**facts, "ok": True}, ()


def _without_plugins(error: SpecError) -> SpecError:
    """The error of a space by itself, which names no plugins: a recipe does."""
    if not error.message.startswith("unknown operation"):
        return error
    hint = "; ".join(
        filter(None, (error.hint, "a plugin's: check the recipe that names the plugin"))
    )
    return SpecError(error.location, error.path, error.message, hint)


def _facts(file: KnownFile, space: str | None, overrides: Sequence[Override]) -> Facts:
    if file.kind == "recipe":
        prepared = prepare(file.path, overrides)
        check_lpips_files(prepared.recipe.evaluate)
        facts = recipe_facts(prepared)
        return {**facts, **_space(prepared.graph)}
    if file.kind == "space":
        return _space(space_of(file, overrides))
    refuse_overrides_of_genotype(overrides)
    genotype = read_genotype(file.tree)
    graph = space_of_genotype(file, space)
    if graph is None:
        return {
            "space": genotype.space,
            "notes": ["its space is not at hand: only its form was checked"],
        }
    return {**_space(graph), "notes": fit(genotype, graph)[1]}


def _space(graph: SearchGraph) -> Facts:
    return {"space": graph.name, "architectures": graph.architectures}


def _error_facts(error: SpecError) -> Facts:
    at = error.location
    return {
        "file": None if at is None else shown_path(at.file),
        "line": None if at is None else at.line,
        "column": None if at is None else at.column,
        "path": error.path,
        "message": error.message,
        "hint": error.hint,
    }


def _print(facts: Facts) -> None:
    space = f"space {facts['space']}"
    if "architectures" in facts and facts["kind"] != "genotype":
        space += f", {facts['architectures']} architectures"
    what = {
        "recipe": f"recipe {facts.get('recipe')}: {space}",
        "space": space,
        "genotype": f"genotype of {space}",
    }
    say(f"{facts['file']}: ok ({what[facts['kind']]})")
    for name in ("search", "train"):
        if name in facts:
            for level in facts[name]["levels"]:
                say(f"  {name}: {level_sentence(level)}")
            for line in frozen_lines(facts[name]):
                say(f"  {name}: {line}")
    for note in facts.get("notes", ()):
        say(f"  {note}")
