"""What "PSNR / SSIM" means in a paper: the channel, the quantisation, the pooling, under a name.

The same restored image differs by more than 1 dB between two usual readings of "PSNR on Y", so a
figure without its protocol's name cannot be compared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from nasrestore.errors import NasRestoreError
from nasrestore.metrics.fidelity import psnr, reduce_for_ssim, ssim, to_y
from nasrestore.registry import did_you_mean

Picture = np.ndarray | Tensor

PEAK = 255.0
SIXTEEN_BIT_STEP = 257.0  # 65535 / 255


@dataclass(frozen=True)
class Protocol:
    """One way to measure a restored image against its clean one.

    Args:
        name: as result files carry it.
        description: one line for people.
        channel: all three colours, or the luma of ``fidelity.to_y``. A grey image is its own luma,
            without the limited range.
        quantise: how a float result becomes 8 bits, as when it is written to a PNG.
        round_y: whether the luma, too, is rounded to whole numbers.
        reduce_ssim: whether both are first made smaller, as Wang's MATLAB code does for SSIM.
        crop_border: pixels left out on each side.
        skip_ends: frames of a sequence that are left out at either end.
    """

    name: str
    description: str
    channel: Literal["rgb", "y"]
    quantise: Literal["round", "floor"]
    round_y: bool = False
    reduce_ssim: bool = False
    crop_border: int = 0
    skip_ends: int = 0

    def frames(self, length: int) -> range:
        """Which frames of a sequence of ``length`` frames count, from 0; all, for most protocols.

        Raises:
            NasRestoreError: none would.
        """
        counted = range(self.skip_ends, length - self.skip_ends)
        if not counted:
            raise NasRestoreError(
                f"protocol {self.name!r} leaves out {self.skip_ends} frames at either end, which "
                f"leaves nothing of a sequence of {length}",
                hint="measure longer sequences, or choose another protocol",
            )
        return counted

    def cropped(self, border: int) -> Protocol:
        """The same protocol without ``border`` pixels on each side, which its name then says."""
        if border < 0:
            raise ValueError(f"the border is 0 pixels or more, got {border}")
        return replace(self, name=f"{self.name}-crop{border}", crop_border=border)

    def measure(self, restored: Picture, clean: Picture) -> dict[str, float]:
        """PSNR in dB (inf where nothing differs) and SSIM of one image.

        A numpy array is H W C or H W, a tensor is C H W, H W or 1 C H W; C is 1 or 3. Float values
        are in [0, 1], as a network puts them out: they are clamped and quantised to 8 bits, the
        restored image as the protocol says and the clean one by rounding. uint8 and uint16 are
        files already and are taken as they are, 16 bits as 0-255 with fractions.

        Returns:
            ``{"psnr": ..., "ssim": ...}``.

        Raises:
            NasRestoreError: the two differ in shape, one is no such image, or has values that are
                not finite.
        """
        pair = (
            _to_255(restored, "restored", self.quantise),
            _to_255(clean, "clean", "round"),
        )
        _check_shapes(*pair)
        compared = [self._channel_of(self._crop(image)) for image in pair]
        reduced = [reduce_for_ssim(image) if self.reduce_ssim else image for image in compared]
        return {
            "psnr": psnr(*compared, data_range=PEAK).item(),
            "ssim": ssim(*reduced, data_range=PEAK).item(),
        }

    def _crop(self, image: Tensor) -> Tensor:
        border = self.crop_border
        if 2 * border >= min(image.shape[-2:]):
            raise NasRestoreError(
                f"protocol {self.name!r} crops {border} pixels on each side, which leaves nothing "
                f"of an image of {_size(image)}"
            )
        return image[..., border : image.shape[-2] - border, border : image.shape[-1] - border]

    def _channel_of(self, image: Tensor) -> Tensor:
        if self.channel == "rgb":
            return image
        y = to_y(image) if image.shape[1] == 3 else image
        return y.round() if self.round_y else y


PROTOCOLS: dict[str, Protocol] = {
    entry.name: entry
    for entry in (
        Protocol(
            "rgb",
            "all channels; result rounded to 8 bits; SSIM at full size",
            channel="rgb",
            quantise="round",
        ),
        Protocol(
            "basicsr",
            "MATLAB luma as float; result rounded to 8 bits; SSIM at full size",
            channel="y",
            quantise="round",
        ),
        Protocol(
            "prenet",
            "MATLAB luma as float; result floored to 8 bits; SSIM reduced to about 256 pixels",
            channel="y",
            quantise="floor",
            reduce_ssim=True,
        ),
        Protocol(
            "restormer",
            "MATLAB luma rounded to 8 bits; result rounded to 8 bits; SSIM at full size",
            channel="y",
            quantise="round",
            round_y=True,
        ),
        Protocol(
            "tmics",
            "MATLAB luma as float; result rounded to 8 bits, as a PNG has them (the original's were "
            "JPEG); SSIM reduced to about 256 pixels; sequences without two frames at either end",
            channel="y",
            quantise="round",
            reduce_ssim=True,
            skip_ends=2,
        ),
    )
}


def protocol(name: str) -> Protocol:
    """The protocol of that name.

    Raises:
        NasRestoreError: there is none; the hint has the nearest name.
    """
    if name not in PROTOCOLS:
        raise NasRestoreError(f"unknown protocol {name!r}", hint=did_you_mean(name, PROTOCOLS))
    return PROTOCOLS[name]


def summary(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Means over images of every column, with what a reader needs to judge them.

    Nothing is left out: one identical image makes the mean PSNR inf, and NaN stays NaN. So each
    column ``psnr...`` comes with ``identical...``, the number of images whose PSNR is inf.

    Args:
        rows: one mapping per image, all with the same columns of numbers.

    Returns:
        ``images`` (their number), the mean of each column, and the ``identical`` counts.

    Raises:
        ValueError: no row, or rows with different columns.
    """
    if not rows:
        raise ValueError("a summary needs at least one image")
    columns = list(rows[0])
    if any(set(row) != set(columns) for row in rows):
        raise ValueError(f"every row needs the columns {columns}")
    result: dict[str, float] = {"images": len(rows)}
    for column in columns:
        values = [float(row[column]) for row in rows]
        result[column] = sum(values) / len(values)
        if column.startswith("psnr"):
            result["identical" + column.removeprefix("psnr")] = values.count(math.inf)
    return result


