"""Cells: what their uses are called, what is tied, how many architectures there are."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from cell_spaces import ALL, CLIP, DARTS, MACRO, NESTED, SHARED, TIED
from graph_spaces import compiled

from nasrestore.errors import SpecError
from nasrestore.graph.cost import CostModel, graph_cost
from nasrestore.graph.decide import decide
from nasrestore.graph.derive import derive
from nasrestore.graph.genotype import Genotype, fit, genotype_of, random_genotype
from nasrestore.graph.ir import Limits, SearchGraph


def _choices(graph: SearchGraph) -> dict[str, tuple[int, int]]:
    return {c.name: (len(c.candidates), c.keep) for c in graph.choices}


def test_decisions_are_tied_over_all_uses_and_weights_are_not() -> None:
    graph = compiled(TIED)
    assert _choices(graph) == {"block/layer.1": (3, 1), "block/layer.2": (3, 1)}
    assert graph.architectures == 9
    layers = [node for node in graph.nodes if "/" in node.name]
    uses = ["dominant.1", "dominant.2", "companion.1", "companion.2"]
    assert [n.name for n in layers] == [f"{use}/layer.{i}" for use in uses for i in (1, 2)]
    assert {node.choice for node in layers} == {"block/layer.1", "block/layer.2"}
    assert all(node.weights == node.name for node in graph.nodes)
    assert {n.group for n in layers} == {"dna", "cna"} and graph.node("tail").group == "weights"
    assert graph.node("dominant.2/layer.1").reads == ("dominant.1",)
    assert graph.node("companion.1/layer.1").reads == ("stem",)


def test_each_copy_decides_for_itself_and_all_have_the_weights_of_the_first() -> None:
    graph = compiled(SHARED)
    assert _choices(graph) == {
        **{f"chain.{i}/inner": (3, 1) for i in (1, 2, 3)},
        **{f"chain.{i}/skip": (1, 1) for i in (1, 2, 3)},
    }
    assert graph.node("chain.3/inner").weights == "chain.1/inner"
    assert graph.node("chain.2/outer").candidates[0].params["kernel"] == 5  # with: of the use
    edge = next(edge for edge in graph.edges if edge.name == "chain.2/x->outer")
    assert (edge.source, edge.target) == ("chain.1", "chain.2/outer")
    assert (edge.candidate, edge.weights) == ("x->outer", "chain.1/x->outer")


def test_copies_of_an_operation_may_be_tied_too() -> None:
    text = """
nodes:
  stem: {op: conv, with: {channels: 4}}
  body: {op: {choice: [residual, dense]}, repeat: 3, decisions: node, weights: node}
