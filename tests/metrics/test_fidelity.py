"""PSNR, SSIM and luma against closed forms, their own laws, loops, and scikit-image."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from nasrestore.metrics.fidelity import psnr, reduce_for_ssim, ssim, ssim_map, to_y


def smooth_pair(
    height: int, width: int, *, channels: int = 3, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """A picture-like clean image and a disturbed copy, 1 C H W float64 in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, channels, 5, 5, generator=generator, dtype=torch.float64)
    clean = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    noise = torch.randn(clean.shape, generator=generator, dtype=torch.float64)
    return (clean + 0.05 * noise).clamp(0, 1), clean


def naive_ssim(x: np.ndarray, y: np.ndarray, size: int, data_range: float) -> float:
    """Wang's formula for one channel, a window at a time, with weighted central moments."""
    places = np.arange(size) - (size - 1) / 2
    window = np.exp(-(places[:, None] ** 2 + places[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    values = []
    for row in range(x.shape[0] - size + 1):
        for column in range(x.shape[1] - size + 1):
            a = x[row : row + size, column : column + size]
            b = y[row : row + size, column : column + size]
            mean_a, mean_b = (window * a).sum(), (window * b).sum()
            da, db = a - mean_a, b - mean_b
            numerator = (2 * mean_a * mean_b + c1) * (2 * (window * da * db).sum() + c2)
            variances = (window * da * da).sum() + (window * db * db).sum()
            values.append(numerator / ((mean_a**2 + mean_b**2 + c1) * (variances + c2)))
    return float(np.mean(values))


def test_psnr_of_one_grey_level() -> None:
    ones = torch.ones(2, 3, 32, 32)
    result = psnr(2 * ones, ones, data_range=255)
    assert result.dtype == torch.float64
    assert result.tolist() == pytest.approx([48.1308036] * 2, abs=1e-7)


def test_psnr_is_per_image_and_infinite_for_identical_ones() -> None:
    clean = torch.zeros(2, 1, 4, 4)
    restored = clean.clone()
    restored[1] += 0.1
    values = psnr(restored, clean, data_range=1.0).tolist()
    assert values[0] == math.inf
    assert values[1] == pytest.approx(20.0, abs=1e-6)


def test_a_tenth_of_the_error_is_20_db_more() -> None:
    restored, clean = smooth_pair(20, 30)
    nearer = clean + (restored - clean) / 10
    gain = psnr(nearer, clean, data_range=1.0) - psnr(restored, clean, data_range=1.0)
    assert gain.item() == pytest.approx(20.0, abs=1e-9)


def test_psnr_of_16_bit_floats_is_computed_in_64() -> None:
    clean = torch.zeros(1, 1, 8, 8, dtype=torch.bfloat16)
    value = psnr(clean + 2.0**-7, clean, data_range=1.0)
    assert value.item() == pytest.approx(20 * math.log10(2.0**7), abs=1e-9)


def test_ssim_of_two_constants() -> None:
    ones = torch.ones(1, 3, 32, 32)
    assert ssim(ones, 2 * ones, data_range=255).item() == pytest.approx(0.9130623, abs=1e-6)


def test_ssim_is_one_symmetric_and_free_of_scale() -> None:
    restored, clean = smooth_pair(24, 33)
    value = ssim(restored, clean, data_range=1.0)
    assert ssim(clean, clean, data_range=1.0).item() == pytest.approx(1.0, abs=1e-12)
    assert ssim(clean, restored, data_range=1.0).item() == pytest.approx(value.item(), abs=1e-12)
    scaled = ssim(255 * restored, 255 * clean, data_range=255)
    assert scaled.item() == pytest.approx(value.item(), abs=1e-12)


@pytest.mark.parametrize("size", [(11, 11), (17, 40), (64, 48)])
def test_ssim_equals_scikit_image(size: tuple[int, int]) -> None:
    from skimage.metrics import structural_similarity

    restored, clean = smooth_pair(*size)
    arrays = [image[0].permute(1, 2, 0).numpy() for image in (restored, clean)]
    expected, full = structural_similarity(
        *arrays,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1.0,
        channel_axis=2,
        full=True,
    )
    assert ssim(restored, clean, data_range=1.0).item() == pytest.approx(expected, abs=1e-9)
    found = ssim_map(restored, clean, data_range=1.0)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found, full[5:-5, 5:-5], atol=1e-9)


@pytest.mark.parametrize(
    ("size", "window"), [((1, 1), 1), ((2, 9), 1), ((3, 4), 3), ((10, 30), 9), ((12, 13), 11)]
)
def test_the_window_shrinks_to_the_largest_odd_size_that_fits(
    size: tuple[int, int], window: int
) -> None:
    restored, clean = smooth_pair(*size, channels=2)
    expected = np.mean(
        [naive_ssim(restored[0, c].numpy(), clean[0, c].numpy(), window, 1.0) for c in (0, 1)]
    )
    assert ssim(restored, clean, data_range=1.0).item() == pytest.approx(expected, abs=1e-10)


def test_ssim_is_per_image() -> None:
    pairs = [smooth_pair(20, 21, seed=seed) for seed in range(3)]
    restored, clean = (torch.cat(images) for images in zip(*pairs, strict=True))
    single = torch.cat([ssim(*pair, data_range=1.0) for pair in pairs])
    together = ssim(restored, clean, data_range=1.0)
    torch.testing.assert_close(together, single)
    mean = ssim(restored, clean, data_range=1.0, reduction="mean")
    assert mean.item() == pytest.approx(single.mean().item(), abs=1e-12)


def test_float32_in_both_memory_formats_is_near_float64() -> None:
    restored, clean = smooth_pair(40, 50)
    expected = ssim(restored, clean, data_range=1.0).item()
    plain = ssim(restored.float(), clean.float(), data_range=1.0)
    last = [
        image.float().contiguous(memory_format=torch.channels_last) for image in (restored, clean)
    ]
    assert plain.dtype == torch.float32
    assert plain.item() == pytest.approx(expected, abs=1e-6)
    assert ssim(*last, data_range=1.0).item() == pytest.approx(expected, abs=1e-6)


def test_ssim_under_bf16_autocast_is_the_float32_one() -> None:
    restored, clean = (image.float() for image in smooth_pair(32, 32))
    expected = ssim(restored, clean, data_range=1.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(ssim(restored, clean, data_range=1.0), expected)
    coarse = restored.bfloat16()
    assert torch.equal(
        ssim(coarse, clean, data_range=1.0), ssim(coarse.float(), clean, data_range=1.0)
    )


def test_ssim_has_first_and_second_derivatives() -> None:
    restored, clean = smooth_pair(12, 12, channels=1)
    restored.requires_grad_()

    def value(image: Tensor) -> Tensor:
        return ssim(image, clean, data_range=1.0, reduction="mean")

    assert torch.autograd.gradcheck(value, restored, fast_mode=True)
    assert torch.autograd.gradgradcheck(value, restored, fast_mode=True)


def test_ssim_can_be_trained_with_after_inference_mode() -> None:
    restored, clean = smooth_pair(16, 16)
    with torch.inference_mode():
        ssim(restored, clean, data_range=1.0)
    restored.requires_grad_()
    ssim(restored, clean, data_range=1.0).sum().backward()
    assert restored.grad is not None
    assert restored.grad.abs().sum() > 0


@pytest.mark.parametrize("measure", [psnr, ssim])
def test_what_would_broadcast_is_refused(measure: object) -> None:
    image = torch.rand(2, 3, 16, 16)
    for other in (image[:, :1], image[:1], image[0]):
        with pytest.raises(ValueError, match="one shape"):
            measure(image, other, data_range=1.0)  # type: ignore[operator]
    with pytest.raises(ValueError, match="data_range"):
        measure(image, image, data_range=0.0)  # type: ignore[operator]


def test_an_unknown_reduction_is_refused() -> None:
    image = torch.rand(1, 1, 16, 16)
    with pytest.raises(ValueError, match="reduction"):
        ssim(image, image, data_range=1.0, reduction="sum")  # type: ignore[arg-type]


def test_luma_of_black_white_and_the_primaries() -> None:
    colours = torch.tensor([[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]])
    y = to_y(colours.T.reshape(3, 1, 5).float())
    assert y.dtype == torch.float64
    assert y.flatten().tolist() == pytest.approx([16, 235, 81.481, 144.553, 40.966], abs=1e-9)


def test_limited_range_luma_is_1_322_db_above_full_range() -> None:
    restored, clean = (255 * image[:, :1].expand(-1, 3, -1, -1) for image in smooth_pair(16, 16))
    limited = psnr(to_y(restored), to_y(clean), data_range=255)
    full = psnr(restored, clean, data_range=255)
    assert (limited - full).item() == pytest.approx(20 * math.log10(255 / 219), abs=1e-9)


def test_luma_needs_three_channels() -> None:
    with pytest.raises(ValueError, match="3 H W"):
        to_y(torch.zeros(1, 1, 4, 4))


def imfilter_and_subsample(image: np.ndarray, factor: int) -> np.ndarray:
    """MATLAB's own steps: pad 'symmetric', correlate at every pixel, then 1:f:end."""
    centre = (factor + 1) // 2
    padded = np.pad(image, (centre - 1, factor - centre), mode="symmetric")
    everywhere = np.empty_like(image)
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            everywhere[row, column] = padded[row : row + factor, column : column + factor].mean()
    return everywhere[::factor, ::factor]


@pytest.mark.parametrize(
    ("height", "width", "factor"), [(383, 400, 1), (384, 385, 2), (643, 640, 3)]
)
def test_reduction_is_matlabs_filter_and_subsampling(height: int, width: int, factor: int) -> None:
    row = torch.rand(
        1, 1, 1, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    column = torch.rand(
        1, 1, height, 1, generator=torch.Generator().manual_seed(2), dtype=torch.float64
    )
    reduced = reduce_for_ssim(row * column)[0, 0].numpy()
    # The filter is separable, so that one line of each direction is enough for the loops.
    strip = min(height, 3 * factor)
    expected = imfilter_and_subsample((row * column)[0, 0, :strip].numpy(), factor)
    rows = strip // factor - 1
    np.testing.assert_allclose(reduced[:rows], expected[:rows], atol=1e-12)
    expected = imfilter_and_subsample((row * column)[0, 0, :, :strip].numpy(), factor)
    np.testing.assert_allclose(reduced[:, :rows], expected[:, :rows], atol=1e-12)
    assert reduced.shape == (-(-height // factor), -(-width // factor))
