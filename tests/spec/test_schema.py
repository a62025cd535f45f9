"""From trees to dataclasses: what is accepted, what is said, and the JSON Schema of it."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import jsonschema
import pytest

from nasrestore.errors import NasRestoreError, SpecError, SpecErrors
from nasrestore.spec.expression import Expression
from nasrestore.spec.jsonschema import json_schema
from nasrestore.spec.schema import Located, Value, entry, plain, read, spec_class
from nasrestore.spec.source import Tree, dump_yaml, parse_yaml


@spec_class
class Limits(Located):
    """Limits of the cost.

    More about them.
    """

    macs: Value | None = entry(None, least=1, doc="multiply-adds")
    scale: float = entry(1.0, above=0, most=4)


@spec_class
class Candidate(Located):
    op: str = entry(doc="an operation")
    params: dict[str, Tree] = entry(key="with", default_factory=dict)


@spec_class
class Level(Located):
    """One level."""

    direction: Literal["same", "up", "down", "any"] = entry("any", doc="where to")
    name: str = entry()
    steps: int = entry(1, least=1)
    choice: list[str | Candidate] = entry(default_factory=list)
    inner: Level | None = entry(None)

    def __post_init__(self) -> None:
        if self.name == "forbidden":
            raise self.tree.at("name").error("this name is taken")
        if self.name == "unlucky":
            raise NasRestoreError("no luck", hint="try again")


def read_pair(tree: Tree) -> tuple[int, ...]:
    parts = str(tree.value).split("x")
    if len(parts) != 2 or not all(part.isdigit() for part in parts):
        raise SpecErrors([tree.error("expected HEIGHTxWIDTH"), tree.error("such as 3x4")])
    return tuple(map(int, parts))


@spec_class
class Recipe(Located):
    """A recipe."""

    format: int = entry(doc="version", least=1, most=3)
    levels: tuple[Level, ...] = entry(default_factory=tuple)
    limits: Limits = entry(default_factory=dict)
    constants: dict[str, Value] = entry(default_factory=dict, names=True, least=0)
    weights: dict[str, float] = entry(default_factory=dict)
    reads: str | list[str] | None = entry(None)
    keep: Value | Limits | None = entry(None, least=0)
    exact: bool | Literal["auto"] = entry("auto")
    anything: Tree | None = entry(None)
    size: tuple[int, ...] | None = entry(None, read=read_pair, schema={"pattern": "^[0-9]+x"})
    kinds: list[Literal[1, 2, "many"]] = entry(default_factory=list)


def recipe(text: str) -> Recipe:
    return read(parse_yaml("format: 1\n" + text, "f.yaml"), Recipe)


def errors_of(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        recipe(text)
    return str(caught.value).splitlines()


FULL = """\
levels:
  - {name: weights, steps: 2, choice: [conv, {op: dense, with: {growth: 4, paths: [1, 2]}}]}
  - {name: architecture, direction: up, inner: {name: low}}
