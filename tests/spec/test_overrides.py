"""Overrides from the command line and from Python, and merging for ``extends``."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasrestore.errors import Location, SpecError
from nasrestore.spec.overrides import apply_override, merge, parse_override, python_overrides
from nasrestore.spec.source import Tree, parse_yaml

BASE = """\
recipe: tiny
search:
  epochs: 3
  levels:
    - {name: weights, steps: 1}
    - {name: architecture, steps: 2}
sizes: [1, 2]
train:
"""


def tree(text: str = BASE, name: str = "f.yaml") -> Tree:
    return parse_yaml(text, name)


def changed(text: str) -> Tree:
    return apply_override(tree(), *parse_override(text))


@pytest.mark.parametrize(
    ("text", "keys", "value"),
    [
        ("a=1", ("a",), 1),
        ("a.b.c=two", ("a", "b", "c"), "two"),
        ("levels[1].steps=2", ("levels", 1, "steps"), 2),
        ("levels.1.steps=2", ("levels", 1, "steps"), 2),
        ("a[0][12]=x", ("a", 0, 12), "x"),
        ("rate=1e-3", ("rate",), 1e-3),
        ("a=[1, 2]", ("a",), [1, 2]),
        ("a={a: 1}", ("a",), {"a": 1}),
        ("a=null", ("a",), None),
        ("a=", ("a",), None),
        ("a=no", ("a",), "no"),
        ("a=b=c", ("a",), "b=c"),
        (" a = 1", ("a",), 1),
        ("links.encoder-1.k=3", ("links", "encoder-1", "k"), 3),
    ],
)
def test_keys_and_value_of_the_command_line(
    text: str, keys: tuple[object, ...], value: object
) -> None:
    found, tree = parse_override(text)
    assert found == keys
    assert tree.plain() == value


def test_the_place_is_the_command_line() -> None:
    _, value = parse_override("a.b={c: two}")
    assert value.location == Location("--set a.b={c: two}", 1, 5)
    assert value.at("c").location.column == 9
    assert value.at("c").path == "a.b.c"
    assert value.key_location is not None and value.key_location.column == 1
    assert str(parse_override("a.b=two")[1].error("no")) == "--set a.b=two:1:5: a.b: no"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.b", "--set a.b:1:1: expected KEY=VALUE (write a.b=VALUE)"),
        ("=1", "--set =1:1:1: the key is empty"),
        ("a..b=1", "'a..b' is not a path of keys"),
        ("a.=1", "'a.' is not a path of keys"),
        (".a=1", "'.a' is not a path of keys"),
        ("[0].a=1", "'[0].a' is not a path of keys"),
        ("a[-1]=1", "'a[-1]' is not a path of keys"),
        ("a[x]=1", "'a[x]' is not a path of keys"),
        ("a b=1", "'a b' is not a path of keys"),
        ("a=[1", "--set a=[1:1:5: a: not valid YAML"),
        ("a=#fff", "--set a=#fff:1:3: a: # begins a comment (put the value in quotes)"),
        ("a=!x 1", ":1:3: a: tags are not read"),
        ("a={b: 1, b: 2}", ":1:10: a.b: duplicate key 'b', first at line 1, column 4"),
        ("." * 200 + "=1", "is not a path of keys"),
        ("a." * 60 + "a=1", "is not a path of keys"),
    ],
)
def test_what_is_no_override(text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_override(text)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_value_is_set_and_the_rest_is_shared() -> None:
    before = tree()
    after = apply_override(before, *parse_override("search.levels[1].steps=7"))
    assert after.plain()["search"]["levels"][1] == {"name": "architecture", "steps": 7}
    assert before.plain() == tree().plain(), "the original is left alone"
    assert after.at("search", "levels", 0) is before.at("search", "levels", 0)
    assert after.at("sizes") is before.at("sizes")
    steps = after.at("search", "levels", 1, "steps")
    assert steps.path == "search.levels[1].steps"
    assert steps.location.file.startswith("--set ")
    assert steps.key_location == before.at("search", "levels", 1, "steps").key_location


def test_items_of_a_list_have_names_too() -> None:
    after = changed("search.levels.architecture.steps=7")
    assert after.at("search", "levels", 1, "steps").value == 7
    assert after.at("search", "levels", 1, "steps").path == "search.levels[1].steps"


def test_what_is_missing_is_created() -> None:
    after = changed("data.rain.preset=heavy")
    assert after.plain()["data"] == {"rain": {"preset": "heavy"}}
    assert after.at("data", "rain", "preset").path == "data.rain.preset"
    assert after.at("data").location.file.startswith("--set ")
    key = after.at("data").key_location
    assert key is not None and key.column == 1
    assert changed("train.epochs=2").plain()["train"] == {"epochs": 2}, "null is nothing yet"
    assert list(after.value) == ["recipe", "search", "sizes", "train", "data"]


def test_a_mapping_or_list_is_replaced_as_a_whole() -> None:
    assert changed("search={epochs: 9}").plain()["search"] == {"epochs": 9}
    assert changed("sizes=[3]").at("sizes", 0).path == "sizes[0]"


def test_numbers_may_be_keys_of_mappings() -> None:
    keys, value = parse_override("a.1.b=2")
    assert apply_override(tree("a: {'1': {b: 0}}"), keys, value).plain() == {"a": {"1": {"b": 2}}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("search.levels[2].steps=1",
         ":1:24: search.levels[2]: 'search.levels' has 2 items (indices are 0 to 1)"),
        ("search.levels.weihgts.steps=1",
         "no item named 'weihgts' (did you mean 'weights'?; or an index)"),
        ("sizes.weights=1", "'sizes' has no item named 'weights' (none is known; or an index)"),
        ("search.epochs.x=1",
         ":1:17: search.epochs.x: 'search.epochs' is 3, which has no key 'x' (set it as a whole)"),
        ("train[0]=1", "'train' is nothing, which has no item 0"),
        ("new[0]=1", "'new' is nothing, which has no item 0"),
    ],
)  # fmt: skip
def test_paths_that_lead_nowhere(text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        changed(text)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"--set {text}:1:")


def test_overrides_from_python() -> None:
    found = python_overrides({"search.levels[0].rate": 1e-3, "data": {"root": "x"}})
    assert [keys for keys, _ in found] == [("search", "levels", 0, "rate"), ("data",)]
    assert [value.plain() for _, value in found] == [1e-3, {"root": "x"}]
    assert found[0][1].location == Location("overrides", 1, 1)
    assert found[1][1].at("root").path == "data.root"
    for wrong in ({"a..b": 1}, {"": 1}, {"a": object()}, {3: 1}):
        with pytest.raises(SpecError, match="overrides:1:1"):
            python_overrides(wrong)  # type: ignore[arg-type]


def test_merging_is_deep_and_by_name() -> None:
    over = """\
