"""TMICS is data: its space, its ablations as settings, its costs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import nasrestore as nr
from nasrestore.graph.compile import compile_tree
from nasrestore.graph.cost import graph_cost
from nasrestore.graph.derive import derive
from nasrestore.graph.ir import SearchGraph
from nasrestore.network.build import carried_state
from nasrestore.spec.load import override_space, overrides_of, space_tree
from nasrestore.spec.shipped import find
from nasrestore.spec.source import parse_yaml

NARROW = "width: 4, depth: 1"


def space(settings: str = NARROW) -> SearchGraph:
    return compile_tree(space_tree(parse_yaml(f"{{extends: tmics, {settings}}}", "settings")))


def test_the_space_as_the_paper_has_it() -> None:
    graph = nr.load_space("tmics")
    assert graph.architectures == 8**4 * 2 == 8192
    layers = [choice for choice in graph.choices if choice.kind == "operation"]
    assert [(c.name, len(c.candidates), c.group) for c in layers] == [
        (f"derain/layer.{i}", 8, "alpha") for i in (1, 2, 3, 4)
    ]
    align = graph.choice("align")
    assert (align.kind, align.candidates, align.group) == (
        "cells", ("optical_flow", "grouping"), "beta",
    )  # fmt: skip
    uses = [
        n.name for n in graph.nodes if n.name.startswith(("dna.", "cna.")) and "/" not in n.name
    ]
    assert sorted(uses) == [f"{net}.{i}" for net in ("cna", "dna") for i in (1, 2, 3, 4)]
    assert [output.name for output in graph.outputs] == ["restored", "dominant", "companion"]


def test_the_file_is_short() -> None:
    assert len(Path(find("tmics", "space")).read_text().splitlines()) <= 90


@pytest.mark.parametrize(
    ("genotype", "parameters", "flow"),
    [
        ("tmics-light", 7_006_577, True),
        ("tmics-heavy", 10_956_209, False),
        ("tmics-manual", 9_588_593, True),
    ],
)
def test_the_paper_s_genotypes(genotype: str, parameters: int, flow: bool) -> None:
    """The figures are this space's own; the paper gives none."""
    graph = derive(nr.load_space("tmics"), nr.load_genotype(genotype))
    assert graph_cost(graph).parameters == parameters
    assert ("flow" in graph.inputs) == flow  # a network by temporal grouping needs no flow


ABLATIONS = {
    "three frames": "frames: 3",
    "seven frames": "frames: 7",
    "optical flow alone (a, b)": "nodes: {align: {cell: optical_flow}}",
    "grouping alone (c)": "nodes: {align: {cell: grouping}}",
    "without GARS (d)": "nodes: {streaks: {op: identity}}",
    "average fixed at 0": "nodes: {average: {with: {share: 0}}}",
    "average fixed at 0.7": "nodes: {average: {with: {share: 0.7}}}",
    "without CNA (TMICS_S)": "outputs: {restored: dominant, companion: null}",
    "without DNA": "outputs: {restored: companion, dominant: null}",
}


@pytest.mark.parametrize("settings", ABLATIONS.values(), ids=list(ABLATIONS))
def test_ablations_are_settings(settings: str) -> None:
    graph = space(f"{NARROW}, {settings}")
    torch.manual_seed(0)
    network = nr.build(graph)
    frames = graph.frames
    inputs = {"rainy": torch.rand(1, frames, 3, 8, 8), "flow": torch.zeros(1, frames, 2, 8, 8)}
    outputs = network({name: inputs[name] for name in graph.inputs})
    assert outputs["restored"].shape == (1, 3, 8, 8)
    assert outputs.keys() == {output.name for output in graph.outputs}
    if "companion: null" in settings:
        assert not any(node.name.startswith(("cna", "average")) for node in graph.nodes)
    if "grouping}" in settings:
        assert list(graph.inputs) == ["rainy"]
    if "share: 0}" in settings:
        assert torch.equal(outputs["restored"], outputs["companion"])
        assert "lambda" not in network.parameter_groups()


@pytest.mark.parametrize("settings", [v for v in ABLATIONS.values() if "null" in v])
def test_what_is_taken_out_is_so_once_for_all(settings: str) -> None:
    """A run keeps the space as it became: read again, nothing is left to take out."""
    changed = space_tree(parse_yaml(f"{{extends: tmics, {settings}}}", "settings"))
    assert None not in changed.at("outputs").plain().values()
    assert compile_tree(changed) == space(settings)
    assert override_space(changed, overrides_of(["space.width=96"])).plain() == changed.plain()


def test_both_networks_start_from_the_middle_frame() -> None:
    graph = space()
    network = nr.build(graph)
    with torch.no_grad():
        for head in ("dna_head", "cna_head"):
            for parameter in network.stages[0].nodes[head].parameters():  # type: ignore[union-attr,index]
                parameter.zero_()
    clip = torch.rand(2, 5, 3, 8, 8)
    outputs = network({"rainy": clip, "flow": torch.zeros(2, 5, 2, 8, 8)})
    for name in ("dominant", "companion"):
        assert torch.equal(outputs[name], clip[:, 2])
    torch.testing.assert_close(outputs["restored"], clip[:, 2])


def test_the_groups_of_parameters_and_what_depends_on_them() -> None:
    network = nr.build(space(), spread=0.1)
    groups = network.parameter_groups()
    assert groups.keys() == {"weights", "alpha", "beta", "lambda"}
    assert {name.split(".")[3] for name in groups["lambda"]} == {"average"}
    inputs = {"rainy": torch.rand(2, 5, 3, 8, 8), "flow": torch.zeros(2, 5, 2, 8, 8)}
    outputs = network(inputs)
    outputs["dominant"].square().mean().backward(retain_graph=True)
    assert all(p.grad is None for p in groups["lambda"].values())
    outputs["restored"].square().mean().backward()
    for group in ("alpha", "beta", "lambda"):
        for name, parameter in groups[group].items():
            assert parameter.grad is not None and bool((parameter.grad != 0).any()), name


@pytest.mark.parametrize("genotype", ["tmics-light", "tmics-heavy"])
def test_the_derived_network_is_the_supernet_under_its_decisions(genotype: str) -> None:
    graph = space()
    found = nr.load_genotype(genotype)
    supernet, small = nr.build(graph), nr.build(derive(graph, found))
    small.load_state_dict(carried_state(graph, supernet.state_dict(), small, Path("here")))
    clip, flow = torch.rand(1, 5, 3, 8, 8), torch.rand(1, 5, 2, 8, 8)
    inputs = {"rainy": clip, "flow": flow}
    with torch.no_grad():
        whole = supernet(inputs, supernet.decisions_weights(found.decisions))
        derived = small(inputs if small.flow_input else clip)
    for name, image in whole.items():
        assert torch.equal(image, derived[name])
