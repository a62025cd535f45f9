"""``synthesis.json``: how what a folder of ``synthesize`` holds was made, call by call.

    {"format": 2, "calls": [{"version": ..., "finished": true, "model": "additive", "clips": null,
     "size": null, "seed": 0, "rain": {...}, "auxiliary": null, "sources": {NAME: PATH}}]}

A name stands with the call that made it last. A call that was killed is not ``finished``, and its
sources are those that were planned: what is there of them is whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nasrestore.errors import NasRestoreError, few

FILE_NAME = "synthesis.json"
FORMAT = 2
PARTS = ("rain", "norain")
NAMED = 5  # names in one message

Call = dict[str, Any]


class SynthesisRecord:
    """The record of a folder, empty where there is none; :meth:`begin` and :meth:`end` write it.

    Attributes:
        calls: oldest first.

    Raises:
        NasRestoreError: a file of that name that is no such record.
    """

    def __init__(self, out: Path) -> None:
        self.path = out / FILE_NAME
        self.calls: list[Call] = _read(self.path)

    @property
    def names(self) -> set[str]:
        """What synthesize made in the folder, or was about to when it was killed."""
        return {name for call in self.calls for name in call["sources"]}

    def begin(self, call: Call) -> None:
        """Adds a call with the sources that it is about to take."""
        self.calls.append({**call, "finished": False})
        self._write()

    def end(self, made: Mapping[str, str], *, finished: bool) -> None:
        """What has become of the call that began last.

        Args:
            made: the source of every name that it made; other calls made them no more.
        """
        *earlier, call = self.calls
        for other in earlier:
            kept = {name: path for name, path in other["sources"].items() if name not in made}
            other["sources"] = kept
        ended = {**call, "finished": finished, "sources": dict(made)}
        self.calls = [one for one in (*earlier, ended) if one["sources"]]
        if self.calls:
            self._write()
        else:
            self.path.unlink(missing_ok=True)

    def _write(self) -> None:
        from nasrestore.runtime.checkpoint import write_atomic
        from nasrestore.runtime.runlog import json_text

        write_atomic(self.path, json_text({"format": FORMAT, "calls": self.calls}, indent=2))


def check_room(out: Path, names: Iterable[str]) -> None:
    """Whether pairs and clips of these names can join what the folder holds.

    Raises:
        NasRestoreError: it holds some of them, or what synthesize did not make.
    """
    record, held = SynthesisRecord(out), _held(out)
    foreign = [place for name, place in held.items() if name not in record.names]
    if foreign:
        raise NasRestoreError(
            f"{out} holds what synthesize did not make: {few(foreign, NAMED)}",
            hint="--out names another folder; --overwrite leaves it, unless its name is the same",
        )
    taken = [name for name in names if name in held]
    if taken:
        raise NasRestoreError(
            f"{out} holds results already: {few(taken, NAMED)}",
            hint="--overwrite replaces those of the same name, --out names another folder",
        )


def _held(out: Path) -> dict[str, str]:
    """The names of pairs and clips in a folder, and where one of each lies."""
    found: dict[str, str] = {}
    for part in PARTS:
        folder = out / part
        for place in sorted(folder.iterdir()) if folder.is_dir() else ():
            if not place.name.startswith("."):
                name = place.stem if place.suffix == ".png" and place.is_file() else place.name
                found.setdefault(name, f"{part}/{place.name}")
    return found


def _read(path: Path) -> list[Call]:
    if not path.exists():
        return []
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] == 1:  # one call, without a list around it
            content = {"calls": [{**content, "finished": True}]}
            del content["calls"][0]["format"]
        elif content["format"] != FORMAT:
            raise ValueError(f"format {content['format']}, {FORMAT} is known")
        calls: list[Call] = content["calls"]
        for call in calls:
            call["sources"].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise NasRestoreError(
            f"{path} is no record that synthesize can go on with: {error}",
            hint="move it away, or name another folder with --out",
        ) from None
    return calls
