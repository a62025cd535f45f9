"""Groups that hold parameters: by the signatures alone, and as the built network has them."""

from __future__ import annotations

import cell_spaces
import pytest
from graph_spaces import compiled

import nasrestore as nr
from nasrestore.assemble.prepare import prepare
from nasrestore.errors import SpecError
from nasrestore.graph.compile import compile_tree
from nasrestore.graph.groups import groups_with_parameters
from nasrestore.graph.ir import SearchGraph
from nasrestore.spec.load import each_error, overrides_of, space_tree
from nasrestore.spec.source import parse_yaml

GROUPED = """
nodes:
  stem: {op: conv, with: {channels: 4}, group: a}
  pooled: {op: average_pool_2, group: b}
  chain: {repeat: 2, op: identity, between: conv_bn_relu, group: c}
  either: {op: {choice: [identity, max_pool_2], group: d}, group: e}
  last: {op: nearest_2, group: f}
links:
  narrow: {from: rainy, to: last, group: g}
  same: {from: stem, to: last, group: h}
outputs: {restored: last}
""".replace("between: conv_bn_relu", "between: {op: conv_bn_relu, with: {channels: 4}}").replace(
    "max_pool_2]", "{op: separable_conv, with: {channels: 4}}]"
)


def extended(settings: str) -> SearchGraph:
    return compile_tree(space_tree(parse_yaml(f"{{extends: tmics, {settings}}}", "settings")))


NARROW = "width: 4, depth: 1"
SPACES = {
    "grouped": lambda: compiled(GROUPED),
    **{name: lambda text=text: compiled(text) for name, text in cell_spaces.ALL.items()},
    "tmics": lambda: extended(NARROW),
    "share": lambda: extended(f"{NARROW}, nodes: {{average: {{with: {{share: 0.7}}}}}}"),
    "rdmc": lambda: nr.load_space("rdmc"),
}


@pytest.mark.parametrize("name", list(SPACES))
def test_the_network_has_parameters_in_these_groups(name: str) -> None:
    graph = SPACES[name]()
    built = {group for group, held in nr.build(graph).parameter_groups().items() if held}
    assert set(groups_with_parameters(graph)) == built


def test_what_each_group_holds_it_by() -> None:
    assert set(groups_with_parameters(compiled(GROUPED))) == {"a", "c", "d", "e", "g"}


SHARE = "space.nodes.average.with.share=0.7"
OFF = ("search.levels.average.off=true", "train.levels.average.off=true")
SHORTER = "train.epochs=160"  # the epochs that the level had to itself go with it


def test_the_hint_of_an_empty_level_does_what_it_says() -> None:
    with pytest.raises(SpecError) as caught:
        prepare("tmics", overrides_of([SHARE]))
    (error,) = each_error(caught.value)
    assert error.path == "search.levels[2].variables" and error.hint is not None
    settings = [part for part in error.hint.split() if "=" in part]
    assert tuple(settings) == OFF
    recipe = prepare("tmics", overrides_of([SHARE, *settings, SHORTER])).recipe
    assert [level.name for level in recipe.search.levels] == ["networks", "architecture"]


def test_a_level_that_owns_a_full_group_beside_an_empty_one_is_not_refused() -> None:
    together = "search.levels.architecture.variables=[alpha, beta, lambda]"
    recipe = prepare("tmics", overrides_of([SHARE, *OFF, SHORTER, together])).recipe
    assert recipe.search.levels[1].variables == ["alpha", "beta", "lambda"]


def test_a_space_that_leaves_nothing_to_decide_is_trained_by_the_recipe_that_searched_it() -> None:
    fixed = ["space.links.skip_up.keep=0", "space.links.skip_down.keep=0"]
    assert prepare("rdmc", overrides_of(fixed)).graph.choices == ()
