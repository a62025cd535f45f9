"""``nasrestore schema``: JSON Schema of the file kinds, for editors and other programs."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from nasrestore.cli import options
from nasrestore.cli.output import print_json
from nasrestore.graph.genotype import GenotypeSpec
from nasrestore.spec.jsonschema import json_schema
from nasrestore.spec.recipe import RecipeSpec
from nasrestore.spec.space import SpaceSpec

EXAMPLE = """
nasrestore schema recipe > recipe.schema.json
"""

KINDS = ("space", "recipe", "genotype")
_PART = "Part"
_REFERENCE = "#/$defs/"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "kind", metavar="KIND", type=options.one_of(*KINDS), help="space, recipe or genotype"
    )


def run(arguments: Namespace) -> int:
    print_json(schema(arguments.kind))
    return 0


def schema(kind: str) -> dict[str, Any]:
    """The JSON Schema, draft 2020-12, of a kind of file."""
    if kind == "recipe":
        return recipe_schema()
    return json_schema({"space": SpaceSpec, "genotype": GenotypeSpec}[kind], f"nasrestore {kind}")


def recipe_schema() -> dict[str, Any]:
    """Of recipes whole, and of those that extend another and may leave out what that one has."""
    whole = json_schema(RecipeSpec, "nasrestore recipe")
    definitions = whole.pop("$defs", {})
    head: dict[str, Any] = {
        key: whole.pop(key) for key in ("$schema", "title", "description") if key in whole
    }
    base = {"type": "string", "description": "a recipe that this one changes: a path or a name"}
    part = _partial(whole)
    part["properties"] = {"extends": base, **part["properties"]}
    parts = {f"{name}{_PART}": _partial(value) for name, value in definitions.items()}
    return {
        **head,
        "type": "object",
        "if": {"required": ["extends"]},
        "then": part,
        "else": whole,
        "$defs": {**definitions, **parts},
    }


def _partial(value: Any) -> Any:
    """The schema with nothing required, all the way down."""
    if isinstance(value, list):
        return [_partial(item) for item in value]
    if not isinstance(value, dict):
        return value
    if str(value.get("$ref", "")).startswith(_REFERENCE):
        return {**value, "$ref": f"{value['$ref']}{_PART}"}
    named = value.get("properties", {})
    result = {k: _partial(v) for k, v in value.items() if k not in ("required", "properties")}
    return {**result, "properties": {k: _partial(v) for k, v in named.items()}} if named else result
