"""Optical flow of whole frames, which steps down to half their size where memory runs out."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from nasrestore.errors import NasRestoreError, RunStopped
from nasrestore.runtime.memory import is_out_of_memory

Flow = Callable[[Tensor], Tensor]
Tell = Callable[[str], None]


class FrameFlow:
    """The flow of a clip from its middle frame to each; correlations grow with the square of its pixels.

    Where memory runs out it is computed on frames of half the height and width and made as large again,
    its vectors doubled; from then on for all frames of as many pixels. It is coarser at edges, and
    that is said once.

    Args:
        flow: from whole frames, N T 3 H W in [0, 1] on the device, to N T 2 H W in pixels.
        tell: is told of the step down.
    """

    def __init__(self, flow: Flow, device: torch.device, tell: Tell = warnings.warn) -> None:
        self._flow = flow
        self._device = device
        self._tell = tell
        self._halved: int | None = None  # frames of as many pixels do not fit

    @property
    def halved(self) -> bool:
        """Whether flow of any frames was computed at half their size."""
        return self._halved is not None

    def __call__(self, clip: Tensor) -> Tensor:
        """The flow of a clip, N T C H W in [0, 1] with C of 1 or 3, as N T 2 H W.

        Raises:
            RunStopped: memory runs out at half the size, too.
            ValueError: the flow has another shape.
        """
        colours = clip if clip.shape[2] == 3 else clip[:, :, :1].expand(-1, -1, 3, -1, -1)
        pixels = clip.shape[-2] * clip.shape[-1]
        if self._halved is None or pixels < self._halved:
            found = self._fitting(colours)
            if found is not None:
                return found
            self._tell(
                f"out of memory on {self._device}: the optical flow of frames of {_size(clip)} "
                "pixels is computed at half their size"
            )
            self._halved = pixels
        found = self._fitting(colours, halved=True)
        if found is None:
            raise RunStopped(
                f"out of memory on {self._device}: the optical flow of frames of {_size(clip)} pixels "
                "does not fit, at half their size neither",
                hint="restore smaller frames, use a device with more memory, or a network trained "
                "without flow (--set data.flow.model=none)",
            )
        return found

    def _fitting(self, clip: Tensor, *, halved: bool = False) -> Tensor | None:
        """The flow; None where memory runs out."""
        try:
            return self._at_half(clip) if halved else self._checked(clip)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        except NasRestoreError:
            if not halved:
                raise  # half may be too small for what computes it
        # Outside of the handler: the traceback would keep the tensors of the failed try alive.
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    def _at_half(self, clip: Tensor) -> Tensor:
        height, width = clip.shape[-2:]
        small = ((height + 1) // 2, (width + 1) // 2)
        halves = F.interpolate(clip.flatten(0, 1), small, mode="bilinear", antialias=True)
        flow = self._checked(halves.unflatten(0, clip.shape[:2])).flatten(0, 1)
        whole = F.interpolate(flow, (height, width), mode="bilinear", align_corners=False)
        scale = whole.new_tensor([width / small[1], height / small[0]])
        return (whole * scale[:, None, None]).unflatten(0, clip.shape[:2])

    def _checked(self, clip: Tensor) -> Tensor:
        flow = self._flow(clip.to(self._device, torch.float32))
        expected = (*clip.shape[:2], 2, *clip.shape[3:])
        if tuple(flow.shape) != expected:
            raise ValueError(f"flow of the shape {expected} expected, got {tuple(flow.shape)}")
        return flow


def _size(clip: Tensor) -> str:
    return f"{clip.shape[-1]}x{clip.shape[-2]}"