limits: {macs: $width ** 2, scale: 2}
constants: {width: 16, rate: 0.5, double: $width * 2}
reads: [a, b]
keep: 2
exact: true
anything: {free: [form]}
size: 3x4
kinds: [1, many]
"""


def test_everything_is_read_with_its_type() -> None:
    spec = recipe(FULL)
    weights, architecture = spec.levels
    assert (weights.name, weights.steps, weights.direction) == ("weights", 2, "any")
    assert weights.choice[0] == "conv"
    dense = weights.choice[1]
    assert isinstance(dense, Candidate)
    assert {name: tree.plain() for name, tree in dense.params.items()} == {
        "growth": 4, "paths": [1, 2],
    }  # fmt: skip
    assert architecture.inner is not None and architecture.inner.name == "low"
    assert isinstance(spec.limits.macs, Expression)
    assert spec.limits.macs.evaluate({"width": 3}) == 9
    assert (spec.limits.scale, type(spec.limits.scale)) == (2.0, float)
    assert spec.constants["width"] == 16 and type(spec.constants["width"]) is int
    assert spec.constants["rate"] == 0.5
    assert spec.reads == ["a", "b"]
    assert (spec.keep, spec.exact, spec.size, spec.kinds) == (2, True, (3, 4), [1, "many"])
    assert isinstance(spec.anything, Tree)
    assert weights.tree.location.line == 3
    assert weights.tree.path == "levels[0]"


def test_absent_keys_give_their_defaults() -> None:
    spec = recipe("")
    assert (spec.levels, spec.constants, spec.reads, spec.exact) == ((), {}, None, "auto")
    assert spec.limits.scale == 1.0
    assert spec.limits.tree.path == "limits"
    assert spec.limits.tree.location == spec.tree.location
    assert recipe("").constants is not spec.constants


def test_null_is_none_where_none_is_allowed() -> None:
    spec = recipe("reads:\nkeep: ~\nsize: null\nanything:\n")
    assert (spec.reads, spec.keep, spec.size) == (None, None, None)


def test_instances_are_frozen_hashable_and_compare_without_their_places() -> None:
    spec = recipe(FULL)
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.format = 2  # type: ignore[misc]
    assert spec == recipe("# a comment that moves all places\n" + FULL)
    assert hash(spec) == hash(recipe("\n" + FULL))
    assert spec != recipe(FULL.replace("16", "17"))
    assert "tree" not in repr(spec)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("levels: [{name: a, steps: two}]",
         "f.yaml:2:27: levels[0].steps: expected an integer >= 1, got 'two'"),
        ("levels: [{name: a, steps: 0}]",
         "f.yaml:2:27: levels[0].steps: expected an integer >= 1, got 0"),
        ("levels: [{name: a, steps: true}]",
         "f.yaml:2:27: levels[0].steps: expected an integer >= 1, got True"),
        ("levels: [{name: a, steps: 2.0}]",
         "f.yaml:2:27: levels[0].steps: expected an integer >= 1, got 2.0"),
        ("levels: [{name: a, steps: '2'}]",
         "f.yaml:2:27: levels[0].steps: expected an integer >= 1, got '2' (leave the quotes out)"),
        ("levels: [{name: a, steps: }]",
         "f.yaml:2:26: levels[0].steps: expected an integer >= 1, got nothing"),
        ("levels: [{name: 3}]",
         "f.yaml:2:17: levels[0].name: expected a string, got 3 (put it in quotes)"),
        ("levels: [{steps: 3}]", "f.yaml:2:10: levels[0]: missing key 'name'"),
        ("levels: [{name: a, stpes: 3}]",
         "f.yaml:2:20: levels[0].stpes: unknown key 'stpes' (did you mean 'steps'?)"),
        ("limits: {zzz: 3}", "f.yaml:2:10: limits.zzz: unknown key 'zzz' (known: macs, scale)"),
        ("levels: [{name: a, direction: upp}]",
         "f.yaml:2:31: levels[0].direction: expected one of 'same', 'up', 'down', 'any',"
         " got 'upp' (did you mean 'up'?)"),
        ("levels: {name: a}", "f.yaml:2:9: levels: expected a list, got a mapping"),
        ("levels: [a]", "f.yaml:2:10: levels[0]: expected a mapping, got 'a'"),
        ("levels: [{name: forbidden}]", "f.yaml:2:17: levels[0].name: this name is taken"),
        ("levels: [{name: unlucky}]", "f.yaml:2:10: levels[0]: no luck (try again)"),
        ("limits: {scale: 0}", "f.yaml:2:17: limits.scale: expected a number > 0 and <= 4, got 0"),
        ("limits: {scale: .nan}",
         "f.yaml:2:17: limits.scale: expected a number > 0 and <= 4, got nan"),
        ("limits: []", "f.yaml:2:9: limits: expected a mapping, got a list"),
        ("constants: {a-b: 1}",
         "f.yaml:2:13: constants.a-b: 'a-b' is not a name"
         " (names are letters, digits and underscores)"),
        ("constants: {a: -1}",
         "f.yaml:2:16: constants.a: expected a number >= 0 or an expression such as $width * 2,"
         " got -1"),
        ("constants: {a: b}",
         "f.yaml:2:16: constants.a: expected a number >= 0 or an expression such as $width * 2,"
         " got 'b' (write $b)"),
        ("constants: {a: $b / 2}",
         "f.yaml:2:16: constants.a: not an expression: '/' is not known: use '//', which rounds"
         " down, at character 4 of '$b / 2'"),
        ("reads: {}",
         "f.yaml:2:8: reads: expected a string, a list or null, got a mapping"),
        ("reads: [a, 1]",
         "f.yaml:2:12: reads[1]: expected a string, got 1 (put it in quotes)"),
        ("keep: [1]",
         "f.yaml:2:7: keep: expected a number >= 0, an expression such as $width * 2, a mapping"
         " or null, got a list"),
        ("exact: atuo",
         "f.yaml:2:8: exact: expected true or false or 'auto', got 'atuo' (did you mean 'auto'?)"),
        ("kinds: many", "f.yaml:2:8: kinds: expected a list, got 'many' (write [many])"),
        ("kinds: [true]", "f.yaml:2:9: kinds[0]: expected one of 1, 2, 'many', got True"),
        ("weights: {a: .inf, b: x}", "f.yaml:2:23: weights.b: expected a number, got 'x'"),
        (f"exact: {'x' * 90}",
         f"f.yaml:2:8: exact: expected true or false or 'auto', got '{'x' * 56}..."),
    ],
)  # fmt: skip
def test_messages(text: str, message: str) -> None:
    assert errors_of(text) == [message]


def test_all_errors_come_at_once_in_order() -> None:
    text = FULL.replace("steps: 2", "steps: x").replace("size: 3x4", "size: big")
    text = text.replace("op: dense", "opp: dense").replace("scale: 2", "scale: 9")
    assert [error.split(": ")[1] for error in errors_of(text)] == [
        "levels[0].steps",
        "levels[0].choice[1]",
        "levels[0].choice[1].opp",
        "limits.scale",
        "size",
        "size",
    ]


def test_the_root_must_be_a_mapping() -> None:
    with pytest.raises(SpecError, match="expected a mapping, got a list"):
        read(parse_yaml("[1]", "f.yaml"), Recipe)


def test_plain_leaves_out_defaults_and_reads_back_equal() -> None:
    text = FULL.replace("size: 3x4", "size: 3x4\nweights: {a: 1}")
    spec = recipe(text)
    data = plain(spec)
    assert list(data)[:3] == ["format", "levels", "limits"]
    assert data["levels"][1] == {
        "direction": "up",
        "name": "architecture",
        "inner": {"name": "low"},
    }
    assert data["levels"][0]["choice"][1] == {"op": "dense", "with": {"growth": 4, "paths": [1, 2]}}
    assert data["limits"] == {"macs": "$width ** 2", "scale": 2.0}
    assert data["size"] == "3x4", "what has its own reader is given back as written"
    assert read(parse_yaml(dump_yaml(data), "g.yaml"), Recipe) == spec
    assert plain(recipe("")) == {"format": 1}
    assert plain(recipe("limits: {scale: 1}\nexact: auto\n")) == {"format": 1}


def test_true_is_not_one() -> None:
    @spec_class
    class Flagged(Located):
        keep: Any = entry(1, read=lambda tree: tree.value)

    tree = parse_yaml("keep: true", "f.yaml")
    assert plain(read(tree, Flagged)) == {"keep": True}


def test_annotations_that_cannot_be_read_are_bugs() -> None:
    for hint in (
        complex,
        dict[int, str],
        set[str],
        list[int] | tuple[int, ...],
        Limits | Candidate,
    ):
        cls = spec_class(type("Odd", (Located,), {"__annotations__": {"x": hint}}))
        with pytest.raises(ValueError, match=r"annotation|ambiguous"):
            read(parse_yaml("x: 1", "f.yaml"), cls)


def test_json_schema_accepts_what_the_reader_accepts() -> None:
    schema = json_schema(Recipe, "recipe")
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(parse_yaml("format: 1\n" + FULL, "f.yaml").plain())
    validator.validate({"format": 1, "reads": None, "keep": "$a", "size": None})


@pytest.mark.parametrize(
    "text",
    [
        "unknown: 1",
        "levels: [{name: a, stpes: 3}]",
        "levels: [{steps: 3}]",
        "levels: [{name: a, steps: 0}]",
        "levels: [{name: a, inner: {name: b, direction: upp}}]",
        "limits: {scale: 0}",
        "limits: {scale: 4.5}",
        "constants: {a-b: 1}",
        "constants: {a: b}",
        "keep: -1",
        "reads: 3",
        "size: wide",
    ],
)
def test_json_schema_refuses_what_the_reader_refuses(text: str) -> None:
    assert errors_of(text)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(
            parse_yaml("format: 1\n" + text, "f.yaml").plain(), json_schema(Recipe, "recipe")
        )


def test_json_schema_documents() -> None:
    schema = json_schema(Recipe, "recipe")
    assert (schema["title"], schema["description"]) == ("recipe", "A recipe.")
    assert schema["required"] == ["format"]
    assert schema["properties"]["format"] == {
        "type": "integer", "minimum": 1, "maximum": 3, "description": "version",
    }  # fmt: skip
    assert schema["properties"]["exact"]["default"] == "auto"
    assert schema["$defs"]["Limits"]["description"] == "Limits of the cost."
    assert "description" not in schema["$defs"]["Candidate"]
    assert schema["$defs"]["Limits"]["properties"]["scale"]["exclusiveMinimum"] == 0
    assert schema["$defs"]["Level"]["properties"]["direction"]["enum"][1] == "up"
    assert "with" in schema["$defs"]["Candidate"]["properties"]
