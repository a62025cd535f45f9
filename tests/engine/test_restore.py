from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nasrestore.engine.restore import Restorer
from nasrestore.errors import NasRestoreError, RunStopped


class Net(nn.Module):
    """A network made of a function of N C H W; it remembers what it read."""

    def __init__(
        self, function: Callable[[Tensor], Tensor], *, multiple: int = 16, channels: int = 3
    ) -> None:
        super().__init__()
        self.function = function
        self.multiple = multiple
        self.channels = channels
        self.inputs: list[Tensor] = []
        self.eval()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        assert x.shape[1] == self.channels
        assert x.shape[2] % self.multiple == x.shape[3] % self.multiple == 0
        self.inputs.append(x)
        return {"restored": self.function(x), "negative": 1 - x}


def identity(x: Tensor) -> Tensor:
    return x


def random_pixels(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(7).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def convolution(channels: int = 3) -> nn.Conv2d:
    torch.manual_seed(3)
    return nn.Conv2d(channels, channels, 3, padding=1).eval()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (2, 2), (17, 33), (16, 32), (100, 150)])
@pytest.mark.parametrize("tail", [(), (1,), (3,)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_identity_restores_bit_for_bit(
    dtype: type, size: tuple[int, int], tail: tuple[int, ...], channels: int
) -> None:
    pixels = random_pixels(*size, *tail, dtype=dtype)
    restorer = Restorer(Net(identity, channels=channels), tile=64)
    restored = restorer(pixels)
    assert restored.dtype == pixels.dtype
    np.testing.assert_array_equal(restored, pixels)


def test_every_16_bit_value_survives_tiles() -> None:
    pixels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    np.testing.assert_array_equal(Restorer(Net(identity), tile=64)(pixels), pixels)


def test_unquantised_is_the_value_before_rounding() -> None:
    pixels = random_pixels(9, 5, 3)
    restored = Restorer(Net(lambda x: x + 0.3 / 255)).unquantised(pixels)
    assert restored.dtype == np.float32
    np.testing.assert_allclose(restored, np.minimum(pixels / 255 + 0.3 / 255, 1), atol=1e-6)
    np.testing.assert_array_equal(Restorer(Net(lambda x: x + 0.3 / 255))(pixels), pixels)


def test_tiles_of_the_identity_are_exact_before_rounding() -> None:
    pixels = random_pixels(150, 90, 3)
    restored = Restorer(Net(identity), tile=64).unquantised(pixels)
    np.testing.assert_array_equal(restored, pixels.astype(np.float32) / np.float32(255))


@pytest.mark.parametrize("size", [(64, 200), (130, 97), (65, 65), (201, 64)])
@pytest.mark.parametrize("overlap", [4, 16, 32])
def test_tiles_give_what_the_whole_image_gives(size: tuple[int, int], overlap: int) -> None:
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(1))
    whole = Restorer(Net(convolution(), multiple=8), tile=1000)
    tiled = Restorer(Net(convolution(), multiple=8), tile=64, overlap=overlap)
    difference = (tiled.tensor(image) - whole.tensor(image)).abs().max()
    assert len(whole.net.inputs) == 1 and len(tiled.net.inputs) > 1
    assert difference < 1e-6


def test_poolings_see_the_grid_of_the_whole_image() -> None:
    def pooled(x: Tensor) -> Tensor:
        down = nn.functional.max_pool2d(x, 16)
        return nn.functional.interpolate(down, scale_factor=16, mode="nearest")

    image = torch.rand(1, 3, 150, 170, generator=torch.Generator().manual_seed(1))
    whole, tiled = Restorer(Net(pooled), tile=1000), Restorer(Net(pooled), tile=64)
    torch.testing.assert_close(tiled.tensor(image), whole.tensor(image), atol=1e-6, rtol=0)


def test_a_seam_between_disagreeing_tiles_is_smooth() -> None:
    answers = iter([0.0, 1.0])
    net = Net(lambda x: torch.full_like(x, next(answers)))
    steps = Restorer(net, tile=64, overlap=32).tensor(torch.zeros(1, 3, 64, 96))[0, 0, 5].diff()
    assert steps.sum() == 1 and steps.min() >= 0
    assert steps.max() <= np.pi / 2 / 16


def test_a_small_image_goes_through_at_once_and_a_large_one_in_bounded_tiles() -> None:
    net = Net(identity)
    restorer = Restorer(net, tile=64)
    done: list[tuple[int, int]] = []
    restorer(random_pixels(32, 128, 3), progress=lambda *at: done.append(at))
    assert [x.shape[2:] for x in net.inputs] == [(32, 128)] and done == [(1, 1)]
    net.inputs.clear()
    done.clear()
    restorer(random_pixels(150, 90, 3), progress=lambda *at: done.append(at))
    assert all(max(x.shape[2:]) <= 64 for x in net.inputs)
    assert done == [(i + 1, len(net.inputs)) for i in range(len(net.inputs))]


@pytest.mark.parametrize(
    ("tile", "overlap", "multiple", "edge"),
    [(None, 32, 16, 640), (100, 32, 16, 112), (10, 32, 16, 64), (64, 0, 16, 64), (64, 32, 48, 96)],
)
def test_tile_is_rounded_up(tile: int | None, overlap: int, multiple: int, edge: int) -> None:
    assert Restorer(Net(identity, multiple=multiple), tile=tile, overlap=overlap).tile == edge


def test_frames_of_640x480_go_through_whole_on_any_device() -> None:
    net = Net(identity)
    for device in ("cpu", "meta"):
        assert Restorer(net, device=device).tile == 640
    net = Net(identity)
    restorer = Restorer(net)
    restorer(random_pixels(480, 640, 3))
    assert [x.shape[2:] for x in net.inputs] == [(480, 640)]
    restorer(random_pixels(656, 640, 3))
    assert len(net.inputs) > 2


def test_what_results_depend_on_is_known() -> None:
    def limited(x: Tensor) -> Tensor:
        if x.shape[2] > 64:
            raise torch.OutOfMemoryError("out of memory")
        return x

    restorer = Restorer(Net(limited), tile=128, overlap=16, precision="bf16")
    as_set = {"tile": 128, "overlap": 16, "precision": "bf16", "device": "cpu"}
    assert restorer.conditions == as_set
    restorer(random_pixels(100, 100, 3))
    assert restorer.conditions == {**as_set, "tile": 64}  # as it was in the end


@pytest.mark.parametrize(("size", "mode"), [((17, 33), "reflect"), ((1, 1), "edge")])
def test_the_network_reads_the_reflected_image(size: tuple[int, int], mode: str) -> None:
    net, pixels = Net(identity), random_pixels(*size, 3)
    Restorer(net)(pixels)
    pads = [(0, -size[0] % 16), (0, -size[1] % 16), (0, 0)]
    expected = np.pad(pixels, pads, mode).transpose(2, 0, 1) / 255
    np.testing.assert_allclose(net.inputs[0][0].numpy(), expected, atol=1e-6)


def test_grey_goes_to_three_channels_and_their_average_comes_back() -> None:
    offsets = torch.tensor([0.0, 0.25, 0.5]).view(1, 3, 1, 1)
    grey = np.full((4, 5), 51, np.uint8)
    restored = Restorer(Net(lambda x: x + offsets)).unquantised(grey)
    np.testing.assert_allclose(restored, np.full((4, 5), 0.45), atol=1e-6)


def test_colour_goes_through_one_channel_plane_by_plane() -> None:
    image = torch.rand(1, 3, 20, 30, generator=torch.Generator().manual_seed(1))
    restorer = Restorer(Net(convolution(1), channels=1))
    planes = [restorer.tensor(image[:, i : i + 1]) for i in range(3)]
    torch.testing.assert_close(restorer.tensor(image), torch.cat(planes, dim=1))


def test_an_image_does_not_depend_on_its_batch() -> None:
    images = torch.rand(3, 3, 20, 30, generator=torch.Generator().manual_seed(1))
    restorer = Restorer(Net(convolution()))
    together, alone = restorer.tensor(images), [restorer.tensor(image[None]) for image in images]
    assert torch.equal(together, torch.cat(alone))


def test_tensor_is_clamped_float32_without_gradient() -> None:
    images = torch.linspace(0, 1, 48, dtype=torch.float64).view(1, 3, 4, 4).requires_grad_()
    restored = Restorer(Net(lambda x: 3 * x - 1)).tensor(images)
    torch.testing.assert_close(restored, (3 * images - 1).clamp(0, 1).float().detach())
    assert not restored.requires_grad and not restored.is_inference()


def test_another_output_can_be_named() -> None:
    restored = Restorer(Net(identity), output="negative")(random_pixels(3, 4, 3))
    np.testing.assert_array_equal(restored, 255 - random_pixels(3, 4, 3))


def test_bf16_computes_in_bf16_and_returns_float32() -> None:
    kinds = []
    layer = convolution()

    def watched(x: Tensor) -> Tensor:
        y = layer(x)
        kinds.append(y.dtype)
        return y

    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    low = Restorer(Net(watched), precision="bf16").tensor(image)
    full = Restorer(Net(watched)).tensor(image)
    assert kinds == [torch.bfloat16, torch.float32]
    assert low.dtype == torch.float32
    torch.testing.assert_close(low, full, atol=0.02, rtol=0)


def limited(pixels: int, error: type[Exception], message: str) -> Callable[[Tensor], Tensor]:
    def function(x: Tensor) -> Tensor:
        if x.shape[2] * x.shape[3] > pixels:
            raise error(message)
        return x

    return function


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (torch.OutOfMemoryError, "CUDA out of memory."),
        (RuntimeError, "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        (MemoryError, ""),
    ],
)
def test_out_of_memory_halves_the_tile(error: type[Exception], message: str) -> None:
    net = Net(limited(80 * 80, error, message))
    restorer, pixels = Restorer(net, tile=256), random_pixels(200, 100, 3)
    np.testing.assert_array_equal(restorer(pixels), pixels)
    assert restorer.tile == 64
    tried = len(net.inputs)
    restorer(pixels)
    assert all(x.shape[2] <= 64 for x in net.inputs[tried:])


