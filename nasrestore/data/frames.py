"""Folders of image files as clips: every image is a frame, in natural order, none missing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nasrestore.data.files import existing_folder, images_matching
from nasrestore.data.images import IMAGE_SUFFIXES, Image, image_size, read_image, write_image
from nasrestore.errors import NasRestoreError, few

NAMED = 8  # missing numbers in one message
FRAME_NAME = "{:05d}.png"

_NUMBER = re.compile(r"[0-9]+")


@dataclass(frozen=True)
class FrameFolder:
    """The images of a folder as the frames of one clip; iterate to read them, one at a time.

    Attributes:
        files: in the order of time.
        size: height and width of every frame, pixels.
    """

    folder: Path
    files: tuple[Path, ...]
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[Image]:
        return (read_image(file) for file in self.files)


def open_frames(folder: str | Path, *, least: int = 1, glob: str = "*.*") -> FrameFolder:
    """The clip in a folder; headers are read, pixels are not.

    Args:
        least: frames it must have.
        glob: which images of the folder are its frames.

    Raises:
        NasRestoreError: no folder, no or too few images, numbers missing in a numbered sequence, two
            files of one number, several sequences in one folder, or frames of several sizes.
    """
    folder = existing_folder(folder)
    files = images_matching(folder, glob)
    if not files:
        raise NasRestoreError(f"no image in the folder {folder}", hint="frames are image files")
    check_numbers(folder, files)
    if len(files) < least:
        raise NasRestoreError(
            f"{folder} holds {len(files)} frame{'s' * (len(files) != 1)}, {least} are needed",
            hint="take a longer clip",
        )
    return FrameFolder(folder, tuple(files), _common_size(files))


def has_frames(folder: Path, glob: str = "*.*") -> bool:
    """Whether a folder holds images itself."""
    return any(
        path.suffix.lower() in IMAGE_SUFFIXES and path.name[0] != "." for path in folder.glob(glob)
    )


class FrameWriter:
    """Writes frames into a folder as ``00001.png``, ``00002.png`` and so on.

    Such files of an earlier, longer clip would belong to this one: they are removed first.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.frames = 0
        for old in written_frames(folder):
            old.unlink()

    def write(self, pixels: np.ndarray) -> None:
        """Appends a frame, ``H W C`` uint8 or uint16."""
        write_image(self.folder / FRAME_NAME.format(self.frames + 1), pixels)
        self.frames += 1


def written_frames(folder: Path) -> list[Path]:
    """What a :class:`FrameWriter` wrote into a folder, in the order of time."""
    found = folder.glob("[0-9][0-9][0-9][0-9][0-9]*.png")
    return sorted((path for path in found if path.stem.isdigit()), key=lambda path: int(path.stem))


def check_numbers(folder: Path, files: Sequence[Path]) -> None:
    """Whether numbered files are one sequence with even steps; names without numbers pass.

    Names with several numbers that change pass too: which of them counts frames is not known.

    Raises:
        NasRestoreError: it is not; missing numbers are named.
    """
    if not any(_NUMBER.search(file.stem) for file in files):
        return
    patterns = {_NUMBER.sub("#", file.stem): file for file in files}
    if len(patterns) > 1:
        names = ", ".join(file.name for file in list(patterns.values())[:3])
        raise NasRestoreError(
            f"{folder} holds several sequences or other images among its frames ({names})",
            hint="put every clip into a folder of its own",
        )
    numbers = number_of_frame(files)
    if numbers is None:
        return
    by_number: dict[int, Path] = {}
    for number, file in zip(numbers, files, strict=True):
        if number in by_number:
            raise NasRestoreError(
                f"{folder}: {by_number[number].name} and {file.name} are both frame {number}"
            )
        by_number[number] = file
    found = sorted(by_number)
    steps = {after - before for before, after in zip(found, found[1:])}  # noqa: B905, RUF007
    missing = sorted(set(range(found[0], found[-1], min(steps))) - set(found)) if steps else []
    if missing:
        raise NasRestoreError(
            f"{folder}: {len(missing)} frame{'s' * (len(missing) != 1)} missing between "
            f"{files[0].name} and {files[-1].name}: {few(missing, NAMED)}",
            hint="a clip needs all its frames; cut it into two folders there",
        )


def number_of_frame(files: Sequence[Path]) -> list[int] | None:
    """For every file the number that changes, or None where none or more than one does."""
    if not all(_NUMBER.search(file.stem) for file in files):
        return None
    columns = list(zip(*(map(int, _NUMBER.findall(file.stem)) for file in files), strict=True))
    changing = [column for column in columns if len(set(column)) > 1]
    if len(columns) == 1:
        return list(columns[0])
    return list(changing[0]) if len(changing) == 1 else None


def _common_size(files: Sequence[Path]) -> tuple[int, int]:
    size = image_size(files[0])
    for file in files[1:]:
        found = image_size(file)
        if found != size:
            raise NasRestoreError(
                f"{file} is {found[1]}x{found[0]}, the frames before it are {size[1]}x{size[0]}",
                hint="all frames of a clip have one size",
            )
    return size
