"""How steady clips are before and after restoration, gathered while their frames go by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nasrestore.data.images import to_tensor
from nasrestore.metrics.temporal import visible_pixels, warping_error

Between = Callable[[Tensor, Tensor], Tensor]
KINDS = ("before", "after", "clean")


class Steadiness:
    """The warping errors of rainy, restored and clean clips; two frames are held at a time.

    All three are warped by the flow between the clean frames, where that is seen both ways. The clean
    clip's own error is what none can be expected to fall below.

    Args:
        between: the flow from first to second frames, N C H W in [0, 1] to N 2 H W in pixels, such as
            :meth:`nasrestore.ops.flow.OpticalFlow.between`.
        device: where flow is computed.
    """

    def __init__(self, between: Between, device: str | torch.device = "cpu") -> None:
        self._between = between
        self._device = torch.device(device)
        self._name: str | None = None
        self._last: dict[str, Tensor] = {}
        self._errors: dict[str, list[Tensor]] = {}

    def frame(self, name: str, rainy: np.ndarray, restored: np.ndarray, clean: np.ndarray) -> None:
        """The next frame of a clip, ``H W C``: rainy and clean of 8 or 16 bits, restored in [0, 1].

        Raises:
            NasRestoreError: as ``between``.
        """
        frames = {
            "before": to_tensor(rainy),
            "after": torch.from_numpy(np.ascontiguousarray(restored.transpose(2, 0, 1))),
            "clean": to_tensor(clean),
        }
        now = {kind: frame[None].to(self._device) for kind, frame in frames.items()}
        if name == self._name:
            self._errors.setdefault(name, []).append(self._pair(now))
        self._name, self._last = name, now

    def summary(self) -> dict[str, Any]:
        """``warping_before``, ``_after``, ``_clean``: means over pairs, then over clips.

        Empty without a pair in which any pixel is seen in both frames.
        """
        clips = [torch.stack(errors).nanmean(0) for errors in self._errors.values()]
        means = torch.stack(clips).nanmean(0) if clips else torch.full((len(KINDS),), torch.nan)
        if means.isnan().any():
            return {}
        values = zip(KINDS, means.tolist(), strict=True)
        return {f"warping_{kind}": value for kind, value in values}

    @torch.inference_mode()
    def _pair(self, now: dict[str, Tensor]) -> Tensor:
        first, second = self._last["clean"], now["clean"]
        forward = self._between(first, second)
        visible = visible_pixels(forward, self._between(second, first))
        errors = [warping_error(self._last[kind], now[kind], forward, visible) for kind in KINDS]
        return torch.cat(errors).cpu()