@pytest.mark.parametrize("size", [(200, 100), (20, 20), (1, 500)])
def test_out_of_memory_at_the_smallest_tile_stops(size: tuple[int, int]) -> None:
    restorer = Restorer(Net(limited(0, torch.OutOfMemoryError, "out of memory")), tile=256)
    with pytest.raises(RunStopped, match=rf"out of memory on cpu.*{size[1]}x{size[0]} pixels"):
        restorer(random_pixels(*size, 3))


def test_other_errors_of_the_network_pass_through() -> None:
    with pytest.raises(RuntimeError, match="a bug"):
        Restorer(Net(limited(0, RuntimeError, "a bug")))(random_pixels(3, 4, 3))


def test_a_result_that_is_not_finite_stops() -> None:
    with pytest.raises(RunStopped, match="not finite"):
        Restorer(Net(lambda x: x / 0))(random_pixels(3, 4, 3))


def test_an_output_of_another_size_is_refused() -> None:
    net = Net(lambda x: nn.functional.interpolate(x, scale_factor=2))
    with pytest.raises(NasRestoreError, match=r"\(1, 3, 32, 32\) for an input of \(1, 3, 16, 16\)"):
        Restorer(net)(random_pixels(3, 4, 3))


def test_a_network_of_other_channels_is_refused() -> None:
    with pytest.raises(NasRestoreError, match="3 channels, the network reads 4"):
        Restorer(Net(identity, channels=4))(random_pixels(3, 4, 3))


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4, 3)),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros(4, np.uint8),
    ],
)
def test_pixels_of_another_kind_are_refused(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected"):
        Restorer(Net(identity))(pixels)


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="fp16"):
        Restorer(Net(identity), precision="fp16")
    with pytest.raises(ValueError, match="tile"):
        Restorer(Net(identity), tile=0)
    with pytest.raises(ValueError, match="no output 'clean': restored, negative"):
        Restorer(Net(identity), output="clean")(random_pixels(3, 4, 3))
    with pytest.raises(ValueError, match="N C H W"):
        Restorer(Net(identity)).tensor(torch.zeros(3, 4, 4))
    with pytest.raises(ValueError, match="training mode"):
        Restorer(Net(identity).train())(random_pixels(3, 4, 3))
