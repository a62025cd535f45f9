"""``show``: what a space, a recipe, a genotype and a run hold."""

from __future__ import annotations

import itertools
import random
import shutil
from pathlib import Path

import pytest
from command_calls import Call

import nasrestore as nr
from nasrestore.cli.describe import cost_range, space_facts
from nasrestore.graph.compile import compile_space
from nasrestore.graph.cost import CostModel, graph_cost
from nasrestore.graph.derive import derive
from nasrestore.graph.genotype import genotype_of, random_genotype
from nasrestore.graph.ir import SearchGraph
from nasrestore.runtime.runfolder import RunFolder, update_result
from nasrestore.spec.shipped import find
from nasrestore.spec.space import parse_space

SMALL = """
format: 1
space: small
inputs: {rainy: {channels: 3}}
nodes:
  first: {op: conv_bn_relu, with: {channels: 8}}
  middle:
    op: {choice: [conv_bn_relu, {op: conv_bn_relu, with: {kernel: 5}, name: wide}]}
    with: {channels: 8}
  last: {op: conv, with: {channels: 3}}
links:
  skip: {from: [first, rainy], to: [middle, last], direction: any, join: add, keep: 2}
outputs:
  restored: {from: last, add: rainy}
"""


@pytest.fixture
def small() -> SearchGraph:
    return compile_space(parse_space(SMALL))


def test_rdmc_in_figures(call: Call) -> None:
    facts = call("show", "rdmc", "--json").json
    assert facts["space"] == "rdmc"
    assert facts["architectures"] == 2025
    up, down = facts["choices"]
    assert (up["name"], up["candidates"], up["keep"], up["kind"]) == ("skip_up", 10, 2, "links")
    assert (down["name"], down["candidates"], down["keep"]) == ("skip_down", 10, 2)
    assert len(up["names"]) == 10 and "encoder.3->decoder.4" in up["names"]
    assert (facts["nodes"], facts["stages"], facts["multiple"]) == (12, 3, 16)
    assert facts["limits"] is None
    assert facts["macs"]["size"] == [128, 128]
    assert facts["macs"]["least"] < facts["macs"]["most"]


def test_rdmc_in_words(call: Call) -> None:
    done = call("show", "rdmc")
    assert (done.status, done.err) == (0, "")
    assert "architectures             2,025" in done.out
    assert "skip_up: keep 2 of 10 links" in done.out


@pytest.mark.parametrize(
    ("name", "first", "kind", "then"),
    [
        ("tmics", "space tmics:", "recipe", "recipe tmics:"),
        ("tmics-light", "recipe tmics-light:", "genotype", "genotype of space tmics:"),
    ],
)
def test_of_several_files_of_one_name_each_can_be_shown(
    call: Call, name: str, first: str, kind: str, then: str
) -> None:
    done = call("show", name)
    assert done.out.startswith(first)
    assert f"There is a {kind} of this name, too: --kind {kind} shows it." in done.out
    done = call("show", name, "--kind", kind)
    assert done.out.startswith(then) and "of this name" not in done.out


def test_a_file_of_one_name_alone_has_no_such_line(call: Call, here: Path) -> None:
    shutil.copy(find("tmics", "space"), here / "tmics.yaml")
    for file in ("darts", "tmics.yaml"):
        assert "of this name" not in call("show", file).out


def test_a_file_of_another_kind_than_asked_for(call: Call, here: Path) -> None:
    shutil.copy(find("rdmc", "space"), here / "mine.yaml")
    done = call("show", "mine.yaml", "--kind", "recipe")
    assert done.status == 2 and "mine.yaml:6:1: this is a space, not a recipe" in done.err
    done = call("show", "rdmc-paper", "--kind", "space")
    assert done.status == 2 and "no space that is shipped is called 'rdmc-paper'" in done.err


def test_a_recipe_s_setting_of_what_is_shown_as_a_space(call: Call, here: Path) -> None:
    setting = ("--set", "search.levels[1].variables=[alpha, beta]")
    done = call("show", "tmics", *setting)
    assert done.status == 2 and "'search' is a key of recipes" in done.err
    assert "nasrestore show tmics --kind recipe" in done.err
    assert call("show", "tmics", "--kind", "recipe", *setting).status == 0
    (here / "own.yaml").write_text(SMALL + "constants: {train: 3}\n")
    assert call("show", "own.yaml", "--set", "train=4").status == 0
    done = call("show", "own.yaml", "--set", "search.epochs=4")
    assert done.status == 2 and "own.yaml is shown as a space here (show the recipe)" in done.err


