"""What a restoration has to do: images, clips in folders, videos, and where each result goes.

All of it is settled before the first frame is restored: names, sizes, missing frames, what is no
video, and outputs that exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nasrestore.data.files import Failures
from nasrestore.data.frames import FrameFolder, open_frames
from nasrestore.data.images import IMAGE_SUFFIXES
from nasrestore.data.video import VIDEO_SUFFIXES, Video, is_video_name, open_video
from nasrestore.data.video_writer import written_suffix
from nasrestore.engine.files import check_outputs, find_files, find_images
from nasrestore.errors import NasRestoreError

KNOWN = (
    f"known by suffix are images ({' '.join(sorted(IMAGE_SUFFIXES))}) "
    f"and videos ({' '.join(sorted(VIDEO_SUFFIXES))})"
)


@dataclass(frozen=True)
class ImageJob:
    """An image file, restored into another."""

    source: Path
    target: Path

    expected = 1

    def outputs(self) -> dict[Path, Path]:
        """Each file or folder that is written, and the file it is made of."""
        return {self.target: self.source}


@dataclass(frozen=True)
class FramesJob:
    """A folder of frames, restored into a folder under the same names."""

    clip: FrameFolder
    target: Path

    @property
    def source(self) -> Path:
        return self.clip.folder

    @property
    def expected(self) -> int:
        return len(self.clip)

    def outputs(self) -> dict[Path, Path]:
        return {self.target / file.name: file for file in self.clip.files}


@dataclass(frozen=True)
class VideoJob:
    """A video file, restored into another, or into a folder of PNG frames.

    Attributes:
        as_frames: the target is such a folder.
    """

    video: Video
    target: Path
    as_frames: bool = False

    @property
    def source(self) -> Path:
        return self.video.path

    @property
    def expected(self) -> int | None:
        return self.video.expected

    def outputs(self) -> dict[Path, Path]:
        return {self.target: self.source}


Job = ImageJob | FramesJob | VideoJob


def plan_jobs(
    inputs: Iterable[Path],
    out: Path,
    *,
    frames: int | None = None,
    as_frames: bool = False,
    overwrite: bool = False,
) -> list[Job]:
    """What is to be done for files and folders, in their order; nothing is written.

    A file keeps its name; what a folder holds keeps its path inside it, under the folder's name where
    there are several inputs. What lies in ``out`` already is no input.

    Args:
        frames: how many the network reads at a time: then a folder's images are the frames of one
            clip, and so are those of every folder below it. None: images are restored one by one.
        as_frames: write frames of videos as PNG images, ``NAME/00001.png`` and so on.
        overwrite: outputs may exist.

    Raises:
        NasRestoreError: nothing to restore, something that is neither image nor video, cannot be
            read, or is no clip; two inputs for one output; an output that exists or is an input.
    """
    jobs: list[Job] = []
    failures = Failures()
    named = list(map(Path, inputs))
    for given in named:
        with failures:
            jobs.extend(_jobs(given, Path(out), frames, as_frames, several=len(named) > 1))
    failures.raise_any("inputs cannot be restored")
    if not jobs:
        raise NasRestoreError("no input was given", hint="name an image, a folder or a video")
    outputs: dict[Path, Path] = {}
    folders: dict[Path, Path] = {}
    for job in jobs:
        for target, source in job.outputs().items():
            _take(outputs, target, source)
        if not isinstance(
            job, ImageJob
        ):  # frames of two clips in one folder would be read as one clip
            _take(folders, job.target, job.source)
    check_outputs(outputs, Path(out), overwrite=overwrite)
    return list(dict.fromkeys(jobs))


def _take(taken: dict[Path, Path], target: Path, source: Path) -> None:
    other = taken.setdefault(target, source)
    if other.resolve() != source.resolve():
        raise NasRestoreError(
            f"{other} and {source} would both be written to {target}",
            hint="restore them into different folders",
        )


def _jobs(
    given: Path, out: Path, frames: int | None, as_frames: bool, *, several: bool
) -> Iterator[Job]:
    if given.is_dir():
        yield from _jobs_in(given, out, frames, as_frames, several=several)
    elif not given.exists():
        raise NasRestoreError(f"no such file or folder: {given}", hint="check the path")
    elif not given.is_file():
        raise NasRestoreError(f"{given} is not a regular file", hint="name a file or a folder")
    elif is_video_name(given):
        yield _video_job(given, out / given.name, as_frames)
    elif given.suffix.lower() not in IMAGE_SUFFIXES:
        raise NasRestoreError(f"{given} is not known as an image or a video", hint=KNOWN)
    elif frames is not None:
        raise NasRestoreError(
            f"{given} is a single image, and this network restores video: it reads {frames} frames "
            "at a time",
            hint="give it a folder of frames or a video file",
        )
    else:
        yield ImageJob(given, out / given.name)


def _jobs_in(
    folder: Path, out: Path, frames: int | None, as_frames: bool, *, several: bool
) -> Iterator[Job]:
    place = out / folder.resolve().name if several else out
    images = find_images(folder, without=out)
    videos = find_files(folder, VIDEO_SUFFIXES, without=out)
    if not images and not videos:
        raise NasRestoreError(f"no image and no video in the folder {folder}", hint=KNOWN)
    if frames is None:
        yield from (ImageJob(image, place / image.relative_to(folder)) for image in images)
    else:
        for inner in dict.fromkeys(image.parent for image in images):
            yield FramesJob(open_frames(inner), place / inner.relative_to(folder))
    for video in videos:
        yield _video_job(video, place / video.relative_to(folder), as_frames)


def _video_job(source: Path, place: Path, as_frames: bool) -> VideoJob:
    target = place.with_suffix("" if as_frames else written_suffix(source))
    return VideoJob(open_video(source), target, as_frames)
