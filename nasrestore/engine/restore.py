"""Applying a network to images of any size, and to files and folders of them.

A network wants a height and width that its poolings divide, and memory in proportion to both. So an
image is extended by reflection, large ones go through overlapping tiles, and what comes back has
the size, the bit depth and the number of channels that went in.

Shapes: pixels are H W C (or H W), tensors N C H W.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from nasrestore.data.images import from_tensor, read_image, to_tensor, write_image
from nasrestore.engine.files import plan_outputs
from nasrestore.engine.tiles import Span, axis_spans, lay_over, mirrored
from nasrestore.errors import NasRestoreError, RunStopped
from nasrestore.runtime.memory import is_out_of_memory

Progress = Callable[[int, int], None]
ReadTile = Callable[[np.ndarray, np.ndarray], Tensor]

SMALLEST_TILE = 64
DEFAULT_TILE = {"cpu": 512, "cuda": 1024}


class Restorer:
    """A network made to restore images of any size from 1x1, 8 or 16 bits, grey or colour.

    Grey goes to a network of three channels as three equal ones, and their average comes back;
    colour goes through a network of one channel plane by plane.

    Args:
        net: in eval mode; ``net.multiple`` divides the height and width it takes, ``net.channels`` is
            3 or 1; ``net(x)``, x N C H W float32 in [0, 1], gives a mapping from name to N C H W.
        device: where the network runs; it is moved there.
        tile: an image of more pixels than its square goes through overlapping tiles of at most
            this edge in pixels (rounded up to a multiple and to two overlaps). None: 512 on a CPU
            (a 4K photograph then needs a few GB with usual networks), 1024 on a GPU. Where memory
            runs out it is halved, down to 64, and stays so.
        overlap: pixels that neighbouring tiles share at least.
        precision: ``fp32``, or ``bf16`` by autocast.
        output: the name of the network's output that is the restored image.

    Raises:
        ValueError: an unknown precision, a tile or overlap that is no size.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        device: str | torch.device = "cpu",
        tile: int | None = None,
        overlap: int = 32,
        precision: str = "fp32",
        output: str = "restored",
    ) -> None:
        if precision not in ("fp32", "bf16"):
            raise ValueError(f"precision is 'fp32' or 'bf16', got {precision!r}")
        if overlap < 0 or (tile is not None and tile < 1):
            raise ValueError(f"tile >= 1 and overlap >= 0 expected, got {tile} and {overlap}")
        self.device = torch.device(device)
        self.net = net.to(self.device)
        self.multiple = cast(int, net.multiple)
        self.channels = cast(int, net.channels)
        self.overlap = overlap
        self.precision = precision
        self.output = output
        self.tile = self._rounded(DEFAULT_TILE.get(self.device.type, 512) if tile is None else tile)

    def __call__(self, pixels: np.ndarray, *, progress: Progress | None = None) -> np.ndarray:
        """Restores H W C or H W pixels, uint8 or uint16, to the same shape and type.

        Args:
            progress: called with (tiles done, tiles in all).

        Raises:
            ValueError: pixels of another shape or type.
            NasRestoreError: the network cannot take this number of channels.
            RunStopped: memory runs out at the smallest tile, or the result is not finite.
        """
        restored = from_tensor(self._restore_pixels(pixels, progress)[0], pixels.dtype)
        return restored.reshape(pixels.shape)

    def unquantised(self, pixels: np.ndarray, *, progress: Progress | None = None) -> np.ndarray:
        """Like calling it, but float32 in [0, 1], not rounded: what an evaluation measures."""
        restored = self._restore_pixels(pixels, progress)[0].permute(1, 2, 0)
        return restored.numpy().reshape(pixels.shape)

    def tensor(self, images: Tensor, *, progress: Progress | None = None) -> Tensor:
        """Restores N C H W in [0, 1] to float32 of the same shape in [0, 1], on the CPU.

        Every image goes through the network alone, so its result does not depend on its batch.
        """
        if images.ndim != 4 or images.numel() == 0:
            raise ValueError(f"N C H W with at least one pixel expected, got {tuple(images.shape)}")
        _, channels, height, width = images.shape
        results = []
        for image in torch.split(images.detach(), 1):

            def read(rows: np.ndarray, columns: np.ndarray, image: Tensor = image) -> Tensor:
                down, across = (torch.from_numpy(i).to(image.device) for i in (rows, columns))
                return image[:, :, down][..., across].float()

            results.append(self._restore(read, (channels, height, width), progress))
        return torch.cat(results)

    def _restore_pixels(self, pixels: np.ndarray, progress: Progress | None) -> Tensor:
        _check_pixels(pixels)
        planes = pixels if pixels.ndim == 3 else pixels[..., None]
        height, width, channels = planes.shape

        def read(rows: np.ndarray, columns: np.ndarray) -> Tensor:
            return to_tensor(planes[np.ix_(rows, columns)])[None]

        return self._restore(read, (channels, height, width), progress)

    def _restore(
        self, read: ReadTile, shape: tuple[int, int, int], progress: Progress | None
    ) -> Tensor:
        if self.net.training:
            raise ValueError("the network is in training mode; call eval() before restoring")
        while True:
            try:
                return self._blend(read, shape, progress)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            # Outside of the handler: the traceback would keep the tensors of the failed try alive.
            self.tile = self._smaller_tile(shape)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def _blend(
        self, read: ReadTile, shape: tuple[int, int, int], progress: Progress | None
    ) -> Tensor:
        channels, height, width = shape
        rows, columns = self._spans(height, width)
        total = len(rows) * len(columns)
        restored = torch.zeros(1, channels, height, width)
        strip = torch.zeros(1, channels, rows[0].stop, width)
        for i, row in enumerate(rows):
            for j, column in enumerate(columns, start=1):
                tile = self._apply(read(mirrored(row, height), mirrored(column, width)))
                lay_over(strip, tile.cpu(), column, dim=-1)
                if progress is not None:
                    progress(i * len(columns) + j, total)
            lay_over(restored, strip, row, dim=-2)
        return restored.clamp_(0.0, 1.0)

    def _spans(self, height: int, width: int) -> tuple[list[Span], list[Span]]:
        multiple = self.multiple
        whole = [-(-size // multiple) * multiple for size in (height, width)]
        edge = max(whole) if math.prod(whole) <= self.tile**2 else self.tile
        cut = {"tile": edge, "overlap": self.overlap, "multiple": multiple}
        return axis_spans(height, **cut), axis_spans(width, **cut)

    @torch.inference_mode()
    def _apply(self, tile: Tensor) -> Tensor:
        x = _channels_in(tile, self.channels)
        x = x.to(self.device).contiguous(memory_format=torch.channels_last)
        bf16 = self.precision == "bf16"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=bf16):
            outputs = self.net(x)
        if self.output not in outputs:
            raise ValueError(f"the network has no output {self.output!r}: {', '.join(outputs)}")
        y = outputs[self.output].float()
        if y.shape != x.shape:
            raise NasRestoreError(
                f"output {self.output!r} has the shape {tuple(y.shape)} for an input of "
                f"{tuple(x.shape)} (N C H W): the same was expected",
                hint="only a network that keeps size and channels restores images",
            )
        if not bool(torch.isfinite(y).all()):
            raise RunStopped(
                "the restored image is not finite (NaN or infinity)",
                hint="restore in fp32, or use the weights of an earlier checkpoint",
            )
        return _channels_out(y, tile.shape[1])

    def _rounded(self, tile: int) -> int:
        multiple = self.multiple
        return max(-(-tile // multiple), 2 * -(-self.overlap // multiple)) * multiple

    def _smaller_tile(self, shape: tuple[int, int, int]) -> int:
        failed = min(self.tile, self._rounded(max(shape[1:])))
        smaller = self._rounded(max(failed // 2, SMALLEST_TILE))
        if smaller >= failed:
            raise RunStopped(
                f"out of memory on {self.device}: an image of {shape[2]}x{shape[1]} pixels does "
                f"not fit even in tiles of {failed}x{failed}",
                hint="close other programs, take a smaller overlap, or use another device",
            )
        return smaller


def _check_pixels(pixels: np.ndarray) -> None:
    """Raises ValueError unless ``pixels`` are H W or H W C, C 1 or 3, of uint8 or uint16."""
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"pixels of uint8 or uint16 expected, got {pixels.dtype}")
    shaped = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (1, 3))
    if not shaped or pixels.size == 0:
        raise ValueError(
            f"H W or H W C with 1 or 3 channels expected (alpha apart), got {pixels.shape}"
        )


def _channels_in(image: Tensor, channels: int) -> Tensor:
    """1 C H W as the network reads it: as it is, grey as three, or colour as a batch of planes."""
    found = image.shape[1]
    if found == channels:
        return image
    if found == 1:
        return image.expand(-1, channels, -1, -1)
    if channels == 1:
        return image.transpose(0, 1)
    raise NasRestoreError(
        f"the image has {found} channels, the network reads {channels}",
        hint=f"convert the image to {channels} channels",
    )


def _channels_out(image: Tensor, channels: int) -> Tensor:
    if channels == image.shape[1]:
        return image
    return image.mean(dim=1, keepdim=True) if channels == 1 else image.transpose(0, 1)


@dataclass(frozen=True, slots=True)
class Restored:
    """One file done: seconds from reading to writing, size as (height, width) in pixels."""

    source: Path
    target: Path
    seconds: float
    size: tuple[int, int]


def restore_files(
    restorer: Callable[[np.ndarray], np.ndarray],
    inputs: Sequence[Path],
    out: Path,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> list[Restored]:
    """Restores image files, and all images in folders, into ``out`` under their own names.

    Sub-folders of a folder are kept; format and bit depth follow the input; alpha is passed through.
    Everything that can be known before is checked before the first image is read.

    Args:
        restorer: from H W C pixels to the same shape and type, such as a :class:`Restorer`.
        progress: called with (files done, files in all).

    Raises:
        NasRestoreError: nothing to restore; two inputs for one output; an output that exists, without
            ``overwrite``; an output that is an input, always; a full disk. Files that cannot be read
            are named at the end, after all others are done.
    """
    jobs = plan_outputs(inputs, Path(out), overwrite=overwrite)
    done, bad = [], []
    for number, (target, source) in enumerate(jobs.items(), start=1):
        started = time.perf_counter()
        try:
            image = read_image(source)
        except NasRestoreError as error:
            bad.append(error.message)
        except OSError as error:
            bad.append(f"cannot read {source}: {error.strerror or error}")
        else:
            write_image(target, _named(source, restorer, image.pixels), like=image)
            height, width = image.pixels.shape[:2]
            seconds = time.perf_counter() - started
            done.append(Restored(source, target, seconds, (height, width)))
        if progress is not None:
            progress(number, len(jobs))
    if bad:
        raise NasRestoreError(
            "\n  ".join([f"{len(bad)} of {len(jobs)} images could not be read:", *bad]),
            hint=f"the other {len(done)} are in {out}" if done else None,
        )
    return done


def _named(
    source: Path, restorer: Callable[[np.ndarray], np.ndarray], pixels: np.ndarray
) -> np.ndarray:
    try:
        return restorer(pixels)
    except NasRestoreError as error:
        error.message = f"{source}: {error.message}"
        raise
