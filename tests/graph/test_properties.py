"""Whatever is written, loading and compiling says what is wrong with it, and ends."""

from __future__ import annotations

import contextlib
import copy
import functools
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nasrestore.errors import NasRestoreError, SpecError
from nasrestore.graph.compile import compile_space, compile_tree
from nasrestore.graph.recipe_check import check_recipe
from nasrestore.graph.whole import check_whole
from nasrestore.spec.load import each_error, open_tree, read_opened
from nasrestore.spec.shipped import find
from nasrestore.spec.source import dump_yaml, parse_yaml
from nasrestore.spec.space import read_space

_TOKEN = re.compile(r"[A-Za-z_$][\w$.]*|\d+(?:\.\d+)?|[^\s\w]|\s+")

SCALARS = [
    "0", "1", "-1", "2", "7", "100000", "1e9", "1e300", ".nan", ".inf", "0.5", "true", "null", "no",
    '""', "[]", "{}", "[1, 2]", "{choice: [3, 5]}", "{choice: []}", "{per: node, k: 1}", "$width",
    "$nothing", "$depth ** 99", "1 // 0", "encoder", "encoder.2", "encoder.1-4", "decoder.99",
    "restored", "rainy", "none", "identity", "conv_1x1", "max_pool_2", "residual", "pixel_shuffle_2",
    "pixel_unshuffle_2", "up", "concat", "add", "own", "per_stage", "weights", "softmax", "adam",
    "99999999999999999999999", "encoder.1-99999999999999", "!!int 3", "*a", "&a 3",
]  # fmt: skip

quickly = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@cache
def _text(name: str) -> str:
    kind, _, stem = name.partition("/")
    return Path(find(stem, kind)).read_text()  # type: ignore[arg-type]


