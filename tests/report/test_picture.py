from __future__ import annotations

import random
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from drawn_spaces import BRANCHES, CELL, CHAIN, ROOT, Drawing, rdmc, space

from nasrestore.errors import NasRestoreError
from nasrestore.graph.derive import derive
from nasrestore.graph.genotype import genotype_of, load_genotype, random_genotype
from nasrestore.graph.ir import SearchGraph
from nasrestore.report.picture import count_text, space_svg, write_picture

PAPER = load_genotype(ROOT / "recipes" / "genotypes" / "rdmc-paper.yaml").decisions
GRAPHS = {
    "rdmc": rdmc(),
    "chain": space(CHAIN),
    "cell": space(CELL),
    "branches": space(BRANCHES),
}


@pytest.fixture(params=GRAPHS)
def graph(request: pytest.FixtureRequest) -> SearchGraph:
    return GRAPHS[request.param]


def test_everything_is_drawn_once(graph: SearchGraph) -> None:
    drawing = Drawing(space_svg(graph))
    assert drawing.named("data-node") == [node.name for node in graph.nodes]
    assert sorted(drawing.named("data-edge")) == sorted(edge.name for edge in graph.edges)
    assert sorted(drawing.named("data-input")) == sorted(graph.inputs)
    assert drawing.named("data-output") == [output.name for output in graph.outputs]
    reads = {f"{source}->{node.name}" for node in graph.nodes for source in node.reads}
    reads |= {f"{output.node}->output {output.name}" for output in graph.outputs}
    assert sorted(drawing.named("data-read")) == sorted(reads)


def test_a_box_says_name_operations_and_channels(graph: SearchGraph) -> None:
    drawing = Drawing(space_svg(graph))
    for node in graph.nodes:
        box = drawing.group("data-node", node.name)
        lines = [text.text for text in box.iter("{http://www.w3.org/2000/svg}text")]
        between = [] if node.between is None else [node.between.label]
        labels = [operation.label for operation in node.candidates]
        assert lines == [node.name, *between, *labels, f"{node.output.channels} channels"]


def test_the_title_says_how_many_architectures_there_are() -> None:
    assert {"rdmc", "2,025 architectures, 2 choices"} <= set(Drawing(space_svg(rdmc())).texts())
    decided = Drawing(space_svg(rdmc(), PAPER)).texts()
    assert "one of 2,025 architectures" in decided


def test_the_legend_says_what_the_groups_are() -> None:
    texts = Drawing(space_svg(rdmc(), PAPER)).texts()
    assert "skip_up: 2 of 10 kept, added through conv_1x1" in texts
    assert "same: 4 links, appended" in texts
    assert "not kept" in texts
    assert (
        "inside: 2 kept into each of 4 nodes, of 14 in all, added"
        in Drawing(space_svg(space(CELL))).texts()
    )


def test_rows_are_labelled_with_their_resolution() -> None:
    texts = Drawing(space_svg(rdmc())).texts()
    assert [text for text in texts if "/" in text] == ["1/1", "1/2", "1/4", "1/8", "1/16"]


def test_a_recursion_returns_from_the_output_to_the_state() -> None:
    drawing = Drawing(space_svg(rdmc()))
    assert "× 3 stages: state restored, weights shared" in drawing.texts()  # noqa: RUF001
    assert drawing.path("class", "return").get("d")
    assert drawing.named("data-state") == ["restored"]
    assert not [g for g in Drawing(space_svg(space(CHAIN))).groups if g.get("class") == "return"]


def test_what_an_output_adds_is_drawn() -> None:
    assert Drawing(space_svg(rdmc())).named("data-loop") == ["rainy+restored", "restored"]
    loops = Drawing(space_svg(space(BRANCHES))).named("data-loop")
    assert loops == ["restored+restored", "right+second", "restored"]


# -- decisions and strengths -----------------------------------------------------------------


def test_decided_links_are_bold_and_the_others_are_dashed() -> None:
    drawing = Drawing(space_svg(rdmc(), PAPER))
    kept = {name for names in PAPER.values() for name in names}
    for edge in rdmc().edges:
        role = drawing.group("data-edge", edge.name).get("class")
        path = drawing.path("data-edge", edge.name)
        if edge.choice is None:
            assert role == "fixed"
            assert path.get("stroke-dasharray") is None
        elif edge.name in kept:
            assert role == "candidate decided"
            assert path.get("stroke-dasharray") is None
            assert float(path.attrib["stroke-width"]) == 3
        else:
            assert role == "candidate"
            assert path.get("stroke-dasharray") is not None
            assert float(path.attrib["opacity"]) < 0.5


def test_decided_operations_are_bold() -> None:
    graph = space(CHAIN)
    chosen = random_genotype(graph, random.Random(0)).decisions
    drawing = Drawing(space_svg(graph, chosen))
    for choice in graph.choices:
        texts = list(
            drawing.group("data-node", choice.name).iter("{http://www.w3.org/2000/svg}text")
        )
        bold = [text.text for text in texts if text.get("class") == "decided"]
        assert bold == list(chosen[choice.name])
        weights = {text.text: text.get("font-weight") for text in texts}
        assert all(weights[name] == "bold" for name in bold)
        assert sum(text.get("class") == "candidate" for text in texts) == 7


