"""``schema``: valid JSON Schema that agrees with the reader about the shipped files."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from command_calls import Call

from nasrestore.cli.schema import KINDS, schema
from nasrestore.spec.shipped import shipped
from nasrestore.spec.source import read_yaml

FILES = [(kind, path) for kind in KINDS for path in shipped(kind)]


def valid(kind: str, data: object) -> bool:
    return jsonschema.Draft202012Validator(schema(kind)).is_valid(data)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_json_schema(call: Call, kind: str) -> None:
    done = call("schema", kind)
    assert (done.status, done.err) == (0, "")
    assert done.json == json.loads(json.dumps(schema(kind)))
    jsonschema.Draft202012Validator.check_schema(done.json)
    assert done.json["title"] == f"nasrestore {kind}"


@pytest.mark.parametrize(("kind", "path"), FILES, ids=lambda value: getattr(value, "stem", value))
def test_shipped_files_are_valid(kind: str, path: Path) -> None:
    assert valid(kind, read_yaml(path).plain())


@pytest.mark.parametrize(("kind", "path"), FILES, ids=lambda value: getattr(value, "stem", value))
def test_unknown_keys_are_not(kind: str, path: Path) -> None:
    assert not valid(kind, {**read_yaml(path).plain(), "spaec": 1})


def test_a_whole_recipe_needs_its_keys_and_an_extending_one_does_not() -> None:
    whole = read_yaml(next(path for path in shipped("recipe") if path.stem == "rdmc")).plain()
    part = {key: value for key, value in whole.items() if key != "objectives"}
    assert not valid("recipe", part)
    assert valid("recipe", {**part, "extends": "rdmc"})
    assert valid("recipe", {"extends": "rdmc", "search": {"levels": [{"name": "weights"}]}})
    assert not valid("recipe", {"extends": "rdmc", "search": {"levels": [{"nam": "weights"}]}})
    assert not valid("recipe", {"extends": "rdmc", "search": {"steps": "two"}})


def test_an_unknown_kind_is_refused(call: Call) -> None:
    done = call("schema", "spice")
    assert done.status == 2
    assert "expected space, recipe or genotype, got 'spice'" in done.err
