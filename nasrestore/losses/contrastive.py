"""The contrastive prior: near the clean image and far from the degraded one, in VGG-19's features.

RDMC (Contrastive Learning Based Recursive Dynamic Multi-Scale Network for Image Deraining), Eq. 7.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasrestore.errors import NasRestoreError
from nasrestore.metrics.fidelity import check_comparable
from nasrestore.ops.pretrained import Pretrained
from nasrestore.registry import did_you_mean, loss

# Weights of the five features, from the shallow to the deep (below Eq. 7).
LAYER_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)

# VGG-19 up to its 13th convolution: width and number of convolutions between two max-poolings.
VGG19_BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 1))
VGG19_FILE = "vgg19-dcbb9e9d.pth"
RANDOM_WIDTH_DIVISOR = 8
SMALLEST_SIDE = 16  # four max-poolings leave one pixel of it

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

WAYS_OUT = (
    f"give a path to {VGG19_FILE} with objectives.restoration.contrastive.weights=PATH, "
    "or set objectives.restoration.contrastive=0 to go without"
)


@dataclass(frozen=True)
class Convolution:
    """One 3x3 convolution; ``index`` is its place in torchvision's ``vgg19().features``."""

    index: int
    inputs: int
    outputs: int
    opens_block: bool

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {"weight": (self.outputs, self.inputs, 3, 3), "bias": (self.outputs,)}


def vgg19_convolutions(width_divisor: int = 1) -> tuple[Convolution, ...]:
    """VGG-19's first 13 convolutions (Simonyan and Zisserman 2015, configuration E)."""
    layers: list[Convolution] = []
    index, inputs = 0, 3
    for width, count in VGG19_BLOCKS:
        for position in range(count):
            outputs = width // width_divisor
            layers.append(Convolution(index, inputs, outputs, opens_block=position == 0))
            index, inputs = index + 2, outputs  # a convolution and its ReLU
        index += 1  # the max-pooling
    return tuple(layers)


