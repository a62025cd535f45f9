"""Pictures of spaces with cells: the space and each cell once, decisions where they are tied once."""

from __future__ import annotations

import itertools
import random
import sys
from pathlib import Path

import pytest
from drawn_spaces import Drawing, points_along, space

from nasrestore.graph.derive import derive
from nasrestore.graph.genotype import genotype_of, random_genotype
from nasrestore.graph.ir import SearchGraph
from nasrestore.report.picture import space_svg
from nasrestore.report.views import views_of

sys.path.insert(0, str(Path(__file__).parents[1] / "graph"))
from cell_spaces import ALL, CLIP, DARTS, MACRO, NESTED, SHARED, TIED

HEAD = "format: 1\nspace: made\ninputs: {rainy: {channels: 3}}\n"
SVG = "{http://www.w3.org/2000/svg}"
SPACES = {name: HEAD + text for name, text in {**ALL, "nested": NESTED}.items()} | {"clip": CLIP}


def _parts(drawing: Drawing) -> dict[str, Drawing]:
    """The parts of a picture by their cell; of several of one cell the last."""
    groups = [g for g in drawing.groups if g.get("class") == "part"]
    found = {}
    for group in groups:
        part = Drawing("<svg/>")
        part.root, part.groups = group, list(group.iter(f"{SVG}g"))[1:]
        found[group.get("data-cell", "")] = part
    return found


def _lines(part: Drawing, node: str, role: str | None = "") -> list[str | None]:
    texts = part.group("data-node", node).iter(f"{SVG}text")
    return [text.text for text in texts if role == "" or text.get("class") == role]


def _versions(graph: SearchGraph) -> list[str]:
    generator = random.Random(2)
    chosen = graph.relevant(random_genotype(graph, generator).decisions)
    strengths = {c.name: {n: generator.random() for n in c.candidates} for c in graph.choices}
    return [
        space_svg(graph),
        space_svg(graph, chosen),
        space_svg(graph, chosen, strengths),
        space_svg(graph, None, strengths),
        space_svg(derive(graph, genotype_of(graph, chosen))),
    ]


@pytest.mark.parametrize("name", SPACES)
def test_nothing_overlaps_and_all_lies_in_the_picture(name: str) -> None:
    for svg in _versions(space(SPACES[name])):
        drawing = Drawing(svg)
        width, height = (float(drawing.root.attrib[a]) for a in ("width", "height"))
        frames = [g for g in drawing.groups if g.get("class") in ("input", "node", "output")]
        rects = []
        for group in frames:
            rect = group.find(f"{SVG}rect")
            assert rect is not None
            rects.append([float(rect.attrib[a]) for a in ("x", "y", "width", "height")])
        for x, y, w, h in rects:
            assert x >= 0 and y >= 0 and x + w <= width and y + h <= height
        for (x, y, w, h), (x2, y2, w2, h2) in itertools.combinations(rects, 2):
            assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y
        for group in drawing.groups:
            path = group.find(f"{SVG}path")
            if path is None or not (group.get("data-edge") or group.get("data-read")):
                continue
            for px, py in points_along(path.attrib["d"])[1:-1]:
                assert not any(x < px < x + w and y < py < y + h for x, y, w, h in rects)


def test_the_space_shows_a_box_for_each_use_and_each_cell_is_drawn_once() -> None:
    parts = _parts(Drawing(space_svg(space(SPACES["tied"]))))
    assert list(parts) == ["", "block"]
    uses = ["dominant.1", "dominant.2", "companion.1", "companion.2"]
    assert parts[""].named("data-node") == ["stem", *uses, "tail"]
    assert _lines(parts[""], "dominant.2") == ["dominant.2", "block", "4 channels"]
    assert "stem->companion.1" in parts[""].named("data-read")
    assert parts["block"].named("data-node") == ["layer.1", "layer.2"]
    assert parts["block"].named("data-read") == [
        "x->layer.1",
        "layer.1->layer.2",
        "layer.2->output output",
    ]
    assert f"{', '.join(uses)}: used 4 times, drawn as in dominant.1" in parts["block"].texts()


def test_tied_decisions_are_bold_once_and_others_for_each_use() -> None:
    tied, shared = space(HEAD + TIED), space(HEAD + SHARED)
    chosen = {"block/layer.1": ("dilated",), "block/layer.2": ("residual",)}
    drawing = Drawing(space_svg(tied, chosen))
    assert [t.text for t in drawing.root.iter(f"{SVG}text") if t.get("class") == "decided"] == [
        "dilated", "residual",
    ]  # fmt: skip
    assert [view.uses for view in views_of(shared)[1:]] == [("chain.1", "chain.2", "chain.3")]
    decided = random_genotype(shared, random.Random(0)).decisions
    views = views_of(shared, decided)[1:]
    assert [view.uses for view in views] == [("chain.1",), ("chain.2",), ("chain.3",)]
    same = {n: ("identity",) if "inner" in n else names for n, names in decided.items()}
    derived = views_of(derive(shared, genotype_of(shared, same)))
    assert [view.uses for view in derived[1:]] == [("chain.1", "chain.2", "chain.3")]