outputs: {restored: body}
"""
    graph = compiled(text)
    assert _choices(graph) == {"body": (2, 1)}
    assert {graph.node(f"body.{i}").weights for i in (1, 2, 3)} == {"body.1"}
    one = compiled(text.replace("repeat: 3, ", ""))
    both = {"body": ("dense",)}
    assert CostModel(graph).cost(both).parameters == CostModel(one).cost(both).parameters
    assert CostModel(graph).cost(both).macs > CostModel(one).cost(both).macs


def test_a_cell_of_two_inputs_reads_the_two_most_recent() -> None:
    graph = compiled(DARTS)
    reads = {n: graph.node(f"{n}/first").reads + graph.node(f"{n}/second").reads
             for n in ("cell.1", "cell.2", "cell.3")}  # fmt: skip
    assert reads == {
        "cell.1": ("stem", "stem"),
        "cell.2": ("stem", "cell.1"),
        "cell.3": ("cell.1", "cell.2"),
    }
    assert graph.node("cell.1/inner").reads == tuple(f"cell.1/inner/node.{i}" for i in (1, 2, 3))


def test_links_with_operations_are_as_strong_as_these_and_none_never_counts() -> None:
    graph = compiled(DARTS)
    operations = [choice for choice in graph.choices if choice.kind == "operation"]
    edges = [choice for choice in graph.choices if choice.kind == "links"]
    assert [(c.name, len(c.candidates), c.keep) for c in edges] == [
        (f"normal/edges.node.{i}", i + 1, 2) for i in (1, 2, 3)
    ]
    assert [name for choice in edges for name in sorted(choice.measured_by)] == [
        name
        for i in (1, 2, 3)
        for name in sorted(c.name for c in operations if f"->node.{i}/op" in c.name)
    ]
    # three operations but none on each of two kept links into each node
    assert graph.architectures == math.prod(math.comb(i + 1, 2) * 3**2 for i in (1, 2, 3))


def test_the_decision_takes_the_strongest_links_by_their_operations() -> None:
    graph = compiled(DARTS)
    labels = graph.choice("normal/before->node.3/op").candidates
    strengths = {c.name: [0.25] * len(c.candidates) for c in graph.choices}
    strengths["normal/last->node.3/op"] = [0.9, 0.02, 0.03, 0.05]  # strong by none alone
    strengths["normal/node.1->node.3/op"] = [0.1, 0.1, 0.2, 0.6]
    strengths["normal/edges.node.3"] = [0.25, 0.05, 0.6, 0.25]
    found = decide(graph, strengths)[0].genotype.decisions
    assert found["normal/edges.node.3"] == ("before->node.3", "node.1->node.3")
    assert found["normal/node.1->node.3/op"] == (labels[3],)
    assert "normal/last->node.3/op" not in found  # of a link that is not kept


def test_alternatives_are_different_networks() -> None:
    graph = compiled(DARTS)
    generator = random.Random(0)
    strengths = {c.name: [generator.random() for _ in c.candidates] for c in graph.choices}
    for choice in graph.choices:
        if choice.measured_by:
            by = [graph.choice(name) for name in choice.measured_by]
            strengths[choice.name] = [max(strengths[c.name][1:]) for c in by]
    found = decide(graph, strengths, top=12)
    networks = [frozenset(d.genotype.decisions.items()) for d in found]
    assert len(set(networks)) == 12
    assert [d.score for d in found] == sorted((d.score for d in found), reverse=True)


def test_a_genotype_need_not_decide_what_a_dropped_link_would_carry() -> None:
    graph = compiled(DARTS)
    whole = random_genotype(graph, random.Random(1))
    short = genotype_of(graph, graph.relevant(whole.decisions))
    assert short.decisions.keys() < whole.decisions.keys()
    assert derive(graph, short) == derive(graph, whole)
    kept = next(n for n in short.decisions if n.endswith("/op"))
    less = {name: names for name, names in short.decisions.items() if name != kept}
    with pytest.raises(SpecError, match=f"no decision for '{kept}'"):
        fit(genotype_of(graph, less), graph)


def test_at_one_resolution_links_of_direction_same_are_links_of_any() -> None:
    same = DARTS.replace("        to: node\n", "        to: node\n        direction: same\n")
    assert same != DARTS and compiled(same) == compiled(DARTS)


def test_a_sum_of_same_links_has_the_resolution_of_the_first() -> None:
    text = """
nodes:
  stem: {op: conv, with: {channels: 4}}
  low: {op: max_pool_2}
  step: {repeat: 2, reads: [], op: identity}
  tail: {op: conv, with: {channels: 3}}
links: {edges: {from: %s, to: step, direction: same}}
outputs: {o: tail}
"""
    for order, links in (
        ("[stem, low, step]", ["stem->step.1", "stem->step.2", "step.1->step.2"]),
        ("[low, stem, step]", ["low->step.1", "low->step.2", "step.1->step.2"]),
    ):
        graph = compiled("unused: dropped" + text % order)
        assert sorted(edge.name for edge in graph.edges) == links
        assert all(edge.factor == 1 for edge in graph.edges)


def test_a_node_may_be_one_of_several_cells() -> None:
    graph = compiled(MACRO)
    body = graph.choice("body")
    assert (body.kind, body.candidates, body.keep, body.group) == (
        "cells", ("wide", "deep"), 1, "beta",
    )  # fmt: skip
    assert graph.deciding == ("architecture", "beta")
    genotype = Genotype("made", None, {
        "body": ("deep",), "wide/first": ("conv_bn_relu",),
        "deep/rest.1": ("dense",), "deep/rest.2": ("dilated",),
    })  # fmt: skip
    derived = derive(graph, genotype)
    assert [node.name for node in derived.nodes] == [
        "stem", "body/deep/first", "body/deep/rest.1", "body/deep/rest.2", "body/deep", "body", "tail",
    ]  # fmt: skip


def _every(graph: SearchGraph) -> list[dict[str, tuple[str, ...]]]:
    sets = [list(itertools.combinations(c.decidable, c.keep)) for c in graph.choices]
    names = [choice.name for choice in graph.choices]
    return [dict(zip(names, picked, strict=True)) for picked in itertools.product(*sets)]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (MACRO, 2 + 4),
        (TIED, 3 * 3),
        (SHARED, 3**3),
        (NESTED, (3 + 2 * 2 * (3 + 3 * 8) + 2 * (3 + 8)) * (3 + 8)),
    ],
    ids=["macro", "tied", "shared", "nested"],
)
def test_what_a_dropped_cell_holds_makes_no_other_network(text: str, count: int) -> None:
    """The number by its rule, and by going through all decisions."""
    graph = compiled(text)
    assert graph.architectures == count
    assert len({frozenset(graph.relevant(d).items()) for d in _every(graph)}) == count


def test_decisions_that_differ_in_dropped_cells_derive_the_same_network() -> None:
    graph = compiled(MACRO)
    networks: dict[frozenset[tuple[str, tuple[str, ...]]], SearchGraph] = {}
    for decisions in _every(graph):
        derived = derive(graph, genotype_of(graph, decisions))
        relevant = graph.relevant(decisions)
        assert networks.setdefault(frozenset(relevant.items()), derived) == derived
        assert derive(graph, genotype_of(graph, relevant)) == derived
    assert len({d.nodes for d in networks.values()}) == 6


def test_alternatives_leave_dropped_cells_aside() -> None:
    graph = compiled(MACRO)
    generator = random.Random(3)
    strengths = {c.name: [generator.random() for _ in c.candidates] for c in graph.choices}
    found = decide(graph, strengths, top=20)
    assert len(found) == 6
    assert {len(d.genotype.decisions) for d in found} == {2, 3}
    assert [d.score for d in found] == sorted((d.score for d in found), reverse=True)


def test_four_tied_layers_and_two_cells_are_8192_networks() -> None:
    eight = "residual, dense, dilated, spatial_attention, channel_attention, identity, none"
    eight += ", {op: residual, with: {kernel: 5}}, {op: dense, with: {kernel: 5}}"
    text = f"""
