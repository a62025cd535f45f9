"""How steady a restored sequence is: the warping error, and tLPIPS. Neither is a fidelity.

A sequence that is blurred, or the same still frame throughout, has a low warping error: it is to be
read beside PSNR and SSIM.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nasrestore.metrics.fidelity import check_comparable
from nasrestore.ops.temporal import warped

# Sundaram, Brox and Keutzer 2010, as Ruder, Dosovitskiy and Brox 2016 use them.
MISMATCH_SHARE, MISMATCH_FLOOR = 0.01, 0.5
BOUNDARY_SHARE, BOUNDARY_FLOOR = 0.01, 0.002

Distance = Callable[[Tensor, Tensor], Tensor]


def visible_pixels(forward: Tensor, backward: Tensor) -> Tensor:
    """Which pixels of the first frames are to be seen in the second ones, too.

    With w the forward flow and w' the backward flow where w leads: a pixel is hidden where
    ``|w + w'|^2 > 0.01 (|w|^2 + |w'|^2) + 0.5``, where it is at a motion boundary,
    ``|grad u|^2 + |grad v|^2 > 0.01 |w|^2 + 0.002`` (Ruder, Dosovitskiy and Brox 2016, which Lai et al.
    2018 refer to), and where w leads out of the frame.

    Args:
        forward, backward: N 2 H W in pixels, x first, from the first to the second and back.

    Returns:
        N 1 H W, true or false.
    """
    check_comparable(forward, backward)
    arriving = warped(backward, forward)
    squared, squared_back = _squared(forward), _squared(arriving)
    threshold = MISMATCH_SHARE * (squared + squared_back) + MISMATCH_FLOOR
    hidden = _squared(forward + arriving) > threshold
    boundary = _squared_gradient(forward) > BOUNDARY_SHARE * squared + BOUNDARY_FLOOR
    return ~(hidden | boundary) & _lands_inside(forward)


def warping_error(
    first: Tensor, second: Tensor, forward: Tensor, visible: Tensor | None = None
) -> Tensor:
    """The mean squared difference of a frame and the next one warped to it (Lai et al. 2018).

    ``E(V_t, V_t+1) = sum_i M_i |V_t,i - W(V_t+1)_i|^2 / sum_i M_i`` over the pixels i; the squared norm
    adds the channels up. A sequence's is the mean over its T - 1 pairs, which are the N here:
    ``warping_error(frames[:-1], frames[1:], ...)``.

    Args:
        first, second: N C H W restored frames and the ones after them, in [0, 1].
        forward: N 2 H W, the flow from the first to the second. Take that of the clean frames, or
            else of the rainy ones: with the flow of its own result, no method compares to another.
        visible: N 1 H W of ``visible_pixels``; all pixels count without it.

    Returns:
        N values, float64; NaN where no pixel is visible.

    Raises:
        ValueError: shapes that do not fit.
    """
    check_comparable(first, second)
    count, _, height, width = first.shape
    mask = first.new_ones(count, 1, height, width) if visible is None else visible
    for name, given, channels in (("flow", forward, 2), ("mask", mask, 1)):
        if given.shape != (count, channels, height, width):
            raise ValueError(
                f"expected a {name} of {(count, channels, height, width)}, got {tuple(given.shape)}"
            )
    difference = first.double() - warped(second.double(), forward.double())
    counted = mask.double()
    return (counted * _squared(difference)).sum((1, 2, 3)) / counted.sum((1, 2, 3))


def temporal_lpips(distance: Distance, restored: Tensor, clean: Tensor) -> Tensor:
    """tLPIPS: whether a sequence changes from frame to frame as much as the clean one does.

    ``mean_t |LPIPS(y^_t, y^_t-1) - LPIPS(y_t, y_t-1)|`` with y^ the restored and y the clean frames (Chu
    et al. 2020, TecoGAN, where it is called tLP and shown times 100).

    Args:
        distance: from two N C H W in [0, 1] to N values, such as ``perceptual.lpips``'s.
        restored, clean: T C H W in [0, 1], consecutive frames, T at least 2.

    Raises:
        ValueError: other than two sequences of one shape, or a single frame.
    """
    check_comparable(restored, clean)
    if len(restored) < 2:
        raise ValueError(f"tLPIPS needs at least two frames, got {len(restored)}")
    changes = [
        (_change(distance, restored, t) - _change(distance, clean, t)).abs()
        for t in range(1, len(restored))  # one pair at a time, so that memory is one pair's
    ]
    return torch.stack(changes).mean()


def _change(distance: Distance, frames: Tensor, t: int) -> Tensor:
    return distance(frames[t : t + 1], frames[t - 1 : t])[0]


def _squared(vectors: Tensor) -> Tensor:
    return vectors.square().sum(1, keepdim=True)


def _squared_gradient(flow: Tensor) -> Tensor:
    """|grad u|^2 + |grad v|^2 by differences to the next pixel; none behind the last one."""
    across = torch.diff(flow, dim=3, append=flow[..., -1:])
    down = torch.diff(flow, dim=2, append=flow[..., -1:, :])
    return _squared(across) + _squared(down)


def _lands_inside(flow: Tensor) -> Tensor:
    """Whether each pixel's centre comes to lie on some pixel's area."""
    height, width = flow.shape[-2:]
    x = torch.arange(width, device=flow.device) + flow[:, :1]
    y = torch.arange(height, device=flow.device).unsqueeze(-1) + flow[:, 1:]
    return (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
