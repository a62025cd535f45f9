"""What the catalog promises of every name, held against what stands behind it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import nn

import nasrestore.assemble.chain
import nasrestore.losses.contrastive
import nasrestore.losses.pixel
import nasrestore.losses.structure
import nasrestore.losses.variables
import nasrestore.network.relaxation
import nasrestore.ops
import nasrestore.search.hypergradient
import nasrestore.search.schedule  # noqa: F401  attaches the factories
from nasrestore import registry
from nasrestore.data.clip_layouts import CLIP_LAYOUTS
from nasrestore.data.layouts import LAYOUTS
from nasrestore.graph import catalog
from nasrestore.graph.signature import (
    REQUIRED,
    OperationSignature,
    Parameter,
    Signature,
    SignatureError,
)
from nasrestore.metrics.protocol import PROTOCOLS

SIDE, FRAMES = 8, 5

# Input channels and parameters of every operation; each at its defaults and away from them.
BUILT: dict[str, list[tuple[int, dict[str, Any]]]] = {
    "conv": [
        (3, {"channels": 5}),
        (4, {"channels": 6, "kernel": 5, "dilation": 2, "groups": 2, "bias": False}),
    ],
    "conv_relu": [
        (3, {"channels": 5}),
        (4, {"channels": 8, "kernel": 1, "dilation": 2, "groups": 4, "bias": False}),
    ],
    "conv_bn_relu": [
        (3, {"channels": 5}),
        (4, {"channels": 6, "kernel": 5, "dilation": 3, "groups": 2}),
    ],
    "conv_stride_2": [(3, {"channels": 5}), (3, {"channels": 4, "kernel": 5})],
    "conv_1x1": [(3, {"channels": 5}), (3, {"channels": 2, "bias": False})],
    "separable_conv": [(3, {"channels": 5}), (4, {"channels": 2, "kernel": 5, "dilation": 2})],
    "dilated_paths": [
        (3, {"channels": 4}),
        (6, {"channels": 4, "dilations": [1, 3], "split": True, "kernel": 5}),
        (4, {"channels": 2, "dilations": 2, "split": False}),
    ],
    "residual": [(3, {}), (4, {"kernel": 5})],
    "dense": [(3, {}), (4, {"kernel": 1})],
    "dilated": [(3, {}), (4, {"kernel": 5, "dilation": 1})],
    "spatial_attention": [(3, {}), (4, {"kernel": 5})],
    "channel_attention": [(3, {}), (4, {"kernel": 5})],
    "identity": [(3, {})],
    "none": [(3, {})],
    "max_pool_2": [(3, {})],
    "average_pool_2": [(3, {})],
    "bilinear_2": [(3, {})],
    "nearest_2": [(3, {})],
    "pixel_unshuffle_2": [(3, {})],
    "pixel_shuffle_2": [(8, {})],
    "auxiliary_rain": [(3, {}), (4, {"kernels": [1, 3, 7]})],
    "attention_average": [(6, {}), (4, {"features": 5}), (6, {"share": 0.5})],
    "frames_to_channels": [(3, {})],
    "centre_frame": [(3, {})],
    "temporal_groups": [(3, {})],
    "warp": [(5, {})],
}
CASES = [(name, channels, params) for name, sets in BUILT.items() for channels, params in sets]


def _counted(module: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, int]:
    """The output, and the multiply-adds of every convolution on the way."""
    macs = 0

    def count(conv: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        nonlocal macs
        assert isinstance(conv, nn.Conv2d)
        macs += conv.weight.numel() * output.shape[0] * output.shape[-2] * output.shape[-1]

    hooks = [m.register_forward_hook(count) for m in module.modules() if isinstance(m, nn.Conv2d)]
    with torch.no_grad():
        output = module.eval()(x)
    for hook in hooks:
        hook.remove()
    return output, macs


@pytest.mark.parametrize(("name", "channels", "params"), CASES)
def test_operation_is_as_its_signature_says(
    name: str, channels: int, params: dict[str, Any]
) -> None:
    signature = registry.operation.signature(name)
    read = signature.resolve(signature.read(params), 1)
    if signature.clip is not None:
        read["frames"] = FRAMES
    module = registry.operation.factory(name)(channels, **read)
    length = () if signature.clip is None else (FRAMES,)
    output, macs = _counted(module, torch.rand(1, *length, channels, SIDE, SIDE))
    assert output.shape[1:-2] == _promised(signature, channels, read)
    assert Fraction(output.shape[-1], SIDE) == signature.scale(read)
    layers = signature.layers(channels, read)
    assert sum(layer.macs(Fraction(SIDE * SIDE)) for layer in layers) == macs
    parameters = sum(p.numel() for p in module.parameters())
    assert sum(layer.parameters for layer in layers) == parameters
    without = signature.parameter_free or read.get("share") is not None
    assert without == (parameters == 0)


def _promised(
    signature: OperationSignature, channels: int, read: dict[str, Any]
) -> tuple[int, ...]:
    """The channels, and before them the frames where a clip comes out."""
    if signature.clip is None:
        return (signature.channels(channels, read),)
    frames, channels = signature.clip(FRAMES, channels, read)
    return (channels,) if frames is None else (frames, channels)


@pytest.mark.parametrize("name", [n for n, s in catalog.OPERATIONS.items() if s.pointwise])
def test_pointwise_operations_commute_with_resampling(name: str) -> None:
    module = registry.operation.factory(name)(
        3, **registry.operation.signature(name).read({"channels": 4})
    )
    x = torch.rand(1, 3, SIDE, SIDE)
    pool, up = nn.AvgPool2d(2), nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
    with torch.no_grad():
        for resample in (pool, up):
            torch.testing.assert_close(module(resample(x)), resample(module(x)))


def test_every_operation_is_tried_with_every_parameter() -> None:
    assert BUILT.keys() == catalog.OPERATIONS.keys()
    for name, signature in catalog.OPERATIONS.items():
        tried = {key for _, params in BUILT[name] for key in params}
        assert tried == set(signature.parameters), name


def test_dilated_paths_split_from_the_second_copy_on() -> None:
    signature = catalog.OPERATIONS["dilated_paths"]
    read = signature.read({"channels": 4})
    assert [signature.resolve(read, i)["split"] for i in (1, 2, 3)] == [False, True, True]
    fixed = signature.read({"channels": 4, "split": False})
    assert signature.resolve(fixed, 2)["split"] is False


# -- names and parameters of everything else -------------------------------------------------

BUILT_IN: list[tuple[registry.Registry, Mapping[str, Signature]]] = [
    (registry.operation, catalog.OPERATIONS),
    (registry.loss, catalog.LOSSES),
    (registry.optimizer, catalog.OPTIMIZERS),
    (registry.schedule, catalog.SCHEDULES),
    (registry.relaxation, catalog.RELAXATIONS),
    (registry.hypergradient, catalog.HYPERGRADIENTS),
    (registry.curvature, catalog.CURVATURES),
]
GIVEN = {"in_channels", "frames", "variables"}  # not of the file


def _pairs() -> Iterator[tuple[str, str, Signature, Callable[..., Any]]]:
    for names, signatures in BUILT_IN:
        for name, signature in signatures.items():
            yield names.kind, name, signature, names.factory(name)


@pytest.mark.parametrize(("names", "signatures"), BUILT_IN, ids=[r.kind for r, _ in BUILT_IN])
def test_every_name_has_a_factory_and_every_factory_a_name(
    names: registry.Registry, signatures: Mapping[str, Signature]
) -> None:
    # a plugin's module, loaded by another test, is called nasrestore_plugin_...
    built_in = {e for e in names.names() if names.entry(e).origin.partition(".")[0] == "nasrestore"}
    assert built_in == set(signatures)
    assert built_in <= set(names.factories())


@pytest.mark.parametrize(
    ("kind", "name", "signature", "factory"), [pytest.param(*p, id=p[1]) for p in _pairs()]
)
def test_parameters_and_defaults_are_the_constructors(
    kind: str, name: str, signature: Signature, factory: Callable[..., Any]
) -> None:
    taken = {
        p.name: p.default
        for p in inspect.signature(factory).parameters.values()
        if p.name not in GIVEN and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    }
    assert set(signature.parameters) == set(taken)
    for key, parameter in signature.parameters.items():
        if taken[key] is inspect.Parameter.empty:
            continue  # the file's default is handed over
        default = parameter.default
        if key == "split":  # resolved with the number of the copy
            default = bool(default)
        assert default is not REQUIRED and default == taken[key], key


def test_metrics_are_the_protocols() -> None:
    assert set(catalog.METRICS) == set(PROTOCOLS)
    for name, signature in catalog.METRICS.items():
        assert getattr(signature, "skip_ends", 0) == PROTOCOLS[name].skip_ends


def test_data_sets_are_the_layouts() -> None:
    assert set(catalog.DATASETS) == {*LAYOUTS, *CLIP_LAYOUTS, "auto", "photographs", "clean_clips"}


def test_losses_can_be_made_at_the_edge_of_their_ranges() -> None:
    for name, values in (
        ("charbonnier", {"epsilon": 1e-12}),
        ("contrastive", {"backbone": "random", "denominator_floor": 1e-12, "seed": 0}),
    ):
        read = catalog.LOSSES[name].read(values)
        assert registry.loss.factory(name)(**read) is not None


@pytest.mark.parametrize("name", catalog.OPTIMIZERS)
def test_optimizers_can_be_made_at_the_edges_of_their_ranges(name: str) -> None:
    signature = catalog.OPTIMIZERS[name]
    edges = {"rate": 0, "betas": [0, 0.9999], "momentum": 1, "weight_decay": 0}
    given = {key: edges[key] for key in signature.parameters}
    made = registry.optimizer.factory(name)(
        variables=[nn.Parameter(torch.zeros(1))], **signature.read(given)
    )
    assert made.param_groups[0]["lr"] == 0


@pytest.mark.parametrize("name", catalog.RELAXATIONS)
def test_relaxations_give_weights_and_strengths(name: str) -> None:
    made = registry.relaxation.factory(name)(**catalog.RELAXATIONS[name].read({}))
    logits = torch.tensor([0.3, -0.2, 0.1])
    for values in (made(logits, 2, 0.5), made.strengths(logits, 2)):
        assert values.shape == (3,) and bool(((values >= 0) & (values <= 1)).all())
    assert made.strengths(logits, 2).argmax() == 0


# -- parameters ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameter", "value", "read"),
    [
        (Parameter("int", least=1), 3, 3),
        (Parameter("float"), 3, 3.0),
        (Parameter("float", None), None, None),
        (Parameter("ints"), 3, (3,)),
        (Parameter("floats"), [1, 2.5], (1.0, 2.5)),
        (Parameter("str", options=("a", "b")), "b", "b"),
        (Parameter("bool"), False, False),
        (Parameter("int", odd=True), -3, -3),
        (Parameter("float", above=0, below=1), 0.999, 0.999),
    ],
)
def test_values_that_are_taken(parameter: Parameter, value: Any, read: Any) -> None:
    found = parameter.read("p", value)
    assert found == read and type(found) is type(read)


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        (Parameter("int", least=1), 0, "expected an integer >= 1, got 0"),
        (Parameter("int", least=1, most=9), 10, "expected an integer from 1 to 9, got 10"),
        (Parameter("int"), True, "expected an integer, got True"),
        (Parameter("int"), 2.0, "expected an integer, got 2.0"),
        (Parameter("int", odd=True), 2, "expected an odd integer, got 2"),
        (Parameter("float"), "much", "expected a number, got 'much'"),
        (Parameter("float", above=0), 0, "expected a number > 0, got 0"),
        (Parameter("float", least=0, below=1), 1, "expected a number >= 0 and < 1, got 1"),
        (Parameter("float"), float("nan"), "expected a number, got nan"),
        (Parameter("float"), float("inf"), "expected a number, got inf"),
        (Parameter("float"), None, "expected a number, got nothing"),
        (Parameter("bool"), 1, "expected true or false, got 1"),
        (Parameter("str", options=("vgg", "raft")), "vg", "expected one of vgg, raft, got 'vg'"),
        (Parameter("ints"), [], "expected a list of 1 to 64 integers, got 0 of them"),
        (Parameter("ints"), [1, "x"], "expected an integer, got 'x'"),
        (Parameter("floats", length=2), [1], "expected a list of 2 numbers, got 1 of them"),
    ],
)
def test_values_that_are_refused(parameter: Parameter, value: Any, message: str) -> None:
    with pytest.raises(SignatureError) as caught:
        parameter.read("p", value)
    assert str(caught.value) == message and caught.value.parameter == "p"


def test_a_signature_names_unknown_and_missing_parameters() -> None:
    signature = OperationSignature("", {"channels": Parameter("int")})
    with pytest.raises(SignatureError, match="unknown parameter 'channel'") as caught:
        signature.read({"channel": 3})
    assert caught.value.hint == "did you mean 'channels'?"
    with pytest.raises(SignatureError, match="missing parameter 'channels': an integer"):
        signature.read({})
