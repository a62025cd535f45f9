"""Applying a restorer to image files and folders of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nasrestore.data.images import read_image, write_image
from nasrestore.engine.files import plan_outputs
from nasrestore.errors import NasRestoreError

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Restored:
    """One file done: seconds from reading to writing, size as (height, width) in pixels."""

    source: Path
    target: Path
    seconds: float
    size: tuple[int, int]


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
    jobs = plan_outputs(inputs, Path(out), overwrite=overwrite)
    done, bad = [], []
    for number, (target, source) in enumerate(jobs.items(), start=1):
        started = time.perf_counter()
        try:
            image = read_image(source)
        except NasRestoreError as error:
            bad.append(error.message)
        except OSError as error:
            bad.append(f"cannot read {source}: {error.strerror or error}")
        else:
            write_image(target, _named(source, restorer, image.pixels), like=image)
            height, width = image.pixels.shape[:2]
            seconds = time.perf_counter() - started
            done.append(Restored(source, target, seconds, (height, width)))
        if progress is not None:
            progress(number, len(jobs))
    if bad:
        raise NasRestoreError(
            "\n  ".join([f"{len(bad)} of {len(jobs)} images could not be read:", *bad]),
            hint=f"the other {len(done)} are in {out}" if done else None,
        )
    return done


def _named(
    source: Path, restorer: Callable[[np.ndarray], np.ndarray], pixels: np.ndarray
) -> np.ndarray:
    try:
        return restorer(pixels)
    except NasRestoreError as error:
        error.message = f"{source}: {error.message}"
        raise
