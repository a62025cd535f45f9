"""A recipe and its space in one go: plugins first, then everything that is wrong with both."""

from __future__ import annotations

import pytest

from nasrestore import registry
from nasrestore.errors import NasRestoreError, SpecError
from nasrestore.graph.recipe_check import names_in, parameter_groups, seconds
from nasrestore.graph.signature import OperationSignature
from nasrestore.graph.whole import check_whole
from nasrestore.spec.load import each_error, open_recipe, open_tree, overrides_of
from nasrestore.spec.shipped import shipped
from nasrestore.spec.source import Tree, parse_yaml


@pytest.mark.parametrize("path", list(shipped("recipe")), ids=lambda path: path.stem)
def test_every_shipped_recipe_is_right(path: object) -> None:
    whole = check_whole(open_recipe(str(path)))
    assert whole.loaded.recipe.recipe == path.stem  # type: ignore[attr-defined]
    assert whole.graph.name == whole.loaded.space.space


def test_plugins_are_imported_before_names_are_looked_up() -> None:
    name = "test_plugged_in"
    imported: list[object] = []

    def import_plugin(item: Tree) -> None:
        imported.append(item.value)
        registry.operation.declare(name, OperationSignature("somebody else's"))

    opened = open_recipe(
        "rdmc", overrides_of(["plugins=[mine.py]", f"space.nodes.extra={{op: {name}}}",
                              "space.outputs.extra=extra"])
    )  # fmt: skip
    try:
        whole = check_whole(opened, import_plugin)
        assert whole.graph.node("extra").candidates[0].kind == name
    finally:
        del registry.operation._entries[name]
    assert [str(path).rpartition("/")[2] for path in imported] == ["mine.py"]
    with pytest.raises(SpecError, match=f"unknown operation '{name}'"):
        check_whole(opened, lambda item: None)


def test_a_plugin_that_fails_is_told_with_the_rest() -> None:
    def import_plugin(item: Tree) -> None:
        raise NasRestoreError("it does not import", hint="run it")

    texts = ["plugins=[mine.py]", "search.levels[0].optimizer=adma", "space.links.skip_up.keep=99"]
    with pytest.raises(SpecError) as caught:
        check_whole(open_recipe("rdmc", overrides_of(texts)), import_plugin)
    found = {error.path: error.message for error in each_error(caught.value)}
    assert found == {
        "plugins[0]": "it does not import",
        "search.levels[0].optimizer": "unknown optimizer 'adma'",
        "links.skip_up.keep": "cannot keep 99 of a group of 10 links",
    }


def test_what_cannot_be_told_of_a_wrong_space_is_not_complained_of() -> None:
    text = "{outputs: {a: b}, nodes: {b: {op: conv, group: 3}}}"
    found = names_in(parse_yaml(text, "space"))
    assert found.outputs == ["a"] and found.groups is None
    assert names_in(None).outputs is None and names_in(parse_yaml("[]", "x")).groups is None
    recipe = "{format: 1, recipe: r, space: {nodes: 3, outputs: 4}, objectives: {o: {ssim: {output: x}}}}"
    with pytest.raises(SpecError) as caught:
        check_whole(open_tree(parse_yaml(recipe, "recipe")))
    assert not any("has no output" in error.message for error in each_error(caught.value))


def test_groups_of_nodes_and_links_can_be_owned() -> None:
    whole = check_whole(
        open_recipe(
            "rdmc",
            overrides_of(
                ["space.links.skip_up.group=gates", "space.links.skip_up.keep=0",
                 "search.levels[0].variables=[weights, gates]"]
            ),
        )
    )  # fmt: skip
    assert parameter_groups(whole.graph) == ["architecture", "weights", "gates"]


@pytest.mark.parametrize(
    ("text", "found"),
    [("90s", 90), ("10m", 600), ("1.5h", 5400), ("2 min", 120), ("7", 7), ("1d", 86400),
     ("", None), ("0s", None), ("ten", None), ("5 weeks", None), ("-3s", None), ("\u0661s", None)],
)  # fmt: skip
def test_times(text: str, found: float | None) -> None:
    assert seconds(text) == found
