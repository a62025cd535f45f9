"""The compiler: RDMC's structure as the paper numbers it, and each rule of the language."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import pytest
from graph_spaces import CELL, compiled, rdmc

from nasrestore import registry
from nasrestore.errors import SpecError
from nasrestore.graph.compile import compile_space, parse_size
from nasrestore.graph.ir import SearchGraph, Shape
from nasrestore.graph.signature import OperationSignature
from nasrestore.spec.load import load_recipe, overrides_of
from nasrestore.spec.shipped import shipped
from nasrestore.spec.space import load_space_spec


def _layer(node: str) -> int:
    """The paper's number of a layer: the encoder's are 1 to 5, the decoder's 6 to 10."""
    block, _, copy = node.partition(".")
    return int(copy) + (5 if block == "decoder" else 0)


def _links(graph: SearchGraph, choice: str) -> set[tuple[int, int]]:
    pairs = (name.split("->") for name in graph.choice(choice).candidates)
    return {(_layer(source), _layer(target)) for source, target in pairs}


# -- RDMC (facts of the paper, section III-B) ------------------------------------------------


def test_rdmc_has_2025_architectures_of_20_candidates() -> None:
    graph = rdmc()
    assert [(c.name, c.kind, len(c.candidates), c.keep) for c in graph.choices] == [
        ("skip_up", "links", 10, 2),
        ("skip_down", "links", 10, 2),
    ]
    assert graph.architectures == 2025


def test_rdmc_links_are_numbered_as_in_the_paper() -> None:
    up, down = _links(rdmc(), "skip_up"), _links(rdmc(), "skip_down")
    assert {target for source, target in down if source == 2} == {6, 7, 8}
    assert {target for source, target in up if source == 3} == {9, 10}
    assert {(3, 9), (4, 8)} <= up and {(2, 8), (3, 7)} <= down  # what the paper's search found
    same = {(layer, 11 - layer) for layer in range(1, 6)}
    every = {(source, target) for source in range(1, 6) for target in range(6, 11)}
    assert up | down | same == every and not up & down


def test_rdmc_shapes() -> None:
    graph = rdmc()
    encoder = [graph.node(f"encoder.{i}") for i in range(1, 6)]
    decoder = [graph.node(f"decoder.{i}") for i in range(1, 6)]
    assert [node.output.scale for node in encoder] == [Fraction(1, 2**i) for i in range(5)]
    assert [node.output.scale for node in decoder] == [Fraction(1, 2**i) for i in (4, 3, 2, 1, 0)]
    assert {node.output.channels for node in (*encoder, graph.node("bottom"), *decoder)} == {48}
    assert [node.input.channels for node in encoder] == [6, 48, 48, 48, 48]
    assert [node.input.channels for node in decoder] == [48, 96, 96, 96, 96]
    assert encoder[0].reads == ("restored", "rainy") and encoder[0].between is None
    assert encoder[1].between is not None and encoder[1].between.kind == "max_pool_2"
    assert graph.node("head").output == Shape(3)
    assert graph.multiple == 16 and graph.stages == 3


def test_rdmc_paths_are_apart_from_the_second_layer_on() -> None:
    splits = [rdmc().node(f"encoder.{i}").candidates[0].params["split"] for i in range(1, 6)]
    assert splits == [False, True, True, True, True]


def test_rdmc_adapters_compute_on_the_smaller_side() -> None:
    edges = {edge.name: edge for edge in rdmc().edges}
    up, down = edges["encoder.3->decoder.4"], edges["encoder.2->decoder.3"]
    assert (up.direction, up.factor, up.adapter_scale) == ("up", Fraction(2), Fraction(1, 4))
    assert (down.direction, down.factor, down.adapter_scale) == (
        "down", Fraction(1, 2), Fraction(1, 4)
    )  # fmt: skip
    assert up.adapter is not None and up.adapter.kind == "conv_1x1"
    same = edges["encoder.4->decoder.2"]
    assert (same.direction, same.join, same.adapter, same.choice) == ("same", "concat", None, None)


@pytest.mark.parametrize("path", list(shipped("space")), ids=lambda path: path.stem)
def test_every_shipped_space_compiles(path: object) -> None:
    graph = compile_space(load_space_spec(str(path)))
    assert graph.nodes and graph.architectures >= 1


def test_a_constant_reaches_all_that_uses_it() -> None:
    same = "space.links.same={from: encoder.1-2, to: decoder.2-3, direction: same, join: concat}"
    graph = rdmc("space.width=4", "space.depth=3", same)
    assert graph.node("encoder.3").output == Shape(12, Fraction(1, 4))
    assert len(graph.choice("skip_up").candidates) == 3


