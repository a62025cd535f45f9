"""The strict reader: YAML 1.2 scalars, places, what is refused, and the way back to text."""

from __future__ import annotations

import math
import subprocess
import sys
from enum import Enum
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nasrestore.errors import Location, SpecError, SpecErrors
from nasrestore.spec.source import Tree, dump_yaml, parse_yaml, read_yaml, tree_of

RECIPE = """\
format: 1   # a comment
recipe: "tiny"
search:
  levels:
    - {name: weights, steps: 2, rate: 1e-3}
    - name: architecture
      steps: &steps 1
constants: {width: 16, name: [no, 12:30:45, été], again: *steps}
"""


def refusal(text: str | bytes) -> SpecError:
    with pytest.raises(SpecError) as caught:
        parse_yaml(text, "f.yaml")
    return caught.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True), ("False", False), ("TRUE", True),
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("y", "y"), ("tRue", "tRue"),
        ("null", None), ("~", None), ("NULL", None), ("nil", "nil"),
        ("12:30:45", "12:30:45"), ("2001-12-14", "2001-12-14"), ("1_000", "1_000"), ("=", "="),
        ("010", 10), ("0o17", 15), ("0x1F", 31), ("-0", 0), ("+12", 12), ("0b11", "0b11"),
        ("-0x1F", "-0x1F"), ("3e-4", 3e-4), ("1e-3", 1e-3), ("1E+2", 100.0), ("1.", 1.0),
        (".5", 0.5), ("-.5e1", -5.0), (".", "."), ("1e", "1e"), (".inf", math.inf),
        ("-.INF", -math.inf), ("+.Inf", math.inf), (".Nan", ".Nan"), ("'1'", "1"), ('""', ""),
        ('"\\u0041\\0"', "A\0"),
    ],
)  # fmt: skip
def test_plain_words_are_scalars_of_the_core_schema(text: str, value: object) -> None:
    found = parse_yaml(f"key: {text}", "f.yaml").at("key").value
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", [".nan", ".NaN", ".NAN"])
def test_nan_has_three_spellings(text: str) -> None:
    assert math.isnan(parse_yaml(f"[{text}]", "f.yaml").at(0).value)


def test_an_absent_value_is_none() -> None:
    assert parse_yaml("a:\nb: [1, ]\n", "f.yaml").plain() == {"a": None, "b": [1]}


def test_every_value_has_its_place_and_path() -> None:
    tree = parse_yaml(RECIPE, "f.yaml")
    steps = tree.at("search", "levels", 1, "steps")
    assert steps.path == "search.levels[1].steps"
    assert steps.location == Location("f.yaml", 7, 14)
    assert steps.key_location == Location("f.yaml", 7, 7)
    rate = tree.at("search", "levels", 0, "rate")
    assert (rate.value, rate.location) == (1e-3, Location("f.yaml", 5, 39))
    assert (tree.path, tree.key_location, tree.location.line) == ("", None, 1)
    assert str(steps.error("too few", "take 2")) == (
        "f.yaml:7:14: search.levels[1].steps: too few (take 2)"
    )
    assert steps.error("unknown", key=True).location == steps.key_location


def test_at_stops_at_the_deepest_existing_value() -> None:
    tree = parse_yaml(RECIPE, "f.yaml")
    assert tree.at("search", "levels", 7, "steps") is tree.at("search", "levels")
    assert tree.at("search", 0) is tree.at("search")
    assert tree.at("format", "x", 1) is tree.at("format")
    assert tree.at() is tree


def test_an_alias_is_a_copy_with_its_own_path() -> None:
    tree = parse_yaml("a: &x {b: [1]}\nc: *x\n", "f.yaml")
    assert tree.plain() == {"a": {"b": [1]}, "c": {"b": [1]}}
    assert tree.at("c").location == Location("f.yaml", 2, 4)
    assert tree.at("c", "b", 0).path == "c.b[0]"
    assert tree.at("c", "b", 0).location.line == 1, "what is inside stands at the anchor"