def sequence_summary(sequences: Sequence[Sequence[Mapping[str, float]]]) -> dict[str, float]:
    """Means over the frames of each sequence, and then over sequences, whatever their lengths.

    Args:
        sequences: of each, one mapping per frame that counts, as for ``summary``.

    Returns:
        ``sequences`` and ``images`` (all frames), the mean of each column, and, as in ``summary``, the
        number of sequences whose mean PSNR is inf as ``identical``.

    Raises:
        ValueError: no sequence, one without frames, or different columns.
    """
    means = [summary(rows) for rows in sequences]
    pairs = zip(means, sequences, strict=True)
    columns = [{column: mean[column] for column in rows[0]} for mean, rows in pairs]
    result = summary(columns)
    result["images"] = sum(row["images"] for row in means)
    return {"sequences": len(sequences), **result}


def _to_255(picture: Picture, name: str, quantise: str) -> Tensor:
    """The picture as 1 C H W float64 in 0-255 on the CPU."""
    image = _to_tensor(picture, name)
    if not image.is_floating_point():
        step = SIXTEEN_BIT_STEP if image.dtype == torch.uint16 else 1.0
        return image.double() / step
    if not torch.isfinite(image).all():
        raise NasRestoreError(f"the {name} image has values that are not finite (inf or NaN)")
    if name == "clean" and (image.min() < -1e-3 or image.max() > 1 + 1e-3):
        raise NasRestoreError(
            f"the clean image has float values from {image.min():.4g} to {image.max():.4g}, "
            "expected [0, 1]",
            hint="divide it by its peak value, or give it as uint8 or uint16",
        )
    # In the type it came in: k / 255 * 255 is exactly k there, and flooring then keeps it.
    scaled = image.clamp(0, 1) * PEAK
    return (scaled.floor() if quantise == "floor" else scaled.round()).double()


def _to_tensor(picture: Picture, name: str) -> Tensor:
    """The picture as 1 C H W on the CPU: uint8, uint16, float32 or float64."""
    if isinstance(picture, Tensor):
        image = picture.detach().cpu()
        image = image[0] if image.ndim == 4 and image.shape[0] == 1 else image
        image = image.float() if image.dtype in (torch.float16, torch.bfloat16) else image
    else:
        array = np.asarray(picture)
        image = torch.from_numpy(np.array(array.astype(_numpy_type(array), copy=True), order="C"))
        image = image.permute(2, 0, 1) if image.ndim == 3 else image
    image = image[None] if image.ndim == 2 else image
    supported = image.dtype in (torch.uint8, torch.uint16, torch.float32, torch.float64)
    if not supported or image.ndim != 3 or image.shape[0] not in (1, 3) or image.numel() == 0:
        raise NasRestoreError(
            f"the {name} image has shape {tuple(picture.shape)} and type {picture.dtype}",
            hint="expected H W C (numpy) or C H W (torch) with 1 or 3 channels, "
            "uint8, uint16 or float in [0, 1]",
        )
    return image[None]


def _numpy_type(array: np.ndarray) -> np.dtype:
    """The type of this machine's byte order that torch knows for the array."""
    if array.dtype.kind == "f":
        return np.dtype(np.float32 if array.dtype.itemsize <= 4 else np.float64)
    return array.dtype.newbyteorder("=")


def _check_shapes(restored: Tensor, clean: Tensor) -> None:
    if restored.shape != clean.shape:
        raise NasRestoreError(
            f"the restored image is {_size(restored)}, the clean one {_size(clean)}",
            hint="both must have the same size and the same number of channels",
        )


def _size(image: Tensor) -> str:
    _, channels, height, width = image.shape
    return f"{height}x{width} (height x width) with {channels} channel{'s' * (channels > 1)}"
