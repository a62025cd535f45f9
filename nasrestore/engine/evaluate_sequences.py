"""Measuring restored sequences frame by frame; which frames count is the protocol's to say."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol as Shape

import numpy as np

from nasrestore.data.clip_layouts import open_clip_folders
from nasrestore.data.clips import Clip, frames_of
from nasrestore.data.frames import FrameFolder
from nasrestore.engine.evaluate import chosen_protocols, measured, rows_of
from nasrestore.engine.evaluation import Evaluation, Row
from nasrestore.engine.perception import Perception, check_sizes
from nasrestore.errors import NasRestoreError, few
from nasrestore.metrics.protocol import Protocol

RestoreStream = Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]]
FrameDone = Callable[[str, int, np.ndarray, np.ndarray, np.ndarray], None]


class WholeClip(Shape):
    """A rainy and a clean clip; frames are H W C, iterated as often as wanted."""

    @property
    def name(self) -> str: ...
    @property
    def rainy(self) -> Iterable[np.ndarray]: ...
    @property
    def clean(self) -> Iterable[np.ndarray]: ...
    @property
    def length(self) -> int: ...


NAMED_CLIPS = 20  # in one message


def check_lengths(lengths: Iterable[tuple[str, int]], protocols: Sequence[str]) -> None:
    """Whether every clip has frames that count, under every protocol: known before any is measured.

    Args:
        lengths: each clip's name and number of frames.
        protocols: names of protocols.

    Raises:
        NasRestoreError: an unknown protocol; clips that are too short, all in one message.
    """
    clips, found = list(lengths), []
    for protocol in chosen_protocols(protocols):
        ends = protocol.skip_ends
        short = [
            f"{name} ({length} frame{'s' * (length != 1)})"
            for name, length in clips
            if length <= 2 * ends
        ]
        if short:
            found.append(
                f"protocol {protocol.name!r} leaves out {ends} frames at either end, which leaves "
                f"nothing of {few(short, NAMED_CLIPS)}"
            )
    if found:
        raise NasRestoreError(
            "\n  ".join(found), hint="leave such clips out, or choose another protocol (--protocol)"
        )


def evaluate_sequences(
    restore: RestoreStream | None,
    clips: Iterable[WholeClip],
    protocols: Sequence[str],
    frame_done: FrameDone | None = None,
    perception: Perception | None = None,
) -> Evaluation:
    """Restores every clip as a stream and measures its frames, before and after.

    Frames are told apart by ``SEQUENCE/FRAME``, from 1. A frame has a row under each protocol that
    counts it (:meth:`nasrestore.metrics.protocol.Protocol.frames`).

    Args:
        restore: from a stream of H W C pixels to one of float H W C in [0, 1], frame for frame, such
            as ``Restorer.unquantised_stream``. None measures the rainy frames alone.
        protocols: names of protocols.
        frame_done: called with name, frame from 0, rainy, restored and clean frame.
        perception: measures LPIPS of the frames that count, and tLPIPS of pairs whose both do.

    Raises:
        NasRestoreError: an unknown protocol; no clip; a clip too short for a protocol (where it is
            reached; :func:`check_lengths` says it of all before), or of other sizes or lengths, named.
    """
    chosen = chosen_protocols(protocols)
    rows: list[Row] = []
    for clip in clips:
        measuring = _ClipRows(clip.name, clip.length, chosen, perception)
        for number, rainy, restored, clean in _together(restore, clip):
            rows += measuring.frame(number, rainy, restored, clean)
            if frame_done is not None and restored is not None:
                frame_done(clip.name, number, rainy, restored, clean)
    if not rows:
        raise NasRestoreError("no clip to evaluate", hint="name a data set that is not empty")
    return _evaluation(rows, chosen, perception)


def evaluate_sequence_folders(
    restored_dir: Path,
    clean_dir: Path,
    protocols: Sequence[str],
    rainy_dir: Path | None = None,
    perception: Perception | None = None,
) -> Evaluation:
    """Measures anybody's restored clips, folders of frames or videos, against clean ones.

    Args:
        rainy_dir: the clips before restoration; without it, the columns before are None.
        perception: as for :func:`evaluate_sequences`.

    Raises:
        NasRestoreError: folders without clips; clips without partner, of other sizes or lengths, or
            too short for a protocol, named; what cannot be read; an unknown protocol.
    """
    chosen = chosen_protocols(protocols)
    pairs = open_clip_folders(restored_dir, clean_dir).pairs
    given = [] if rainy_dir is None else open_clip_folders(rainy_dir, clean_dir).pairs
    rainies = {pair.identity: pair.rainy for pair in given}
    if perception is not None:
        check_sizes((pair.name, pair.rainy.size) for pair in pairs)
    lengths = {pair.name: _length(pair.clean) for pair in pairs}
    check_lengths(lengths.items(), protocols)
    rows: list[Row] = []
    for pair in pairs:
        measuring = _ClipRows(pair.name, lengths[pair.name], chosen, perception)
        streams = [frames_of(clip) for clip in (pair.rainy, pair.clean)]
        streams += [frames_of(rainies[pair.identity])] if rainies else []
        for number, frames in enumerate(_in_step(pair.name, *streams)):
            rainy = frames[2] if rainies else None
            rows += measuring.frame(number, rainy, frames[0], frames[1])
    return _evaluation(rows, chosen, perception)


class _ClipRows:
    """The rows of a clip's frames, each under the protocols that count it."""

    def __init__(
        self, clip: str, length: int, protocols: Sequence[Protocol], perception: Perception | None
    ) -> None:
        self.clip, self.protocols, self.perception = clip, protocols, perception
        check_lengths([(clip, length)], [p.name for p in protocols])
        self.counted = {p.name: p.frames(length) for p in protocols}

    def frame(
        self, number: int, rainy: np.ndarray | None, restored: np.ndarray | None, clean: np.ndarray
    ) -> Iterator[Row]:
        """The rows of the next frame, which count from 0; none where no protocol counts it."""
        asked = [p for p in self.protocols if number in self.counted[p.name]]
        identity = f"{self.clip}/{number + 1}"
        before = measured(identity, asked, rainy, clean)
        after = measured(identity, asked, restored, clean)
        seen: dict[str, float] = {}
        if self.perception is not None and asked:
            seen = self.perception.frame(self.clip, number, rainy, restored, clean)
        for row in rows_of(identity, before, after, seen):
            first = number == self.counted[row.protocol].start
            # the frame before may count under another protocol alone
            yield replace(row, tlpips_before=None, tlpips_after=None) if first else row


