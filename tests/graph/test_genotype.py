"""Genotype files: what they say, what they fit, and what a space's changes mean for them."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from graph_spaces import CELL, compiled, rdmc
from hypothesis import given
from hypothesis import strategies as st

from nasrestore.errors import SpecError
from nasrestore.graph.compile import compile_space
from nasrestore.graph.genotype import (
    Genotype,
    fit,
    genotype_of,
    load_genotype,
    random_genotype,
    read_genotype,
)
from nasrestore.graph.ir import Choice, SearchGraph, digest_of
from nasrestore.spec.load import each_error
from nasrestore.spec.shipped import find, shipped
from nasrestore.spec.source import parse_yaml
from nasrestore.spec.space import load_space_spec, parse_space

PAPER = {
    "skip_up": ("encoder.3->decoder.4", "encoder.4->decoder.3"),
    "skip_down": ("encoder.2->decoder.3", "encoder.3->decoder.2"),
}


def _errors(genotype: Genotype, graph: SearchGraph) -> list[str]:
    with pytest.raises(SpecError) as caught:
        fit(genotype, graph)
    return [error.message for error in each_error(caught.value)]


# -- files -----------------------------------------------------------------------------------


@given(st.integers(0, 10**6))
def test_a_file_reads_back_as_it_was(seed: int) -> None:
    graph = rdmc()
    made = random_genotype(graph, random.Random(seed))
    generator = random.Random(seed)
    strengths = {c.name: {n: generator.random() for n in c.candidates} for c in graph.choices}
    full = genotype_of(
        graph, made.decisions, strengths=strengths, source={"seed": seed, "rule": "x"}
    )
    found = read_genotype(parse_yaml(full.dump(), "genotype.yaml"))
    assert found.decisions == full.decisions and found.source == full.source
    assert found.digest == graph.digest and found.space == "rdmc"
    for name, weights in strengths.items():
        assert found.strengths[name] == pytest.approx(weights, abs=1e-6)
    assert read_genotype(parse_yaml(found.dump(), "again")) == found


def test_a_single_decision_is_written_without_brackets() -> None:
    graph = compiled(CELL % 2)
    made = genotype_of(graph, {"cell.1": ("dense",), "cell.2": ("residual(kernel=5)",)})
    assert "cell.1: dense," in made.dump()
    assert fit(read_genotype(parse_yaml(made.dump(), "g")), graph)[0].decisions == made.decisions


def test_a_description_is_kept() -> None:
    made = Genotype("rdmc", None, PAPER, description="by hand")
    found = read_genotype(parse_yaml(made.dump(), "g"))
    assert found.description == "by hand" and found.digest is None


@pytest.mark.parametrize("path", list(shipped("genotype")), ids=lambda path: path.stem)
def test_every_shipped_genotype_fits_its_space(path: Path) -> None:
    genotype = load_genotype(path)
    graph = compile_space(load_space_spec(find(genotype.space, "space")))
    fitted, notes = fit(genotype, graph)
    assert not notes and fitted.digest == graph.digest == genotype.digest


def test_the_papers_architecture_is_shipped() -> None:
    assert load_genotype(find("rdmc-paper", "genotype")).decisions == PAPER


# -- fitting ---------------------------------------------------------------------------------


def test_decisions_are_put_in_the_candidates_order() -> None:
    backwards = {name: names[::-1] for name, names in reversed(PAPER.items())}
    fitted, notes = fit(Genotype("rdmc", None, backwards), rdmc())
    assert dict(fitted.decisions) == PAPER and list(fitted.decisions) == ["skip_up", "skip_down"]
    assert fitted.digest == rdmc().digest and notes == []


def test_errors_without_a_file_have_a_place_all_the_same() -> None:
    with pytest.raises(SpecError) as caught:
        fit(Genotype("rdmc", None, {"skip_up": ("a->b",)}), rdmc())
    for error in each_error(caught.value):
        assert str(error.location) == "genotype:1:1"
    paths = {error.path for error in each_error(caught.value)}
    assert paths == {"decisions", "decisions.skip_up", "decisions.skip_up[0]"}


def test_none_cannot_be_decided_for() -> None:
    graph = compiled(CELL % 1)
    assert _errors(Genotype("made", None, {"cell.1": ("none",)}), graph) == [
        "'none' cannot be decided for"
    ]


def test_all_that_is_wrong_is_said_at_once() -> None:
    wrong = {"skip_up": ("encoder.3->decoder.4", "x->y"), "skip_dwn": ("a->b",)}
    assert sorted(_errors(Genotype("rdmc", "0" * 16, wrong), rdmc())) == [
        "'skip_up' has no candidate 'x->y'",
        "no decision for 'skip_down' of space 'rdmc'",
        "space 'rdmc' has no choice 'skip_dwn'",
    ]


def test_another_space_of_the_same_choices_is_as_good() -> None:
    text = Path(find("rdmc", "space")).read_text().replace("space: rdmc", "space: mine")
    graph = compile_space(parse_space(text))
    fitted, _ = fit(load_genotype(find("rdmc-paper", "genotype")), graph)
    assert fitted.space == "mine" and graph.digest == rdmc().digest


# -- the digest ------------------------------------------------------------------------------


def _changed(*pairs: tuple[str, str]) -> str:
    text = Path(find("rdmc", "space")).read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return compile_space(parse_space(text)).digest


def test_the_digest_covers_neither_constants_nor_comments_nor_shapes() -> None:
    digest = rdmc().digest
    assert _changed(("width: 16", "width: 4"), ("stages: 3", "stages: 1")) == digest
    assert _changed(("# RDMC", "# Another comment"), ("nodes:\n", "\n\nnodes:\n")) == digest
    assert _changed(("op: conv_bn_relu", "op: conv_relu"), ("join: add", "join: concat")) == digest


@pytest.mark.parametrize(
    "pair",
    [
        ("keep: 2}\n\n", "keep: 3}\n\n"),
        ("skip_up:", "skips_up:"),
        ("to: decoder, direction: up", "to: decoder.1-4, direction: up"),
    ],
)
def test_the_digest_covers_names_candidates_and_keep(pair: tuple[str, str]) -> None:
    assert _changed(pair) != rdmc().digest


def test_no_order_counts_for_the_digest() -> None:
    digest = rdmc().digest
    assert _changed(("{from: encoder, to: decoder, direction: up",
                     "{to: decoder.1-5, direction: up, from: [encoder.3-5, encoder.1-2]")) == digest  # fmt: skip
    choices = (Choice("a", "operation", ("x", "y")), Choice("b", "links", ("p", "q", "r"), 2))
    other = (Choice("b", "links", ("r", "p", "q"), 2), Choice("a", "operation", ("y", "x")))
    assert digest_of(choices) == digest_of(other)
    assert digest_of(choices) != digest_of((choices[0], Choice("b", "links", ("p", "q"), 2)))


def test_a_genotype_of_another_digest_is_refused() -> None:
    assert (
        "digest 0123456789abcdef" in _errors(Genotype("rdmc", "0123456789abcdef", PAPER), rdmc())[0]
    )


# -- removed groups --------------------------------------------------------------------------


def test_an_entry_for_a_removed_group_is_ignored_and_said() -> None:
    graph = rdmc("space.links.skip_up.keep=0")
    fitted, notes = fit(load_genotype(find("rdmc-paper", "genotype")), graph)
    assert dict(fitted.decisions) == {"skip_down": PAPER["skip_down"]}
    assert notes == [
        "the space has removed 'skip_up' (keep: 0); the genotype's entry for it is ignored"
    ]


def test_a_removed_group_needs_no_entry() -> None:
    graph = rdmc("space.links.skip_up.keep=0")
    genotype = genotype_of(graph, {"skip_down": PAPER["skip_down"]})
    fitted, notes = fit(genotype, graph)
    assert fitted.decisions == genotype.decisions and notes == []


def test_a_removed_group_does_not_excuse_other_changes() -> None:
    graph = rdmc("space.links.skip_up.keep=0", "space.links.skip_down.keep=3")
    names = (*PAPER["skip_down"], "encoder.1->decoder.1")
    digest = rdmc().digest
    messages = _errors(Genotype("rdmc", digest, {**PAPER, "skip_down": names}), graph)
    assert len(messages) == 1 and "the genotype is for another space" in messages[0]


def test_choices_of_nodes_that_went_with_a_group_are_ignored_too() -> None:
    text = (
        "nodes:\n  main: {op: conv, with: {channels: 8}}\n"
        "  side: {reads: main, op: {choice: [dense, residual]}}\n"
        "  last: {reads: main, op: dense}\n"
        "links: {out: {from: [side, rainy], to: last, keep: %d}}\noutputs: {o: last}"
    )
    whole, cut = compiled(text % 1), compiled(text % 0)
    genotype = genotype_of(whole, {"side": ("dense",), "out": ("side->last",)})
    fitted, notes = fit(genotype, cut)
    assert fitted.decisions == {} and len(notes) == 2


# -- what is fixed ---------------------------------------------------------------------------

MADE_OF = """
cells:
  plain: {nodes: {first: {op: {choice: [residual, dense]}}}}
  other: {nodes: {first: {op: {choice: [residual, dilated]}}}}
