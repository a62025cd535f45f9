"""The log of a run: one JSON object a line, readable while it grows and after any crash.

A step line holds what a level's step measured, an event line what happened once::

    {"time": "2025-01-31T12:00:00.123+00:00", "elapsed": 3.21,
     "step": 12, "level": "weights", "terms": {"loss": 0.25}}
    {"time": "...", "elapsed": 3.3, "event": "derived", "choices": 4}

The first line of a file is the event "log" with ``format: 1``. ``time`` is UTC, ``elapsed`` counts
the seconds that the run has taken, over all resumptions. NaN and infinities are the strings "nan",
"inf" and "-inf", so that every line is strict JSON.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timezone
from io import FileIO
from pathlib import Path
from typing import Any

from nasrestore.errors import NasRestoreError
from nasrestore.runtime.checkpoint import FORMAT, check_format, disk_errors, write_atomic

_RESERVED = {"time", "elapsed", "event", "step", "level", "terms"}


def json_safe(value: Any) -> Any:
    """Plain data that strict JSON can hold: NaN and infinities become "nan", "inf" and "-inf".

    Numpy scalars and tensors of one element become numbers, paths strings, tuples lists;
    ``float()`` reads the three strings back.

    Raises:
        ValueError: a value of another type.
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, Mapping):
        return {str(key): json_safe(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_safe(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "item") and math.prod(getattr(value, "shape", (0,))) == 1:
        return json_safe(value.item())
    raise ValueError(f"JSON cannot hold a {type(value).__name__}")


def json_text(value: Any, indent: int | None = None) -> str:
    """Strict JSON of ``json_safe(value)``, with an end of line."""
    return json.dumps(json_safe(value), ensure_ascii=False, allow_nan=False, indent=indent) + "\n"


class RunLog:
    """Appends to the log of a run, and to TensorBoard's where a folder for it is given.

    Opening a log that exists goes on with it: a torn last line is dropped, ``elapsed`` continues.

    Args:
        path: the ``log.jsonl``; folders above are made as needed.
        tensorboard_dir: where TensorBoard's files go, made at the first step; None for none. Phases
            that count their steps anew want a folder each.
        clock: monotonic seconds.

    Raises:
        NasRestoreError: the disk refuses, now or in any later call; the lines before are intact.
    """

    def __init__(
        self,
        path: Path,
        tensorboard_dir: Path | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = path
        self._clock = clock
        self._tensorboard_dir = tensorboard_dir
        self._writer: Any = None
        self._purge_step: int | None = None
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        self._open(read_log(path))

    def _open(self, records: list[dict[str, Any]]) -> None:
        """Goes on after ``records``, which are the lines that the file is to hold."""
        past = max((record.get("elapsed", 0.0) for record in records), default=0.0)
        self._start = self._clock() - past
        with disk_errors(self.path):
            whole, rest = _split_torn(self.path.read_bytes())
            # Without a buffer: a line is on its way before the call returns, or has failed.
            self._file: FileIO = open(self.path, "ab", buffering=0)  # noqa: SIM115
            if rest:
                self._file.truncate(len(whole))
        if not records:
            self._append({"format": FORMAT, **self._stamp(), "event": "log"})

    def _stamp(self) -> dict[str, Any]:
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        return {"time": now, "elapsed": round(self.elapsed, 4)}

    @property
    def elapsed(self) -> float:
        """Seconds that the run has taken, over all resumptions."""
        return self._clock() - self._start

    def step(self, step: int, level: str, terms: Mapping[str, float], **extra: Any) -> None:
        """Logs one step of a level.

        Args:
            terms: the measured terms of its objective, by name.
            extra: more fields of the line; those that are floats go to TensorBoard, too.

        Raises:
            ValueError: ``extra`` has a name that each line has, or a value is not plain data.
        """
        self._refuse_reserved(extra, _RESERVED)
        line = {"step": step, "level": level, "terms": dict(terms), **extra}
        self._append({**self._stamp(), **line})
        if self._tensorboard_dir is not None:
            floats = {name: value for name, value in extra.items() if isinstance(value, float)}
            self._draw(step, level, {**terms, **floats})

    def event(self, name: str, **fields: Any) -> None:
        """Logs something that happened once.

        Raises:
            ValueError: ``fields`` has a name that each line has, or a value is not plain data.
        """
        self._refuse_reserved(fields, {"time", "elapsed", "event"})
        self._append({**self._stamp(), "event": name, **fields})

    @staticmethod
    def _refuse_reserved(fields: Mapping[str, Any], reserved: set[str]) -> None:
        taken = sorted(reserved & fields.keys())
        if taken:
            raise ValueError(f"a log line has {', '.join(taken)} already")

    def _append(self, record: dict[str, Any]) -> None:
        left = memoryview(json_text(record).encode())
        with disk_errors(self.path):
            before = os.fstat(self._file.fileno()).st_size
            try:
                while left:
                    left = left[self._file.write(left) :]
            except OSError:
                with suppress(OSError):
                    self._file.truncate(before)
                raise

    def _draw(self, step: int, level: str, values: Mapping[str, float]) -> None:
        writer = self._open_writer()
        if writer is None:
            return
        with disk_errors(self._tensorboard_dir or self.path):
            for name, value in values.items():
                writer.add_scalar(f"{level}/{name}", float(value), step)

    def _open_writer(self) -> Any:
        if self._writer is None and self._tensorboard_dir is not None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                self._tensorboard_dir = None
                self.event("tensorboard_off", reason=str(error))
                return None
            with disk_errors(self._tensorboard_dir):
                self._writer = SummaryWriter(self._tensorboard_dir, purge_step=self._purge_step)
        return self._writer

    def truncate_after(self, step: int, **of: Any) -> None:
        """Drops the lines of later steps, so that a resumed run does not log them twice.

        Of the events those go that carry a later ``step``, or a ``turn``, which counts the steps
        done, of more than up to this one. ``elapsed`` goes on from the last line that is left.

        Args:
            of: fields that tell the steps to look at, such as ``phase="train"`` in a log where
                the search before has counted, too; by default all.
        """

        def is_dropped(line: dict[str, Any]) -> bool:
            if "event" not in line or "step" in line:
                later = line["step"] > step
            else:
                later = line.get("turn", 0) > step + 1
            return later and all(line.get(name) == value for name, value in of.items())

        kept = [line for line in read_log(self.path) if not is_dropped(line)]
        self._purge_step = step + 1
        self._close_writer()
        self._file.close()
        write_atomic(self.path, "".join(json_text(record) for record in kept))
        self._open(kept)

    def _close_writer(self) -> None:
        if self._writer is not None and self._tensorboard_dir is not None:
            with disk_errors(self._tensorboard_dir):
                self._writer.close()
        self._writer = None

    def close(self) -> None:
        self._file.close()
        self._close_writer()

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _split_torn(data: bytes) -> tuple[bytes, bytes]:
    """The whole lines, and what a crash left of the last one."""
    end = data.rfind(b"\n") + 1
    return data[:end], data[end:]


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log, also of one that is being written; a torn last line is left out.

    The ``terms`` of the steps are floats, NaN and infinities included.

    Raises:
        NasRestoreError: there is no such file, it is of another version, or a line in it is
            damaged.
    """
    with disk_errors(path, "read"):
        whole, _ = _split_torn(path.read_bytes())
    records = [_read_line(path, number, line) for number, line in enumerate(whole.splitlines(), 1)]
    if records and "format" in records[0]:
        check_format(records[0]["format"], path)
    return records


def _read_line(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        record = dict(json.loads(line))
        if "event" not in record:
            record["step"] = int(record["step"])
            record["terms"] = {name: float(value) for name, value in record["terms"].items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise NasRestoreError(
            f"{path}:{number}: expected a line of a log, got {_shortened(line)!r}",
            hint="remove the line",
        ) from error
    return record


def _shortened(line: bytes) -> str:
    text = line.decode(errors="replace")
    return text if len(text) <= 60 else f"{text[:57]}..."