def _evaluation(
    rows: Sequence[Row], protocols: Sequence[Protocol], perception: Perception | None
) -> Evaluation:
    return Evaluation(
        tuple(rows),
        sequences=True,
        asked=tuple(p.name for p in protocols),
        lpips=None if perception is None else perception.facts,
    )


def _together(
    restore: RestoreStream | None, clip: WholeClip
) -> Iterator[tuple[int, np.ndarray, np.ndarray | None, np.ndarray]]:
    """Number, rainy, restored and clean frame; a restorer reads ahead, so rainy frames wait for it."""
    waiting: deque[np.ndarray] = deque()

    def read() -> Iterator[np.ndarray]:
        for frame in clip.rainy:
            waiting.append(frame)
            yield frame

    restored = read() if restore is None else restore(read())
    for number, (after, clean) in enumerate(_in_step(clip.name, restored, clip.clean)):
        yield number, waiting.popleft(), None if restore is None else after, clean


def _in_step(name: str, *streams: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, ...]]:
    iterators = [iter(stream) for stream in streams]
    while True:
        frames = [next(iterator, None) for iterator in iterators]
        found = tuple(frame for frame in frames if frame is not None)
        if not found:
            return
        if len(found) < len(frames):
            raise NasRestoreError(
                f"{name}: the clips that belong together have different numbers of frames",
                hint="all need the same frames",
            )
        yield found


def _length(clip: Clip) -> int:
    """How many frames there are; those of a video are counted, as its header may be wrong."""
    return len(clip) if isinstance(clip, FrameFolder) else sum(1 for _ in frames_of(clip))
