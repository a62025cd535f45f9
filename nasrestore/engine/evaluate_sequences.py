"""Measuring restored sequences frame by frame; which frames count is the protocol's to say."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol as Shape

import numpy as np

from nasrestore.data.clip_layouts import open_clip_folders
from nasrestore.data.clips import Clip, frames_of
from nasrestore.data.frames import FrameFolder
from nasrestore.engine.evaluate import Evaluation, Row, chosen_protocols, measured, rows_of
from nasrestore.errors import NasRestoreError
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


def evaluate_sequences(
    restore: RestoreStream | None,
    clips: Iterable[WholeClip],
    protocols: Sequence[str],
    frame_done: FrameDone | None = None,
) -> Evaluation:
    """Restores every clip as a stream and measures its frames, before and after.

    Frames are told apart by ``SEQUENCE/FRAME``, from 1. A frame has a row under each protocol that
    counts it (:meth:`nasrestore.metrics.protocol.Protocol.frames`).

    Args:
        restore: from a stream of H W C pixels to one of float H W C in [0, 1], frame for frame, such
            as ``Restorer.unquantised_stream``. None measures the rainy frames alone.
        protocols: names of protocols.
        frame_done: called with name, frame from 0, rainy, restored and clean frame.

    Raises:
        NasRestoreError: an unknown protocol; no clip; a clip too short for a protocol, or of other
            sizes or lengths, named.
    """
    chosen = chosen_protocols(protocols)
    rows: list[Row] = []
    for clip in clips:
        counted = {p.name: _frames(clip.name, p, clip.length) for p in chosen}
        for number, rainy, restored, clean in _together(restore, clip):
            asked = [p for p in chosen if number in counted[p.name]]
            identity = f"{clip.name}/{number + 1}"
            before = measured(identity, asked, rainy, clean)
            rows += rows_of(identity, before, measured(identity, asked, restored, clean))
            if frame_done is not None and restored is not None:
                frame_done(clip.name, number, rainy, restored, clean)
    if not rows:
        raise NasRestoreError("no clip to evaluate", hint="name a data set that is not empty")
    return Evaluation(tuple(rows), sequences=True, asked=tuple(p.name for p in chosen))


def evaluate_sequence_folders(
    restored_dir: Path,
    clean_dir: Path,
    protocols: Sequence[str],
    rainy_dir: Path | None = None,
) -> Evaluation:
    """Measures anybody's restored clips, folders of frames or videos, against clean ones.

    Args:
        rainy_dir: the clips before restoration; without it, the columns before are None.

    Raises:
        NasRestoreError: folders without clips; clips without partner, of other sizes or lengths,
            named; what cannot be read; an unknown protocol.
    """
    chosen = chosen_protocols(protocols)
    pairs = open_clip_folders(restored_dir, clean_dir).pairs
    given = [] if rainy_dir is None else open_clip_folders(rainy_dir, clean_dir).pairs
    rainies = {pair.identity: pair.rainy for pair in given}
    rows: list[Row] = []
    for pair in pairs:
        length = _length(pair.clean)
        counted = {p.name: _frames(pair.name, p, length) for p in chosen}
        streams = [frames_of(clip) for clip in (pair.rainy, pair.clean)]
        streams += [frames_of(rainies[pair.identity])] if rainies else []
        for number, frames in enumerate(_in_step(pair.name, *streams)):
            asked = [p for p in chosen if number in counted[p.name]]
            identity = f"{pair.name}/{number + 1}"
            rainy = frames[2] if rainies else None
            before = measured(identity, asked, rainy, frames[1])
            rows += rows_of(identity, before, measured(identity, asked, frames[0], frames[1]))
    return Evaluation(tuple(rows), sequences=True, asked=tuple(p.name for p in chosen))


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


def _frames(name: str, protocol: Protocol, length: int) -> range:
    try:
        return protocol.frames(length)
    except NasRestoreError as error:
        error.message = f"{name}: {error.message}"
        raise


def _length(clip: Clip) -> int:
    """How many frames there are; those of a video are counted, as its header may be wrong."""
    return len(clip) if isinstance(clip, FrameFolder) else sum(1 for _ in frames_of(clip))
