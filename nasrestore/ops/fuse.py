"""Operations that pass on or silence their input."""

from __future__ import annotations

from torch import Tensor, nn

from nasrestore.registry import operation


@operation("identity")
def identity(in_channels: int) -> nn.Module:
    """Its input."""
    return nn.Identity()


@operation("none")
class Zero(nn.Module):
    """Zeros of its input's shape: a candidate of the supernet that is never decided for."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x.new_zeros(()).expand_as(x)
