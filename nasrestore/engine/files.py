"""Which images a command reads, where their results go, and which belong together.

All of it is settled by names, before the first image is read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path

from nasrestore.data.files import existing_folder, natural_sort
from nasrestore.data.images import IMAGE_SUFFIXES
from nasrestore.errors import NasRestoreError, few

KNOWN = f"images are known by suffix: {' '.join(sorted(IMAGE_SUFFIXES))}"

NameKey = tuple[str, tuple[int, ...]]


def find_images(folder: Path, *, without: Path | None = None) -> list[Path]:
    """All images below ``folder``, as :func:`find_files` has them."""
    return find_files(folder, IMAGE_SUFFIXES, without=without)


def find_files(
    folder: Path, suffixes: Collection[str], *, without: Path | None = None
) -> list[Path]:
    """All files below ``folder`` by suffix, naturally sorted; nothing hidden.

    Args:
        suffixes: in lower case, with their dots.
        without: a folder below it that is left out, such as the one results go to.
    """
    barred = None if without is None else without.resolve()

    def walk() -> Iterator[Path]:
        for here, folders, names in os.walk(folder, onerror=_refuse):
            folders[:] = [
                name
                for name in folders
                if not name.startswith(".") and (Path(here) / name).resolve() != barred
            ]
            yield from (Path(here) / name for name in names if not name.startswith("."))

    files = (path for path in walk() if path.suffix.lower() in suffixes and path.is_file())
    return natural_sort(sorted(files))


def _refuse(error: OSError) -> None:
    raise NasRestoreError(f"cannot look into {error.filename}: {error.strerror}") from error


def plan_outputs(inputs: Iterable[Path], out: Path, *, overwrite: bool) -> dict[Path, Path]:
    """From every output in ``out`` to its input, in the order of ``inputs``; nothing is written.

    A file keeps its name, a folder's images keep their path inside it; what lies in ``out`` already
    is no input.

    Raises:
        NasRestoreError: no image; two inputs for one output; an output that exists, without
            ``overwrite``; an output that is an input, always.
    """
    jobs: dict[Path, Path] = {}
    for given in map(Path, inputs):
        for source, name in _sources(given, out):
            other = jobs.setdefault(out / name, source)
            if other.resolve() != source.resolve():
                raise NasRestoreError(
                    f"{other} and {source} would both be written to {out / name}",
                    hint="restore them into different folders",
                )
    if not jobs:
        raise NasRestoreError("no input was given", hint="name an image or a folder of images")
    check_outputs(jobs, out, overwrite=overwrite)
    return jobs


def _sources(given: Path, out: Path) -> list[tuple[Path, Path]]:
    if given.is_dir():
        images = find_images(given, without=out)
        if not images:
            raise NasRestoreError(f"no image in the folder {given}", hint=KNOWN)
        return [(image, image.relative_to(given)) for image in images]
    if not given.exists():
        raise NasRestoreError(f"no such file or folder: {given}", hint="check the path")
    if not given.is_file():
        raise NasRestoreError(f"{given} is not a regular file", hint="name a file or a folder")
    if given.suffix.lower() not in IMAGE_SUFFIXES:
        raise NasRestoreError(f"{given} is not known as an image", hint=KNOWN)
    return [(given, Path(given.name))]


def check_outputs(jobs: Mapping[Path, Path], out: Path, *, overwrite: bool) -> None:
    """Whether every output, mapped to its input, may be written; a folder has to be empty.

    Raises:
        NasRestoreError: an output exists, without ``overwrite``, or is an input.
    """
    if out.exists() and not out.is_dir():
        raise NasRestoreError(f"{out} is a file, a folder was expected", hint="name another one")
    existing = [target for target in jobs if os.path.lexists(target) and not _is_empty(target)]
    inputs = {_file_number(path) for source in jobs.values() for path in (source, source.parent)}
    for target in existing:
        if target.exists() and _file_number(target) in inputs:
            raise NasRestoreError(
                f"{target} is an input, and inputs are never overwritten",
                hint="write to another folder",
            )
    if existing and not overwrite:
        raise NasRestoreError(
            f"the output exists already: {_listed(existing, out)}",
            hint="write to another folder, or say that it may be overwritten",
        )


def _is_empty(path: Path) -> bool:
    return path.is_dir() and next(path.iterdir(), None) is None


def _file_number(path: Path) -> tuple[int, int]:
    """What two names of one file share, whatever their spelling, links or letter case."""
    status = path.stat()
    return status.st_dev, status.st_ino


def images_by_stem(folder: Path) -> dict[str, Path]:
    """The images below ``folder`` by their path in it without suffix, naturally sorted.

    Raises:
        NasRestoreError: no folder, no image in it, or two that differ in their suffix alone.
    """
    images: dict[str, Path] = {}
    for path in find_images(existing_folder(folder)):
        stem = path.relative_to(folder).with_suffix("").as_posix()
        if stem in images:
            raise NasRestoreError(
                f"{images[stem]} and {path} differ in their suffix alone",
                hint="leave one of them in the folder",
            )
        images[stem] = path
    if not images:
        raise NasRestoreError(f"no image in the folder {folder}", hint=KNOWN)
    return images


def partners(folder: Path, other: Path, *, single: bool = False) -> dict[str, Path]:
    """For every image in ``folder``, by its stem, the one in ``other`` that belongs to it.

    That is the one of the same path without suffix; failing that, of the same numbers in its name
    (``rain-001`` and ``norain-1``); failing that, of the same first number (``901_1`` to ``901_14``
    all belong to ``901``). One rule has to fit all images of both folders.

    Args:
        single: no image in ``other`` may serve several in ``folder``.

    Raises:
        NasRestoreError: as :func:`images_by_stem`; images left without partner, named.
    """
    mine, theirs = images_by_stem(folder), images_by_stem(other)
    if set(mine) == set(theirs):
        return {stem: theirs[stem] for stem in mine}
    for key in (_numbers, _first_number):
        found = _matched(mine, theirs, key)
        if found is not None and not (single and len(set(found.values())) < len(found)):
            return found
    lone = [_lone(mine, theirs), _lone(theirs, mine)]
    if not any(lone):
        raise NasRestoreError(
            f"the names in {folder} and {other} do not tell which images belong together",
            hint="give partners the same name",
        )
    left = (_listed(paths, where) for paths, where in zip(lone, (folder, other), strict=True))
    raise NasRestoreError(
        f"images without partner: {'; '.join(left)}",
        hint="give partners the same name, or the same number in it",
    )


def _numbers(stem: str) -> NameKey | None:
    folder, _, name = stem.rpartition("/")
    numbers = tuple(int(digits) for digits in re.findall("[0-9]+", name))
    return (folder, numbers) if numbers else None


def _first_number(stem: str) -> NameKey | None:
    found = _numbers(stem)
    return None if found is None else (found[0], found[1][:1])


def _matched(
    mine: dict[str, Path], theirs: dict[str, Path], key: Callable[[str], NameKey | None]
) -> dict[str, Path] | None:
    """The partners under a key that all names have, and that tells all of ``theirs`` apart."""
    by_key = {key(stem): path for stem, path in theirs.items()}
    keys = {stem: key(stem) for stem in mine}
    # Several of one scene are told apart by their further numbers; "1" and "1 copy" are a mistake.
    clear = len(by_key) == len(theirs) and len({_numbers(stem) for stem in mine}) == len(mine)
    if not clear or None in by_key or set(keys.values()) != set(by_key):
        return None
    return {stem: by_key[found] for stem, found in keys.items()}


def _lone(mine: dict[str, Path], theirs: dict[str, Path]) -> list[Path]:
    """Those of ``mine`` that have neither the name nor the numbers of any of ``theirs``."""
    known = {_numbers(stem) for stem in theirs} - {None}
    return [p for stem, p in mine.items() if stem not in theirs and _numbers(stem) not in known]


def _listed(paths: list[Path], folder: Path) -> str:
    names = few(path.relative_to(folder).as_posix() for path in paths)
    return f"{len(paths)} in {folder}" + (f" ({names})" if paths else "")
