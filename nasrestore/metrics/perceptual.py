"""LPIPS v0.1 with AlexNet: the distance of two images in learned features (Zhang et al. 2018)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasrestore.errors import NasRestoreError
from nasrestore.metrics.fidelity import check_comparable
from nasrestore.ops.pretrained import Pretrained
from nasrestore.spec.evaluate import ALEXNET_FILE, LPIPS_WAYS_OUT, WITHOUT_LPIPS

NAME = "LPIPS v0.1 (AlexNet)"
SMALLEST_SIDE = 31  # one pixel is left of it at the fifth convolution
TOO_SMALL = f"measure larger images, {WITHOUT_LPIPS}"
EPSILON = 1e-10  # under the norm of a pixel's features

# LPIPS reads images in [-1, 1] and standardises them by these, which are ImageNet's there.
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)

HEADS_FILE = "lpips_v0.1_alex.pth"
PUBLISHED = {"alexnet": "7be5be79", "heads": "df73285e"}  # how the SHA-256 of both files begins

Features = Callable[[Tensor], Sequence[Tensor]]


@dataclass(frozen=True)
class Convolution:
    """One of AlexNet's; ``index`` is its place in torchvision's ``alexnet().features``."""

    index: int
    inputs: int
    outputs: int
    kernel: int
    stride: int = 1
    pooled: bool = False  # a 3x3 maximum with stride 2 before it

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        weight = (self.outputs, self.inputs, self.kernel, self.kernel)
        return {"weight": weight, "bias": (self.outputs,)}


ALEXNET = (
    Convolution(0, 3, 64, 11, stride=4),
    Convolution(3, 64, 192, 5, pooled=True),
    Convolution(6, 192, 384, 3, pooled=True),
    Convolution(8, 384, 256, 3),
    Convolution(10, 256, 256, 3),
)


def _alexnet_url() -> str:
    from torchvision.models import AlexNet_Weights

    url: str = AlexNet_Weights.IMAGENET1K_V1.url
    return url


BACKBONE_WEIGHTS = Pretrained("AlexNet", ALEXNET_FILE, _alexnet_url, LPIPS_WAYS_OUT["alexnet"])
HEAD_WEIGHTS = Pretrained("LPIPS", HEADS_FILE, None, LPIPS_WAYS_OUT["heads"])


class AlexNetFeatures(nn.Module):
    """AlexNet's features after the ReLU of each of its five convolutions.

    Its tensors are constants: buffers outside the state dict.

    Args:
        tensors: ``{"features.0.weight": ..., ...}``, by torchvision's names.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        for layer in ALEXNET:
            for name in layer.shapes:
                value = tensors[f"features.{layer.index}.{name}"].detach().float().clone()
                self.register_buffer(f"{name}_{layer.index}", value, persistent=False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Five features of N 3 H W, standardised."""
        features: list[Tensor] = []
        x = image
        for layer in ALEXNET:
            x = F.max_pool2d(x, 3, 2) if layer.pooled else x
            weight = getattr(self, f"weight_{layer.index}")
            bias = getattr(self, f"bias_{layer.index}")
            padding = 2 if layer.kernel > 3 else 1
            x = F.relu(F.conv2d(x, weight, bias, stride=layer.stride, padding=padding))
            features.append(x)
        return features


class Lpips(nn.Module):
    """The weighed squared difference of features that are normalised at every pixel.

    ``sum_l mean_hw sum_c w_l,c (a_l,c / |a_l| - b_l,c / |b_l|)^2`` with the features a and b of the two
    images, as the authors' version 0.1 computes it (Zhang et al. 2018; their Eq. 1 has w squared).
    Without gradients.

    Args:
        features: from N 3 H W, standardised, to a list of features.
        heads: a weight for each channel of each feature, all at least 0.
        digests: how the SHA-256 of the files begins that they are from, as in ``PUBLISHED``.
    """

    shift: Tensor
    scale: Tensor

    def __init__(
        self,
        features: Features,
        heads: Sequence[Tensor],
        digests: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.features = features
        self.digests = dict(digests or {})
        for index, head in enumerate(heads):
            weights = head.detach().float().reshape(1, -1, 1, 1)
            self.register_buffer(f"head_{index}", weights, persistent=False)
        self.count = len(heads)
        for name, value in (("shift", SHIFT), ("scale", SCALE)):
            self.register_buffer(name, torch.tensor(value).view(1, 3, 1, 1), persistent=False)

    @torch.no_grad()
    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """N distances, 0 for equal images, from two N C H W in [0, 1]; C is 3, or 1 and repeated.

        Raises:
            NasRestoreError: a side under 31 pixels.
            ValueError: other than two N C H W tensors of one shape.
        """
        check_comparable(first, second)
        return self.between(self.described(first), self.described(second))

    @torch.no_grad()
    def described(self, image: Tensor) -> list[Tensor]:
        """What is compared of N C H W in [0, 1]: its features, of length 1 at every pixel.

        An image that is compared several times need be described once.

        Raises:
            NasRestoreError: a side under 31 pixels.
        """
        _check_size(image)
        with torch.autocast(image.device.type, enabled=False):
            colours = image.float().expand(-1, 3, -1, -1)
            found = self.features((2 * colours - 1 - self.shift) / self.scale)
            if len(found) != self.count:
                raise ValueError(f"{self.count} heads for {len(found)} features")
            return [x / (x.square().sum(1, keepdim=True).sqrt() + EPSILON) for x in found]

    @torch.no_grad()
    def between(self, first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
        """N distances of images that were ``described``."""
        distances = [
            (getattr(self, f"head_{index}") * (a - b).square()).sum(1).mean((1, 2))
            for index, (a, b) in enumerate(zip(first, second, strict=True))
        ]
        return torch.stack(distances).sum(0)


def lpips(heads: str | None, backbone: str | None = None) -> Lpips:
    """LPIPS v0.1 with AlexNet.

    Args:
        heads: a file with the linear heads' state dict, ``lpips_v0.1_alex.pth``; torch.hub's cache is
            looked into without it, and nothing is downloaded.
        backbone: a file with torchvision's AlexNet state dict; without it torch.hub's cached copy is
            used, or downloaded.

    Raises:
        NasRestoreError: weights that cannot be had or do not fit.
    """
    state, origin = HEAD_WEIGHTS.state(heads)
    shapes = {f"lin{i}.model.1.weight": (1, c.outputs, 1, 1) for i, c in enumerate(ALEXNET)}
    weights = HEAD_WEIGHTS.fitting(state, shapes, origin)
    state, origin = BACKBONE_WEIGHTS.state(backbone)
    shapes = {
        f"features.{layer.index}.{name}": shape
        for layer in ALEXNET
        for name, shape in layer.shapes.items()
    }
    features = AlexNetFeatures(BACKBONE_WEIGHTS.fitting(state, shapes, origin))
    digests = {"alexnet": BACKBONE_WEIGHTS.digest(backbone), "heads": HEAD_WEIGHTS.digest(heads)}
    return Lpips(features, list(weights.values()), digests)


def _check_size(image: Tensor) -> None:
    height, width = image.shape[-2:]
    if min(height, width) < SMALLEST_SIDE:
        raise NasRestoreError(
            f"{NAME} got {height}x{width} pixels (height x width), "
            f"it needs at least {SMALLEST_SIDE}x{SMALLEST_SIDE}",
            hint=TOO_SMALL,
        )
