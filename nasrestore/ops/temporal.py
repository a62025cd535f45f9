"""Operations that read a whole clip: N T C H W, T frames with the one to restore in their middle.

Their factories take ``frames``, the length of the clip, as well. None of them has parameters.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nasrestore.graph.catalog_clips import temporal_group_frames
from nasrestore.registry import operation


@operation("frames_to_channels")
class FramesToChannels(nn.Module):
    """All frames side by side, in order of time; N T C H W to N T*C H W."""

    def __init__(self, in_channels: int, *, frames: int) -> None:
        super().__init__()

    def forward(self, clip: Tensor) -> Tensor:
        return clip.flatten(1, 2)


@operation("centre_frame")
class CentreFrame(nn.Module):
    """The frame in the middle of an odd number of them; N T C H W to N C H W."""

    def __init__(self, in_channels: int, *, frames: int) -> None:
        super().__init__()
        self.centre = frames // 2

    def forward(self, clip: Tensor) -> Tensor:
        return clip[:, self.centre]


@operation("temporal_groups")
class TemporalGroups(nn.Module):
    """The frames at even and at odd distances from the centre, each with the centre (TMICS, TGM).

    N T C H W to N 2 G*C H W: the two groups are two images of G frames side by side, so that the
    operations behind it read both with the same weights. Which frames they hold,
    :func:`~nasrestore.graph.catalog_clips.temporal_group_frames` says.
    """

    def __init__(self, in_channels: int, *, frames: int) -> None:
        super().__init__()
        self.groups = temporal_group_frames(frames)

    def forward(self, clip: Tensor) -> Tensor:
        return torch.stack([_side_by_side(clip, group) for group in self.groups], dim=1)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"


def _side_by_side(clip: Tensor, group: Sequence[int]) -> Tensor:
    return torch.cat([clip[:, frame] for frame in group], dim=1)


@operation("warp")
class Warp(nn.Module):
    """Every frame moved to the centre frame by its flow; N T C+2 H W to N T C H W.

    The last two channels are the flow from the centre frame to each frame, as :func:`warped` reads
    it; the others are the frames.
    """

    def __init__(self, in_channels: int, *, frames: int) -> None:
        super().__init__()

    def forward(self, clip_and_flow: Tensor) -> Tensor:
        together = clip_and_flow.flatten(0, 1)
        moved = warped(together[:, :-2], together[:, -2:])
        return moved.unflatten(0, clip_and_flow.shape[:2])


def warped(image: Tensor, flow: Tensor) -> Tensor:
    """The image read at ``x + flow(x)`` for every pixel x, bilinearly between its four neighbours.

    With the flow from frame a to frame b, it shows frame b as frame a would. Coordinates are those of
    pixel centres, so zero flow gives the image back bit for bit; ``grid_sample``, whose coordinates
    are relative to the size, does not. What lies outside is the nearest pixel of the border. Both
    arguments get gradients, the flow's is zero where it leads outside.

    Args:
        image: N C H W.
        flow: N 2 H W in pixels, to the right first and then downwards.

    Returns:
        N C H W, in the type of the image; computed in float32 at least.
    """
    height, width = image.shape[-2:]
    kept = image.dtype
    wide = torch.promote_types(torch.promote_types(kept, flow.dtype), torch.float32)
    image, flow = image.to(wide), flow.to(wide)
    columns = torch.arange(width, dtype=flow.dtype, device=flow.device)
    rows = torch.arange(height, dtype=flow.dtype, device=flow.device)
    left, right, across = _between(columns + flow[:, 0], width)
    above, below, down = _between(rows.unsqueeze(-1) + flow[:, 1], height)
    pixels = image.flatten(2)

    def at(row: Tensor, column: Tensor) -> Tensor:
        places = (row * width + column).flatten(1).unsqueeze(1).expand(-1, image.shape[1], -1)
        return pixels.gather(2, places).unflatten(2, (height, width))

    upper = torch.lerp(at(above, left), at(above, right), across)
    lower = torch.lerp(at(below, left), at(below, right), across)
    return torch.lerp(upper, lower, down).to(kept)


def _between(place: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """The pixels before and after each place, N H W, and how far it is on the way, N 1 H W."""
    place = place.clamp(0, size - 1)
    first = place.detach().floor()
    # clamped again, since a place that is not a number would be an index far outside
    before = first.long().clamp(0, size - 1)
    return before, (before + 1).clamp(max=size - 1), (place - first).unsqueeze(1)