def test_byte_order_mark_and_windows_line_ends() -> None:
    tree = parse_yaml(b"\xef\xbb\xbfa: 1\r\nb: \xc3\xa9\r\n", "f.yaml")
    assert tree.plain() == {"a": 1, "b": "é"}
    assert tree.at("b").location == Location("f.yaml", 2, 4)


def test_all_errors_of_a_file_come_at_once_in_order() -> None:
    text = "a: 1\nb: {c: 1, c: 2}\na: !!int 3\n1: x\n<<: {d: 1}\n? [e]\n: 4\n'<<': 5\n"
    error = refusal(text)
    assert isinstance(error, SpecErrors)
    assert str(error).splitlines() == [
        "f.yaml:2:11: b.c: duplicate key 'c', first at line 2, column 5 (remove one)",
        "f.yaml:3:1: a: duplicate key 'a', first at line 1 (remove one)",
        "f.yaml:3:4: a: tags are not read, found '!!int' (leave it out)",
        "f.yaml:4:1: keys must be strings, found 1 (write it as '1')",
        "f.yaml:5:1: merge keys ('<<') are not read (use 'extends: FILE')",
        "f.yaml:6:3: keys must be strings, found a list",
    ]


def test_a_syntax_error_ends_the_list() -> None:
    error = refusal("a: 1\na: 2\nb: [1\n")
    assert isinstance(error, SpecErrors)
    assert [one.location.line for one in error.errors if one.location] == [2, 4]
    assert "not valid YAML: while parsing a flow sequence" in error.errors[1].message


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("", "1:1", "the file is empty"),
        ("# only this\n", "1:1", "the file is empty"),
        ("---\n", "1:1", "the file is empty"),
        ("a: 1\n---\nb: 2", "2:1", "a second document"),
        ("a: !mine 1", "1:4", "tags are not read, found '!mine'"),
        ("a: ! 1", "1:4", "tags are not read, found '!'"),
        ("true: 1", "1:1", "found True"),
        ("~: 1", "1:1", "found None"),
        ("? {a: b}\n: 1", "1:3", "found a mapping"),
        ("a: *b", "1:4", "alias '*b' has no anchor before it"),
        ("a: &x [*x]", "1:8", "alias '*x' stands inside its own anchor"),
        ("a: &x 1\nb: &x 2", "2:4", "anchor '&x' is defined twice"),
        ("a:\n\t- b", "2:1", "indent with spaces"),
        ("a: @b", "1:4", "put the text in quotes"),
        ("a: b: c", "1:5", "text with ': ' needs quotes"),
        ('a: "\\UFFFFFFFF"', "1:7", "not valid YAML"),
        ('a: "\\ud800"', "1:4", "half a surrogate pair"),
        ("%YAML 1." + "9" * 5000 + "\n---\na", "1:9", "not valid YAML"),
        ("a: " + "9" * 5000, "1:4", "an integer of 5000 characters; at most 100"),
        ("a: 0x" + "f" * 9000, "1:4", "an integer of 9002 characters"),
        ("9" * 5000 + ": 1", "1:1", "an integer of 5000 characters"),
        ("a: b\0", "1:5", "U+0000 is not allowed"),
        ("a: 1\nb: \x1b", "2:4", "U+001B is not allowed"),
        ("a: x\u2028y", "1:5", "U+2028 is not allowed"),
        ("a: \ud800", "1:4", "U+D800 is not allowed"),
        (b"a: 1\nb: \xff", "2:4", "not valid UTF-8 (byte 0xff)"),
        (b"\xff\xfea\0", "1:1", "not valid UTF-8"),
        ("#" * 65537, "1:1", "larger than 64 KB"),
        ("# \u00e9" * 20000, "1:1", "larger than 64 KB"),
        ("[" * 51 + "]" * 51, "1:51", "nested more than 50 deep"),
        ("a: &x " + "[" * 30 + "]" * 30 + "\nb: " + "[" * 20 + "*x" + "]" * 20, "2:24", "nested"),
        ("- " * 30000, "1:101", "nested more than 50 deep"),
        ("? " * 30000, "1:101", "nested more than 50 deep"),
        ("{a: " * 16000, "1:201", "nested more than 50 deep"),
    ],
)  # fmt: skip
def test_what_is_refused_and_where(text: str | bytes, where: str, message: str) -> None:
    error = refusal(text)
    assert str(error).startswith(f"f.yaml:{where}: ")
    assert message in str(error)