nodes:
  stem: {op: conv, with: {channels: 4}}
  body: {cell: %s}
  side: {reads: stem, op: %s, with: {channels: 4}}
  tail: {op: conv, with: {channels: 3}}
links: {skip: {from: [stem, body], to: tail, adapter: conv_1x1, keep: %s}}
outputs: {restored: tail}
"""
OPEN = MADE_OF % ("{choice: [plain, other]}", "{choice: [conv, separable_conv]}", "1")
FIXED = "unused: dropped" + MADE_OF % ("plain", "conv", "null")
DECIDED = {
    "body": ("other",),
    "plain/first": ("dense",),
    "other/first": ("dilated",),
    "side": ("conv",),
    "skip": ("body->tail",),
}


def test_what_the_space_has_fixed_is_ignored_and_said() -> None:
    whole, fixed = compiled(OPEN), compiled(FIXED)
    made = genotype_of(whole, DECIDED)
    assert fit(made, whole)[1] == []
    fitted, notes = fit(made, fixed)
    assert dict(fitted.decisions) == {"plain/first": ("dense",)} and fitted.digest == fixed.digest
    assert notes == [
        "the space has fixed 'body' to plain; the genotype's other is ignored",
        "no node of the space is the cell 'other'; the genotype's entry for 'other/first' is ignored",
        "the space has fixed 'side' to conv, which the genotype decides, too",
        "the space has fixed 'skip' to stem->tail, body->tail; the genotype's body->tail is ignored",
        "the genotype's digest is of the space with these choices, and is not compared",
    ]
    assert fit(replace(made, digest=fixed.digest), fixed)[1] == notes[:-1]


def test_links_into_each_node_that_are_all_kept_or_removed_are_fixed_too() -> None:
    text = (
        "nodes:\n  stem: {op: conv, with: {channels: 4}}\n  chain: {repeat: 3, op: residual}\n"
        "links: {skip: {from: [stem, chain], to: chain.3, keep: %s}}\noutputs: {o: chain}"
    )
    made = genotype_of(compiled(text % "{per: node, k: 1}"), {"skip.chain.3": ("stem->chain.3",)})
    for keep, note in (("null", "'skip.chain.3' to stem->chain.3, chain.1->"), ("0", "(keep: 0)")):
        fitted, notes = fit(made, compiled(text % keep))
        assert fitted.decisions == {} and note in notes[0]


def test_an_entry_that_names_nothing_is_an_error_beside_what_is_fixed() -> None:
    made = Genotype("made", None, {"sides": ("conv",), "side": ("x",), "plain/first": ("dense",)})
    assert _errors(made, compiled(FIXED)) == ["space 'made' has no choice 'sides'"]


# -- random ----------------------------------------------------------------------------------


@pytest.mark.parametrize("graph", [rdmc(), compiled(CELL % 2)], ids=["rdmc", "cell"])
def test_random_genotypes_fit_and_are_reproducible(graph: SearchGraph) -> None:
    one, same, other = (random_genotype(graph, random.Random(seed)) for seed in (0, 0, 1))
    assert one == same and one.decisions != other.decisions
    assert fit(one, graph)[0].decisions == one.decisions


def test_random_genotypes_are_uniform() -> None:
    graph, generator = rdmc(), random.Random(0)
    counts = dict.fromkeys(graph.choice("skip_up").candidates, 0)
    for _ in range(2000):
        for name in random_genotype(graph, generator).decisions["skip_up"]:
            counts[name] += 1
    assert all(320 <= count <= 480 for count in counts.values()), counts  # 400, sigma 18
