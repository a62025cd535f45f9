"""A plugin's operation that puts out something else than its signature says is found as it is built."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nasrestore as nr
from nasrestore import registry
from nasrestore.errors import NasRestoreError
from nasrestore.graph.compile import compile_space
from nasrestore.network.build import GraphNetwork
from nasrestore.spec.space import parse_space

SPACE = """
format: 1
space: plugged
inputs: {rainy: {channels: 3FRAMES}}
nodes:
  first: {op: conv, with: {channels: 8}}
  middle: {op: {choice: [identity, OP]}}
  last: {LAST}
outputs: {restored: last}
"""


@pytest.fixture(autouse=True)
def _names_go_again() -> Iterator[None]:
    before = dict(registry.operation._entries)
    yield
    registry.operation._entries = before


class Given(nn.Module):
    """Puts out what a function makes of its input."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


def built(op: str, frames: int | None = None) -> GraphNetwork:
    last = "op: conv, with: {channels: 3}" if frames is None else "op: centre_frame"
    text = SPACE.replace("OP", op).replace("LAST", last)
    text = text.replace("FRAMES", "" if frames is None else f", frames: {frames}")
    return nr.build(compile_space(parse_space(text)))


def declared(function: Any, **signature: Any) -> None:
    def make(in_channels: int, **options: Any) -> nn.Module:
        return Given(function)

    registry.operation("odd", signature=nr.OperationSignature("odd", **signature))(make)


@pytest.mark.parametrize(
    ("function", "found"),
    [
        (lambda x: x[..., 1:-1, 1:-1], "8x30x46"),
        (lambda x: torch.cat([x, x[:, :1]], 1), "9x32x48"),
        (lambda x: x[:, :1], "1x32x48"),  # would broadcast without a word
        (lambda x: x.mean((-2, -1), keepdim=True), "8x1x1"),  # so would this
        (lambda x: x.transpose(-2, -1), "8x48x32"),
        (lambda x: x[0], "a tensor of shape (8, 32, 48)"),
        (lambda x: (x, x), "a tuple"),
        (lambda x: None, "nothing"),
    ],
)
def test_what_contradicts_the_signature_is_one_message(function: Any, found: str) -> None:
    declared(function)
    with pytest.raises(NasRestoreError) as caught:
        built("odd")
    assert caught.value.message == (
        "node 'middle', candidate 'odd': the plugin's operation 'odd' "
        f"({place()}) put out {found} for 8x32x48, its signature says 8x32x48"
    )


def place() -> str:
    return f"test_promise.py:{declared.__code__.co_firstlineno + 1}"


def test_each_frame_of_a_clip_and_whole_clips_are_tried() -> None:
    declared(lambda x: x[:, :1])
    with pytest.raises(NasRestoreError, match="put out 3x1x32x48 for 3x8x32x48"):
        built("odd", frames=3)
    declared(lambda x: x[:, :2], clip=lambda frames, channels, params: (frames, channels))
    with pytest.raises(NasRestoreError, match="put out 2x8x32x48 for 3x8x32x48"):
        built("odd", frames=3)


def test_what_keeps_its_promise_is_built() -> None:
    declared(lambda x: x + 1)
    assert built("odd")(torch.zeros(1, 3, 8, 8))["restored"].shape == (1, 3, 8, 8)


THIRDS = """
format: 1
space: thirds
inputs: {rainy: {channels: 3}}
nodes: {down: {op: odd}, up: {op: triple}, last: {op: conv, with: {channels: 3}}}
outputs: {restored: last}
"""


def test_a_promised_resolution_is_held_against() -> None:
    def triple(in_channels: int) -> nn.Module:
        return nn.Upsample(scale_factor=3)

    third = {"scale": lambda params: Fraction(1, 3)}
    signature = nr.OperationSignature("up", scale=lambda params: Fraction(3))
    registry.operation("triple", signature=signature)(triple)
    declared(lambda x: x[..., ::3, ::3], **third)
    assert isinstance(nr.build(compile_space(parse_space(THIRDS))), GraphNetwork)
    declared(lambda x: x[..., ::2, ::2], **third)
    with pytest.raises(NasRestoreError, match=r"node 'down': .* 3x17x24 for 3x33x48, .* 3x11x16"):
        nr.build(compile_space(parse_space(THIRDS)))


def test_nothing_is_moved_by_the_trial() -> None:
    """Neither running statistics nor the random numbers to come."""

    def make(in_channels: int) -> nn.Module:
        return nn.Sequential(nn.BatchNorm2d(in_channels), nn.Dropout())

    registry.operation("kept", signature=nr.OperationSignature("kept"))(make)
    network = built("kept")
    after = torch.rand(3)
    assert network.training
    assert all(m.training and int(m.num_batches_tracked) == 0
               for m in network.modules() if isinstance(m, nn.BatchNorm2d))  # fmt: skip
    torch.manual_seed(0)
    registry.operation._entries["kept"].origin = "nasrestore.as_if_built_in"
    built("kept")
    assert torch.equal(after, torch.rand(3))


def test_one_that_raises_on_zeros_is_left_to_say_so_itself() -> None:
    def only_large(x: Tensor) -> Tensor:
        if x.shape[-1] < 64:
            raise ValueError("too small")
        return x

    declared(only_large)
    assert built("odd")(torch.zeros(1, 3, 64, 64))["restored"].shape == (1, 3, 64, 64)
