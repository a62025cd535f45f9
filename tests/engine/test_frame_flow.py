"""Flow where memory runs out: at half the size and scaled, said once; or refused by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nasrestore.engine.frame_flow import FrameFlow
from nasrestore.engine.restore import Restorer
from nasrestore.errors import NasRestoreError, RunStopped

CPU = torch.device("cpu")


class Growing:
    """The camera comes nearer: each pixel moves by a share of its way from the middle.

    In pixels that is twice as much on frames of twice the size. No more than ``most`` pixels fit.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.sizes: list[tuple[int, int]] = []

    def __call__(self, clip: Tensor) -> Tensor:
        n, t, c, h, w = clip.shape
        assert c == 3
        self.sizes.append((h, w))
        if h * w > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        down = (torch.arange(h) + 0.5 - h / 2) / 8
        across = (torch.arange(w) + 0.5 - w / 2) / 8
        place = torch.arange(t).view(1, t, 1, 1, 1) - t // 2
        whole = torch.stack([across.expand(h, w), down[:, None].expand(h, w)])
        return (whole * place).expand(n, -1, -1, -1, -1)


@pytest.mark.parametrize("size", [(64, 96), (65, 97)])
@pytest.mark.parametrize("channels", [1, 3])
def test_half_the_size_gives_the_same_motion_and_is_said_once(
    size: tuple[int, int], channels: int
) -> None:
    said: list[str] = []
    limited, clip = Growing(64 * 48), torch.rand(1, 3, channels, *size)
    flow = FrameFlow(limited, CPU, said.append)
    expected = Growing(10**6)(clip.expand(-1, -1, 3, -1, -1))
    for _ in range(3):
        inner = (flow(clip) - expected)[..., 2:-2, 2:-2]  # at borders nothing lies beyond
        assert inner.abs().max() < 0.07
    half = ((size[0] + 1) // 2, (size[1] + 1) // 2)
    assert limited.sizes == [size, half, half, half]
    assert said == [
        f"out of memory on cpu: the optical flow of frames of {size[1]}x{size[0]} pixels is "
        "computed at half their size"
    ]
    small = torch.rand(1, 3, 3, 40, 48)  # frames that fit are still looked at whole
    assert torch.equal(flow(small), Growing(10**6)(small))


def test_where_half_does_not_fit_the_size_and_the_way_out_are_named() -> None:
    flow = FrameFlow(Growing(100), CPU, lambda text: None)
    with pytest.raises(RunStopped, match=r"flow of frames of 96x64 pixels does not fit") as error:
        flow(torch.rand(1, 3, 3, 64, 96))
    assert error.value.hint is not None and "data.flow.model=none" in error.value.hint


def test_half_of_what_may_be_too_small_is_told_as_memory() -> None:
    def raft(clip: Tensor) -> Tensor:
        if clip.shape[-1] < 128:
            raise NasRestoreError("it needs at least 128x128")
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(RunStopped, match="frames of 200x150 pixels does not fit"):
        FrameFlow(raft, CPU, lambda text: None)(torch.rand(1, 3, 3, 150, 200))
    with pytest.raises(NasRestoreError, match="at least 128"):
        FrameFlow(raft, CPU)(torch.rand(1, 3, 3, 64, 64))


def test_other_errors_stay_what_they_are() -> None:
    def broken(clip: Tensor) -> Tensor:
        raise RuntimeError("shapes do not agree")

    with pytest.raises(RuntimeError, match="shapes do not agree"):
        FrameFlow(broken, CPU)(torch.rand(1, 3, 3, 8, 8))


class Shown(nn.Module):
    """The last frame's motion to the right, as grey around one half."""

    multiple, channels, frames = 8, 3, 3
    clip_input, flow_input = "rainy", "flow"

    def forward(self, x: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"restored": (0.5 + x["flow"][:, -1, :1] / 255).expand(-1, 3, -1, -1)}


def test_a_clip_is_restored_to_its_end() -> None:
    said: list[str] = []
    frames = list(np.random.default_rng(0).integers(0, 256, (4, 64, 96, 3), np.uint8))
    settings = {"flow": Growing(64 * 48), "tell": said.append}
    restorer = Restorer(Shown().eval(), **settings)  # type: ignore[arg-type]
    restored = list(restorer.stream(frames))
    assert restorer.conditions["flow"] == "half size"
    other = Restorer(Shown().eval(), flow=Growing(10**6))
    whole = list(other.stream(frames))
    assert "flow" not in other.conditions
    np.testing.assert_allclose(np.stack(restored).astype(int), whole, atol=1)
    assert len(restored) == 4 and len(said) == 1
    with pytest.warns(UserWarning, match="half their size"):  # without anybody to tell
        next(Restorer(Shown().eval(), flow=Growing(64 * 48)).stream(frames))
