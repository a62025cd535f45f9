"""Warping by a flow: exact where it must be, torch's grid_sample everywhere else."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nasrestore.ops.temporal import Warp, warped


def flow_of(image: Tensor, x: float, y: float) -> Tensor:
    count, _, height, width = image.shape
    return torch.tensor([x, y]).view(1, 2, 1, 1).expand(count, 2, height, width)


def sampled(image: Tensor, flow: Tensor) -> Tensor:
    """The same by grid_sample, whose coordinates are relative to the size."""
    height, width = image.shape[-2:]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    x = 2 * (columns + flow[:, 0]) / (width - 1) - 1
    y = 2 * (rows + flow[:, 1]) / (height - 1) - 1
    grid = torch.stack([x, y], dim=-1)
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=True)


@pytest.mark.parametrize("size", [(7, 10), (1, 1), (1, 9), (33, 1), (128, 97)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_zero_flow_gives_the_image_back_bit_for_bit(
    size: tuple[int, int], dtype: torch.dtype
) -> None:
    image = torch.rand(2, 3, *size).to(dtype)
    moved = warped(image, flow_of(image, 0, 0))
    assert moved.dtype == dtype and torch.equal(moved, image)


@pytest.mark.parametrize(("x", "y"), [(2, 0), (0, -3), (-1, 2)])
def test_whole_pixels_are_rolled_pixels_away_from_the_border(x: int, y: int) -> None:
    image = torch.rand(1, 3, 12, 14)
    moved = warped(image, flow_of(image, x, y))
    inside = (..., slice(3, -3), slice(3, -3))
    assert torch.equal(moved[inside], image.roll((-y, -x), (2, 3))[inside])


def test_half_a_pixel_is_the_mean_of_two() -> None:
    image = torch.rand(1, 2, 5, 6)
    moved = warped(image, flow_of(image, 0.5, 0))
    torch.testing.assert_close(moved[..., :-1], (image[..., :-1] + image[..., 1:]) / 2)


def test_a_plane_is_moved_exactly_by_any_flow() -> None:
    rows, columns = torch.meshgrid(torch.arange(9.0), torch.arange(11.0), indexing="ij")
    plane = (2 * columns + 3 * rows).view(1, 1, 9, 11)
    flow = 4 * torch.rand(1, 2, 9, 11) - 2
    inside = (..., slice(2, -2), slice(2, -2))
    moved = warped(plane, flow)
    expected = plane + 2 * flow[:, :1] + 3 * flow[:, 1:]
    torch.testing.assert_close(moved[inside], expected[inside])


def test_beyond_the_border_is_its_nearest_pixel() -> None:
    image = torch.rand(1, 3, 4, 5)
    assert torch.equal(warped(image, flow_of(image, 99, 0)), image[..., -1:].expand_as(image))
    corner = warped(image, flow_of(image, -99, -99))
    assert torch.equal(corner, image[..., :1, :1].expand_as(image))


def test_it_is_grid_sample_and_so_are_its_gradients() -> None:
    image = torch.rand(3, 2, 8, 9, dtype=torch.float64)
    flow = 6 * torch.rand(3, 2, 8, 9, dtype=torch.float64) - 3
    weigh = torch.rand(3, 2, 8, 9, dtype=torch.float64)
    found = []
    for function in (warped, sampled):
        leaves = [image.clone().requires_grad_(), flow.clone().requires_grad_()]
        moved = function(*leaves)
        found.append([moved, *torch.autograd.grad((weigh * moved).sum(), leaves)])
    for mine, torchs in zip(*found, strict=True):
        torch.testing.assert_close(mine, torchs)


def test_a_flow_that_is_not_finite_shows_and_reads_nothing_outside() -> None:
    image = torch.rand(1, 1, 3, 3)
    flow = torch.zeros(1, 2, 3, 3)
    flow[0, 0, 1, 1], flow[0, 1, 2, 2] = float("nan"), float("inf")
    moved = warped(image, flow)
    assert moved[0, 0, 1, 1].isnan() and moved.isfinite().sum() == 8
    assert moved[0, 0, 2, 2] == image[0, 0, 2, 2]


def test_every_frame_of_every_item_goes_by_its_own_flow() -> None:
    clip, flow = torch.rand(2, 3, 4, 6, 7), 3 * torch.randn(2, 3, 2, 6, 7)
    moved = Warp(6, frames=3)(torch.cat([clip, flow], dim=2))
    assert moved.shape == clip.shape
    for item in range(2):
        for frame in range(3):
            alone = warped(clip[item, frame][None], flow[item, frame][None])[0]
            assert torch.equal(moved[item, frame], alone)
