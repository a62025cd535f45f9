"""Laws of the layout, for every space that the pictures are made for."""

from __future__ import annotations

import itertools
import random

import pytest
from drawn_spaces import BRANCHES, CELL, CHAIN, Drawing, points_along, rdmc, space

from nasrestore.graph.genotype import random_genotype
from nasrestore.graph.ir import SearchGraph
from nasrestore.report.boxes import boxes_of
from nasrestore.report.curves import cubic, line, point_at
from nasrestore.report.layout import lay_out, wires_of
from nasrestore.report.picture import space_svg
from nasrestore.report.svg import text_width

SVG = "{http://www.w3.org/2000/svg}"
GRAPHS = {
    "rdmc": rdmc(),
    "chain": space(CHAIN),
    "cell": space(CELL),
    "branches": space(BRANCHES),
}


def drawn(graph: SearchGraph) -> Drawing:
    """With everything that takes room: decisions and strengths."""
    decisions = random_genotype(graph, random.Random(1)).decisions
    strengths = {c.name: dict.fromkeys(c.candidates, 0.5) for c in graph.choices}
    return Drawing(space_svg(graph, decisions, strengths))


@pytest.fixture(params=GRAPHS)
def graph(request: pytest.FixtureRequest) -> SearchGraph:
    return GRAPHS[request.param]


def test_boxes_do_not_overlap_and_lie_in_the_picture(graph: SearchGraph) -> None:
    drawing = drawn(graph)
    _, _, width, height = (float(n) for n in drawing.root.attrib["viewBox"].split())
    rects = drawing.rects()
    for a, b in itertools.combinations(rects, 2):
        assert not rects[a].overlaps(rects[b]), (a, b)
    for name, rect in rects.items():
        assert 0 < rect.x < rect.right < width and 0 < rect.y < rect.bottom < height, name


def test_text_lies_in_its_box(graph: SearchGraph) -> None:
    drawing = drawn(graph)
    for (kind, name), rect in drawing.rects().items():
        for text in drawing.group(f"data-{kind}", name).iter(f"{SVG}text"):
            bold = text.get("font-weight") == "bold"
            width = text_width(text.text or "", float(text.attrib["font-size"]), bold=bold)
            x, y = float(text.attrib["x"]), float(text.attrib["y"])
            left = {"middle": x - width / 2, "end": x - width}.get(text.get("text-anchor", ""), x)
            assert rect.x < left and left + width < rect.right, (name, text.text)
            assert rect.y + 8 < y < rect.bottom - 3, (name, text.text)


def test_the_legend_and_the_title_lie_in_the_picture(graph: SearchGraph) -> None:
    drawing = drawn(graph)
    _, _, width, height = (float(n) for n in drawing.root.attrib["viewBox"].split())
    for text in drawing.root.iter(f"{SVG}text"):
        if text.get("text-anchor") is None:
            end = float(text.attrib["x"]) + text_width(
                text.text or "", float(text.attrib["font-size"])
            )
            assert end < width, text.text
        assert 0 < float(text.attrib["y"]) < height


def test_nodes_of_a_resolution_share_a_row_in_the_order_of_execution(graph: SearchGraph) -> None:
    rects = drawn(graph).rects()
    rows: dict[object, list[str]] = {}
    for node in graph.nodes:
        rows.setdefault(node.output.scale, []).append(node.name)
    middles = {
        scale: {round(rects["node", n].y + rects["node", n].height / 2) for n in names}
        for scale, names in rows.items()
    }
    for names in rows.values():
        xs = [rects["node", name].x for name in names]
        assert xs == sorted(xs)
    finest_first = sorted(middles, reverse=True)  # type: ignore[type-var]
    heights = [min(middles[scale]) for scale in finest_first]
    assert heights == sorted(heights)
    assert all(max(m) - min(m) <= 1 for m in middles.values())


def test_rdmc_is_a_u() -> None:
    rects = drawn(rdmc()).rects()
    encoder = [rects["node", f"encoder.{i}"] for i in range(1, 6)]
    decoder = [rects["node", f"decoder.{i}"] for i in range(1, 6)]
    for above, below in itertools.pairwise(encoder):
        assert above.x < below.x and above.bottom < below.y
    for below, above in itertools.pairwise(decoder):
        assert below.x < above.x and above.bottom < below.y
    assert encoder[-1].right < rects["node", "bottom"].x < decoder[0].x
    assert rects["input", "rainy"].right < encoder[0].x
    assert decoder[-1].right < rects["node", "head"].x < rects["output", "restored"].x


