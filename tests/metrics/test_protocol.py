"""Named protocols: closed forms, quantisation, kinds of input, errors, and real pairs."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from nasrestore.errors import NasRestoreError
from nasrestore.metrics.protocol import PROTOCOLS, protocol, sequence_summary, summary

ONE = np.full((32, 32, 3), 1, dtype=np.uint8)
TWO = np.full((32, 32, 3), 2, dtype=np.uint8)
Y_OF_ONE, Y_OF_TWO = 16 + 219 / 255, 16 + 2 * 219 / 255


def random_image(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def constant_ssim(a: float, b: float) -> float:
    floor = (0.01 * 255) ** 2
    return (2 * a * b + floor) / (a * a + b * b + floor)


@pytest.mark.parametrize(
    ("name", "expected_psnr", "expected_ssim"),
    [
        ("rgb", 48.1308036, 0.9130623),
        ("basicsr", 20 * math.log10(255 * 255 / 219), constant_ssim(Y_OF_ONE, Y_OF_TWO)),
        ("prenet", 49.452725, 0.9987801),
        ("restormer", 48.1308036, constant_ssim(17, 18)),
        ("tmics", 20 * math.log10(255 * 255 / 219), 0.9987801),
    ],
)
def test_one_grey_level(name: str, expected_psnr: float, expected_ssim: float) -> None:
    measured = protocol(name).measure(TWO, ONE)
    assert measured["psnr"] == pytest.approx(expected_psnr, abs=1e-6)
    assert measured["ssim"] == pytest.approx(expected_ssim, abs=1e-7)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_grey_is_its_own_luma(name: str) -> None:
    measured = protocol(name).measure(TWO[..., 0], ONE[..., :1])
    assert measured["psnr"] == pytest.approx(48.1308036, abs=1e-7)
    assert measured["ssim"] == pytest.approx(0.9130623, abs=1e-7)


def test_floor_and_round_differ_by_the_fraction() -> None:
    between = np.full((16, 16, 3), 100.6 / 255, dtype=np.float32)
    lower, upper = np.full((2, 16, 16, 3), [[[[100]]], [[[101]]]], dtype=np.uint8)
    assert protocol("prenet").measure(between, lower)["psnr"] == math.inf
    assert protocol("basicsr").measure(between, upper)["psnr"] == math.inf
    assert protocol("rgb").measure(between, lower)["psnr"] == pytest.approx(48.1308036, abs=1e-6)


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_grey_level_survives_the_way_through_floats(name: str, dtype: torch.dtype) -> None:
    levels = torch.arange(256, dtype=torch.uint8).view(1, 16, 16)
    floats = levels.to(dtype) / 255
    assert protocol(name).measure(floats, levels)["psnr"] == math.inf
    assert protocol(name).measure(floats.numpy()[0], levels.numpy()[0])["psnr"] == math.inf
    assert protocol(name).measure(floats, floats)["psnr"] == math.inf


def test_results_outside_the_range_are_clamped() -> None:
    white = np.full((12, 12, 3), 255, dtype=np.uint8)
    assert protocol("rgb").measure(np.full((12, 12, 3), 1.4), white)["psnr"] == math.inf
    assert protocol("rgb").measure(np.full((12, 12, 3), -0.3), white * 0)["psnr"] == math.inf


@pytest.mark.parametrize("name", PROTOCOLS)
def test_arrays_and_tensors_of_any_layout_measure_alike(name: str) -> None:
    restored, clean = random_image(20, 23, 3), random_image(20, 23, 3, seed=1)
    expected = protocol(name).measure(restored, clean)
    tensors = [torch.from_numpy(image).permute(2, 0, 1) for image in (restored, clean)]
    assert protocol(name).measure(*tensors) == expected
    assert protocol(name).measure(tensors[0][None], tensors[1]) == expected
    frozen = restored[::-1][::-1]
    frozen.flags.writeable = False
    assert protocol(name).measure(frozen, tensors[1]) == expected


def test_half_precision_results_are_read_as_float32() -> None:
    clean = random_image(12, 12, 3)
    half = torch.from_numpy(clean).permute(2, 0, 1).float().div(255).bfloat16()
    expected = protocol("rgb").measure(half.float(), torch.from_numpy(clean).permute(2, 0, 1))
    assert protocol("rgb").measure(half, torch.from_numpy(clean).permute(2, 0, 1)) == expected


@pytest.mark.parametrize("order", ["<", ">"])
def test_sixteen_bits_keep_their_range_and_their_steps(order: str) -> None:
    coarse = random_image(16, 16, 3)
    fine = (coarse.astype(np.uint16) * 257).astype(f"{order}u2")
    other = random_image(16, 16, 3, seed=1)
    assert protocol("rgb").measure(fine, other) == protocol("rgb").measure(coarse, other)
    step = np.full((16, 16, 3), 30000, dtype=np.uint16)
    measured = protocol("rgb").measure(step + np.uint16(1), step)["psnr"]
    assert measured == pytest.approx(20 * math.log10(65535), abs=1e-9)
    as_tensor = torch.from_numpy(step).permute(2, 0, 1)
    assert protocol("rgb").measure(as_tensor, step)["psnr"] == math.inf


def test_ssim_is_scikit_images_per_channel() -> None:
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    restored, clean = random_image(40, 31, 3), random_image(40, 31, 3, seed=1)
    measured = protocol("rgb").measure(restored, clean)
    expected = structural_similarity(
        restored,
        clean,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        channel_axis=2,
    )
    assert measured["ssim"] == pytest.approx(expected, abs=1e-7)
    expected = peak_signal_noise_ratio(clean, restored, data_range=255)
    assert measured["psnr"] == pytest.approx(expected, abs=1e-9)


def test_prenet_alone_reduces_before_ssim() -> None:
    # Errors of alternating sign vanish in the mean of each 2x2 block, which prenet's SSIM reads.
    clean = np.full((384, 384, 3), 100, dtype=np.uint8)
    board = (np.indices((384, 384)).sum(axis=0) % 2)[..., None]
    restored = (clean + 20 * board - 10).astype(np.uint8)
    assert protocol("prenet").measure(restored, clean)["ssim"] == pytest.approx(1.0, abs=1e-9)
    assert protocol("basicsr").measure(restored, clean)["ssim"] < 0.6
    equal = [protocol(name).measure(restored, clean)["psnr"] for name in ("prenet", "basicsr")]
    assert equal[0] == equal[1]


def test_cropping_leaves_the_border_out_and_says_so() -> None:
    clean = random_image(20, 24, 3)
    restored = clean.copy()
    restored[:4], restored[-4:], restored[:, :4], restored[:, -4:] = 0, 0, 0, 0
    cropped = protocol("basicsr").cropped(4)
    assert cropped.name == "basicsr-crop4"
    assert cropped.measure(restored, clean)["psnr"] == math.inf
    assert protocol("basicsr").cropped(3).measure(restored, clean)["psnr"] < 60
    with pytest.raises(NasRestoreError, match="leaves nothing"):
        protocol("basicsr").cropped(10).measure(restored, clean)
    with pytest.raises(ValueError, match="0 pixels or more"):
        protocol("basicsr").cropped(-1)


def test_different_sizes_are_named() -> None:
    with pytest.raises(NasRestoreError, match=r"12x14 .* 3 channels, the clean one 14x12"):
        protocol("rgb").measure(random_image(12, 14, 3), random_image(14, 12, 3))
    with pytest.raises(NasRestoreError, match="1 channel, the clean one"):
        protocol("rgb").measure(random_image(12, 14), random_image(12, 14, 3))


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((8, 8, 3), dtype=np.int64),
        np.zeros((8, 8, 4), dtype=np.uint8),
        np.zeros((8, 8, 2), dtype=np.uint8),
        np.zeros((0, 8, 3), dtype=np.uint8),
        np.zeros(8, dtype=np.uint8),
        torch.zeros(2, 3, 8, 8),
        torch.zeros(8, 8, 3, dtype=torch.bool),
    ],
)
def test_what_is_no_image_is_refused(picture: np.ndarray | torch.Tensor) -> None:
    with pytest.raises(NasRestoreError, match="restored image has shape") as caught:
        protocol("rgb").measure(picture, random_image(8, 8, 3))
    assert "uint8" in str(caught.value.hint)


def test_values_that_are_not_finite_are_refused() -> None:
    broken = np.full((8, 8, 3), 0.5)
    broken[0, 0, 0] = np.nan
    with pytest.raises(NasRestoreError, match="not finite"):
        protocol("rgb").measure(broken, random_image(8, 8, 3))


def test_a_clean_image_of_floats_in_0_255_is_refused() -> None:
    with pytest.raises(NasRestoreError, match=r"expected \[0, 1\]"):
        protocol("rgb").measure(random_image(8, 8, 3), random_image(8, 8, 3).astype(np.float32))


def test_an_unknown_protocol_suggests_the_nearest() -> None:
    with pytest.raises(NasRestoreError, match="unknown protocol 'basics'") as caught:
        protocol("basics")
    assert caught.value.hint == "did you mean 'basicsr'?"


def test_summary_is_the_mean_and_counts_identical_images() -> None:
    rows = [
        {"psnr_before": 20.0, "psnr_after": 30.0},
        {"psnr_before": 24.0, "psnr_after": math.inf},
    ]
    assert summary(rows) == {
        "images": 2,
        "psnr_before": 22.0,
        "identical_before": 0,
        "psnr_after": math.inf,
        "identical_after": 1,
    }
    assert summary([{"psnr": 20.0, "ssim": 0.5}]) == {
        "images": 1,
        "psnr": 20.0,
        "identical": 0,
        "ssim": 0.5,
    }


def test_summary_hides_no_nan_and_no_missing_column() -> None:
    assert math.isnan(summary([{"ssim": math.nan}, {"ssim": 1.0}])["ssim"])
    with pytest.raises(ValueError, match="columns"):
        summary([{"psnr": 1.0}, {"psnr": 1.0, "ssim": 1.0}])
    with pytest.raises(ValueError, match="at least one"):
        summary([])


def test_tmics_is_prenet_but_for_the_rounding() -> None:
    restored, clean = random_image(512, 520, 3), random_image(512, 520, 3, seed=1)
    assert protocol("tmics").measure(restored, clean) == protocol("prenet").measure(restored, clean)
    fractions = np.full((16, 16, 3), 100.6 / 255, dtype=np.float32)
    rounded = np.full((16, 16, 3), 101, dtype=np.uint8)
    assert protocol("tmics").measure(fractions, rounded)["psnr"] == math.inf


def test_tmics_counts_frames_3_to_29_of_31() -> None:
    counted = protocol("tmics").frames(31)
    assert (counted[0] + 1, counted[-1] + 1, len(counted)) == (3, 29, 27)
    assert list(protocol("tmics").frames(5)) == [2]
    assert protocol("tmics").cropped(4).frames(31) == counted
    with pytest.raises(NasRestoreError, match=r"2 frames at either end, .* a sequence of 4\n"):
        protocol("tmics").frames(4)


@pytest.mark.parametrize("name", sorted(set(PROTOCOLS) - {"tmics"}))
def test_every_other_protocol_counts_every_frame(name: str) -> None:
    assert list(protocol(name).frames(3)) == [0, 1, 2]


def test_a_long_sequence_weighs_no_more_than_a_short_one() -> None:
    long = [{"psnr": 20.0, "ssim": 0.5}] * 9
    short = [{"psnr": 30.0, "ssim": 0.7}, {"psnr": 34.0, "ssim": 0.9}]
    assert sequence_summary([long, short]) == {
        "sequences": 2,
        "images": 11,
        "psnr": 26.0,
        "identical": 0,
        "ssim": pytest.approx(0.65),
    }
    assert sequence_summary([long, [{"psnr": math.inf, "ssim": 1.0}]])["identical"] == 1
    for wrong in ([], [long, []], [long, [{"psnr": 1.0}]]):
        with pytest.raises(ValueError, match=r"at least one|columns"):
            sequence_summary(wrong)


@pytest.mark.shared
@pytest.mark.parametrize(("rain", "expected"), [("heavy", 14.46), ("light", 26.90)])
def test_input_psnr_of_rain100(rain: str, expected: float) -> None:
    from PIL import Image

    root = os.environ.get("NASRESTORE_TEST_DATA")
    if not root:
        pytest.skip("NASRESTORE_TEST_DATA is not set")
    folder = Path(root) / "rain100"
    rows = [
        protocol("basicsr").measure(
            np.asarray(Image.open(folder / rain / path.name)), np.asarray(Image.open(path))
        )
        for path in sorted((folder / "clean").glob("*.png"))
    ]
    means = summary(rows)
    assert means["images"] == 30
    assert means["psnr"] == pytest.approx(expected, abs=0.01)