def test_a_derived_graph_shows_what_was_decided() -> None:
    graph = rdmc()
    drawing = Drawing(space_svg(derive(graph, genotype_of(graph, PAPER))))
    kept = {name for names in PAPER.values() for name in names}
    decided = [g.get("data-edge") for g in drawing.groups if g.get("class") == "fixed decided"]
    assert set(decided) == kept
    assert len(drawing.named("data-edge")) == 4 + 4
    assert "derived network" in drawing.texts()


def test_a_derived_node_shows_its_decided_operation() -> None:
    graph = space(CHAIN)
    chosen = dict.fromkeys((choice.name for choice in graph.choices), ("dense",))
    drawing = Drawing(space_svg(derive(graph, genotype_of(graph, chosen))))
    box = drawing.group("data-node", "cell.2")
    roles = [t.get("class") for t in box.iter("{http://www.w3.org/2000/svg}text")]
    assert roles == [None, "decided", None]


def test_a_stronger_link_is_wider_and_more_opaque() -> None:
    graph = rdmc()
    names = graph.choice("skip_up").candidates
    strengths = {"skip_up": {name: i / 10 for i, name in enumerate(names)}}
    drawing = Drawing(space_svg(graph, strengths=strengths))
    paths = [drawing.path("data-edge", name) for name in names]
    for attribute in ("stroke-width", "opacity"):
        values = [float(path.attrib[attribute]) for path in paths]
        assert values == sorted(values)
        assert len(set(values)) == len(values)
    assert "thicker: stronger" in drawing.texts()


def test_operations_show_their_strengths_in_figures() -> None:
    graph = space(CHAIN)
    strengths = {"cell.1": dict.fromkeys(graph.choices[0].candidates, 0.125)}
    texts = Drawing(space_svg(graph, strengths=strengths)).texts()
    assert texts.count("0.12") == 8
    assert "thicker: stronger" not in texts


def test_a_removed_group_is_said() -> None:
    text = (ROOT / "spaces" / "rdmc.yaml").read_text()
    graph = space(re.sub(r"(skip_up: .*keep: )\S+}", r"\g<1>0}", text))
    assert graph.removed
    drawing = Drawing(space_svg(graph, PAPER))
    assert "skip_up: removed" in drawing.texts()
    assert len(drawing.named("data-edge")) == 14


@pytest.mark.parametrize(
    ("decisions", "match"),
    [
        ({"skip_upp": ("encoder.3->decoder.4",)}, "has no choice 'skip_upp'"),
        ({"skip_up": ("encoder.1->decoder.4",)}, "no candidate 'encoder.1->decoder.4'"),
    ],
)
def test_a_decision_that_cannot_be_drawn_is_refused(
    decisions: dict[str, tuple[str, ...]], match: str
) -> None:
    with pytest.raises(ValueError, match=match):
        space_svg(rdmc(), decisions)


# -- text ------------------------------------------------------------------------------------


def test_odd_names_are_escaped() -> None:
    graph = space(CHAIN)
    odd = "a<b> & \"c\" \x07 'd' \ud800 雨"
    shown = "a<b> & \"c\" \ufffd 'd' \ufffd 雨"
    stem = graph.nodes[0]
    operation = replace(stem.candidates[0], label=odd, params={odd: odd})
    nodes = (replace(stem, candidates=(operation,)), *graph.nodes[1:])
    drawing = Drawing(space_svg(replace(graph, name=odd, nodes=nodes)))
    assert drawing.texts().count(shown) == 2


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (1, "1"),
        (2025, "2,025"),
        (10**12, "1.0 × 10¹²"),  # noqa: RUF001
        (5 * 10**400, "5.0 × 10⁴⁰⁰"),  # noqa: RUF001
        (9_999 * 10**20, "1.0 × 10²⁴"),  # noqa: RUF001
    ],
)
def test_large_numbers_can_be_read(count: int, text: str) -> None:
    assert count_text(count) == text


# -- files -----------------------------------------------------------------------------------


def test_a_picture_is_written_as_svg(tmp_path: Path) -> None:
    svg = space_svg(rdmc())
    write_picture(tmp_path / "new" / "rdmc.SVG", svg)
    assert (tmp_path / "new" / "rdmc.SVG").read_text(encoding="utf-8") == svg


@pytest.mark.parametrize("name", ["rdmc.png", "rdmc.pdf", "rdmc"])
def test_other_formats_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(NasRestoreError, match=r"written as \.svg") as caught:
        write_picture(tmp_path / name, "<svg/>")
    assert "open it in a browser" in str(caught.value.hint)
    assert caught.value.exit_status == 2
    assert list(tmp_path.iterdir()) == []


def test_a_picture_needs_no_heavy_package() -> None:
    code = (
        "import sys\n"
        "heavy = ['torch', 'numpy', 'matplotlib', 'networkx', 'PIL']\n"
        "sys.modules.update(dict.fromkeys(heavy))\n"
        "from drawn_spaces import rdmc\n"
        "from nasrestore.report.picture import space_svg\n"
        "assert space_svg(rdmc()).startswith('<svg')\n"
    )
    here = str(Path(__file__).parent)
    environment = {"PYTHONPATH": f"{ROOT}:{here}"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