@pytest.mark.parametrize("name", ["rdmc", "chain", "cell"])
def test_no_wire_crosses_a_box(name: str) -> None:
    graph = GRAPHS[name]
    drawing = drawn(graph)
    rects = drawing.rects()
    wires = [(g, g.get("data-edge") or g.get("data-read")) for g in drawing.groups]
    for group, ends in wires:
        if ends is None:
            continue
        path = group.find(f"{SVG}path")
        assert path is not None
        inside = {
            key
            for key, rect in rects.items()
            if any(rect.holds(x, y) for x, y in points_along(path.attrib["d"])[1:-1])
        }
        assert not inside, (ends, inside)


def test_a_wire_leads_from_its_source_to_its_target() -> None:
    drawing = drawn(rdmc())
    rects = drawing.rects()
    for edge in rdmc().edges:
        points = points_along(drawing.path("data-edge", edge.name).attrib["d"])
        for name, (x, y) in ((edge.source, points[0]), (edge.target, points[-1])):
            rect = rects["node", name]
            assert rect.x - 0.1 <= x <= rect.right + 0.1
            assert rect.y - 0.1 <= y <= rect.bottom + 0.1


def test_straight_main_inputs_are_vertical_between_rows() -> None:
    drawing = drawn(rdmc())
    for i in range(1, 5):
        for block in ("encoder", "decoder"):
            points = points_along(
                drawing.path("data-read", f"{block}.{i}->{block}.{i + 1}").attrib["d"]
            )
            assert len({x for x, _ in points}) == 1


def test_arcs_of_a_lane_do_not_overlap() -> None:
    graph = space(CELL)
    wires = wires_of(graph)
    layout = lay_out(boxes_of(graph, {}, {}), wires, 0, 0)
    assert layout.arcs
    spans: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for wire, arc in layout.arcs.items():
        ends = layout.boxes[wire.source].right, layout.boxes[wire.target].x
        spans.setdefault((arc.side, arc.lane), []).append(ends)
    for members in spans.values():
        for a, b in itertools.combinations(members, 2):
            assert a[1] <= b[0] or b[1] <= a[0]


def test_arcs_pass_above_or_below_all_boxes_of_their_row() -> None:
    graph = space(CELL)
    wires = wires_of(graph)
    layout = lay_out(boxes_of(graph, {}, {}), wires, 0, 0)
    (band,) = layout.bands.values()
    for arc in layout.arcs.values():
        y = band.lane(arc)
        assert band.top < y < band.first if arc.side == "top" else band.last < y < band.bottom


# -- geometry --------------------------------------------------------------------------------


def test_a_curve_begins_and_ends_at_right_angles() -> None:
    start, stop = (0.0, 0.0), (100.0, 40.0)
    found = cubic(start, stop, "right", "top", 0.5)
    assert point_at(found, 0) == start and point_at(found, 1) == stop
    assert found[1][1] == start[1] and found[1][0] > start[0]
    assert found[2][0] == stop[0] and found[2][1] < stop[1]


def test_a_point_of_a_straight_curve() -> None:
    straight = ((0.0, 0.0), (1.0, 2.0), (2.0, 4.0), (3.0, 6.0))
    assert point_at(straight, 0.25) == pytest.approx((0.75, 1.5))


def test_a_corner_is_rounded_by_at_most_half_of_its_sides() -> None:
    assert line([(0, 0), (10, 0), (10, 100)], 20) == "M0,0 L5,0 Q10,0 10,5 L10,100"
    assert line([(0, 0), (3, 4)]) == "M0,0 L3,4"


def test_bold_and_wide_characters_take_more_room() -> None:
    assert text_width("abc", 10) == pytest.approx(10 * (0.62 + 0.64 + 0.56))
    assert text_width("abc", 10, bold=True) > text_width("abc", 10)
    assert text_width("雨", 10) > text_width("m", 10) > text_width("i", 10)