def test_fifty_deep_is_deep_enough() -> None:
    tree = parse_yaml("[" * 50 + "]" * 50, "f.yaml")
    assert tree.at(*[0] * 49).path == "[0]" * 49


def test_aliases_are_refused_where_they_would_explode() -> None:
    laughs = "a: &a [" + "1," * 10 + "]\n"
    for name, before in zip("bcdefgh", "abcdefg", strict=True):
        laughs += f"{name}: &{name} [" + f"*{before}," * 10 + "]\n"
    assert "aliases expand to more than 10,000 values" in str(refusal(laughs))
    moderate = "a: &a [1, 2]\n" + "".join(f"k{i}: *a\n" for i in range(3000))
    assert len(parse_yaml(moderate, "f.yaml").value) == 3001


def test_a_file_is_read_from_its_path(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(RECIPE, encoding="utf-8")
    tree = read_yaml(tmp_path / "tiny.yaml")
    assert tree.at("recipe").value == "tiny"
    assert tree.location.file == str(tmp_path / "tiny.yaml")


def test_unreadable_files_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "rdmc.yaml").write_text("a: 1")
    cases = [
        (tmp_path / "rmdc.yaml", f"there is no such file (did you mean '{tmp_path}/rdmc.yaml'?)"),
        (tmp_path / "none" / "a.yaml", f"there is no folder '{tmp_path}/none'"),
        (tmp_path, "it is a folder"),
        (tmp_path / "rdmc.yaml" / "x", "not a directory"),
        ("a\0b", "null byte"),
        ("x" * 300, "file name too long"),
    ]
    for path, message in cases:
        with pytest.raises(SpecError) as caught:
            read_yaml(path)
        assert message in str(caught.value)
        assert caught.value.location is None


def test_a_large_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "large.yaml").write_bytes(b"a" * 10_000_000)
    with pytest.raises(SpecError, match="larger than 64 KB"):
        read_yaml(tmp_path / "large.yaml")


class Colour(str, Enum):
    RED = "red"


def test_tree_of_python_data() -> None:
    at = Location("overrides", 1, 1)
    value = {"a": [1, 2.5, None, True, "x"], "b": (Path("p/q"), Colour.RED), "c": {}}
    tree = tree_of(value, at, "root")
    assert tree.plain() == {"a": [1, 2.5, None, True, "x"], "b": ["p/q", "red"], "c": {}}
    assert type(tree.at("b", 1).value) is str
    assert tree.at("a", 1).path == "root.a[1]"
    assert tree.at("a", 1).location == at
    assert tree_of({"x": tree.at("a")}, at).at("x", 0).path == "x[0]"


def test_tree_of_refuses_what_yaml_cannot_hold() -> None:
    at = Location("overrides", 1, 1)
    endless: list[object] = []
    endless.append(endless)
    for value in ({1: 2}, object(), 1j, endless, 10**400, {"a": {None: 1}}):
        with pytest.raises(SpecError) as caught:
            tree_of(value, at)
        assert caught.value.location == at