cells:
  derain: {{nodes: {{layer: {{repeat: 4, op: {{choice: [{eight}]}}}}}}}}
  one: {{nodes: {{only: {{op: residual}}}}}}
  two: {{nodes: {{only: {{op: dense}}}}}}
nodes:
  stem: {{op: conv, with: {{channels: 4}}}}
  dna: {{cell: derain, repeat: 4}}
  body: {{cell: {{choice: [one, two]}}}}
outputs: {{restored: body}}
"""
    assert compiled(text).architectures == 2 * 8**4 == 8192


@pytest.mark.parametrize("name", ALL)
def test_costs_are_those_of_the_derived_networks(name: str) -> None:
    graph = compiled(ALL[name])
    model = CostModel(graph)
    least = model.least()
    for seed in range(20):
        genotype = random_genotype(graph, random.Random(seed))
        cost = model.cost(genotype.decisions)
        assert cost == graph_cost(derive(graph, genotype))
        shares = [model.share(c, n) for c, ns in genotype.decisions.items() for n in ns]
        parameters = model.base.parameters + sum(share.parameters for share in shares)
        assert least.parameters <= parameters <= cost.parameters
        assert model.base.macs + sum(share.macs for share in shares) <= cost.macs
        assert not model.additive or parameters == cost.parameters


@pytest.mark.parametrize("name", ["tied", "macro", "shared"])
def test_limits_are_kept_exactly(name: str) -> None:
    """Against all architectures, one by one."""
    graph = compiled(ALL[name])
    model, generator = CostModel(graph), random.Random(2)
    strengths = {c.name: [generator.random() for _ in c.candidates] for c in graph.choices}
    every = _every(graph)
    costs = sorted({model.cost(decisions).parameters for decisions in every})
    for limit in costs[:: max(1, len(costs) // 5)]:

        def score(decisions: dict[str, tuple[str, ...]]) -> float:
            return sum(
                math.log(strengths[c.name][c.candidates.index(n)])
                for c in graph.choices
                for n in decisions[c.name]
            )

        best = max(score(d) for d in every if model.cost(d).parameters <= limit)
        found = decide(graph, strengths, Limits(parameters=limit))[0]
        assert found.score == pytest.approx(best, abs=1e-12)
        assert found.cost is not None and found.cost.parameters <= limit


def test_operations_on_images_take_the_frames_of_a_clip_one_by_one() -> None:
    from nasrestore.graph.compile import compile_tree
    from nasrestore.spec.source import parse_yaml

    graph = compile_tree(parse_yaml(CLIP, "clip.yaml"))
    assert (graph.clip, graph.frames, dict(graph.flows)) == ("rainy", 5, {"flow": "rainy"})
    assert str(graph.node("each").input) == "5 frames of 5 channels at 1 of the input's resolution"
    assert {node.output.frames for node in graph.nodes} == {5}
    image = CLIP.replace(", frames: $frames", "").replace("{flow_of: rainy}", "{channels: 2}")
    one = compile_tree(parse_yaml(image, "image.yaml"))
    assert graph_cost(graph).macs == 5 * graph_cost(one).macs
    assert graph_cost(graph).parameters == graph_cost(one).parameters


def test_expansion_is_bounded() -> None:
    nested = "cells:\n  c0: {nodes: {n: {repeat: 30, op: residual}}}\n"
    nested += "".join(
        f"  c{i}: {{nodes: {{n: {{repeat: 30, cell: c{i - 1}}}}}}}\n" for i in range(1, 6)
    )
    with pytest.raises(SpecError, match="more than 1000 nodes in all"):
        compiled(nested + "nodes: {body: {cell: c5}}\noutputs: {restored: body}\n")


TWO_INPUTS = """
cells:
  join: {inputs: [a, b], nodes: {n: {reads: [a, b], op: conv, with: {channels: 4}}}}
