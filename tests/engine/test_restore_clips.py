"""A network for clips through the same tiles as one for images."""

from __future__ import annotations

import tracemalloc
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nasrestore.engine.restore import Restorer
from nasrestore.engine.windows import windows
from nasrestore.errors import NasRestoreError, RunStopped


class ClipNet(nn.Module):
    """A network made of a function of N T C H W; it remembers what it read."""

    def __init__(
        self,
        function: Callable[..., Tensor] = lambda clip: clip.mean(dim=1),
        *,
        frames: int = 3,
        channels: int = 3,
        flow: bool = False,
    ) -> None:
        super().__init__()
        self.function = function
        self.multiple, self.channels, self.frames = 8, channels, frames
        if flow:
            self.clip_input, self.flow_input = "rainy", "flow"
        self.inputs: list[Any] = []
        self.eval()

    def forward(self, x: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
        read = (x,) if isinstance(x, Tensor) else (x["rainy"], x["flow"])
        assert read[0].shape[1:3] == (self.frames, self.channels)
        assert read[0].shape[3] % 8 == read[0].shape[4] % 8 == 0
        self.inputs.append(read)
        return {"restored": self.function(*read)}


def clip_pixels(frames: int, *shape: int, dtype: type = np.uint8) -> list[np.ndarray]:
    top = np.iinfo(dtype).max
    made = np.random.default_rng(7).integers(0, top, (frames, *shape), dtype, endpoint=True)
    return list(made)


def middle(clip: Tensor) -> Tensor:
    return clip[:, clip.shape[1] // 2]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("tail", [(), (1,), (3,)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (9, 20), (70, 90)])
def test_the_middle_frame_comes_back_bit_for_bit(
    dtype: type, tail: tuple[int, ...], channels: int, size: tuple[int, int]
) -> None:
    frames = clip_pixels(4, *size, *tail, dtype=dtype)
    restorer = Restorer(ClipNet(middle, frames=5, channels=channels), tile=64)
    restored = list(restorer.stream(frames))
    assert [frame.dtype for frame in restored] == [np.dtype(dtype)] * 4
    np.testing.assert_array_equal(restored, frames)


@pytest.mark.parametrize("length", [3, 5, 7])
@pytest.mark.parametrize("count", [1, 2, 6])
def test_a_stream_is_the_mean_of_its_windows(length: int, count: int) -> None:
    frames = clip_pixels(count, 10, 12, 3)
    restored = list(Restorer(ClipNet(frames=length)).stream(frames))
    for found, window in zip(restored, windows(frames, length), strict=True):
        mean = np.mean(np.stack(window).astype(np.float64), axis=0)
        np.testing.assert_allclose(found.astype(float), mean, atol=0.501)


def convolved() -> Callable[[Tensor], Tensor]:
    torch.manual_seed(3)
    layer = nn.Conv2d(9, 3, 3, padding=1).eval()
    return lambda clip: layer(clip.flatten(1, 2))


@pytest.mark.parametrize("size", [(64, 200), (130, 97)])
def test_tiles_give_what_whole_frames_give(size: tuple[int, int]) -> None:
    clip = torch.rand(2, 3, 3, *size, generator=torch.Generator().manual_seed(1))
    whole, tiled = (Restorer(ClipNet(convolved()), tile=tile) for tile in (1000, 64))
    found = tiled.tensor(clip)
    assert found.shape == (2, 3, *size)
    assert (found - whole.tensor(clip)).abs().max() < 1e-6
    assert len(tiled.net.inputs) > len(whole.net.inputs) == 2


def test_pixels_and_tensors_are_restored_alike() -> None:
    frames = clip_pixels(3, 20, 30, 3)
    restorer = Restorer(ClipNet(convolved()))
    clip = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)[None] / 255
    expected = (restorer.tensor(clip)[0] * 255).round().byte().permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(restorer.clip(frames), expected)


def test_memory_that_runs_out_halves_the_tile_of_clips_too() -> None:
    def limited(clip: Tensor) -> Tensor:
        if clip.shape[3] * clip.shape[4] > 80 * 80:
            raise torch.OutOfMemoryError("out of memory")
        return middle(clip)

    restorer, frames = Restorer(ClipNet(limited), tile=256), clip_pixels(3, 200, 100, 3)
    np.testing.assert_array_equal(restorer.clip(frames), frames[1])
    assert restorer.tile == 64
    with pytest.raises(RunStopped, match="not finite"):
        Restorer(ClipNet(lambda clip: middle(clip) / 0)).clip(frames)


# -- optical flow ----------------------------------------------------------------------------


def position_flow(clip: Tensor) -> Tensor:
    """At every pixel its own position, times the frame's place from the middle."""
    n, t, _, h, w = clip.shape
    down, across = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    place = torch.arange(t).view(1, t, 1, 1, 1) - t // 2
    return (torch.stack([across, down])[None, None] * place).float().expand(n, -1, -1, -1, -1)


def flow_as_image(clip: Tensor, flow: Tensor) -> Tensor:
    """The last frame's flow, x and y, as red and green."""
    return torch.cat([flow[:, -1] / 256, flow[:, -1, :1] * 0], dim=1)


def test_flow_is_cut_like_its_clip() -> None:
    frames = clip_pixels(1, 130, 97, 3)
    restorer = Restorer(ClipNet(flow_as_image, flow=True), tile=64, flow=position_flow)
    (restored,) = restorer.stream(frames)
    expected = position_flow(torch.zeros(1, 3, 3, 130, 97))[0, -1].permute(1, 2, 0).numpy()
    assert len(restorer.net.inputs) > 1
    np.testing.assert_allclose(restored[..., :2] / 255 * 256, expected, atol=1)


def test_flow_is_computed_once_a_window_on_whole_colour_frames() -> None:
    shapes = []

    def flow(clip: Tensor) -> Tensor:
        shapes.append(tuple(clip.shape))
        return position_flow(clip)

    restorer = Restorer(ClipNet(flow_as_image, flow=True), tile=64, flow=flow)
    list(restorer.stream(clip_pixels(4, 100, 90)))
    assert shapes == [(1, 3, 3, 100, 90)] * 4


def test_what_moves_right_moves_left_in_a_mirror() -> None:
    net = ClipNet(lambda clip, flow: middle(clip), flow=True)
    constant = torch.tensor([2.0, 3.0]).view(1, 1, 2, 1, 1)
    restorer = Restorer(net, flow=lambda clip: constant.expand(1, 3, 2, *clip.shape[3:]))
    restorer.clip(clip_pixels(3, 6, 5, 3))
    flow = net.inputs[0][1][0, 0]
    assert flow.shape == (2, 8, 8)
    across = torch.tensor([2.0] * 5 + [-2.0] * 3)
    down = torch.tensor([3.0] * 6 + [-3.0] * 2)
    assert torch.equal(flow[0], across.expand(8, 8))
    assert torch.equal(flow[1], down[:, None].expand(8, 8))


def test_flow_that_is_not_there_or_of_another_shape_is_refused() -> None:
    frames = clip_pixels(3, 8, 8, 3)
    net = ClipNet(lambda clip, flow: middle(clip), flow=True)
    with pytest.raises(NasRestoreError, match="reads optical flow"):
        Restorer(net).clip(frames)
    with pytest.raises(ValueError, match=r"\(1, 3, 2, 8, 8\) expected, got \(1, 3, 3, 8, 8\)"):
        Restorer(net, flow=lambda clip: clip).clip(frames)


# -- refusals and memory ---------------------------------------------------------------------


def test_single_images_are_refused_in_words() -> None:
    restorer = Restorer(ClipNet(frames=5))
    for restore in (restorer, restorer.unquantised):
        with pytest.raises(NasRestoreError, match="restores video: it reads 5 frames") as caught:
            restore(clip_pixels(1, 8, 8, 3)[0])
        assert "folder of frames or a video" in str(caught.value)


def test_clips_that_do_not_fit_are_refused() -> None:
    restorer = Restorer(ClipNet(frames=3))
    with pytest.raises(ValueError, match="3 frames expected, got 2"):
        restorer.clip(clip_pixels(2, 8, 8, 3))
    with pytest.raises(ValueError, match="one size"):
        restorer.clip([*clip_pixels(2, 8, 8, 3), *clip_pixels(1, 8, 9, 3)])
    with pytest.raises(ValueError, match="N 3 C H W"):
        restorer.tensor(torch.zeros(1, 3, 8, 8))
    with pytest.raises(ValueError, match="N 3 C H W"):
        restorer.tensor(torch.zeros(1, 5, 3, 8, 8))


def test_a_network_for_images_restores_a_stream_frame_by_frame() -> None:
    class Negative(nn.Module):
        multiple, channels = 8, 3

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"restored": 1 - x}

    frames = clip_pixels(4, 10, 12, 3)
    restored = list(Restorer(Negative().eval()).stream(frames))
    np.testing.assert_array_equal(restored, 255 - np.stack(frames))


def test_a_long_stream_takes_no_more_memory_than_a_short_one() -> None:
    frames: list[weakref.ref[np.ndarray]] = []
    most = []

    def stream(count: int) -> Iterator[np.ndarray]:
        for number in range(count):
            frame = np.full((64, 64, 3), number % 256, np.uint8)
            frames.append(weakref.ref(frame))
            most.append(sum(seen() is not None for seen in frames))
            yield frame

    peaks = []
    for count in (10, 120):
        tracemalloc.start()
        assert sum(1 for _ in Restorer(ClipNet(frames=5)).stream(stream(count))) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert max(most) <= 2  # a frame becomes planes as soon as it is read
    assert peaks[1] < peaks[0] + 3 * 64 * 64 * 3 * 4
