"""A run folder: the contract between commands.

::

    runs/NAME-DATE-TIME/
      run.json      what makes the folder a run: format, name and time of creation
      run.lock      only while a process writes the run
      recipe.yaml  genotype.yaml  log.jsonl  result.json  report.html
      checkpoints/search/  checkpoints/train/  pictures/  tensorboard/  plugins/

It holds no absolute path, so it can be moved. Importing this module imports no torch.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from nasrestore.errors import NasRestoreError
from nasrestore.registry import nearest
from nasrestore.runtime.checkpoint import FORMAT, check_format, disk_errors, write_atomic
from nasrestore.runtime.lock import LOCK_NAME, lock
from nasrestore.runtime.runlog import json_text

__all__ = [
    "RunFolder",
    "check_out",
    "create_run",
    "disk_errors",
    "newest_run",
    "open_run",
    "read_result",
    "update_result",
    "write_atomic",
]

DEFAULT_ROOT = Path("runs")
MEASURED = ("evaluations", "protocol", "psnr_before", "psnr_after", "ssim_before", "ssim_after")
_MARKER = "run.json"
_HOW_TO_MAKE = "`nasrestore search RECIPE` makes one; `nasrestore list` shows the shipped recipes"


@dataclass(frozen=True)
class RunFolder:
    """The places in one run folder; none of them need exist."""

    path: Path

    @property
    def recipe(self) -> Path:
        return self.path / "recipe.yaml"

    @property
    def genotype(self) -> Path:
        return self.path / "genotype.yaml"

    @property
    def log(self) -> Path:
        return self.path / "log.jsonl"

    @property
    def result(self) -> Path:
        return self.path / "result.json"

    @property
    def checkpoints_search(self) -> Path:
        return self.path / "checkpoints" / "search"

    @property
    def checkpoints_train(self) -> Path:
        return self.path / "checkpoints" / "train"

    @property
    def pictures(self) -> Path:
        return self.path / "pictures"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def plugins(self) -> Path:
        return self.path / "plugins"

    def command(self, name: str, *options: str) -> str:
        """A command on this run, ``nasrestore train runs/first --resume``, as a shell takes it."""
        return shlex.join(["nasrestore", name, str(self.path), *options])

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps every other process, and every other ``locked`` block, from writing this run.

        The lock goes with its process: one that a killed process left behind holds nobody up.

        Raises:
            NasRestoreError: a live process has it.
        """
        with lock(self.path / LOCK_NAME):
            yield


def create_run(
    out: Path | None,
    name: str,
    *,
    resume: bool,
    overwrite: bool,
    root: Path = DEFAULT_ROOT,
    now: datetime | None = None,
) -> RunFolder:
    """Makes the folder of a new run, or finds the one to resume.

    Args:
        out: the folder; by default ``root/NAME-DATE-TIME``, or, to resume, the newest of ``name``.
        overwrite: an earlier run in ``out`` is removed; has no effect without ``out``.
        now: the time that the run is said to be made at; without a time zone it is local.

    Raises:
        NasRestoreError: ``out`` cannot be had, or there is nothing to resume.
    """
    if resume and overwrite:
        raise NasRestoreError("--resume and --overwrite were both given", hint="choose one of them")
    name = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "run"
    if resume:
        return newest_run(root, name) if out is None else open_run(out)
    now = (now or datetime.now()).astimezone()
    if out is None:
        out = _fresh_folder(root, f"{name}-{now:%Y%m%d-%H%M%S}")
    else:
        _prepare_folder(out, overwrite)
    marker = {"format": FORMAT, "kind": "run", "name": name, "created": _utc(now)}
    write_atomic(out / _MARKER, json_text(marker))
    return RunFolder(out)


def _utc(time: datetime) -> str:
    # Always with microseconds, so that the order of the texts is that of the times.
    return time.astimezone(timezone.utc).isoformat(timespec="microseconds")


def _fresh_folder(root: Path, name: str) -> Path:
    number = 1
    with disk_errors(root):
        root.mkdir(parents=True, exist_ok=True)
        while True:
            folder = root / (name if number == 1 else f"{name}-{number}")
            try:
                folder.mkdir()
            except FileExistsError:
                number += 1
            else:
                return folder


