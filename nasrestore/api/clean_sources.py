"""What rain is made over: photographs, clips that a camera makes of them, frames and videos."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from nasrestore.api.synthesis_record import check_room
from nasrestore.errors import NasRestoreError

if TYPE_CHECKING:
    import numpy as np

    from nasrestore.data.frames import FrameFolder
    from nasrestore.data.video import Video

    Frames = Iterator[tuple[float, np.ndarray]]

VIEW = 0.75  # of a photograph's height and width that a moving camera sees


@dataclass(frozen=True)
class Photo:
    """A photograph, and with ``frames`` the clip that a moving camera makes of it."""

    name: str
    path: Path
    frames: int | None = None
    size: tuple[int, int] | None = None
    pan: float | None = None

    @property
    def expected(self) -> int:
        return self.frames or 1

    def clip(self, seed: Sequence[int]) -> Frames:
        """The photograph's frames at their times."""
        from nasrestore.data.camera import PAN, moved
        from nasrestore.data.images import read_image

        assert self.frames is not None
        pixels = read_image(self.path).pixels
        height, width = pixels.shape[:2]
        size = self.size or (max(1, round(height * VIEW)), max(1, round(width * VIEW)))
        try:
            pan = PAN if self.pan is None else self.pan
            yield from zip(itertools.count(), moved(pixels, self.frames, seed, size, pan))
        except NasRestoreError as error:
            error.message = f"{self.path}: {error.message}"
            raise


@dataclass(frozen=True)
class FrameClip:
    """The frames of a folder."""

    name: str
    folder: FrameFolder

    @property
    def path(self) -> Path:
        return self.folder.folder

    @property
    def expected(self) -> int:
        return len(self.folder)

    def clip(self, seed: Sequence[int]) -> Frames:
        """Its frames, one a unit of time."""
        for time, image in enumerate(self.folder):
            yield time, image.pixels


@dataclass(frozen=True)
class VideoClip:
    """A video file."""

    name: str
    video: Video

    @property
    def path(self) -> Path:
        return self.video.path

    @property
    def expected(self) -> int | None:
        return self.video.expected

    def clip(self, seed: Sequence[int]) -> Frames:
        """Its frames at their times, in mean distances between frames."""
        for pixels, time, _ in self.video:
            yield float(time * self.video.rate), pixels


Source = Photo | FrameClip | VideoClip


def plan(
    clean: Sequence[Path],
    out: Path,
    *,
    sequences: bool = False,
    clips: int | None = None,
    size: tuple[int, int] | None = None,
    pan: float | None = None,
    overwrite: bool = False,
) -> list[Source]:
    """What is to be made, after all that can be checked by names and headers; nothing is written.

    Raises:
        NasRestoreError: nothing clean, what is neither image nor video or no clip, two sources of
            one name, or results that are inputs; without ``overwrite`` also results of the same names,
            and what synthesize did not make, in ``out``.
    """
    sources: list[Source] = []
    for given in map(Path, clean):
        sources.extend(
            _sources(given, out, sequences, partial(Photo, frames=clips, size=size, pan=pan))
        )
    _check_names(sources)
    if clips is not None and not any(isinstance(source, Photo) for source in sources):
        raise NasRestoreError(
            "--clips moves a camera over photographs, and there are none",
            hint="frames and videos are clips already",
        )
    _check_out(out, sources, overwrite)
    return sources


def _sources(
    given: Path, out: Path, sequences: bool, photo: Callable[[str, Path], Photo]
) -> Iterator[Source]:
    from nasrestore.data.frames import open_frames
    from nasrestore.data.images import IMAGE_SUFFIXES
    from nasrestore.data.video import VIDEO_SUFFIXES, is_video_name, open_video
    from nasrestore.engine.files import find_files, find_images

    if not given.exists():
        raise NasRestoreError(f"no such file or folder: {given}", hint="check the path")
    if given.is_dir():
        images, videos = find_images(given, without=out), find_files(given, VIDEO_SUFFIXES)
        if not images and not videos:
            raise NasRestoreError(f"no image and no video in the folder {given}")
        if sequences:
            for folder in dict.fromkeys(image.parent for image in images):
                name = _flat(folder.relative_to(given)) or given.resolve().name
                yield FrameClip(name, open_frames(folder))
        else:
            for image in images:
                name = _flat(image.relative_to(given).with_suffix(""))
                yield photo(name, image)
        for video in videos:
            yield VideoClip(_flat(video.relative_to(given).with_suffix("")), open_video(video))
    elif is_video_name(given):
        yield VideoClip(given.stem, open_video(given))
    elif given.suffix.lower() in IMAGE_SUFFIXES and not sequences:
        yield photo(given.stem, given)
    elif sequences:
        raise NasRestoreError(
            f"{given} is no folder of frames", hint="leave --sequences out for single photographs"
        )
    else:
        raise NasRestoreError(f"{given} is not known as an image or a video")


def _flat(path: Path) -> str:
    """A path inside a folder as one name."""
    return "-".join(part for part in path.parts if part != ".")


def _check_names(sources: Sequence[Source]) -> None:
    by_name: dict[str, Source] = {}
    for source in sources:
        other = by_name.setdefault(source.name, source)
        if other is not source:
            raise NasRestoreError(
                f"{other.path} and {source.path} would both be called {source.name!r}",
                hint="make them into different folders",
            )


def _check_out(out: Path, sources: Sequence[Source], overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise NasRestoreError(f"{out} is a file, a folder was expected", hint="name another one")
    folders = [(out / part).resolve() for part in ("rain", "norain")]
    for source in sources:
        if any(
            folder in (source.path.resolve(), *source.path.resolve().parents) for folder in folders
        ):
            raise NasRestoreError(
                f"{source.path} lies where results go, and inputs are never overwritten",
                hint="write to another folder",
            )
    if not overwrite:
        check_room(out, [source.name for source in sources])