def test_a_node_that_is_one_of_several_cells_lists_them() -> None:
    graph = space(HEAD + MACRO)
    parts = _parts(Drawing(space_svg(graph)))
    assert list(parts) == ["", "wide", "deep"]
    assert _lines(parts[""], "body", "candidate") == ["wide", "deep"]
    reads = [name for name in parts[""].named("data-read") if name.endswith("->body")]
    assert reads == ["stem->body", "rainy->body"]
    assert parts["deep"].named("data-input") == ["image", "features"]
    chosen = {"body": ("wide",), "wide/first": ("separable_conv",)}
    drawing = Drawing(space_svg(graph, chosen))
    assert "one of 6 architectures" in drawing.texts()
    assert _lines(_parts(drawing)[""], "body", "decided") == ["wide"]
    assert "body/deep; not decided for" in drawing.texts()
    derived = _parts(Drawing(space_svg(derive(graph, genotype_of(graph, chosen)))))
    assert list(derived) == ["", "wide"]
    assert _lines(derived[""], "body", "decided") == ["wide"]


def test_operations_on_links_stand_where_the_links_end() -> None:
    graph = space(HEAD + DARTS)
    parts = _parts(Drawing(space_svg(graph)))
    assert list(parts) == ["", "narrowed", "normal"]
    assert parts["narrowed"].named("data-input") == ["before", "last"]
    inside = parts["normal"]
    assert inside.named("data-node")[:3] == ["node.1", "node.2", "node.3"]
    labels = list(graph.choice("normal/last->node.1/op").candidates)
    assert _lines(inside, "node.3", "candidate") == labels
    edges = inside.named("data-edge")
    assert len(edges) == 9 and inside.group("data-edge", edges[0]).get("class") == "candidate"
    assert all(inside.path("data-edge", name).get("stroke-dasharray") for name in edges)
    assert "edges: 2 kept into each of 3 nodes, of 9 in all, added" in inside.texts()


def test_decided_operations_on_links_are_named_with_where_they_come_from() -> None:
    graph = space(HEAD + DARTS)
    whole = {c.name: c.decidable[: c.keep] for c in graph.choices}
    whole["normal/edges.node.3"] = ("last->node.3", "node.2->node.3")
    whole["normal/node.2->node.3/op"] = ("separable_conv",)
    chosen = graph.relevant(whole)
    for drawn in (space_svg(graph, chosen), space_svg(derive(graph, genotype_of(graph, chosen)))):
        inside = _parts(Drawing(drawn))["normal"]
        assert _lines(inside, "node.3", "decided") == ["last: identity", "node.2: separable_conv"]
        kept = [name for name in inside.named("data-edge") if name.endswith("->node.3")
                and "decided" in (inside.group("data-edge", name).get("class") or "")]  # fmt: skip
        assert kept == ["last->node.3", "node.2->node.3"]


def test_several_nodes_that_one_input_stands_for_are_read_by_the_use() -> None:
    text = (
        HEAD
        + """
cells:
  joined: {nodes: {only: {op: conv, with: {channels: 4}}}}
nodes:
  a: {op: conv, with: {channels: 4}}
  b: {reads: rainy, op: conv, with: {channels: 4}}
  c: {cell: joined, repeat: 2, reads: {x: [a, b]}, between: average_pool_2}
outputs: {restored: c}
"""
    )
    macro, *cells = views_of(space(text))
    assert [node.name for node in macro.graph.nodes] == ["a", "b", "c.1", "c.2"]
    assert macro.graph.node("c.1").reads == ("a", "b")
    second = macro.graph.node("c.2")
    assert second.reads == ("c.1",) and second.between is not None
    assert second.between.label == "average_pool_2"
    assert [(view.cell, view.graph.node("only").reads) for view in cells] == [("joined", ("x",))]


def test_clips_say_their_frames_and_flows_whose_they_are() -> None:
    drawing = Drawing(space_svg(space(CLIP)))
    flow = [text.text for text in drawing.group("data-input", "flow").iter(f"{SVG}text")]
    times = "\N{MULTIPLICATION SIGN}"
    assert flow == ["flow", "optical flow of rainy", f"5 frames {times} 2 channels"]
    assert f"5 frames {times} 6 channels" in _lines(drawing, "halved")