def check_out(out: Path | None, *, overwrite: bool, root: Path = DEFAULT_ROOT) -> None:
    """Makes sure that a run may be made in ``out``, before anything long begins; leaves nothing.

    Args:
        root: where the run's folder is made, if ``out`` is None.

    Raises:
        NasRestoreError: it is a file, holds something, must not be removed, or cannot be written.
    """
    if out is None:
        _check_writable(root, f"cannot make a run in {root}", "--out names a folder elsewhere")
        return
    _refuse_precious(out)
    if out.is_dir():
        _check_empty(out, overwrite)
    _check_writable(out, f"--out {out}", "name a folder elsewhere")


def _check_writable(path: Path, what: str, hint: str) -> None:
    """Makes a folder as near to a path as there is one, and removes it again."""
    place = next(place for place in (path, *path.absolute().parents) if place.exists())
    try:  # permissions alone do not tell: a file system may be read-only, or hold no files
        os.rmdir(tempfile.mkdtemp(prefix=".nasrestore-", dir=place))
    except OSError as error:
        raise NasRestoreError(
            f"{what}: cannot write in {place}: {(error.strerror or str(error)).lower()}", hint=hint
        ) from error


def _check_empty(out: Path, overwrite: bool) -> None:
    """Refuses a folder that holds anything, unless it is a run that may be overwritten."""
    with disk_errors(out, "read"):
        entries = sorted(entry.name for entry in out.iterdir())
    if set(entries) == {LOCK_NAME}:  # left by a process that was killed before it wrote anything
        return
    if entries and not overwrite:
        raise NasRestoreError(
            f"--out {out} exists and is not empty",
            hint="--resume goes on with the run in it, --overwrite removes it; "
            "or choose another folder",
        )
    if entries:
        _check_removable(out, entries)


def _prepare_folder(out: Path, overwrite: bool) -> None:
    """Makes ``out`` an empty folder, where that harms nothing."""
    check_out(out, overwrite=overwrite)
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        entries = list(out.iterdir())
    if entries:
        with RunFolder(out).locked(), disk_errors(out, "remove"):
            _clear(out)


def _refuse_precious(out: Path) -> None:
    """Refuses a file, and the folders that hold more than a run: /, home, the working one."""
    if out.exists() and not out.is_dir():
        raise NasRestoreError(f"--out {out} is a file", hint="name a folder, such as runs/first")
    places = {"the working folder": Path.cwd()}
    with suppress(RuntimeError):
        places["the home folder"] = Path.home().resolve()
    here = out.resolve()
    for words, place in places.items():
        if here == place or here in place.parents:
            what = "is" if here == place else "contains"
            raise NasRestoreError(
                f"--out {out} {what} {words}", hint="name a folder of its own, such as runs/first"
            )


def _check_removable(folder: Path, entries: list[str]) -> None:
    """Refuses to remove what no run has made: neither marked as a run, nor with its files only."""
    run = RunFolder(folder)
    files = (run.recipe, run.genotype, run.log, run.result, run.report)
    folders = (run.checkpoints_train.parent, run.pictures, run.tensorboard, run.plugins)
    own = {_MARKER, LOCK_NAME, *(place.name for place in (*files, *folders))}
    foreign = [name for name in entries if name not in own]
    if _MARKER in entries or (run.recipe.name in entries and not foreign):
        return
    raise NasRestoreError(
        f"--out {folder} is not a run folder, so --overwrite leaves it alone: "
        f"it holds {', '.join((foreign or entries)[:3])}",
        hint="choose another folder, or empty this one yourself",
    )


def _clear(folder: Path) -> None:
    # What tells that this is a run goes last, so that an interrupted removal can be repeated.
    last = [RunFolder(folder).recipe, folder / _MARKER]
    first = [entry for entry in folder.iterdir() if entry not in (*last, folder / LOCK_NAME)]
    for entry in first:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    for entry in last:
        entry.unlink(missing_ok=True)


