"""PSNR, SSIM and luma as tensor functions: one number per image, the value range always stated.

Letters: N images, C channels, H height, W width. Everything here is differentiable; what a paper's
evaluation script does around these functions is in ``protocol``.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

WINDOW_SIZE = 11
WINDOW_SIGMA = 1.5
K1, K2 = 0.01, 0.03

# MATLAB's rgb2ycbcr: ITU-R BT.601 in limited range, so that black is 16 and white 235.
LUMA_WEIGHTS = (65.481, 128.553, 24.966)
LUMA_OFFSET = 16.0


def check_comparable(restored: Tensor, clean: Tensor) -> None:
    """Raises ValueError unless both are N C H W of one shape: broadcasting would hide a mistake."""
    if restored.ndim != 4 or restored.shape != clean.shape:
        raise ValueError(
            "expected two N C H W tensors of one shape, "
            f"got {tuple(restored.shape)} and {tuple(clean.shape)}"
        )


def at_least_float32(image: Tensor) -> Tensor:
    """The image in float32, or as it is in float64: no metric or loss is taken in 16 bits."""
    return image if image.dtype == torch.float64 else image.float()


def psnr(restored: Tensor, clean: Tensor, *, data_range: float) -> Tensor:
    """Peak signal-to-noise ratio of each image, 10 log10(data_range^2 / MSE).

    Args:
        restored, clean: N C H W, any float type; computed in float64.
        data_range: the largest possible value, such as 1.0 or 255.0.

    Returns:
        N values in dB, float64. Identical images give inf, and so does the mean over images that
        contain one: ``protocol.summary`` counts them, so that a reader sees why.

    Raises:
        ValueError: other than two N C H W tensors of one shape, or a range that is not positive.
    """
    check_comparable(restored, clean)
    _check_range(data_range)
    error = (restored.double() - clean.double()).square().mean(dim=(1, 2, 3))
    return 10 * torch.log10(data_range**2 / error)


def ssim(
    restored: Tensor,
    clean: Tensor,
    *,
    data_range: float,
    reduction: Literal["image", "mean"] = "image",
) -> Tensor:
    """Structural similarity (Wang, Bovik, Sheikh and Simoncelli 2004, Eq. 13), mean over channels.

    An 11x11 Gaussian window of sigma 1.5, K1 = 0.01, K2 = 0.03, over the region where the window
    fits whole, as the authors' MATLAB code. Where the image is smaller than 11, the window shrinks
    to the largest odd size that fits, at the same sigma.

    Args:
        restored, clean: N C H W; float64 stays so, all else becomes float32, under autocast too.
        data_range: the largest possible value, such as 1.0 or 255.0.
        reduction: ``image`` for N values, ``mean`` for their mean.

    Raises:
        ValueError: other than two N C H W tensors of one shape, or a range that is not positive.
    """
    per_image = ssim_map(restored, clean, data_range=data_range).mean(dim=(1, 2, 3))
    if reduction == "image":
        return per_image
    if reduction == "mean":
        return per_image.mean()
    raise ValueError(f"reduction is 'image' or 'mean', got {reduction!r}")


def ssim_map(restored: Tensor, clean: Tensor, *, data_range: float) -> Tensor:
    """SSIM at every place of the window, N C H-10 W-10; less is cut from images under 11 pixels.

    The formula needs the sum of the two variances only, so four local moments do, filtered in one
    convolution. Arguments and errors as ``ssim``.
    """
    check_comparable(restored, clean)
    _check_range(data_range)
    luminance_floor, contrast_floor = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    with torch.autocast(restored.device.type, enabled=False):
        x, y = at_least_float32(restored), at_least_float32(clean)
        moments = _gaussian_filter(torch.cat([x, y, x * x + y * y, x * y], dim=1))
        mean_x, mean_y, mean_squares, mean_product = moments.chunk(4, dim=1)
        product_of_means = mean_x * mean_y
        squares_of_means = mean_x * mean_x + mean_y * mean_y
        covariance = mean_product - product_of_means
        variances = mean_squares - squares_of_means
        luminance = (2 * product_of_means + luminance_floor) / (squares_of_means + luminance_floor)
        return luminance * (2 * covariance + contrast_floor) / (variances + contrast_floor)


def to_y(rgb: Tensor) -> Tensor:
    """The luma of MATLAB's rgb2ycbcr (BT.601, limited range), not rounded.

    Args:
        rgb: ... 3 H W in 0-255.

    Returns:
        ... 1 H W in 16-235, float64.

    Raises:
        ValueError: other than three channels.
    """
    if rgb.ndim < 3 or rgb.shape[-3] != 3:
        raise ValueError(f"expected ... 3 H W, got {tuple(rgb.shape)}")
    weights = torch.tensor(LUMA_WEIGHTS, dtype=torch.float64, device=rgb.device).view(3, 1, 1)
    return LUMA_OFFSET + (rgb.double() * weights).sum(dim=-3, keepdim=True) / 255


def reduce_for_ssim(image: Tensor) -> Tensor:
    """Average-filters and subsamples N C H W until its shorter side is near 256, for Wang's SSIM.

    The factor is f = max(1, round(min(H, W) / 256)), halves up as MATLAB rounds; his code has
    ``imfilter(ones(f)/f^2, 'symmetric')`` and then ``1:f:end``. Returns N C ceil(H/f) ceil(W/f).
    """
    height, width = image.shape[-2:]
    factor = max(1, int(min(height, width) / 256 + 0.5))
    if factor == 1:
        return image
    rows = _window_positions(height, factor).to(image.device)
    columns = _window_positions(width, factor).to(image.device)
    return F.avg_pool2d(image[..., rows, :][..., columns], factor)


def _window_positions(size: int, factor: int) -> Tensor:
    """Which pixels the kept windows read, one window after another, mirrored at the borders.

    imfilter centres an even window on the pixel left of its middle.
    """
    windows = -(-size // factor)
    positions = torch.arange(windows * factor) - (factor - 1) // 2
    positions = torch.where(positions < 0, -1 - positions, positions)
    return torch.where(positions >= size, 2 * size - 1 - positions, positions)


def _gaussian_filter(image: Tensor) -> Tensor:
    """The Gaussian window over every channel, by rows and then by columns, where it fits whole."""
    channels = image.shape[1]
    # On a CPU a float32 depthwise convolution is several times faster in this layout. Elsewhere
    # it could go to a TF32 kernel, whose 10 bits drown the variances.
    if image.device.type == "cpu" and image.dtype == torch.float32:
        image = image.contiguous(memory_format=torch.channels_last)
    else:
        image = image.contiguous()
    window = _gaussian_window(image)
    taps = window.numel()
    down = window.view(1, 1, taps, 1).expand(channels, 1, taps, 1)
    across = window.view(1, 1, 1, taps).expand(channels, 1, 1, taps)
    return F.conv2d(F.conv2d(image, down, groups=channels), across, groups=channels)


def _gaussian_window(image: Tensor) -> Tensor:
    """The window in one dimension, summing to one; of the largest odd size that fits the image."""
    fitting = min(image.shape[-2:])
    taps = min(WINDOW_SIZE, fitting - 1 + fitting % 2)
    # Made anew on each call: one that was cached in inference mode could not be trained with.
    places = torch.arange(taps, dtype=image.dtype, device=image.device) - (taps - 1) / 2
    weights = torch.exp(-places.square() / (2 * WINDOW_SIGMA**2))
    return weights / weights.sum()


def _check_range(data_range: float) -> None:
    if not data_range > 0:
        raise ValueError(f"data_range is a positive number, such as 1.0 or 255.0, got {data_range}")
