"""Applying a restorer to image files, folders of frames and videos.

A clip is a stream: what it takes does not grow with its length. Whatever ends it early, what was
restored until then stays, as frames or as a video that can be played.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from nasrestore.data.frames import FrameWriter
from nasrestore.data.images import Image, read_image, write_image
from nasrestore.data.video import VideoCut
from nasrestore.data.video_writer import VideoWriter
from nasrestore.engine.files import plan_outputs
from nasrestore.engine.jobs import FramesJob, ImageJob, Job, VideoJob
from nasrestore.errors import NasRestoreError

Progress = Callable[[int, int | None], None]


class RestoresStreams(Protocol):
    """What restores an image and a clip, such as a :class:`nasrestore.engine.restore.Restorer`."""

    def __call__(self, pixels: np.ndarray) -> np.ndarray: ...

    def stream(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]: ...


@dataclass(frozen=True, slots=True)
class Restored:
    """One input done: seconds from reading to writing, size as (height, width) in pixels.

    Attributes:
        frames: how many, 1 for an image.
        pages: how many pictures an image file holds, of which the first was restored.
    """

    source: Path
    target: Path
    seconds: float
    size: tuple[int, int]
    frames: int = 1
    pages: int = 1


class _Incomplete(NasRestoreError):
    """An input that cannot be read, or not to its end; the others go on."""


def restore_files(
    restorer: Callable[[np.ndarray], np.ndarray],
    inputs: Sequence[Path],
    out: Path,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> list[Restored]:
    """Restores image files, and all images in folders, into ``out`` under their own names.

    Sub-folders of a folder are kept; format and bit depth follow the input; alpha is passed through.
    Everything that can be known before is checked before the first image is read.

    Args:
        restorer: from H W C pixels to the same shape and type, such as a :class:`Restorer`.
        progress: called with (files done, files in all).

    Raises:
        NasRestoreError: nothing to restore; two inputs for one output; an output that exists, without
            ``overwrite``; an output that is an input, always; a full disk. Files that cannot be read
            are named at the end, after all others are done.
    """
    planned = plan_outputs(inputs, Path(out), overwrite=overwrite)
    jobs = [ImageJob(source, target) for target, source in planned.items()]
    return restore_jobs(cast(RestoresStreams, restorer), jobs, progress=progress)


def restore_jobs(
    restorer: RestoresStreams, jobs: Sequence[Job], *, progress: Progress | None = None
) -> list[Restored]:
    """Restores images, folders of frames and videos, as :func:`plan_jobs` has planned them.

    Args:
        progress: called with (frames done, frames in all, None while that is unknown); an image is
            one.

    Raises:
        NasRestoreError: a full disk, a network that does not take these images; it says what was
            restored until then. Inputs that cannot be read, or not to their end, are named at the
            end, after all others are done.
    """
    count = _Count(jobs, progress)
    done: list[Restored] = []
    bad: list[str] = []
    for number, job in enumerate(jobs):
        started = time.perf_counter()
        count.begin(number)
        try:
            size, frames, pages = _restore(restorer, job, count.tick)
        except _Incomplete as error:
            bad.append(error.message)
        except NasRestoreError as error:
            error.message += _kept(job, count.frames, len(done))
            raise
        else:
            seconds = time.perf_counter() - started
            done.append(Restored(job.source, job.target, seconds, size, frames, pages))
        count.end()
    if bad:
        raise _all_bad(bad, jobs, len(done))
    return done


def _kept(job: Job, frames: int, done: int) -> str:
    """What stays of a batch that ends early; a video is a whole one or none."""
    kept = []
    if frames and (isinstance(job, FramesJob) or (isinstance(job, VideoJob) and job.as_frames)):
        kept.append(f"the {frames} frames before it are in {job.target}")
    if done:
        kept.append(
            f"the {done} inputs before it are done" if done > 1 else "the input before it is done"
        )
    return "".join(f"; {words}" for words in kept)


def _restore(
    restorer: RestoresStreams, job: Job, tick: Callable[[], None]
) -> tuple[tuple[int, int], int, int]:
    """Size and number of frames of what was restored, and how many pages its file has."""
    if isinstance(job, ImageJob):
        size, pages = _restore_image(restorer, job)
        return size, 1, pages
    if isinstance(job, FramesJob):
        return job.clip.size, _restore_frames(restorer, job, tick), 1
    return job.video.size, _restore_video(restorer, job, tick), 1


def _restore_image(restorer: RestoresStreams, job: ImageJob) -> tuple[tuple[int, int], int]:
    image = _readable(job.source)
    write_image(job.target, _named(job.source, restorer, image.pixels), like=image)
    height, width = image.pixels.shape[:2]
    return (height, width), image.pages


def _restore_frames(restorer: RestoresStreams, job: FramesJob, tick: Callable[[], None]) -> int:
    waiting: deque[Image] = deque()  # those that were read and are not restored yet
    cut: list[_Incomplete] = []

    def read() -> Iterator[np.ndarray]:
        channels = None
        for file in job.clip.files:
            try:
                image = _readable(file)
                _check_channels(file, image, channels)
            except _Incomplete as error:
                cut.append(error)
                return
            channels = image.pixels.shape[2]
            waiting.append(image)
            yield image.pixels

    count = 0
    restored = _named_stream(job.source, restorer, read())
    for file, pixels in zip(job.clip.files, restored, strict=False):
        write_image(job.target / file.name, pixels, like=waiting.popleft())
        count += 1
        tick()
    if cut:
        kept = f"; the {count} frames before it are in {job.target}" if count else ""
        raise _Incomplete(f"{cut[0].message}{kept}")
    return count


def _restore_video(restorer: RestoresStreams, job: VideoJob, tick: Callable[[], None]) -> int:
    times: deque[tuple[Fraction, Fraction]] = deque()  # and durations, of frames not restored yet
    cut: list[VideoCut] = []

    def read() -> Iterator[np.ndarray]:
        try:
            for pixels, at, shown in job.video:
                times.append((at, shown))
                yield pixels
        except VideoCut as error:  # the frames before it are restored to the last
            cut.append(error)

    count = 0
    restored = _named_stream(job.source, restorer, read())
    try:
        with _writing(job) as write:
            for pixels in restored:
                write(pixels, *times.popleft())
                count += 1
                tick()
            if cut:
                raise cut[0]
    except VideoCut as error:
        raise _Incomplete(f"{error.message}; what comes before is in {job.target}") from error
    return count


@contextmanager
def _writing(job: VideoJob) -> Iterator[Callable[[np.ndarray, Fraction, Fraction], None]]:
    """Writes frames with their times and durations, to a video or as images."""
    if job.as_frames:
        folder = FrameWriter(job.target)
        yield lambda pixels, at, shown: folder.write(pixels)
    else:
        with VideoWriter.like(job.target, job.video) as video:
            yield video.write


def _readable(path: Path) -> Image:
    try:
        return read_image(path)
    except NasRestoreError as error:
        raise _Incomplete(error.message) from error
    except OSError as error:
        raise _Incomplete(f"cannot read {path}: {error.strerror or error}") from error


def _check_channels(file: Path, image: Image, channels: int | None) -> None:
    found = image.pixels.shape[2]
    if channels not in (None, found):
        kinds = {1: "grey", 3: "in colour"}
        raise _Incomplete(f"{file} is {kinds[found]}, the frames before it are not")


def _named(
    source: Path, restorer: Callable[[np.ndarray], np.ndarray], pixels: np.ndarray
) -> np.ndarray:
    try:
        return restorer(pixels)
    except NasRestoreError as error:
        error.message = f"{source}: {error.message}"
        raise


def _named_stream(
    source: Path, restorer: RestoresStreams, frames: Iterator[np.ndarray]
) -> Iterator[np.ndarray]:
    try:
        yield from restorer.stream(frames)
    except NasRestoreError as error:
        error.message = f"{source}: {error.message}"
        raise


class _Count:
    """Frames done and in all; what a video promised is replaced by what it had."""

    def __init__(self, jobs: Sequence[Job], progress: Progress | None) -> None:
        self._expected = [job.expected for job in jobs]
        self._progress = progress
        self._job = self._done = self._frames = 0

    def begin(self, job: int) -> None:
        self._job, self._frames = job, 0

    @property
    def frames(self) -> int:
        """Of the present job, done."""
        return self._frames

    def tick(self) -> None:
        self._frames += 1
        expected = self._expected[self._job]
        if expected is not None and self._frames >= expected:
            self._expected[self._job] = self._frames + 1  # it has more than it promised
        self._show()

    def end(self) -> None:
        """The job is done, by its count or as one."""
        self._expected[self._job] = self._frames = max(self._frames, 1)
        self._show()
        self._done += self._frames
        self._frames = 0

    def _show(self) -> None:
        if self._progress is not None:
            known = [expected for expected in self._expected if expected is not None]
            whole = len(known) == len(self._expected)
            self._progress(self._done + self._frames, sum(known) if whole else None)


def _all_bad(bad: Sequence[str], jobs: Sequence[Job], done: int) -> NasRestoreError:
    if len(jobs) == 1:
        return NasRestoreError(bad[0])
    images = all(isinstance(job, ImageJob) for job in jobs)
    what = "images could not be read" if images else "inputs could not be read to their end"
    return NasRestoreError(
        "\n  ".join([f"{len(bad)} of {len(jobs)} {what}:", *bad]),
        hint=f"the other {done} are done" if done else None,
    )
