"""Long clips cut into consecutive segments, each of which is a clip of its own from then on."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from nasrestore.data.clip_sources import ClipSource


def segments(length: int, frames: int) -> list[range]:
    """The frames of a clip, counted from 0, in runs of so many; the last one takes what remains.

    So none is shorter than ``frames``, unless the clip itself is, and none as long as twice that but
    by one; a clip of less than twice as many frames is one segment.

    Raises:
        ValueError: segments of less than one frame.
    """
    if frames < 1:
        raise ValueError(f"segments of at least one frame expected, got {frames}")
    starts = [number * frames for number in range(max(1, length // frames))]
    return [range(start, stop) for start, stop in zip(starts, [*starts[1:], length], strict=True)]


def segment_name(clip: str, part: range) -> str:
    """``CLIP@16-30``: from which frame to which, counted from 1, both included."""
    return f"{clip}@{part.start + 1}-{part.stop}"


@dataclass(frozen=True)
class Segment:
    """What a segment of a decoded clip is known by.

    Attributes:
        source: of the whole clip.
        part: its frames, counted from 0.
    """

    source: ClipSource
    part: range

    @property
    def identity(self) -> str:
        return segment_name(self.source.identity, self.part)

    @property
    def name(self) -> str:
        return segment_name(self.source.name, self.part)

    @property
    def clean_key(self) -> Hashable:
        return self.source.clean_key, self.part
