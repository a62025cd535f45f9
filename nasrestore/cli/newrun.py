"""Which run a command is writing, so that an interruption can say what goes on with it."""

from __future__ import annotations

import shlex
from pathlib import Path

from nasrestore.runtime.checkpoint import latest_checkpoint
from nasrestore.runtime.runfolder import DEFAULT_ROOT, RunFolder


class NewRun:
    """The run folder of a command that is about to begin.

    Args:
        out: the folder, where the user named it; otherwise a new one under ``root``.
    """

    def __init__(self, out: Path | None, root: Path = DEFAULT_ROOT) -> None:
        self._out = out
        self._root = root
        self._before = self._runs()

    def found(self) -> Path | None:
        """The folder, if the command has made its run by now."""
        before = set(self._before.items())
        new = [made for made in self._runs().items() if made not in before]
        return max(new, key=lambda made: made[1])[0] if new else None

    def _runs(self) -> dict[Path, tuple[int, int]]:
        """The runs there are, with what differs between one run and the next in its place."""
        if self._out is not None:
            folders = [self._out]
        else:
            folders = list(self._root.iterdir()) if self._root.is_dir() else []
        found = {}
        for folder in folders:
            recipe = RunFolder(folder).recipe
            if recipe.is_file():
                status = recipe.stat()
                found[folder] = (status.st_mtime_ns, status.st_ino)
        return found


class Training:
    """The training of a run that is about to begin.

    Args:
        overwrite: whether an earlier one is to make room.
    """

    def __init__(self, folder: Path, *, overwrite: bool = False) -> None:
        self._folder = folder
        self._earlier = self._newest() if overwrite else None

    def resume_command(self) -> str:
        """What goes on with it, or begins it where it has not begun yet."""
        newest = self._newest()
        command = f"nasrestore train {shlex.quote(str(self._folder))}"
        if newest is None:
            return command
        return f"{command} {'--overwrite' if newest == self._earlier else '--resume'}"

    def _newest(self) -> Path | None:
        return latest_checkpoint(RunFolder(self._folder).checkpoints_train)
