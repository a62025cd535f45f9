"""Long clips cut into segments for training, and what training and validation share by that."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from nasrestore.assemble.clips import ClipData
from nasrestore.assemble.scenes import TRAINED
from nasrestore.data.clip_layouts import ClipPairSet
from nasrestore.data.clip_sources import CleanClip
from nasrestore.data.clips import counted_length
from nasrestore.data.leaks import Leak
from nasrestore.data.segments import segment_name, segments
from nasrestore.errors import few


@dataclass(frozen=True)
class Segments:
    """The clips of training in segments; a clip that is too short to be cut is its own.

    Attributes:
        frames: of a segment, at least.
        clip_of: the clip of every segment.
    """

    frames: int
    clip_of: Mapping[str, str]

    def clips_of(self, names: Iterable[str]) -> set[str]:
        """The clips that segments are of."""
        return {self.clip_of[name] for name in names}

    def leaks(self, members: Mapping[str, Collection[str]]) -> list[Leak]:
        """Each clip that training and validation both have segments of, by the first two of them."""
        first: dict[str, dict[str, str]] = {split: {} for split in TRAINED}
        for split in TRAINED:
            for name in members[split]:
                first[split].setdefault(self.clip_of[name], name)
        here, there = TRAINED
        return [
            Leak(here, first[here][clip], there, first[there][clip], "segment")
            for clip in first[here]
            if clip in first[there]
        ]

    def within_a_clip(self, leak: Leak) -> bool:
        """Whether a leak says no more than that two segments are of one clip."""
        one, other = (self.clip_of.get(name) for name in (leak.name_a, leak.name_b))
        return one is not None and one == other

    def said(self, members: Mapping[str, Collection[str]]) -> str:
        """What was cut and what is shared, in a sentence for the user."""
        cut = {clip for name, clip in self.clip_of.items() if name != clip}
        if not cut:
            return f"data.clip.segment: no clip has {2 * self.frames} frames or more: none is cut"
        parts = sum(clip in cut for clip in self.clip_of.values())
        said = f"{_counted(len(cut), 'clip')} cut into {parts} segments of {self.frames} frames or more"
        shared = [self.clip_of[leak.name_a] for leak in self.leaks(members)]
        if not shared:
            return f"data.clip.segment: {said}; no clip is in training and in validation"
        return (
            f"data.clip.segment: {said}; training and validation share the scenes of "
            f"{few(shared)}: validation looks at scenes that are trained on"
        )


def cut_clips(source: ClipData, clips: Collection[str], frames: int) -> Segments:
    """The segments of these clips; videos are decoded once for their true lengths.

    Raises:
        NasRestoreError: a video stops decoding half way.
    """
    found: dict[str, str] = {}
    for clip, length in _lengths(source, frozenset(clips)).items():
        parts = segments(length, frames)
        names = [segment_name(clip, part) for part in parts] if len(parts) > 1 else [clip]
        found.update(dict.fromkeys(names, clip))
    return Segments(frames, found)


def _lengths(source: ClipData, wanted: frozenset[str]) -> dict[str, int]:
    if isinstance(source, ClipPairSet):
        clean = {pair.identity: pair.clean for pair in source.pairs if pair.identity in wanted}
        return {name: counted_length(clip) for name, clip in clean.items()}
    found = {}
    for clip in source:
        if clip.identity in wanted:
            known = counted_length(clip.clip) if isinstance(clip, CleanClip) else clip.length
            assert known is not None
            found[clip.identity] = known
    return found


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
