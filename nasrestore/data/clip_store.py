"""Frames kept in memory, or in files that are mapped into it and go with the last that reads them.

A file has no name any more once it is mapped, where the system allows that (POSIX): its room is free as
soon as nothing maps it, however the process ends.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import weakref
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from nasrestore.errors import NasRestoreError

_TYPES = {"uint8": torch.uint8, "float16": torch.float16}


class StoreError(NasRestoreError):
    """Clips cannot be kept: the disk is full, or refuses."""


class ClipStore:
    """Keeps clips; both ways give the same tensors.

    Args:
        device: of clips in memory.
        on_disk: keep them in a temporary folder, which is removed at the end; its place is what
            ``TMPDIR`` names. A killed process leaves it with the file that was being written, if any;
            on Windows with all.

    Raises:
        StoreError: no temporary folder can be made.
    """

    def __init__(self, device: torch.device, on_disk: bool) -> None:
        self.device = torch.device("cpu") if on_disk else device
        self.folder: Path | None = None
        self._count = 0
        if on_disk:
            try:
                self.folder = Path(tempfile.mkdtemp(prefix="nasrestore-clips-"))
            except OSError as error:
                raise _no_room(Path(tempfile.gettempdir()), error) from error
            weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def put(self, frames: Iterable[np.ndarray]) -> torch.Tensor:
        """Keeps a clip: frames of one shape and type, uint8 or float16, become ``T ...``.

        On disk no more than one frame is in memory at a time.

        Raises:
            StoreError: the disk is full, or refuses.
            ValueError: no frame, or frames of several shapes.
        """
        return self._in_memory(frames) if self.folder is None else self._on_disk(frames)

    def _in_memory(self, frames: Iterable[np.ndarray]) -> torch.Tensor:
        return torch.from_numpy(np.stack(list(frames))).to(self.device)

    def _on_disk(self, frames: Iterable[np.ndarray]) -> torch.Tensor:
        assert self.folder is not None
        self._count += 1
        path = self.folder / f"{self._count:06}.raw"
        try:
            shape, dtype = self._write(path, frames)
            mapped = torch.from_file(
                str(path), shared=False, size=math.prod(shape), dtype=_TYPES[dtype]
            )
        finally:
            with suppress(
                OSError
            ):  # Windows keeps the names of mapped files, until the folder goes
                path.unlink()
        return mapped.view(shape)

    def _write(self, path: Path, frames: Iterable[np.ndarray]) -> tuple[tuple[int, ...], str]:
        """Puts frames into a file, one after the other; the shape of all, and their type."""
        assert self.folder is not None
        shape: tuple[int, ...] | None = None
        length, dtype = 0, "uint8"
        try:
            with open(path, "wb") as file:
                for frame in frames:
                    if shape not in (None, frame.shape):
                        raise ValueError(f"frames of one shape: {shape} and {frame.shape}")
                    shape, dtype, length = frame.shape, frame.dtype.name, length + 1
                    file.write(np.ascontiguousarray(frame).data)
        except OSError as error:
            raise _no_room(self.folder, error) from error
        if shape is None:
            raise ValueError("a clip has at least one frame")
        return (length, *shape), dtype


def _no_room(folder: Path, error: OSError) -> StoreError:
    return StoreError(
        f"cannot keep decoded clips in {folder}: {error.strerror or error}",
        hint="TMPDIR names a folder with more room; data.memory keeps more in memory, "
        "data.limit takes fewer clips",
    )