def test_the_range_of_costs_is_that_of_all_architectures(small: SearchGraph) -> None:
    decisions = [
        dict(zip((c.name for c in small.choices), names, strict=True))
        for names in itertools.product(
            *(itertools.combinations(c.decidable, c.keep) for c in small.choices)
        )
    ]
    assert len(decisions) == small.architectures
    costs = [graph_cost(derive(small, genotype_of(small, d))) for d in decisions]
    found = cost_range(small)
    for name in ("parameters", "macs"):
        values = [getattr(cost, name) for cost in costs]
        assert (found[name]["least"], found[name]["most"]) == (min(values), max(values))


LINKED = """
format: 1
space: linked
inputs: {rainy: {channels: 3}}
nodes:
  first: {op: conv, with: {channels: 4}}
  side: {reads: first, repeat: 2, op: {choice: [residual, dense, identity, none]}}
  last: {reads: first, op: conv, with: {channels: 3}}
links: {into: {from: [side, first], to: last, keep: 2}}
outputs: {restored: last}
"""


def test_where_costs_do_not_add_up_few_architectures_are_counted_one_by_one() -> None:
    graph = compile_space(parse_space(LINKED))
    model = CostModel(graph, (128, 128))
    assert not model.additive
    costs = [
        graph_cost(
            derive(graph, genotype_of(graph, {"side.1": (a,), "side.2": (b,), "into": links}))
        )
        for a, b in itertools.product(("residual", "dense", "identity"), repeat=2)
        for links in itertools.combinations(graph.choice("into").candidates, 2)
    ]
    found = cost_range(graph)
    for name in ("parameters", "macs"):
        values = [getattr(cost, name) for cost in costs]
        assert (found[name]["least"], found[name]["most"]) == (min(values), max(values))
        assert getattr(model.least(), name) <= found[name]["at_least"] == min(values)


def test_of_many_architectures_the_least_is_a_bound(call: Call) -> None:
    parameters = call("show", "darts", "--json").json["parameters"]
    graph = nr.load_space("darts")
    drawn = [random_genotype(graph, random.Random(seed)) for seed in range(5)]
    costs = [graph_cost(derive(graph, genotype)).parameters for genotype in drawn]
    assert parameters["least"] is None and 0 < parameters["at_least"] <= min(costs)
    assert (
        f"depend on the decisions, at least {parameters['at_least']:,}" in call("show", "darts").out
    )


def test_operations_are_candidates_too(small: SearchGraph) -> None:
    operation, links = sorted(space_facts(small)["choices"], key=lambda choice: choice["kind"])[
        ::-1
    ]
    assert (operation["kind"], operation["names"]) == ("operation", ["conv_bn_relu", "wide"])
    assert (links["kind"], links["keep"]) == ("links", 2)


def test_limits_are_shown(call: Call, here: Path) -> None:
    Path("small.yaml").write_text(
        SMALL + "limits: {parameters: 5000, macs: {most: 1000000000, at: 64x64}}\n"
    )
    facts = call("show", "small.yaml", "--json").json
    assert facts["limits"] == {"parameters": 5000, "macs": 10**9, "size": [64, 64]}
    assert "limits" in call("show", "small.yaml").out


@pytest.mark.parametrize("override", ["space.width=8", "width=8"])
def test_overrides_reach_into_a_space(call: Call, override: str) -> None:
    before = call("show", "rdmc", "--json").json["parameters"]
    after = call("show", "rdmc", "--json", "--set", override).json["parameters"]
    assert after["most"] < before["least"]


def test_a_wrong_override_is_located(call: Call) -> None:
    done = call("show", "rdmc", "--set", "widht=8")
    assert done.status == 2 and "--set widht=8" in done.err and "width" in done.err


def test_a_recipe_shows_its_space_and_levels(call: Call) -> None:
    facts = call("show", "rdmc-quick", "--json").json
    assert (facts["recipe"], facts["space"], facts["architectures"]) == ("rdmc-quick", "rdmc", 2025)
    levels = facts["search"]["levels"]
    assert [level["name"] for level in levels] == ["weights", "architecture"]
    assert [level["variables"] for level in levels] == [["weights"], ["architecture"]]
    done = call("show", "rdmc-quick")
    assert "level architecture owns architecture: restoration on validation data" in done.out
    assert "skip_down: keep 2 of 10 links" in done.out


def test_a_genotype_shows_decisions_and_cost(call: Call) -> None:
    facts = call("show", "rdmc-paper", "--json").json
    assert facts["decisions"]["skip_up"] == ["encoder.3->decoder.4", "encoder.4->decoder.3"]
    assert facts["digest_fits"] is True
    space = call("show", "rdmc", "--json").json
    for name in ("parameters", "macs"):
        assert space[name]["least"] <= facts[name] <= space[name]["most"]
    assert "encoder.2->decoder.3" in call("show", "rdmc-paper").out