def newest_run(root: Path = DEFAULT_ROOT, name: str | None = None) -> RunFolder:
    """The run that was made last, by the time that it records, not by that of its files.

    Folders that never got a recipe do not count.

    Args:
        name: only runs that were made under this name.

    Raises:
        NasRestoreError: there is none, or it is of another version.
    """
    with disk_errors(root, "read"):
        folders = list(root.iterdir()) if root.is_dir() else []
    made = [(_made(folder), folder) for folder in folders if RunFolder(folder).recipe.is_file()]
    runs = [(time, len(folder.name), folder) for (time, of), folder in made if name in (None, of)]
    if not runs:
        which = "no run" if name is None else f"no run named {name!r}"
        raise NasRestoreError(
            f"there is {which} under {root}/",
            hint=f"{_HOW_TO_MAKE}; or name the folder of a run that lies elsewhere",
        )
    # Of two that were made at the same time, NAME-2 comes after NAME and NAME-10 after NAME-9.
    return open_run(max(runs)[-1])


def _made(folder: Path) -> tuple[str, str]:
    """When and under which name a run was made; a copied folder keeps both."""
    try:
        marker = json.loads((folder / _MARKER).read_bytes())
        return str(marker["created"]), str(marker["name"])
    except (OSError, ValueError, KeyError, TypeError):
        changed = RunFolder(folder).recipe.stat().st_mtime
        return _utc(datetime.fromtimestamp(changed, timezone.utc)), ""


def open_run(path: Path | None, root: Path = DEFAULT_ROOT) -> RunFolder:
    """The run in a folder, or the newest under ``root``.

    Raises:
        NasRestoreError: the folder is missing, holds no run, or one of another version.
    """
    if path is None:
        return newest_run(root)
    run = RunFolder(path)
    if not path.is_dir():
        raise NasRestoreError(_missing(path), hint=_near(path))
    if (path / _MARKER).exists():
        _read_json(path / _MARKER)
    if not run.recipe.is_file():
        found = "its recipe is missing" if (path / _MARKER).exists() else "it has no recipe.yaml"
        raise NasRestoreError(f"{path} is not a run folder: {found}", hint=_HOW_TO_MAKE)
    return run


def _missing(path: Path) -> str:
    what = "a file, where a run folder is expected" if path.exists() else "not there"
    return f"{path} is {what}"


def _near(path: Path) -> str:
    close: str | None = None
    with suppress(OSError):
        close = nearest(
            path.name, [entry.name for entry in path.parent.iterdir() if entry.is_dir()]
        )
    return _HOW_TO_MAKE if close is None else f"did you mean {path.parent / close}?"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        with disk_errors(path, "read"):
            data = json.loads(path.read_bytes())
    except ValueError as error:
        raise NasRestoreError(
            f"{path} is damaged: {error}", hint="restore it from a copy, or remove it"
        ) from error
    check_format(data.get("format") if isinstance(data, dict) else None, path)
    return dict(data)


def read_result(run: RunFolder) -> dict[str, Any]:
    """The ``result.json`` of a run; just the format where nothing was written yet.

    Infinite and missing values are the strings "inf", "-inf" and "nan", which ``float()`` reads.

    Raises:
        NasRestoreError: it is damaged, or of another version.
    """
    if not run.result.exists():
        return {"format": FORMAT}
    result = _read_json(run.result)
    wanted = {"search": dict, "train": dict, "derive": dict, "evaluations": list}
    for name, kind in wanted.items():
        if not isinstance(result.get(name, kind()), kind):
            raise NasRestoreError(
                f"{run.result} is damaged: {name} is not a {kind.__name__}",
                hint="restore it from a copy, or remove it",
            )
    rows = result.get("evaluations", [])
    if not all(
        isinstance(row, dict) and {"data", "split", "protocol"} <= row.keys() for row in rows
    ):
        raise NasRestoreError(
            f"{run.result} is damaged: an evaluation lacks its data, split or protocol",
            hint="restore it from a copy, or remove it",
        )
    return result


def update_result(
    run: RunFolder, *, without: Sequence[str] = (), **sections: Any
) -> dict[str, Any]:
    """Writes sections of ``result.json`` anew and keeps the others; gives back the whole.

    Args:
        without: sections that are not true any more, and go.

    A section, lists included, is replaced as a whole: whoever adds to one reads it first, inside
    ``run.locked()``.

    Raises:
        NasRestoreError: the file that is there is damaged, or the disk refuses.
        ValueError: a section holds something else than plain data.
    """
    kept = {name: value for name, value in read_result(run).items() if name not in without}
    result = {**kept, **sections, "format": FORMAT}
    write_atomic(run.result, json_text(result, indent=2))
    return _read_json(run.result)
