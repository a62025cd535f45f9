"""Derivation: what was not decided for is gone, and so is what only that led to."""

from __future__ import annotations

import random

import pytest
from graph_spaces import CELL, CONCATENATED, CONDITIONAL, compiled, rdmc
from hypothesis import given
from hypothesis import strategies as st

from nasrestore.errors import SpecError
from nasrestore.graph.cost import CostModel, graph_cost
from nasrestore.graph.derive import derive, kept_input_channels
from nasrestore.graph.genotype import Genotype, genotype_of, load_genotype, random_genotype
from nasrestore.graph.ir import SearchGraph
from nasrestore.spec.shipped import find

SPACES = {
    "rdmc": rdmc(),
    "cell": compiled(CELL % 3),
    "concatenated": compiled(CONCATENATED),
    "conditional": compiled(CONDITIONAL),
}


def test_the_papers_architecture_has_its_four_links_and_the_plain_skips() -> None:
    derived = derive(rdmc(), load_genotype(find("rdmc-paper", "genotype")))
    searched = {edge.name for edge in derived.edges if edge.link != "same"}
    assert searched == {
        "encoder.3->decoder.4",
        "encoder.4->decoder.3",
        "encoder.2->decoder.3",
        "encoder.3->decoder.2",
    }
    assert sum(edge.link == "same" for edge in derived.edges) == 4
    assert len(derived.nodes) == len(rdmc().nodes)


@pytest.mark.parametrize("graph", SPACES.values(), ids=SPACES)
@given(seed=st.integers(0, 10**6))
def test_nothing_is_left_to_choose(graph: SearchGraph, seed: int) -> None:
    genotype = random_genotype(graph, random.Random(seed))
    derived = derive(graph, genotype)
    assert derived.choices == () and derived.removed == () and derived.architectures == 1
    assert dict(derived.decisions) == genotype.decisions
    assert all(len(node.candidates) == 1 and node.choice is None for node in derived.nodes)
    assert all(edge.choice is None for edge in derived.edges)
    for choice in graph.choices:
        (label, *_) = genotype.decisions[choice.name]
        if choice.kind == "operation" and choice.name in {n.name for n in derived.nodes}:
            assert derived.node(choice.name).candidates[0].label == label


@pytest.mark.parametrize("graph", SPACES.values(), ids=SPACES)
@given(seed=st.integers(0, 10**6))
def test_every_node_and_link_leads_to_an_output(graph: SearchGraph, seed: int) -> None:
    derived = derive(graph, random_genotype(graph, random.Random(seed)))
    read = {output.node for output in derived.outputs}
    for node in reversed(derived.nodes):
        assert node.name in read
        read.update(node.reads)
        read.update(edge.source for edge in derived.into(node.name))
    names = {node.name for node in derived.nodes}
    assert all(edge.target in names for edge in derived.edges)
    assert all(edge.source in names or edge.source in graph.inputs for edge in derived.edges)


@pytest.mark.parametrize("graph", SPACES.values(), ids=SPACES)
@given(seed=st.integers(0, 10**6))
def test_the_cost_is_the_models(graph: SearchGraph, seed: int) -> None:
    genotype = random_genotype(graph, random.Random(seed))
    size = (48, 32)
    assert graph_cost(derive(graph, genotype), size) == CostModel(graph, size).cost(
        genotype.decisions
    )


@pytest.mark.parametrize("graph", SPACES.values(), ids=SPACES)
@given(seed=st.integers(0, 10**6))
def test_inputs_are_as_wide_as_what_arrives(graph: SearchGraph, seed: int) -> None:
    derived = derive(graph, random_genotype(graph, random.Random(seed)))
    for node in derived.nodes:
        appended = sum(e.channels for e in derived.into(node.name) if e.join == "concat")
        assert node.input.channels == node.main.channels + appended
        assert node.output == graph.node(node.name).output
        channels = kept_input_channels(graph, derived, node.name)
        assert len(channels) == node.input.channels
        assert channels == sorted(set(channels))
        assert channels[-1] < graph.node(node.name).input.channels


def test_dead_nodes_are_pruned() -> None:
    graph = SPACES["conditional"]
    sides = {f"side.{i}": ("dense",) for i in (1, 2, 3)}
    genotype = genotype_of(graph, {**sides, "into": ("side.1->last", "first->last")})
    derived = derive(graph, genotype)
    assert [node.name for node in derived.nodes] == ["first", "side.1", "last"]
    assert dict(derived.decisions) == genotype.decisions


def test_kept_channels_of_concatenated_links() -> None:
    graph = compiled(
        "nodes:\n  a: {op: conv, with: {channels: 2}}\n  b: {op: conv, with: {channels: 4}}\n"
        "  c: {op: conv, with: {channels: 3}}\n"
        "links: {l: {from: [rainy, a, b], to: c, join: concat, keep: 2}}\noutputs: {o: c}"
    )
    derived = derive(graph, genotype_of(graph, {"l": ("rainy->c", "b->c")}))
    assert graph.node("c").input.channels == 4 + 3 + 2 + 4
    assert kept_input_channels(graph, derived, "c") == [0, 1, 2, 3, 4, 5, 6, 9, 10, 11, 12]


def test_a_derived_graph_derives_to_itself() -> None:
    derived = derive(rdmc(), load_genotype(find("rdmc-paper", "genotype")))
    again = derive(derived, genotype_of(derived, {}))
    assert again.nodes == derived.nodes and again.edges == derived.edges


def test_a_genotype_that_does_not_fit_is_refused() -> None:
    with pytest.raises(SpecError, match="no decision for 'skip_up'"):
        derive(rdmc(), Genotype("rdmc", None, {}))
