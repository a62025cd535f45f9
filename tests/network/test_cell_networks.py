"""Networks of cells: the builder's law, shared weights, groups, clips."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from test_law import assert_law, networks

import nasrestore.ops  # noqa: F401  attaches the factories
from nasrestore.graph.compile import compile_tree
from nasrestore.graph.ir import SearchGraph
from nasrestore.graph.signature import OperationSignature, SignatureError
from nasrestore.network.build import build
from nasrestore.network.inference import for_inference
from nasrestore.registry import operation
from nasrestore.spec.source import parse_yaml

sys.path.insert(0, str(Path(__file__).parent.parent / "graph"))
from cell_spaces import ALL, DARTS, MACRO, SHARED, TIED
from graph_spaces import compiled
from test_cells import CLIP


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ALL)
def test_law(name: str, seed: int) -> None:
    # With shared weights a supernet's training moves the statistics of what other uses decide.
    modes = (False, True) if name == "shared" else (True, False)
    assert_law(compiled(ALL[name]), seed, modes=modes)


@pytest.mark.parametrize("memory", ["operation", "mixture"])
@pytest.mark.parametrize("name", ALL)
def test_gradients_are_the_same_under_every_memory_setting(name: str, memory: str) -> None:
    torch.manual_seed(0)
    network = build(compiled(ALL[name]), operation.factories(), spread=0.5).double()
    x = torch.rand(2, 3, 8, 8, dtype=torch.float64)
    parameters = dict(network.named_parameters())

    def gradients() -> list[torch.Tensor]:
        loss = network(x)["restored"].square().mean()
        return list(torch.autograd.grad(loss, list(parameters.values())))

    plain = gradients()
    network.memory = memory  # type: ignore[assignment]
    for name_, one, other in zip(parameters, plain, gradients(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12, msg=name_)


def test_every_architecture_parameter_has_a_gradient() -> None:
    for text in (TIED, DARTS, MACRO):
        network = build(compiled(text), operation.factories(), spread=0.1)
        network(torch.rand(1, 3, 8, 8))["restored"].square().mean().backward()
        for name, logits in network.architecture.logits.items():  # type: ignore[union-attr]
            assert logits.grad is not None and bool((logits.grad != 0).any()), name


def test_shared_weights_are_the_same_tensors_and_count_once() -> None:
    network = build(compiled(SHARED), operation.factories())
    nodes = network.stages[0].nodes  # type: ignore[union-attr]
    first, third = nodes["chain-1|outer"], nodes["chain-3|outer"]  # type: ignore[index]
    assert (
        first.operations.candidates["conv_bn_relu"] is third.operations.candidates["conv_bn_relu"]
    )  # type: ignore[union-attr]
    one = build(compiled(SHARED.replace("repeat: 3, ", "")), operation.factories())
    sizes = [sum(p.numel() for n, p in net.named_parameters() if "logits" not in n)
             for net in (network, one)]  # fmt: skip
    assert sizes[0] == sizes[1]


def test_groups_are_those_that_the_space_names() -> None:
    groups = build(compiled(TIED), operation.factories()).parameter_groups()
    assert groups.keys() == {"weights", "dna", "cna", "architecture"}
    assert all("dominant" in name for name in groups["dna"])
    beta = build(compiled(MACRO), operation.factories()).parameter_groups()["beta"]
    assert list(beta) == ["architecture.logits.body"]


def test_links_measured_by_operations_have_no_parameters_and_are_all_there() -> None:
    network = build(compiled(DARTS), operation.factories())
    assert network.architecture is not None
    assert not any("edges" in name for name, _ in network.named_parameters())
    strengths = network.architecture.strengths()
    assert strengths["normal/edges.node.1"] == [0.25, 0.25]
    with torch.no_grad():
        network.architecture.logits["normal|before->node-1|op"].copy_(torch.tensor([9.0, 1, 0, 0]))
    first, second = network.architecture.strengths()["normal/edges.node.1"]
    assert first < second  # strong by none is not strong


@pytest.mark.parametrize("name", ALL)
def test_inference_form_computes_the_same(name: str) -> None:
    _, derived = networks(compiled(ALL[name]), 0)
    x = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        plain, fast = derived.eval()(x)["restored"], for_inference(derived)(x)["restored"]
    torch.testing.assert_close(plain, fast, rtol=1e-4, atol=1e-5)


# -- clips -----------------------------------------------------------------------------------


def _clip(text: str = CLIP) -> SearchGraph:
    return compile_tree(parse_yaml(text, "clip.yaml"))


def test_frames_go_through_operations_and_links_one_by_one() -> None:
    graph = _clip()
    network = build(graph, operation.factories()).eval()
    assert (network.frames, network.clip_input, network.flow_input) == (5, "rainy", "flow")
    clip, flow = torch.rand(2, 5, 3, 8, 8), torch.rand(2, 5, 2, 8, 8)
    text = CLIP.replace(", frames: $frames", "").replace("{flow_of: rainy}", "{channels: 2}")
    single = build(_clip(text), operation.factories()).eval()
    state = {name.replace("image.", ""): value for name, value in network.state_dict().items()}
    single.load_state_dict(state)
    with torch.no_grad():
        whole = network({"rainy": clip, "flow": flow})["restored"]
        for frame in range(5):
            one = single({"rainy": clip[:, frame], "flow": flow[:, frame]})["restored"]
            torch.testing.assert_close(whole[:, frame], one, rtol=1e-5, atol=1e-6)


def test_a_clip_network_says_what_it_wants() -> None:
    text = CLIP.replace("  flow: {flow_of: rainy}\n", "").replace("[rainy, flow]", "rainy")
    network = build(_clip(text), operation.factories())
    with pytest.raises(ValueError, match="N 5 3 H W is expected, got"):
        network(torch.rand(1, 3, 8, 8))


def _mean_signature() -> OperationSignature:
    def clip(frames: int, channels: int, params: object) -> tuple[int | None, int]:
        if frames < 3:
            raise SignatureError(f"{frames} frames are too few")
        return None, channels

    return OperationSignature("mean over the frames", layers=lambda c, p: [], clip=clip)


def test_operations_on_clips_read_all_frames_and_decide_like_others() -> None:
    class Mean(torch.nn.Module):
        def __init__(self, in_channels: int, *, frames: int) -> None:
            super().__init__()
            self.frames = frames

        def forward(self, clip: torch.Tensor) -> torch.Tensor:
            assert clip.shape[1] == self.frames
            return clip.mean(dim=1)

    operation("mean_of_frames", signature=_mean_signature())(Mean)
    text = CLIP.replace("  head:", "  mean: {op: mean_of_frames}\n  head:").replace(
        "links: {skip: {from: each, to: head, join: add}}\n", ""
    )
    graph = _clip(text)
    assert graph.node("mean").output.frames is None and graph.node("head").output.frames is None
    network = build(graph, operation.factories())
    inputs = {"rainy": torch.rand(2, 5, 3, 8, 8), "flow": torch.zeros(2, 5, 2, 8, 8)}
    assert network(inputs)["restored"].shape == (2, 3, 8, 8)
    image = text.replace(", frames: $frames", "").replace("{flow_of: rainy}", "{channels: 2}")
    with pytest.raises(Exception, match="it reads a clip, and the input is one image"):
        _clip(image)