def test_equality_is_of_values_and_types_not_places() -> None:
    def tree(text: str) -> Tree:
        return parse_yaml(text, "f.yaml")

    assert tree("{a: 1, b: [.nan]}") == tree("b:\n- .nan\na: 1\n")
    assert hash(tree("{a: 1, b: [.nan]}")) == hash(tree("b:\n- .nan\na: 1\n"))
    assert tree("1") != tree("1.0") != tree("true") != tree("'1'")
    assert tree("[1]") != tree("[1, 2]")
    assert tree("a") != "a"


SCALARS = (
    st.none() | st.booleans() | st.integers(-(10**80), 10**80) | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.text("no 01e-+.:$*#&!%@{}[],'\"\\\n\t?|>=~", max_size=8)
)  # fmt: skip
KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.text("a$: -#", max_size=3)
DATA = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def alike(a: object, b: object) -> bool:
    at = Location("", 1, 1)
    return tree_of(a, at) == tree_of(b, at)


@settings(max_examples=300, deadline=None)
@given(DATA)
@example({"k" * 2000: {"k" * 1025: [1, {"x" * 3000: 2}]}, "": "", "<<": "<<"})
@example([[[["a" * 90, []], {}], [[{}, {"b": [None] * 60}]]]])
@example({"a": ["no", "1e-3", "0o7", "12:30", "$a*2", "null", "", "a\nb", "é\u2028\ufeff\x85"]})
def test_what_is_dumped_is_read_back_equal(value: object) -> None:
    again = parse_yaml(dump_yaml(value), "f.yaml").plain()
    assert alike(again, value)
    if isinstance(value, dict):
        assert list(again) == list(value), "keys stay in order"


def test_the_dumped_text_is_readable() -> None:
    value = {
        "format": 1,
        "levels": [{"name": "weights", "rate": 1e-05, "on": True}, {"name": "a", "steps": [1, 2]}],
        "nodes": {"encoder": {"with": {"channels": "$width * 2", "deep": {"er": [1]}}}},
        "words": ["no", "1e-3", "12:30", None, math.inf],
        "long": ["encoder.1->decoder.4"] * 4,
    }
    assert dump_yaml(value) == (
        "format: 1\nlevels:\n  - {name: weights, rate: 1e-05, 'on': true}\n".replace("'", '"')
        + "  - {name: a, steps: [1, 2]}\n"
        "nodes:\n"
        "  encoder:\n"
        "    with:\n"
        "      channels: $width * 2\n"
        "      deep: {er: [1]}\n"
        'words: ["no", "1e-3", "12:30", null, .inf]\n'
        "long:\n" + "  - encoder.1->decoder.4\n" * 4
    )


def test_dump_refuses_what_is_not_plain() -> None:
    for value in (object(), {1: 2}, [Path("x")]):
        with pytest.raises(ValueError, match=r"cannot be written|must be strings"):
            dump_yaml(value)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_broken_bytes_raise_nothing_but_spec_errors(data: st.DataObject) -> None:
    text = bytearray(RECIPE.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        end = at + data.draw(st.integers(0, 3))
        text[at:end] = data.draw(
            st.binary(max_size=3) | st.sampled_from([b"{", b"*", b"&a ", b"!", b"\n", b"\t", b": "])
        )
    try:
        parse_yaml(bytes(text), "f.yaml")
    except SpecError as error:
        assert error.location is not None
        assert str(error).startswith("f.yaml:")


@settings(max_examples=200, deadline=None)
@given(st.text("a1 :-?[]{},&*!|>'\"%@#\\\n\t~<ux0", max_size=40))
def test_random_text_raises_nothing_but_spec_errors(text: str) -> None:
    try:
        tree = parse_yaml(text, "f.yaml")
    except SpecError as error:
        assert error.message
    else:
        assert tree_of(tree.plain(), tree.location) == tree


def test_reading_imports_no_torch_and_no_networkx() -> None:
    code = (
        "import sys, nasrestore.spec.overrides, nasrestore.spec.jsonschema;"
        "print(sorted({'torch', 'networkx', 'numpy', 'typing_extensions'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