# -- nodes -----------------------------------------------------------------------------------


def test_a_node_reads_the_one_before_and_a_copy_the_copy_before() -> None:
    graph = compiled("nodes:\n  a: {op: dense}\n  b: {repeat: 2, op: dense}\noutputs: {o: b}")
    assert [(n.name, n.reads) for n in graph.nodes] == [
        ("a", ("rainy",)), ("b.1", ("a",)), ("b.2", ("b.1",))
    ]  # fmt: skip


def test_several_reads_are_concatenated_and_a_block_means_its_last_copy() -> None:
    graph = compiled(
        "nodes:\n  a: {repeat: 3, op: conv, with: {channels: $index * 2}}\n"
        "  b: {reads: [a, a.1-2, rainy], op: conv, with: {channels: 1}}\noutputs: {o: b}"
    )
    assert graph.node("b").reads == ("a.3", "a.1", "a.2", "rainy")
    assert graph.node("b").read == Shape(6 + 2 + 4 + 3)


def test_nodes_may_be_declared_in_any_order() -> None:
    graph = compiled(
        "nodes:\n  last: {reads: first, op: dense}\n  first: {reads: rainy, op: dense}\n"
        "outputs: {o: last}"
    )
    assert [node.name for node in graph.nodes] == ["first", "last"]


def test_repeat_of_one_has_a_numbered_copy() -> None:
    graph = compiled("nodes:\n  a: {repeat: 1, op: dense, between: max_pool_2}\noutputs: {o: a}")
    assert [node.name for node in graph.nodes] == ["a.1"] and graph.nodes[0].between is None


def test_an_operation_with_channels_of_its_own_input() -> None:
    graph = compiled(
        "nodes:\n  a: {op: pixel_unshuffle_2}\n  b: {op: pixel_shuffle_2}\noutputs: {o: b}"
    )
    assert graph.node("a").output == Shape(12, Fraction(1, 2))
    assert graph.node("b").output == Shape(3) and graph.multiple == 2


# -- choices ---------------------------------------------------------------------------------


def test_a_cell_of_operations() -> None:
    graph = compiled(CELL % 4)
    choice = graph.choice("cell.2")
    assert choice.candidates == (
        "residual",
        "dense",
        "dilated",
        "spatial_attention",
        "channel_attention",
        "none",
        "identity",
        "residual(kernel=5)",
    )
    assert "none" not in choice.decidable and choice.decisions == 7
    assert graph.architectures == 7**4


def test_a_parameter_may_be_a_choice() -> None:
    graph = compiled(
        "nodes:\n  a: {op: conv, with: {channels: 4, kernel: {choice: [3, 5]}, "
        "dilation: {choice: [1, 2]}}}\noutputs: {o: a}"
    )
    assert graph.choice("a").candidates == (
        "conv(kernel=3,dilation=1)",
        "conv(kernel=3,dilation=2)",
        "conv(kernel=5,dilation=1)",
        "conv(kernel=5,dilation=2)",
    )
    assert [op.params["kernel"] for op in graph.node("a").candidates] == [3, 3, 5, 5]


def test_a_candidate_with_a_name_and_values_to_choose() -> None:
    graph = compiled(
        "nodes:\n  a:\n    op:\n      choice:\n"
        "        - {op: residual, name: res, with: {kernel: {choice: [3, 5]}}}\n"
        "        - {op: dense, with: {kernel: {choice: [1, $k]}}}\n"
        "outputs: {o: a}\nconstants: {k: 7}"
    )
    assert graph.choice("a").candidates == (
        "res(kernel=3)", "res(kernel=5)", "dense(kernel=1)", "dense(kernel=7)"
    )  # fmt: skip


def test_a_shared_parameter_goes_to_the_candidates_that_take_it() -> None:
    graph = compiled(
        "nodes:\n  a:\n    op: {choice: [dense, dilated, {op: identity, name: skip}]}\n"
        "    with: {dilation: {choice: [1, 2]}, kernel: 5}\noutputs: {o: a}"
    )
    assert graph.choice("a").candidates == (
        "dense", "dilated(dilation=1)", "dilated(dilation=2)", "skip"
    )  # fmt: skip
    assert graph.node("a").candidates[0].params == {"kernel": 5}


