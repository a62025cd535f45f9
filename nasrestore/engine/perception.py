"""LPIPS of images, and tLPIPS of clips while their frames go by."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nasrestore.data.images import from_tensor, to_tensor
from nasrestore.errors import NasRestoreError, few
from nasrestore.metrics.perceptual import NAME, SMALLEST_SIDE, TOO_SMALL, Lpips

Figures = dict[str, float]
Described = dict[str, list[Tensor]]  # by kind: before, after, clean


class Perception:
    """How far images are from clean ones to the eye, before and after; lower is nearer.

    Images are compared whole and in colour, whatever the protocol: a restored one rounded to 8 bits, as
    a PNG has it, files as they are. Each is described once, and one frame is held.

    Args:
        distance: what :func:`nasrestore.metrics.perceptual.lpips` gives.
        device: where it is computed.
    """

    def __init__(self, distance: Lpips, device: str | torch.device = "cpu") -> None:
        self._device = torch.device(device)
        self._distance = distance.to(self._device)
        self._place: tuple[str, int] | None = None
        self._last: Described = {}

    @property
    def facts(self) -> dict[str, Any]:
        """What a figure must not go without: ``lpips``, its name, and ``lpips_weights``, whose."""
        return {"lpips": NAME, "lpips_weights": dict(self._distance.digests)}

    def image(
        self, rainy: np.ndarray | None, restored: np.ndarray | None, clean: np.ndarray
    ) -> Figures:
        """``lpips_before`` and ``lpips_after``, each where its image is given.

        Args:
            rainy, restored, clean: ``H W C`` of one size; 8 or 16 bits, or float in [0, 1].

        Raises:
            NasRestoreError: a side under 31 pixels.
        """
        return self._to_clean(self._described(rainy, restored, clean))

    def frame(
        self,
        clip: str,
        number: int,
        rainy: np.ndarray | None,
        restored: np.ndarray | None,
        clean: np.ndarray,
    ) -> Figures:
        """As :meth:`image`; and ``tlpips_...`` where the frame before was the one before this.

        That is ``|LPIPS(y^_t, y^_t-1) - LPIPS(y_t, y_t-1)|`` with y^ the rainy or restored and y the
        clean frames (Chu et al. 2020); its mean over pairs is
        :func:`nasrestore.metrics.temporal.temporal_lpips`.

        Args:
            clip, number: which frame it is; frames of a clip come in their order.
        """
        now = self._described(rainy, restored, clean)
        figures = self._to_clean(now)
        if self._place == (clip, number - 1):
            figures |= self._unlike_clean_change(now)
        self._place, self._last = (clip, number), now
        return figures

    def _described(
        self, rainy: np.ndarray | None, restored: np.ndarray | None, clean: np.ndarray
    ) -> Described:
        given = {"before": rainy, "after": restored, "clean": clean}
        return {
            kind: self._distance.described(_as_in_a_file(pixels)[None].to(self._device))
            for kind, pixels in given.items()
            if pixels is not None
        }

    def _to_clean(self, now: Described) -> Figures:
        return {
            f"lpips_{kind}": self._distance.between(now[kind], now["clean"]).item()
            for kind in now
            if kind != "clean"
        }

    def _unlike_clean_change(self, now: Described) -> Figures:
        changes = {kind: self._distance.between(now[kind], self._last[kind]).item() for kind in now}
        clean = changes.pop("clean")
        return {f"tlpips_{kind}": abs(change - clean) for kind, change in changes.items()}


def check_sizes(sizes: Iterable[tuple[str, tuple[int, int]]]) -> None:
    """Refuses images that are too small before any is measured.

    Args:
        sizes: names with height and width.

    Raises:
        NasRestoreError: sides under 31 pixels; the first three are named.
    """
    sizes = list(sizes)
    small = [(name, size) for name, size in sizes if min(size) < SMALLEST_SIDE]
    if small:
        names = [f"{name} {height}x{width}" for name, (height, width) in small]
        raise NasRestoreError(
            f"{NAME} needs {SMALLEST_SIDE}x{SMALLEST_SIDE} pixels (height x width), and "
            f"{len(small)} of {len(sizes)} are smaller: {few(names)}",
            hint=TOO_SMALL,
        )


def _as_in_a_file(pixels: np.ndarray) -> Tensor:
    """``C H W`` in [0, 1]; floats are rounded to 8 bits."""
    if pixels.dtype.kind == "f":
        planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))
        pixels = from_tensor(torch.from_numpy(planes))
    return to_tensor(pixels)
