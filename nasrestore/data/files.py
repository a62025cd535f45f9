"""Image files in folders: listed in natural order, and their errors gathered into one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from nasrestore.data.images import IMAGE_SUFFIXES
from nasrestore.errors import NasRestoreError, few

NAMED = 3  # names of a kind in one message


def existing_folder(path: str | Path) -> Path:
    """The path, if it is a folder.

    Raises:
        NasRestoreError: it is missing or a file.
    """
    path = Path(path)
    if not path.is_dir():
        found = "it is a file" if path.exists() else "no such folder"
        raise NasRestoreError(f"cannot open {path}: {found}", hint="give the folder of the images")
    return path


def images_matching(root: Path, glob: str) -> list[Path]:
    """The image files of a glob in natural order, hidden ones left out."""
    found = (path for path in root.glob(glob) if path.suffix.lower() in IMAGE_SUFFIXES)
    return natural_sort(path for path in found if path.is_file() and path.name[0] != ".")


def natural_sort(paths: Iterable[Path]) -> list[Path]:
    """Numbers in names count as numbers: 2 before 10."""
    return sorted(paths, key=lambda path: natural_key(path.as_posix()))


def natural_key(text: str) -> list[tuple[int, int, str]]:
    """A sorting key under which numbers inside names compare as numbers."""
    parts = re.split(r"([0-9]+)", text)  # every second one is a number
    return [(0, int(part), part) if i % 2 else (1, 0, part) for i, part in enumerate(parts)]


def some_of(paths: Sequence[Path], noun: str) -> str:
    """``4 missing files (a.png, b.png, c.png, ...)``."""
    names = [path.name for path in paths[:NAMED]] + ["..."] * (len(paths) > NAMED)
    return f"{len(paths)} {noun}{'s' * (len(paths) != 1)} ({', '.join(names)})"


class Failures:
    """Collects errors of single files, so that the user sees more than the first.

    ``with failures: ...`` swallows a :class:`NasRestoreError`; ``raise_any`` raises what there is.
    """

    def __init__(self) -> None:
        self.errors: list[NasRestoreError] = []

    def __enter__(self) -> Failures:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, NasRestoreError):
            self.errors.append(error)
            return True
        return False

    def raise_any(self, what: str, named: int = 5) -> None:
        """Raises the one error as it is, or several as one message.

        Raises:
            NasRestoreError: anything failed.
        """
        if len(self.errors) == 1:
            raise self.errors[0]
        if self.errors:
            said = few((error.message for error in self.errors), named, between="\n  ")
            raise NasRestoreError(f"{len(self.errors)} {what}:\n  {said}")