@st.composite
def mutated(draw: st.DrawFn, text: str) -> str:
    """The text with some lines or tokens deleted, repeated, swapped or replaced."""
    for _ in range(draw(st.integers(1, 4))):
        whole_lines = draw(st.booleans())
        parts = text.splitlines(keepends=True) if whole_lines else _TOKEN.findall(text)
        if not parts:
            break
        places = st.integers(0, len(parts) - 1)
        at, other = draw(places), draw(places)
        what = draw(st.sampled_from(["delete", "repeat", "swap", "replace", "replace"]))
        if what == "delete":
            del parts[at]
        elif what == "repeat":
            parts.insert(other, parts[at])
        elif what == "swap":
            parts[at], parts[other] = parts[other], parts[at]
        elif whole_lines:
            key, colon, _ = parts[at].partition(":")
            parts[at] = f"{key}{colon} {draw(st.sampled_from(SCALARS))}\n"
        else:
            parts[at] = draw(st.sampled_from(SCALARS))
        text = "".join(parts)
    return text


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values below the root."""
    items: list[tuple[Any, Any]] = []
    if isinstance(value, (dict, list)):
        items = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    return [path for key, item in items for path in ((*at, key), *_places(item, (*at, key)))]


@st.composite
def mutated_data(draw: st.DrawFn, data: Any) -> Any:
    """The data with some values removed, replaced by scalars, or by values from elsewhere in it."""
    data = copy.deepcopy(data)
    for _ in range(draw(st.integers(1, 4))):
        places = _places(data)
        if not places:
            break
        *before, last = draw(st.sampled_from(places))
        parent = functools.reduce(lambda value, key: value[key], before, data)
        what = draw(st.sampled_from(["delete", "scalar", "elsewhere", "rename"]))
        if what == "delete":
            del parent[last]
        elif what == "scalar":
            text = draw(st.sampled_from([text for text in SCALARS if text[0] not in "*&!"]))
            parent[last] = parse_yaml(text, "scalar").plain()
        elif what == "elsewhere":
            other = draw(st.sampled_from(places))
            with contextlib.suppress(KeyError, IndexError, TypeError):  # removed meanwhile
                parent[last] = copy.deepcopy(functools.reduce(lambda v, k: v[k], other, data))
        elif isinstance(parent, dict):
            parent[draw(st.sampled_from(["encoder", "rainy", "name", "keep", "x"]))] = parent.pop(
                last
            )
    return data


def _complains_well(error: SpecError) -> None:
    for one in each_error(error):
        assert one.location is not None, f"no place: {one}"
        assert one.message and "\n" not in one.message


@given(mutated(_text("space/rdmc")))
@quickly
def test_a_mutated_space_compiles_or_is_refused(text: str) -> None:
    try:
        graph = compile_tree(parse_yaml(text, "space.yaml"))
    except SpecError as error:
        _complains_well(error)
        with pytest.raises(SpecError):
            compile_space(read_space(parse_yaml(text, "space.yaml")))
    else:
        assert graph.nodes and graph.outputs and graph.architectures >= 1
        assert all(choice.keep <= len(choice.decidable) for choice in graph.choices)


@pytest.mark.parametrize("name", ["rdmc", "rdmc-quick"])
@given(data=st.data())
@quickly
def test_a_mutated_recipe_is_checked_or_refused(name: str, data: st.DataObject) -> None:
    text = data.draw(mutated(_text(f"recipe/{name}").replace("../spaces/rdmc.yaml", "rdmc")))
    text = re.sub(r"^extends:.*$", "space: rdmc", text, flags=re.MULTILINE)
    try:
        check_whole(open_tree(parse_yaml(text, "recipe.yaml")))
    except SpecError as error:
        _complains_well(error)
        with pytest.raises(NasRestoreError):
            loaded = read_opened(open_tree(parse_yaml(text, "recipe.yaml")))
            check_recipe(loaded.recipe, compile_space(loaded.space))


@given(data=st.data())
@quickly
def test_mutated_values_of_a_space_compile_or_are_refused(data: st.DataObject) -> None:
    space = data.draw(mutated_data(parse_yaml(_text("space/rdmc"), "rdmc").plain()))
    with contextlib.suppress(SpecError):
        text = dump_yaml(space)
        try:
            graph = compile_tree(parse_yaml(text, "space.yaml"))
        except SpecError as error:
            _complains_well(error)
            raise
        assert graph.nodes and graph.outputs and graph.architectures >= 1


@given(data=st.data())
@quickly
def test_mutated_values_of_a_recipe_are_checked_or_refused(data: st.DataObject) -> None:
    whole = parse_yaml(_text("recipe/rdmc"), "rdmc").plain()
    whole["space"] = parse_yaml(_text("space/rdmc"), "rdmc").plain()
    text = dump_yaml(data.draw(mutated_data(whole)))
    with contextlib.suppress(SpecError):
        try:
            check_whole(open_tree(parse_yaml(text, "recipe.yaml")))
        except SpecError as error:
            _complains_well(error)
            raise


@given(mutated("rdmc-space-inside"))
@quickly
def test_text_that_is_no_space_at_all(text: str) -> None:
    with pytest.raises(SpecError):
        compile_tree(parse_yaml(text, "space.yaml"))


HUGE = {
    "repeat": "nodes:\n  a: {repeat: 999999999, op: dense}\noutputs: {o: a}",
    "power": "constants: {n: 10 ** 9}\nnodes:\n  a: {repeat: $n, op: dense}\noutputs: {o: a}",
    "many nodes": "nodes:\n"
    + "".join(f"  n{i}: {{repeat: 1000, op: dense}}\n" for i in range(40))
    + "outputs: {o: n39}",
    "many candidates": "nodes:\n  a:\n    op: conv\n    repeat: 900\n    with: {channels: 8, "
    "kernel: {choice: [1, 3, 5, 7, 9, 11, 13, 15, 17, 19]}, dilation: {choice: [1, 2, 3, 4, 5, 6, "
    "7, 8, 9, 10]}, groups: {choice: [1, 2, 4, 8, 1, 2, 4, 8]}}\noutputs: {o: a}",
    "many links": "nodes:\n  a: {repeat: 900, op: dense}\nlinks:\n"
    + "".join(f"  l{i}: {{from: a, to: a}}\n" for i in range(500))
    + "outputs: {o: a}",
    "long list": "nodes:\n  a: {repeat: 1000, op: dilated_paths, with: {channels: 1, dilations: ["
    + "1, " * 15_000
    + "1]}}\noutputs: {o: a}",
    "channels": "nodes:\n  a: {repeat: 900, op: identity, between: pixel_unshuffle_2}\n"
    "outputs: {o: a}",
    "resolution": "nodes:\n  a: {repeat: 900, op: identity, between: nearest_2}\noutputs: {o: a}",
    "digits": "nodes:\n  a: {reads: x.%s, op: dense}\noutputs: {o: a}" % ("9" * 6000),
}


@pytest.mark.parametrize("text", HUGE.values(), ids=HUGE.keys())
def test_what_would_grow_without_bound_is_refused(text: str) -> None:
    head = "format: 1\nspace: huge\ninputs: {x: {channels: 3}}\n"
    with pytest.raises(SpecError) as caught:
        compile_tree(parse_yaml(head + text, "huge.yaml"))
    assert len(each_error(caught.value)) < 1000
    _complains_well(caught.value)


def test_a_large_space_compiles() -> None:
    text = """
        format: 1
        space: large
        inputs: {x: {channels: 3}}
        nodes:
          stem: {op: conv, with: {channels: 8}}
          a: {repeat: 180, op: {choice: [conv, conv_bn_relu, separable_conv]}, with: {channels: 8}}
        links: {any: {from: a, to: a, keep: {per: node, k: 1}}}
        outputs: {o: a}
    """
    graph = compile_tree(parse_yaml(text, "large.yaml"))
    assert len(graph.edges) == 180 * 179 // 2
    assert graph.architectures > 10**300