def test_a_list_in_a_label_and_a_name_that_replaces_it() -> None:
    graph = compiled(
        "nodes:\n  a:\n    op:\n      choice:\n"
        "        - {op: dilated_paths, with: {dilations: [1, 2]}}\n"
        "        - {op: dilated_paths, with: {dilations: [1, 3]}}\n"
        "        - {op: dilated_paths, with: {dilations: [1, 4]}, name: far}\n"
        "    with: {channels: 2}\noutputs: {o: a}"
    )
    assert graph.choice("a").candidates == (
        "dilated_paths(dilations=1-2)", "dilated_paths(dilations=1-3)", "far"
    )  # fmt: skip


def test_a_choice_of_one_is_no_choice() -> None:
    graph = compiled("nodes:\n  a: {op: {choice: [dense]}}\noutputs: {o: a}")
    assert graph.choices == () and graph.node("a").choice is None and graph.architectures == 1


# -- links -----------------------------------------------------------------------------------

FUNNEL = """
nodes:
  down: {repeat: 3, op: conv, with: {channels: 4}, between: average_pool_2}
  up: {repeat: 3, op: conv, with: {channels: 8}, between: bilinear_2}
links:
  l: %s
outputs: {o: up}
"""


@pytest.mark.parametrize(
    ("link", "names"),
    [
        ("{from: down, to: up, direction: same}", {"1->3", "2->2", "3->1"}),
        ("{from: down, to: up, direction: up}", {"2->3", "3->2", "3->3"}),
        ("{from: down, to: up, direction: down}", {"1->1", "1->2", "2->1"}),
        ("{from: down.2, to: [up.1, up.3]}", {"2->1", "2->3"}),
        ("{from: [down.3, down.3, down.2-3], to: up.3}", {"3->3", "2->3"}),
    ],
)
def test_links_by_direction(link: str, names: set[str]) -> None:
    graph = compiled(FUNNEL % link)
    found = {f"{e.source[-1]}->{e.target[-1]}" for e in graph.edges}
    assert found == names and len(graph.edges) == len(names)


def test_links_within_one_set_lead_forward() -> None:
    graph = compiled(
        "nodes:\n  a: {repeat: 4, op: dense}\nlinks: {l: {from: a, to: a, keep: 3}}\noutputs: {o: a}"
    )
    assert graph.choice("l").candidates == (
        "a.1->a.2", "a.1->a.3", "a.1->a.4", "a.2->a.3", "a.2->a.4", "a.3->a.4"
    )  # fmt: skip


def test_links_keep_some_for_each_node() -> None:
    graph = compiled(
        "nodes:\n  a: {repeat: 4, op: dense}\n"
        "links: {l: {from: [rainy, a], to: a, keep: {per: node, k: 1}}}\noutputs: {o: a}"
    )
    assert [(c.name, len(c.candidates), c.keep) for c in graph.choices] == [
        ("l.a.1", 1, 1), ("l.a.2", 2, 1), ("l.a.3", 3, 1), ("l.a.4", 4, 1)
    ]  # fmt: skip


def test_a_link_from_an_input_has_an_adapter_where_channels_differ() -> None:
    graph = compiled(FUNNEL % "{from: rainy, to: up.2-3, direction: any}")
    edges = {edge.target: edge for edge in graph.edges}
    assert edges["up.3"].from_shape == Shape(3) and edges["up.3"].factor == 1
    assert edges["up.2"].direction == "down"
    for edge in edges.values():
        assert edge.adapter is not None and edge.adapter.params["channels"] == 8


def test_concatenated_links_append_their_channels() -> None:
    graph = compiled(FUNNEL % "{from: down, to: up, direction: same, join: concat}")
    assert [graph.node(f"up.{i}").input.channels for i in (1, 2, 3)] == [8, 12, 12]
    assert [graph.node(f"up.{i}").main.channels for i in (1, 2, 3)] == [4, 8, 8]
    assert all(edge.adapter is None for edge in graph.edges)


def test_an_adapter_may_be_given_its_parameters() -> None:
    adapter = "{op: conv_bn_relu, with: {channels: 2, kernel: 1}}"
    graph = compiled(
        FUNNEL % f"{{from: down, to: up, direction: up, join: concat, adapter: {adapter}}}"
    )
    assert {edge.channels for edge in graph.edges} == {2}


# -- keep: 0 ---------------------------------------------------------------------------------


def test_keep_0_removes_a_group() -> None:
    graph = rdmc("space.links.skip_up.keep=0")
    assert [c.name for c in graph.choices] == ["skip_down"]
    assert [(c.name, c.keep, len(c.candidates)) for c in graph.removed] == [("skip_up", 0, 10)]
    assert not any(edge.link == "skip_up" for edge in graph.edges)


