"""Warping error, visible pixels and tLPIPS: closed forms on motions that are known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nasrestore.metrics.temporal import temporal_lpips, visible_pixels, warping_error


def constant(x: float, y: float, height: int, width: int) -> Tensor:
    return torch.tensor([x, y]).view(1, 2, 1, 1).repeat(1, 1, height, width)


def test_still_frames_have_no_error_and_are_visible_throughout() -> None:
    frames, flow = torch.rand(2, 3, 6, 7), torch.zeros(2, 2, 6, 7)
    assert torch.equal(warping_error(frames, frames, flow), torch.zeros(2, dtype=torch.float64))
    assert visible_pixels(flow, flow).all()


def test_a_constant_change_adds_its_square_for_each_channel() -> None:
    first, flow = torch.rand(2, 3, 6, 7), torch.zeros(2, 2, 6, 7)
    second = first + torch.tensor([0.1, 0.2]).view(2, 1, 1, 1)
    torch.testing.assert_close(
        warping_error(first, second, flow),
        torch.tensor([3 * 0.01, 3 * 0.04], dtype=torch.float64),
        rtol=1e-5,
        atol=0,
    )


def test_a_motion_that_the_flow_knows_is_no_error_where_it_is_visible() -> None:
    scene = torch.rand(1, 3, 10, 14)
    first, second = scene[..., 2:12], scene[..., :10]  # everything moves by 2 to the right
    forward, backward = constant(2, 0, 10, 10), constant(-2, 0, 10, 10)
    visible = visible_pixels(forward, backward)
    assert visible[..., :8].all() and not visible[..., 8:].any()
    assert warping_error(first, second, forward, visible).item() == 0
    assert warping_error(first, second, forward).item() > 0.01
    assert warping_error(first, second, torch.zeros_like(forward)).item() > 0.01


def test_only_visible_pixels_count() -> None:
    first, second, flow = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4), torch.zeros(1, 2, 4, 4)
    second[..., 0, :] = 1
    second[..., 1, 0] = 0.5
    visible = torch.ones(1, 1, 4, 4, dtype=torch.bool)
    visible[..., 0, :] = False
    assert warping_error(first, second, flow, visible).item() == pytest.approx(0.25 / 12)
    assert warping_error(first, second, flow).item() == pytest.approx(4.25 / 16)
    assert warping_error(first, second, flow, visible & False).isnan().all()


@pytest.mark.parametrize(("back", "hidden"), [(-4.0, False), (-3.2, False), (-3.0, True)])
def test_flows_that_do_not_lead_back_hide_a_pixel(back: float, hidden: bool) -> None:
    # |4 + back|^2 against 0.01 (16 + back^2) + 0.5: 0.64 < 0.7624, 1 > 0.75
    visible = visible_pixels(constant(4, 0, 5, 12), constant(back, 0, 5, 12))
    assert visible[..., :8].all() != hidden and visible[..., :8].any() != hidden


def test_the_edge_of_a_moving_thing_is_hidden() -> None:
    forward = torch.zeros(1, 2, 6, 9)
    forward[:, 1, :, 3:6] = 0.4
    visible = visible_pixels(forward, -forward)[0, 0]
    assert visible[0].tolist() == [True, True, False, True, True, False, True, True, True]
    assert (visible == visible[0]).all()


def test_shapes_that_do_not_fit_are_refused() -> None:
    frames, flow = torch.rand(2, 3, 6, 7), torch.zeros(2, 2, 6, 7)
    with pytest.raises(ValueError, match=r"a flow of \(2, 2, 6, 7\), got \(1, 2, 6, 7\)"):
        warping_error(frames, frames, flow[:1])
    with pytest.raises(ValueError, match=r"a mask of \(2, 1, 6, 7\), got \(2, 3, 6, 7\)"):
        warping_error(frames, frames, flow, frames > 0)
    with pytest.raises(ValueError, match="at least two frames, got 1"):
        temporal_lpips(mean_difference, frames[:1], frames[:1])


def mean_difference(first: Tensor, second: Tensor) -> Tensor:
    """A distance whose values are known: the absolute difference of the means."""
    return (first.mean((1, 2, 3)) - second.mean((1, 2, 3))).abs()


def levels(*values: float) -> Tensor:
    return torch.tensor(values).view(-1, 1, 1, 1).expand(-1, 3, 4, 4)


def test_tlpips_compares_the_changes_and_not_the_images() -> None:
    clean, restored = levels(0.1, 0.2, 0.4), levels(0.5, 0.8, 0.7)
    # changes: clean 0.1 and 0.2, restored 0.3 and 0.1
    assert temporal_lpips(mean_difference, restored, clean).item() == pytest.approx(0.15)
    assert temporal_lpips(mean_difference, clean + 0.3, clean).item() == pytest.approx(0, abs=1e-6)
    assert temporal_lpips(mean_difference, clean, clean).item() == 0
