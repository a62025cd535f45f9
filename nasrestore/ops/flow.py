"""Optical flow by a frozen, pre-trained RAFT (Teed and Deng 2020), as torchvision has it."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasrestore.errors import NasRestoreError
from nasrestore.ops.pretrained import Pretrained
from nasrestore.registry import did_you_mean

NO_FLOW = "none"
SMALLEST_SIDE = 128  # RAFT compares features of 1/8 of the size on four scales
MULTIPLE = 8
PAIR_BYTES = 2**30  # of the correlations of the pairs that are looked at together

LARGER = "larger frames (flow is of whole ones), or the flow model 'none' (data.flow.model=none)"
WAYS_OUT = (
    "give a path to {file} (in a recipe data.flow.weights=FILE), or choose the flow model 'none' "
    "(data.flow.model=none): neighbours are then read where they are, unaligned"
)


def _large_url() -> str:
    from torchvision.models.optical_flow import Raft_Large_Weights

    url: str = Raft_Large_Weights.C_T_SKHT_V2.url
    return url


def _small_url() -> str:
    from torchvision.models.optical_flow import Raft_Small_Weights

    url: str = Raft_Small_Weights.C_T_V2.url
    return url


WEIGHTS = {
    name: Pretrained(name, file, url, WAYS_OUT.format(file=file))
    for name, file, url in (
        ("raft_large", "raft_large_C_T_SKHT_V2-ff5fadd5.pth", _large_url),
        ("raft_small", "raft_small_C_T_V2-01064c6d.pth", _small_url),
    )
}
MODELS = (*WEIGHTS, NO_FLOW)


class OpticalFlow:
    """The motion between frames, in pixels.

    Not a module: no optimizer, no checkpoint and no change to training mode ever meets the weights
    of RAFT, which runs in float32, without gradients, on the device of the frames that it gets. The
    weights are never random.

    Args:
        model: ``raft_large``, ``raft_small``, or ``none`` for zero flow.
        weights: a file with the model's state dict; without it, torch.hub's cached copy of
            torchvision's default is used, or downloaded.
        pair_bytes: memory for the correlations of pairs that are looked at together. One pair is
            always looked at: it takes 4/3 * 4 * (H W / 64)^2 bytes, 120 MiB at 640x480.

    Attributes:
        note: what a reader must be told: that there is no flow, or none where there is.

    Raises:
        NasRestoreError: an unknown model, weights that cannot be had or are another model's.
    """

    def __init__(
        self, model: str = "raft_large", weights: str | None = None, pair_bytes: int = PAIR_BYTES
    ) -> None:
        self.model = model
        self.pair_bytes = pair_bytes
        self.note: str | None = None
        self._raft: nn.Module | None = None
        if model not in MODELS:
            raise NasRestoreError(f"unknown flow model {model!r}", hint=did_you_mean(model, MODELS))
        if model == NO_FLOW:
            _check_unused(weights)
            self.note = "no optical flow: the flow is zero, neighbours are read where they are"
        else:
            self._raft = _raft(model, weights)

    def too_small(self, height: int, width: int) -> bool:
        """Whether frames of this size, in pixels, are refused."""
        return self._raft is not None and min(height, width) < SMALLEST_SIDE

    def between(self, first: Tensor, second: Tensor) -> Tensor:
        """Where each pixel of the first frames is in the second ones.

        ``warped(second, between(first, second))`` shows the second frames as the first.

        Args:
            first, second: N C H W in [0, 1], C is 3, or 1 and then repeated.

        Returns:
            N 2 H W in pixels, to the right first and then downwards; float32.

        Raises:
            NasRestoreError: a frame with a side under 128 pixels, unless the model is ``none``.
            ValueError: other than two N C H W tensors of one shape with 1 or 3 channels.
        """
        _check_frames(first, second)
        count, _, height, width = first.shape
        if self._raft is None:
            return first.new_zeros(count, 2, height, width, dtype=torch.float32)
        if self.too_small(height, width):
            raise NasRestoreError(
                f"optical flow got frames of {height}x{width} pixels (height x width), "
                f"it needs at least {SMALLEST_SIDE}x{SMALLEST_SIDE}",
                hint=LARGER,
            )
        together = max(1, self.pair_bytes // _correlation_bytes(height, width))
        raft = self._raft.to(first.device)
        parts = zip(first.split(together), second.split(together), strict=True)
        return torch.cat([_flow(raft, *part) for part in parts])

    def of(self, clip: Tensor) -> Tensor:
        """The flow from the centre frame to every frame of every item, exactly zero to itself.

        Args:
            clip: N T C H W in [0, 1], T odd.

        Returns:
            N T 2 H W, as ``between`` has it.

        Raises:
            NasRestoreError, ValueError: as ``between``; ValueError where there is no centre frame.
        """
        if clip.ndim != 5 or clip.shape[1] % 2 == 0:
            raise ValueError(f"expected N T C H W with T odd, got {tuple(clip.shape)}")
        count, frames, _, height, width = clip.shape
        centre = frames // 2
        flow = clip.new_zeros(count, frames, 2, height, width, dtype=torch.float32)
        others = [t for t in range(frames) if t != centre]
        if others:
            first = clip[:, [centre] * len(others)].flatten(0, 1)
            found = self.between(first, clip[:, others].flatten(0, 1))
            flow[:, others] = found.unflatten(0, (count, len(others)))
        return flow


def _raft(model: str, weights: str | None) -> nn.Module:
    """The network with those weights; built without memory, so that none are ever random."""
    from torchvision.models import optical_flow

    with torch.device("meta"):
        made: nn.Module = getattr(optical_flow, model)(weights=None, progress=False)
    shapes = {key: tuple(value.shape) for key, value in made.state_dict().items()}
    published = WEIGHTS[model]
    state, origin = published.state(weights)
    made.load_state_dict(published.fitting(state, shapes, origin), assign=True)
    return made.float().eval().requires_grad_(False)


def _flow(raft: Any, first: Tensor, second: Tensor) -> Tensor:
    """The flow of a few pairs; sides that are no multiple of 8 are padded by their border."""
    height, width = first.shape[-2:]
    below, right = -height % MULTIPLE, -width % MULTIPLE
    around = (right // 2, right - right // 2, below // 2, below - below // 2)
    with torch.no_grad(), torch.autocast(first.device.type, enabled=False):
        images = (_as_raft_reads(frame, around) for frame in (first, second))
        found: Tensor = raft(*images)[-1]
    return found[..., around[2] : around[2] + height, around[0] : around[0] + width].contiguous()


def _as_raft_reads(frame: Tensor, around: tuple[int, int, int, int]) -> Tensor:
    """Three channels in [-1, 1], padded."""
    colours = frame.float().expand(-1, 3, -1, -1)
    return F.pad(2 * colours - 1, around, mode="replicate")


def _correlation_bytes(height: int, width: int) -> int:
    """Of one pair: every place of 1/8 of the size with every other, on four scales, in float32."""
    places = -(-height // MULTIPLE) * -(-width // MULTIPLE)
    return 4 * places * places * 4 // 3


def _check_unused(weights: str | None) -> None:
    if weights is not None:
        raise NasRestoreError(
            f"flow model 'none' reads no weights, got {weights!r}",
            hint="leave out the weights, or choose raft_large or raft_small",
        )


def _check_frames(first: Tensor, second: Tensor) -> None:
    if first.ndim != 4 or first.shape != second.shape or first.shape[1] not in (1, 3):
        raise ValueError(
            "expected two N C H W tensors of one shape with 1 or 3 channels, "
            f"got {tuple(first.shape)} and {tuple(second.shape)}"
        )