search:
  levels:
    - {name: architecture, steps: 9}
    - {name: hyper, steps: 1}
sizes: [5]
train: {epochs: 1}
new: 1
"""
    merged = merge(tree(), tree(over, "over.yaml"))
    assert merged.plain() == {
        "recipe": "tiny",
        "search": {
            "epochs": 3,
            "levels": [
                {"name": "weights", "steps": 1},
                {"name": "architecture", "steps": 9},
                {"name": "hyper", "steps": 1},
            ],
        },
        "sizes": [5],
        "train": {"epochs": 1},
        "new": 1,
    }
    assert list(merged.value) == ["recipe", "search", "sizes", "train", "new"]
    levels = merged.at("search", "levels")
    assert levels.at(0).location.file == "f.yaml"
    assert levels.at(1, "steps").location == Location("over.yaml", 3, 35)
    assert levels.at(1, "name").location.file == "over.yaml"
    assert [item.path for item in levels.value] == [f"search.levels[{i}]" for i in range(3)]
    assert levels.at(2, "steps").path == "search.levels[2].steps"


@pytest.mark.parametrize(
    ("base", "over"),
    [
        ("[{name: a}, {x: 1}]", "[{name: a, y: 2}]"),
        ("[{name: a}]", "[{name: a}, {name: a}]"),
        ("[{name: a}]", "[]"),
        ("[{name: 1}]", "[{name: 1, x: 2}]"),
        ("[1, 2]", "[3]"),
        ("{a: 1}", "[3]"),
        ("{a: 1}", "null"),
        ("1", "{a: 1}"),
    ],
)
def test_what_does_not_merge_is_replaced(base: str, over: str) -> None:
    assert merge(tree(f"k: {base}"), tree(f"k: {over}")) == tree(f"k: {over}")


PLAIN = st.recursive(
    st.none() | st.integers(0, 3),
    lambda inner: (
        st.dictionaries(st.sampled_from("abc"), inner, max_size=3) | st.lists(inner, max_size=2)
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(PLAIN, PLAIN)
def test_merging_laws(a: object, b: object) -> None:
    one, two = (python_overrides({"k": value})[0][1] for value in (a, b))
    merged = merge(one, two)
    assert merge(one, one) == one
    assert merge(merged, two) == merged
    if two.kind != "mapping" or one.kind != "mapping":
        assert merged == two


@settings(max_examples=200, deadline=None)
@given(st.text("ab.[]01= :{}-\n#'", max_size=16))
def test_random_text_raises_nothing_but_spec_errors(text: str) -> None:
    try:
        keys, value = parse_override(text)
        after = apply_override(tree("a: {b: [1, {name: b}]}"), keys, value)
    except SpecError as error:
        assert str(error).startswith("--set ")
    else:
        assert after.kind == "mapping"
