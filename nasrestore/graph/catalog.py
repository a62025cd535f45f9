"""The signature of every built-in name that YAML may use. Torch-free; importing it declares them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from nasrestore import registry
from nasrestore.graph.catalog_clips import CLIP_DATASETS, CLIP_OPERATIONS, FRAME_OPERATIONS
from nasrestore.graph.catalog_search import (
    CURVATURES,
    HYPERGRADIENTS,
    OPTIMIZERS,
    RELAXATIONS,
    SCHEDULES,
)
from nasrestore.graph.signature import (
    Layer,
    LossSignature,
    MetricSignature,
    OperationSignature,
    Parameter,
    Params,
    Signature,
    SignatureError,
)

MOST_CHANNELS = 65_536
CHANNELS = Parameter("int", least=1, most=MOST_CHANNELS, doc="output channels")
KERNEL = Parameter("int", 3, least=1, most=31, odd=True, doc="kernel size")
DILATION = Parameter("int", 1, least=1, most=32, doc="dilation factor")
GROUPS = Parameter("int", 1, least=1, most=MOST_CHANNELS, doc="groups of the convolution")


def _conv_channels(channels: int, params: Params) -> int:
    out, groups = int(params["channels"]), int(params.get("groups", 1))
    if channels % groups or out % groups:
        raise SignatureError(
            f"{groups} groups do not divide {channels} -> {out} channels", "groups"
        )
    return out


def _conv(norm: bool, scale: Fraction = Fraction(1)) -> OperationSignature:
    def layers(channels: int, p: Params) -> list[Layer]:
        bias = bool(p.get("bias", True))
        groups = int(p.get("groups", 1))
        return [Layer(channels, p["channels"], p["kernel"], groups, bias, norm, scale)]

    parameters = {"channels": CHANNELS, "kernel": KERNEL}
    if scale == 1:
        parameters |= {"dilation": DILATION, "groups": GROUPS}
    if not norm:
        parameters["bias"] = Parameter("bool", True, doc="whether it has a bias")
    return OperationSignature(
        "convolution" + (" + BN + ReLU" if norm else ""),
        parameters,
        channels=_conv_channels,
        scale=lambda p: scale,
        layers=layers,
    )


def _separable_layers(channels: int, p: Params) -> list[Layer]:
    return [
        Layer(channels, channels, p["kernel"], groups=channels),
        Layer(channels, p["channels"], 1, norm=True),
    ]


def _paths_resolve(params: Params, index: int) -> Params:
    split = params["split"]
    return {**params, "split": index > 1 if split is None else split}


def _paths_channels(channels: int, params: Params) -> int:
    out = int(params["channels"]) * len(params["dilations"])
    paths = len(params["dilations"])
    if params["split"] and channels % paths:
        raise SignatureError(
            f"{channels} input channels cannot be split into {paths} paths", "split"
        )
    return out


def _paths_layers(channels: int, p: Params) -> list[Layer]:
    paths = len(p["dilations"])
    own = channels // paths if p["split"] else channels
    return [Layer(own, p["channels"], p["kernel"], norm=True)] * paths


def _three_convolutions(channels: int, p: Params) -> list[Layer]:
    return [Layer(channels, channels, p["kernel"], norm=True)] * 3


def _dense_layers(channels: int, p: Params) -> list[Layer]:
    return [Layer(channels * n, channels, p["kernel"], norm=True) for n in (1, 2, 3)]


def _spatial_layers(channels: int, p: Params) -> list[Layer]:
    features = [Layer(channels, channels, p["kernel"], norm=True)] * 2
    return [*features, Layer(2, 1, p["kernel"], norm=True)]


def _channel_layers(channels: int, p: Params) -> list[Layer]:
    features = [Layer(channels, channels, p["kernel"], norm=True)] * 2
    return [*features, Layer(channels, channels, 1, pooled=True)]


def _nothing(channels: int, params: Params) -> list[Layer]:
    return []


def _resampling(doc: str, scale: Fraction) -> OperationSignature:
    return OperationSignature(doc, scale=lambda p: scale, layers=_nothing, parameter_free=True)


def _unshuffle_channels(channels: int, params: Params) -> int:
    return channels * 4


def _shuffle_channels(channels: int, params: Params) -> int:
    if channels % 4:
        raise SignatureError(f"{channels} input channels are not a multiple of 4")
    return channels // 4


HALF, TWICE = Fraction(1, 2), Fraction(2)


def _blocks() -> dict[str, OperationSignature]:
    def block(doc: str, layers: Any, **more: Parameter) -> OperationSignature:
        parameters = {"kernel": KERNEL, **more}
        return OperationSignature(doc, parameters, layers=layers)

    two = Parameter("int", 2, least=1, most=32, doc="dilation factor")
    return {
        "residual": block("x + three convolutions with BN and ReLU", _three_convolutions),
        "dense": block("three densely connected convolutions with BN and ReLU", _dense_layers),
        "dilated": block("three dilated convolutions", _three_convolutions, dilation=two),
        "spatial_attention": block("x + features weighed by pixel", _spatial_layers),
        "channel_attention": block("x + features weighed by channel", _channel_layers),
    }


OPERATIONS: dict[str, OperationSignature] = {
    "conv": _conv(norm=False),
    "conv_relu": _conv(norm=False),
    "conv_bn_relu": _conv(norm=True),
    "conv_stride_2": _conv(norm=True, scale=HALF),
    "conv_1x1": OperationSignature(
        "pointwise convolution",
        {"channels": CHANNELS, "bias": Parameter("bool", True, doc="whether it has a bias")},
        layers=lambda c, p: [Layer(c, p["channels"], 1, bias=p["bias"])],
        pointwise=True,
    ),
    "separable_conv": OperationSignature(
        "depthwise, then pointwise convolution + BN + ReLU",
        {"channels": CHANNELS, "kernel": KERNEL, "dilation": DILATION},
        channels=_conv_channels,
        layers=_separable_layers,
    ),
    "dilated_paths": OperationSignature(
        "parallel convolutions of several dilations, concatenated (RDMC's MFE, Eq. 2-5)",
        {
            "channels": Parameter("int", least=1, most=MOST_CHANNELS, doc="channels of one path"),
            "dilations": Parameter("ints", (1, 2, 3), least=1, most=32, doc="one path each"),
            "kernel": KERNEL,
            "split": Parameter(
                "bool",
                None,
                doc="path p reads slice p of the input; default: from the second copy on",
            ),
        },
        channels=_paths_channels,
        layers=_paths_layers,
        resolve=_paths_resolve,
    ),
    **_blocks(),
    "identity": OperationSignature("its input", layers=_nothing, parameter_free=True),
    "none": OperationSignature("zeros; never decided for", layers=_nothing, parameter_free=True),
    "max_pool_2": _resampling("2x2 maximum", HALF),
    "average_pool_2": _resampling("2x2 mean", HALF),
    "bilinear_2": _resampling("bilinear interpolation to twice the size", TWICE),
    "nearest_2": _resampling("repetition to twice the size", TWICE),
    "pixel_unshuffle_2": OperationSignature(
        "2x2 pixels to channels",
        channels=_unshuffle_channels,
        scale=lambda p: HALF,
        layers=_nothing,
        parameter_free=True,
    ),
    "pixel_shuffle_2": OperationSignature(
        "channels to 2x2 pixels",
        channels=_shuffle_channels,
        scale=lambda p: TWICE,
        layers=_nothing,
        parameter_free=True,
    ),
    **FRAME_OPERATIONS,
    **CLIP_OPERATIONS,
}

_PATH = Parameter("str", None, doc="path of a state dict")
LOSSES: dict[str, Signature] = {
    "mse": Signature("mean squared error"),
    "l1": Signature("mean absolute error"),
    "charbonnier": Signature(
        "mean of sqrt(d^2 + epsilon^2)", {"epsilon": Parameter("float", 1e-3, above=0)}
    ),
    "ssim": Signature("1 - SSIM (RDMC Eq. 9)"),
    "negative_ssim": Signature("-SSIM (TMICS Eq. 6)"),
    "contrastive": Signature(
        "distance to the clean over distance to the degraded image in VGG-19 features (RDMC Eq. 7)",
        {
            "backbone": Parameter("str", "vgg19", options=("vgg19", "random")),
            "weights": _PATH,
            "denominator_floor": Parameter("float", 1e-3, above=0),
            "seed": Parameter("int", 0, least=0, doc="of the random backbone"),
        },
    ),
    "weight_decay": LossSignature(
        "half the sum of squares of a group of parameters", reads="variables"
    ),
    "architecture_entropy": LossSignature(
        "entropy of the softmax over each choice's logits, summed (TMICS, L_arc)",
        reads="architecture",
    ),
}

METRICS: dict[str, Signature] = {
    "rgb": Signature("all channels, rounded to 8 bits"),
    "basicsr": Signature("MATLAB luma as float, result rounded"),
    "prenet": Signature("MATLAB luma as float, result floored, SSIM pooled"),
    "restormer": Signature("MATLAB luma rounded to 8 bits, result rounded"),
    "tmics": MetricSignature(
        "MATLAB luma as float, result rounded, SSIM pooled; clips without their ends", skip_ends=2
    ),
}

DATASETS: dict[str, Signature] = {
    "auto": Signature("whatever the folder looks like"),
    "photographs": Signature("clean photographs, rain is synthesised"),
    "rain100": Signature("the old Rain100L or Rain100H"),
    "rain_train": Signature("RainTrainL or RainTrainH"),
    "rain200": Signature("the new Rain200L or Rain200H"),
    "rain1400": Signature("Rain1400"),
    "rain12": Signature("Rain12"),
    "rain1200": Signature("Rain1200, halves side by side"),
    "rain800": Signature("Rain800, halves side by side"),
    "rain13k": Signature("Rain13K or one of its tests"),
    "folders": Signature("a folder of rainy and a folder of clean images"),
    "spa": Signature("SPA-Data or another list of pairs"),
    **CLIP_DATASETS,
}

for _registry, _signatures in (
    (registry.operation, OPERATIONS),
    (registry.loss, LOSSES),
    (registry.optimizer, OPTIMIZERS),
    (registry.schedule, SCHEDULES),
    (registry.relaxation, RELAXATIONS),
    (registry.hypergradient, HYPERGRADIENTS),
    (registry.curvature, CURVATURES),
    (registry.metric, METRICS),
    (registry.dataset, DATASETS),
):
    for _name, _signature in _signatures.items():
        _registry.declare(_name, _signature)