nodes:
  s: {op: conv, with: {channels: 4}}
  t: {reads: s, op: conv, with: {channels: 4}}
  k: {cell: join, repeat: 3, reads: %s}
outputs: {restored: k}
"""


@pytest.mark.parametrize("reads", ["{a: s, b: t}", "{b: t, a: s}", "[s, t]"])
def test_what_later_copies_read_is_in_the_order_of_the_cell_s_inputs(reads: str) -> None:
    graph = compiled(TWO_INPUTS % reads)
    assert graph.node("k.2/n").reads == ("t", "k.1")
    assert graph.node("k.3/n").reads == ("k.1", "k.2")


def test_what_is_given_beyond_a_cell_s_inputs_takes_no_part() -> None:
    text = (TWO_INPUTS % "{a: s, b: t, more: s}").replace("cells:", "unused: dropped\ncells:")
    assert compiled(text).node("k.3/n").reads == ("k.1", "k.2")


def test_what_several_choices_lead_to_is_in_no_share() -> None:
    text = """
cells:
  a: {nodes: {n: {op: conv, with: {channels: 4}}}}
  b: {nodes: {n: {op: conv, with: {channels: 4, kernel: 1}}}}
nodes:
  s: {op: conv, with: {channels: 4}}
  z: {op: conv, with: {channels: 4, kernel: 7}}
  one: {cell: {choice: [a, b]}, reads: z}
  other: {cell: {choice: [a, b]}, reads: z}
  tail: {reads: [one, other], op: conv, with: {channels: 3}}
outputs: {restored: tail}
"""
    graph = compiled(text)
    costs = [
        CostModel(graph).cost(random_genotype(graph, random.Random(seed)).decisions).parameters
        for seed in range(20)
    ]
    assert CostModel(graph).least().parameters <= min(costs)
    limit = min(costs)
    found = decide(graph, {c.name: [0.9, 0.1] for c in graph.choices}, Limits(parameters=limit))
    assert found[0].cost is not None and found[0].cost.parameters == limit


def test_between_has_the_weights_of_the_first_that_there_is_and_counts_once() -> None:
    text = """
cells:
  plain: {nodes: {n: {op: conv, with: {channels: 4}}}}
nodes:
  s: {op: conv, with: {channels: 4}}
  m: {cell: plain, repeat: 3, weights: node, between: {op: conv, with: {channels: 4, kernel: 5}}}
  k:
    op: {choice: [residual, dense]}
    repeat: 3
    weights: node
    between: {op: conv, with: {channels: 4, kernel: 5}}
  tail: {op: conv, with: {channels: 3}}
outputs: {restored: tail}
"""
    graph = compiled(text)
    assert {graph.node(f"m.{i}.between").weights for i in (2, 3)} == {"m.2.between"}
    derived = derive(graph, Genotype("made", None, {
        "k.1": ("residual",), "k.2": ("residual",), "k.3": ("dense",),
    }))  # fmt: skip
    import nasrestore as nr

    built = sum(p.numel() for p in nr.build(derived).parameters())
    assert graph_cost(derived).parameters == built


def test_a_flow_brings_its_clip_along() -> None:
    from nasrestore.graph.compile import compile_tree
    from nasrestore.spec.source import parse_yaml

    text = CLIP.replace("reads: [rainy, flow]", "reads: flow").replace(
        "constants:", "unused: dropped\nconstants:"
    )
    graph = compile_tree(parse_yaml(text, "clip.yaml"))
    assert (graph.clip, graph.frames, dict(graph.flows)) == ("rainy", 5, {"flow": "rainy"})