def test_a_genotype_of_another_space_is_refused(call: Call, here: Path) -> None:
    text = find("rdmc-paper", "genotype").read_text()
    Path("mine.yaml").write_text(text.replace("space: rdmc", "space: mine"))
    done = call("show", "mine.yaml")
    assert done.status == 2 and "--space FILE" in done.err
    Path("small.yaml").write_text(SMALL)
    done = call("show", "mine.yaml", "--space", "small.yaml")
    assert done.status == 2 and "mine.yaml:" in done.err


def test_a_picture_is_written(call: Call, here: Path) -> None:
    done = call("show", "rdmc-paper", "--picture", "rdmc.svg")
    assert done.status == 0 and "picture: rdmc.svg" in done.out
    assert Path("rdmc.svg").read_text().lstrip().startswith("<")
    assert call("show", "rdmc", "--picture", "rdmc.png").status == 2


def test_a_run_shows_what_there_is_so_far(call: Call, run_folder: RunFolder) -> None:
    done = call("show", run_folder.path)
    assert done.status == 0
    assert "run runs/first" in done.out and "nothing is decided yet" in done.out
    shutil.copy(find("rdmc-paper", "genotype"), run_folder.genotype)
    figures = {"psnr_before": 25.0, "psnr_after": "inf", "ssim_before": 0.8, "ssim_after": 0.9}
    row = {"data": "pairs", "split": "test", "protocol": "rgb", "images": 4, **figures}
    update_result(run_folder, evaluations=[row])
    facts = call("show", run_folder.path, "--json").json
    assert facts["run"] == "runs/first" and facts["recipe"] == "rdmc-quick"
    assert facts["genotype"]["digest_fits"] is True
    assert facts["result"]["evaluations"] == [row]
    done = call("show", run_folder.path)
    assert "encoder.3->decoder.4" in done.out
    assert "25.00 -> inf dB (+inf)" in done.out
    assert "0.8000 -> 0.9000 (+0.1000)" in done.out


def test_a_genotype_in_a_run_belongs_to_its_space(call: Call, run_folder: RunFolder) -> None:
    shutil.copy(find("rdmc-paper", "genotype"), run_folder.genotype)
    assert call("show", run_folder.genotype).status == 0


def test_a_folder_that_is_no_run_says_so(call: Call, here: Path) -> None:
    Path("empty").mkdir()
    done = call("show", "empty")
    assert done.status == 2 and "is not a run folder" in done.err


def test_a_folder_called_as_a_shipped_file_is_not_in_its_way(call: Call, here: Path) -> None:
    Path("rdmc").mkdir()
    assert call("show", "rdmc", "--json").json["space"] == "rdmc"
    assert call("check", "rdmc").status == 0


CELLS = """format: 1
space: cells
inputs: {rainy: {channels: 3}}
cells:
  wide: {nodes: {first: {op: {choice: [residual, dense]}}}}
  mixed:
    nodes: {sum: {reads: [], op: identity}}
    links: {into: {from: [x], to: sum, op: {choice: [none, residual, dense]}, keep: 1}}
nodes:
  stem: {op: conv, with: {channels: 4}}
  body: {cell: {choice: [wide, mixed]}}
outputs: {restored: body}
"""


def test_choices_between_cells_and_measured_links_are_said(call: Call, here: Path) -> None:
    Path("cells.yaml").write_text(CELLS)
    done = call("show", "cells.yaml", "--picture", "cells.svg")
    assert "body: keep 1 of 2 cells" in done.out
    assert "mixed/into: keep 1 of 1 link\n  each as strong as" in done.out
    assert 'data-cell="mixed"' in Path("cells.svg").read_text()
    facts = call("show", "cells.yaml", "--json").json
    assert facts["architectures"] == 4
    assert facts["choices"][2]["measured_by"] == ["mixed/x->sum/op"]
    genotype = "format: 1\nspace: cells\ndecisions: {body: wide, wide/first: dense}\n"
    Path("g.yaml").write_text(genotype)
    shown = call("show", "g.yaml", "--space", "cells.yaml", "--json").json
    assert shown["decisions"] == {"wide/first": ["dense"], "body": ["wide"]}


def test_a_picture_that_cannot_be_written_names_no_option_that_is_not_there(
    call: Call, here: Path
) -> None:
    (here / "file").write_text("")
    done = call("show", "rdmc", "--picture", "file/rdmc.svg")
    assert done.status == 2 and "cannot write file/rdmc.svg" in done.err
    assert "hint: choose a place that you may write to" in done.err and "--out" not in done.err