class Features(nn.Module):
    """VGG-19 up to its 13th convolution: the features after ReLU of convolutions 1, 3, 5, 9 and 13.

    Its tensors are constants: buffers outside the state dict, so that no optimizer and no
    checkpoint ever meets them.

    Args:
        tensors: ``{"0.weight": ..., "0.bias": ..., "2.weight": ...}``, by torchvision's indices.
        width_divisor: how much narrower than VGG-19 the tensors are.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, tensors: Mapping[str, Tensor], width_divisor: int = 1) -> None:
        super().__init__()
        self.convolutions = vgg19_convolutions(width_divisor)
        for layer in self.convolutions:
            for name in layer.shapes:
                value = tensors[f"{layer.index}.{name}"].detach().float().clone()
                if name == "weight":  # the layout that convolutions on a CPU are fastest in
                    value = value.contiguous(memory_format=torch.channels_last)
                self.register_buffer(f"{name}_{layer.index}", value, persistent=False)
        for name, colour in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(colour).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Five features of N C H W in [0, 1]; C is 3, or 1 and then repeated."""
        image = image.to(self.mean.dtype).expand(-1, 3, -1, -1)
        x = ((image - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        features: list[Tensor] = []
        for layer in self.convolutions:
            if layer.opens_block and features:
                x = F.max_pool2d(x, 2)
            weight = getattr(self, f"weight_{layer.index}")
            x = F.relu(F.conv2d(x, weight, getattr(self, f"bias_{layer.index}"), padding=1))
            if layer.opens_block:
                features.append(x)
        return features


@loss("contrastive")
class ContrastivePrior(nn.Module):
    """sum_i rho_i |G_i(clean) - G_i(output)| / |G_i(degraded) - G_i(output)| (RDMC, Eq. 7).

    Means of absolute differences; one ratio per image and layer, then the mean over images, so
    that an image with light rain counts as much as one with heavy rain. Only the output carries
    gradient. The denominator is held at a floor, since output = degraded would divide by zero.

    Args:
        backbone: ``vgg19`` with ImageNet weights, the paper's; or ``random``, VGG-19's layout at
            1/8 of its width, seeded and untrained: for trials without the weights, not the paper's
            loss.
        weights: a file with torchvision's VGG-19 state dict, whole or ``features`` alone; without
            it torch.hub's cached copy is used, or downloaded.
        denominator_floor: in units of the features.
        seed: of the ``random`` backbone.

    Raises:
        NasRestoreError: an unknown backbone, weights that cannot be had or do not fit; when called,
            an image under 16x16.
    """

    def __init__(
        self,
        backbone: Literal["vgg19", "random"] = "vgg19",
        weights: str | None = None,
        denominator_floor: float = 1e-3,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not denominator_floor > 0:
            raise ValueError(f"denominator_floor is positive, got {denominator_floor}")
        self.denominator_floor = denominator_floor
        self.features = _features(backbone, weights, seed)

    def forward(self, output: Tensor, target: Tensor, degraded: Tensor) -> Tensor:
        """A scalar from three N C H W tensors in [0, 1], H and W at least 16; in float32."""
        check_comparable(output, target)
        check_comparable(output, degraded)
        _check_size(output)
        with torch.autocast(output.device.type, enabled=False):
            with torch.no_grad():
                clean, rainy = self.features(target), self.features(degraded)
            restored = self.features(output)
            ratios = map(self._ratio, restored, clean, rainy)
            return torch.stack([w * r for w, r in zip(LAYER_WEIGHTS, ratios, strict=True)]).sum()

    def _ratio(self, restored: Tensor, clean: Tensor, rainy: Tensor) -> Tensor:
        near = (clean - restored).abs().mean(dim=(1, 2, 3))
        far = (rainy - restored).abs().mean(dim=(1, 2, 3))
        return (near / far.clamp(min=self.denominator_floor)).mean()


def _check_size(image: Tensor) -> None:
    height, width = image.shape[-2:]
    if min(height, width) < SMALLEST_SIDE:
        raise NasRestoreError(
            f"the contrastive loss got {height}x{width} pixels, "
            f"it needs at least {SMALLEST_SIDE}x{SMALLEST_SIDE}",
            hint="make the patches larger, or set objectives.restoration.contrastive=0",
        )


def _features(backbone: str, weights: str | None, seed: int) -> Features:
    if backbone == "vgg19":
        state, origin = VGG19.state(weights)
        return Features(_checked(state, origin))
    if backbone != "random":
        raise NasRestoreError(
            f"unknown backbone {backbone!r} of the contrastive loss",
            hint=did_you_mean(backbone, ("vgg19", "random")),
        )
    if weights is not None:
        raise NasRestoreError(
            f"backbone 'random' reads no weights, got {weights!r}",
            hint="leave out `weights`, or choose backbone 'vgg19'",
        )
    return Features(_random_tensors(seed), RANDOM_WIDTH_DIVISOR)


def _random_tensors(seed: int) -> dict[str, Tensor]:
    """Untrained tensors whose features keep the scale of the input (He et al. 2015)."""
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, Tensor] = {}
    for layer in vgg19_convolutions(RANDOM_WIDTH_DIVISOR):
        values = torch.randn(layer.shapes["weight"], generator=generator)
        tensors[f"{layer.index}.weight"] = values * (2 / (9 * layer.inputs)) ** 0.5
        tensors[f"{layer.index}.bias"] = torch.zeros(layer.shapes["bias"])
    return tensors


def _vgg19_url() -> str:
    from torchvision.models import VGG19_Weights

    url: str = VGG19_Weights.IMAGENET1K_V1.url
    return url


def _checked(state: Any, origin: str) -> dict[str, Tensor]:
    """The tensors of the 13 convolutions, under bare indices; the rest of VGG-19 is left out."""
    keys = state if isinstance(state, Mapping) else {}
    prefix = "features." if any(str(key).startswith("features.") for key in keys) else ""
    shapes = {
        f"{prefix}{layer.index}.{name}": shape
        for layer in vgg19_convolutions()
        for name, shape in layer.shapes.items()
    }
    fitting = VGG19.fitting(state, shapes, origin)
    return {key.removeprefix(prefix): value for key, value in fitting.items()}


VGG19 = Pretrained("VGG-19", VGG19_FILE, _vgg19_url, WAYS_OUT)