SIDE = """
nodes:
  main: {op: conv, with: {channels: 8}}
  side: {reads: main, repeat: 2, op: {choice: [dense, residual]}}
  deep: {reads: side, op: dense}
  last: {reads: main, op: dense}
links:
  out: {from: [side.1, deep], to: last, keep: %d}
  in: {from: [main, rainy], to: [deep, last], keep: 2}
outputs: {o: last}
"""


def test_what_only_a_removed_group_reads_goes_with_it() -> None:
    whole, cut = compiled(SIDE % 1), compiled(SIDE % 0)
    assert [node.name for node in whole.nodes] == ["main", "side.1", "side.2", "deep", "last"]
    assert [node.name for node in cut.nodes] == ["main", "last"]
    assert {c.name for c in cut.removed} == {"out", "side.1", "side.2"}
    assert [(c.name, c.candidates) for c in cut.choices] == [
        ("in", ("main->last", "rainy->last"))
    ]  # fmt: skip


def test_what_is_left_must_be_enough_to_keep() -> None:
    with pytest.raises(SpecError, match="cannot keep 3: 2 links are left"):
        compiled((SIDE % 0).replace("keep: 2", "keep: 3"))


def test_keep_0_of_a_group_per_node() -> None:
    graph = compiled(FUNNEL % "{from: down, to: up, direction: up, keep: {per: node, k: 0}}")
    assert {c.name for c in graph.removed} == {"l.up.2", "l.up.3"} and not graph.edges


# -- recursion, outputs, groups, limits ------------------------------------------------------


def test_parameter_groups_are_named_even_where_removed() -> None:
    text = FUNNEL % "{from: down, to: up, direction: up, group: gates, keep: 0}"
    assert compiled(text).groups == ("weights", "gates")


def test_several_outputs_and_a_residual_on_the_state() -> None:
    graph = compiled(
        "recursion: {stages: 2, state: o, start: rainy, norm: per_stage}\n"
        "nodes:\n  a: {reads: [o, rainy], op: conv, with: {channels: 3}}\n"
        "  b: {op: dense}\noutputs: {o: {from: b, add: o}, raw: a}"
    )
    assert [(o.name, o.node, o.add) for o in graph.outputs] == [("o", "b", "o"), ("raw", "a", None)]
    assert graph.recursion is not None and graph.recursion.norm == "per_stage"


def test_limits_are_read() -> None:
    limits = "limits: {parameters: 10 ** 6, macs: {most: $n * 10 ** 9, at: 64x48}}\n"
    with pytest.raises(SpecError, match="expected a number"):  # an expression has a $
        compiled("constants: {n: 2}\n" + limits + FUNNEL % "{from: down, to: up, direction: up}")
    limits = limits.replace("10 ** 6", "1e6")
    graph = compiled("constants: {n: 2}\n" + limits + FUNNEL % "{from: down, to: up}")
    assert (graph.limits.parameters, graph.limits.macs) == (10**6, 2 * 10**9)
    assert graph.limits.size == (64, 48)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("128x96", (128, 96)),
        ("1X1", (1, 1)),
        ("0x3", None),
        ("3", None),
        ("12x", None),
        ("٣x٣", None),
    ],
)
def test_sizes(text: str, size: tuple[int, int] | None) -> None:
    assert parse_size(text) == size


# -- extension -------------------------------------------------------------------------------


@pytest.fixture
def uncounted() -> Iterator[str]:
    """An operation of somebody else's, whose cost is not told."""
    name = "test_uncounted"
    registry.operation.declare(name, OperationSignature("somebody else's"))
    yield name
    del registry.operation._entries[name]


def test_an_operation_of_unknown_cost_compiles_without_limits(uncounted: str) -> None:
    graph = compiled(f"nodes:\n  a: {{op: {uncounted}}}\noutputs: {{o: a}}")
    assert graph.node("a").output == Shape(3)


def test_limits_refuse_an_operation_of_unknown_cost(uncounted: str) -> None:
    limits = "limits: {parameters: 1000}\n"
    with pytest.raises(SpecError, match=f"cost of operation '{uncounted}' is not known") as caught:
        compiled(f"{limits}nodes:\n  a: {{op: {uncounted}}}\noutputs: {{o: a}}")
    assert caught.value.path == "limits" and "layers" in (caught.value.hint or "")


def test_overrides_reach_into_the_space_and_keep_its_places() -> None:
    with pytest.raises(SpecError) as caught:
        compile_space(load_recipe("rdmc", overrides_of(["space.depth=0"])).space)
    assert "expected an integer from 1 to 1000, got 0 from '$depth'" in str(caught.value)
    assert caught.value.path == "nodes.encoder.repeat"
