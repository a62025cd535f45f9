"""Where pairs and clips are put: in ``rain/`` and ``norain/``, whole or not at all.

A clip is made in a hidden folder, which nothing reads. A pair is one once its rainy part is there: that
is put last, and what it replaces is taken away first. So whenever a process is killed, whatever pairs
is whole; a clean part alone, or with more frames than the rainy one, is refused by all readers.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from nasrestore.api.synthesis_record import PARTS, SynthesisRecord

if TYPE_CHECKING:
    import numpy as np

    from nasrestore.data.frames import FrameWriter

UNFINISHED = ".synthesis.part"
LOCK = ".synthesis.lock"
RAINY, CLEAN = PARTS


class SynthesisFolder:
    """A folder while one process puts pairs and clips into it; :func:`locked` gives it.

    Attributes:
        record: how what it holds was made; a name of it may be a pair now and become a clip.
        made: the names that were put.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.record = SynthesisRecord(out)
        self.made: list[str] = []
        self._ours = self.record.names

    def put_pair(self, name: str, rainy: np.ndarray, clean: np.ndarray) -> None:
        """Writes ``rain/NAME.png`` and ``norain/NAME.png``, ``H W C`` uint8 or uint16."""
        from nasrestore.data.images import write_image

        self._take_away(name, clip=name in self._ours, pair=True)
        for part, pixels in ((CLEAN, clean), (RAINY, rainy)):
            write_image(self.out / part / f"{name}.png", pixels)
        self.made.append(name)

    @contextmanager
    def clip(self, name: str) -> Iterator[tuple[FrameWriter, FrameWriter]]:
        """Writers of rainy and of clean frames, which become a clip when the block ends well."""
        from nasrestore.data.frames import FrameWriter, written_frames
        from nasrestore.runtime.checkpoint import disk_errors

        unfinished = self.out / UNFINISHED
        writers = FrameWriter(unfinished / RAINY), FrameWriter(unfinished / CLEAN)
        yield writers
        self._take_away(name, clip=True, pair=name in self._ours)
        for part in (CLEAN, RAINY):
            target = self.out / part / name
            with disk_errors(target):
                target.mkdir(parents=True, exist_ok=True)
                for frame in written_frames(unfinished / part):
                    os.replace(frame, target / frame.name)
        self.made.append(name)

    def _take_away(self, name: str, *, clip: bool, pair: bool) -> None:
        """What was made under a name before, the rainy part first."""
        from nasrestore.data.frames import written_frames
        from nasrestore.runtime.checkpoint import disk_errors

        for part in (RAINY, CLEAN):
            folder = self.out / part
            with disk_errors(folder):
                if pair:
                    (folder / f"{name}.png").unlink(missing_ok=True)
                for frame in written_frames(folder / name) if clip else ():
                    frame.unlink()
            with suppress(OSError):  # it is not there, or holds files of others
                (folder / name).rmdir()


@contextmanager
def locked(out: Path) -> Iterator[SynthesisFolder]:
    """The folder, made where there is none; nobody else puts anything into it within the block.

    Raises:
        NasRestoreError: another process does, the record cannot be read, or the disk refuses.
    """
    from nasrestore.runtime.checkpoint import disk_errors
    from nasrestore.runtime.lock import lock

    new = not out.exists()
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    unfinished = out / UNFINISHED
    try:
        with lock(out / LOCK):
            shutil.rmtree(unfinished, ignore_errors=True)  # of a process that was killed
            try:
                yield SynthesisFolder(out)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
    finally:
        if new:
            with suppress(OSError):  # it holds something
                out.rmdir()
