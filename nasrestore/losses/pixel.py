"""Losses of single pixels: mean squared, mean absolute and Charbonnier error.

Every loss of this package is called ``loss(output, target, degraded)`` with N C H W tensors in
[0, 1] and gives a scalar; these read the first two. The arithmetic is float32 or better, whatever
the type of the network's output.
"""

from __future__ import annotations

from torch import Tensor, nn

from nasrestore.metrics.fidelity import at_least_float32, check_comparable
from nasrestore.registry import loss


def _difference(output: Tensor, target: Tensor) -> Tensor:
    check_comparable(output, target)
    return at_least_float32(output) - at_least_float32(target)


@loss("mse")
class MeanSquaredError(nn.Module):
    """The mean over all values of (output - target)^2."""

    def forward(self, output: Tensor, target: Tensor, degraded: Tensor) -> Tensor:
        return _difference(output, target).square().mean()


@loss("l1")
class MeanAbsoluteError(nn.Module):
    """The mean over all values of |output - target|."""

    def forward(self, output: Tensor, target: Tensor, degraded: Tensor) -> Tensor:
        return _difference(output, target).abs().mean()


@loss("charbonnier")
class Charbonnier(nn.Module):
    """The mean over all values of sqrt((output - target)^2 + epsilon^2): L1 with a smooth bottom.

    Charbonnier et al. 1994; as Lai et al. 2017 (LapSRN) use it.

    Args:
        epsilon: where the square becomes a line, in units of [0, 1]; also the value at no error.

    Raises:
        ValueError: epsilon is not positive.
    """

    def __init__(self, epsilon: float = 1e-3) -> None:
        super().__init__()
        if not epsilon > 0:
            raise ValueError(f"epsilon is positive, got {epsilon}")
        self.epsilon = epsilon

    def forward(self, output: Tensor, target: Tensor, degraded: Tensor) -> Tensor:
        return (_difference(output, target).square() + self.epsilon**2).sqrt().mean()
