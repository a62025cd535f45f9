"""Applying a network to images and clips of any size.

A network wants a height and width that its poolings divide, and memory in proportion to both. So an
image is extended by reflection, large ones go through overlapping tiles, and what comes back has
the size, the bit depth and the number of channels that went in. A network for clips reads several
frames and gives the middle one; tiles are then cut through all of them alike.

Shapes: pixels are H W C (or H W), tensors N C H W, clips N T C H W, flow N T 2 H W.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from nasrestore.data.images import from_tensor, to_tensor
from nasrestore.engine.frame_flow import Flow, FrameFlow, Tell
from nasrestore.engine.network_input import channels_in, channels_out, check_pixels, cut, cut_flow
from nasrestore.engine.tiles import Span, axis_spans, lay_over, mirrored
from nasrestore.engine.windows import windows
from nasrestore.errors import NasRestoreError, RunStopped
from nasrestore.runtime.memory import is_out_of_memory

Progress = Callable[[int, int], None]
Tile = tuple[Tensor, Tensor | None]  # of an image or a clip, and of its flow where it is read
ReadTile = Callable[[np.ndarray, np.ndarray], Tile]

SMALLEST_TILE = 64
DEFAULT_TILE = 640  # the same on every device: tiles change what operations on whole frames see


class Frame(NamedTuple):
    """A frame as it waits in a window: C H W float32 in [0, 1], and what it came as."""

    planes: Tensor
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Restorer:
    """A network made to restore images or clips of any size from 1x1, 8 or 16 bits, grey or colour.

    Grey goes to a network of three channels as three equal ones, and their average comes back;
    colour goes through a network of one channel plane by plane.

    Args:
        net: in eval mode; ``net.multiple`` divides the height and width it takes, ``net.channels`` is
            3 or 1; ``net(x)``, x N C H W float32 in [0, 1], gives a mapping from name to N C H W.
            With an odd ``net.frames`` it reads clips, N T C H W, and gives their middle frames. With
            ``net.flow_input`` too it is called with a mapping: the clip under ``net.clip_input``,
            and under that name the displacement from the middle frame to each, N T 2 H W in pixels,
            x first.
        device: where the network runs; it is moved there.
        tile: an image of more pixels than its square goes through overlapping tiles of at most
            this edge in pixels (rounded up to a multiple and to two overlaps). None: 640, whatever
            the device, since means over whole frames, as in attention, differ from tile to tile (TMICS
            takes 4.5 GiB for 640x480 pixels). Where memory runs out it is halved, down to 64, and
            stays so.
        overlap: pixels that neighbouring tiles share at least.
        precision: ``fp32``, or ``bf16`` by autocast.
        output: the name of the network's output that is the restored image.
        flow: from whole frames, N T 3 H W in [0, 1] on the device, to what ``net.flow_input`` reads.
            Where memory runs out it is given frames of half the size
            (:class:`nasrestore.engine.frame_flow.FrameFlow`).
        tell: is told of that, once.

    Attributes:
        frames: how many the network reads at a time; None for a network that reads images.

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
        flow: Flow | None = None,
        tell: Tell = warnings.warn,
    ) -> None:
        if precision not in ("fp32", "bf16"):
            raise ValueError(f"precision is 'fp32' or 'bf16', got {precision!r}")
        if overlap < 0 or (tile is not None and tile < 1):
            raise ValueError(f"tile >= 1 and overlap >= 0 expected, got {tile} and {overlap}")
        self.device = torch.device(device)
        self.net = net.to(self.device)
        self.multiple = cast(int, net.multiple)
        self.channels = cast(int, net.channels)
        self.frames: int | None = getattr(net, "frames", None)
        self.flow = flow
        self._frame_flow = None if flow is None else FrameFlow(flow, self.device, tell)
        self.overlap = overlap
        self.precision = precision
        self.output = output
        self.tile = self._rounded(DEFAULT_TILE if tile is None else tile)

    @property
    def conditions(self) -> dict[str, Any]:
        """What results depend on beside the network, for people to compare them: JSON's types.

        ``tile`` and ``overlap`` in pixels, ``precision``, ``device``; ``flow`` where it was computed at
        half the size. Memory that runs out changes them.
        """
        halved = self._frame_flow is not None and self._frame_flow.halved
        return {
            "tile": self.tile,
            "overlap": self.overlap,
            "precision": self.precision,
            "device": self.device.type,
            **({"flow": "half size"} if halved else {}),
        }

    def __call__(self, pixels: np.ndarray, *, progress: Progress | None = None) -> np.ndarray:
        """Restores H W C or H W pixels, uint8 or uint16, to the same shape and type.

        Args:
            progress: called with (tiles done, tiles in all).

        Raises:
            ValueError: pixels of another shape or type.
            NasRestoreError: the network cannot take this number of channels, or reads clips.
            RunStopped: memory runs out at the smallest tile, or the result is not finite.
        """
        restored = from_tensor(self._restore_pixels(pixels, progress)[0], pixels.dtype)
        return restored.reshape(pixels.shape)

    def unquantised(self, pixels: np.ndarray, *, progress: Progress | None = None) -> np.ndarray:
        """Like calling it, but float32 in [0, 1], not rounded: what an evaluation measures."""
        restored = self._restore_pixels(pixels, progress)[0].permute(1, 2, 0)
        return restored.numpy().reshape(pixels.shape)

    def clip(self, frames: Sequence[np.ndarray], *, progress: Progress | None = None) -> np.ndarray:
        """The restored middle one of ``self.frames`` frames: its shape and type.

        Args:
            frames: H W C or H W each, uint8 or uint16, of one size and number of channels.

        Raises:
            as calling it for an image, and
            ValueError: another number of frames, or frames that do not go together.
        """
        if len(frames) != self.frames:
            raise ValueError(f"{self.frames} frames expected, got {len(frames)}")
        return self._pixels([_frame(pixels) for pixels in frames], progress)

    def stream(
        self, frames: Iterable[np.ndarray], *, progress: Progress | None = None
    ) -> Iterator[np.ndarray]:
        """Restores frame after frame of a clip; holds no more of them than the network reads.

        The clip is reflected at both ends. A network for images restores every frame by itself.

        Args:
            frames: as for :meth:`clip`, any number from one.
            progress: called with (tiles of the frame done, tiles of the frame).

        Raises:
            as :meth:`clip`.
        """
        if self.frames is None:
            for pixels in frames:
                yield self(pixels, progress=progress)
            return
        for window in windows(map(_frame, frames), self.frames):
            yield self._pixels(window, progress)

    def unquantised_stream(
        self, frames: Iterable[np.ndarray], *, progress: Progress | None = None
    ) -> Iterator[np.ndarray]:
        """Like :meth:`stream`, but float32 in [0, 1], not rounded: what an evaluation measures."""
        if self.frames is None:
            for pixels in frames:
                yield self.unquantised(pixels, progress=progress)
            return
        for window in windows(map(_frame, frames), self.frames):
            restored = self._restore_window(window, progress).permute(1, 2, 0)
            yield restored.numpy().reshape(_middle(window).shape)

    def tensor(self, images: Tensor, *, progress: Progress | None = None) -> Tensor:
        """Restores N C H W in [0, 1] to float32 of the same shape in [0, 1], on the CPU.

        A network for clips restores N T C H W to N C H W. Every image and every clip goes through the
        network alone, so its result does not depend on its batch.
        """
        self._check_batch(images)
        results = []
        for image in torch.split(images.detach(), 1):
            flow = self._flow_of(image) if self._reads_flow else None
            shape = cast(tuple[int, int, int], tuple(image.shape[-3:]))
            results.append(self._restore(_reader(image, flow), shape, progress))
        return torch.cat(results)

    def _check_batch(self, images: Tensor) -> None:
        shape = "N C H W" if self.frames is None else f"N {self.frames} C H W"
        fits = images.ndim == 4 if self.frames is None else images.shape[1:2] == (self.frames,)
        if not fits or images.ndim != len(shape.split()) or images.numel() == 0:
            raise ValueError(f"{shape} with at least one pixel expected, got {tuple(images.shape)}")

    def _restore_pixels(self, pixels: np.ndarray, progress: Progress | None) -> Tensor:
        if self.frames is not None:
            raise NasRestoreError(
                f"this network restores video: it reads {self.frames} frames at a time",
                hint="give it a folder of frames or a video file",
            )
        check_pixels(pixels)
        planes = pixels if pixels.ndim == 3 else pixels[..., None]
        height, width, channels = planes.shape

        def read(rows: np.ndarray, columns: np.ndarray) -> Tile:
            return to_tensor(planes[np.ix_(rows, columns)])[None], None

        return self._restore(read, (channels, height, width), progress)

    def _pixels(self, frames: Sequence[Frame], progress: Progress | None) -> np.ndarray:
        middle = _middle(frames)
        restored = from_tensor(self._restore_window(frames, progress), middle.dtype)
        return restored.reshape(middle.shape)

    def _restore_window(self, frames: Sequence[Frame], progress: Progress | None) -> Tensor:
        """The middle frame restored, C H W in [0, 1]."""
        sizes = {tuple(frame.planes.shape) for frame in frames}
        if len(sizes) > 1:
            raise ValueError(f"frames of one size and number of channels expected, got {sizes}")
        flow = None
        if self._reads_flow:
            flow = self._flow_of(torch.stack([frame.planes for frame in frames])[None])

        def read(rows: np.ndarray, columns: np.ndarray) -> Tile:
            clip = torch.stack([cut(frame.planes, rows, columns) for frame in frames])[None]
            return clip, None if flow is None else cut_flow(flow, rows, columns)

        shape = cast(tuple[int, int, int], tuple(_middle(frames).planes.shape))
        return self._restore(read, shape, progress)[0]

    @property
    def _reads_flow(self) -> bool:
        return self.frames is not None and getattr(self.net, "flow_input", None) is not None

    @torch.inference_mode()
    def _flow_of(self, clip: Tensor) -> Tensor:
        """Flow of whole frames, 1 T 2 H W, for all their tiles."""
        if self._frame_flow is None:
            raise NasRestoreError(
                "this network reads optical flow, and nothing that computes it was given",
                hint="give the restorer a flow, from N T C H W to N T 2 H W",
            )
        return self._frame_flow(clip)

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
                tile = self._apply(*read(mirrored(row, height), mirrored(column, width)))
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
    def _apply(self, tile: Tensor, flow: Tensor | None) -> Tensor:
        x = channels_in(tile, self.channels).to(self.device)
        if x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        outputs = self._outputs(x, flow)
        if self.output not in outputs:
            raise ValueError(f"the network has no output {self.output!r}: {', '.join(outputs)}")
        y = outputs[self.output].float()
        expected = x.shape if self.frames is None else x[:, 0].shape
        if y.shape != expected:
            raise NasRestoreError(
                f"output {self.output!r} has the shape {tuple(y.shape)} for an input of "
                f"{tuple(x.shape)}: {tuple(expected)} was expected (N C H W)",
                hint="only a network that keeps size and channels restores images",
            )
        if not bool(torch.isfinite(y).all()):
            raise RunStopped(
                "the restored image is not finite (NaN or infinity)",
                hint="restore in fp32, or use the weights of an earlier checkpoint",
            )
        return channels_out(y, tile.shape[-3])

    def _outputs(self, x: Tensor, flow: Tensor | None) -> dict[str, Tensor]:
        read: Any = x
        if flow is not None:
            flow = flow.to(self.device).expand(len(x), -1, -1, -1, -1)
            read = {cast(str, self.net.clip_input): x, cast(str, self.net.flow_input): flow}
        bf16 = self.precision == "bf16"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=bf16):
            outputs: dict[str, Tensor] = self.net(read)
        return outputs

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


def _middle(frames: Sequence[Frame]) -> Frame:
    return frames[len(frames) // 2]


def _frame(pixels: np.ndarray) -> Frame:
    check_pixels(pixels)
    planes = pixels if pixels.ndim == 3 else pixels[..., None]
    return Frame(to_tensor(planes), pixels.shape, pixels.dtype)


def _reader(planes: Tensor, flow: Tensor | None) -> ReadTile:
    def read(rows: np.ndarray, columns: np.ndarray) -> Tile:
        return cut(planes, rows, columns), None if flow is None else cut_flow(flow, rows, columns)

    return read
