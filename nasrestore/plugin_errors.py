"""Whose error it is: the plugin whose code raised, or gave something that it should not have."""

from __future__ import annotations

import linecache
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from nasrestore.errors import NasRestoreError
from nasrestore.registry import KINDS, Entry, Registry

PACKAGE = str(Path(__file__).resolve().parent)
MOST_FRAMES = 4


def raised_by_plugin(error: BaseException) -> NasRestoreError | None:
    """The message for an error whose innermost frame, libraries apart, is a plugin's.

    ``None`` where it is of this package, or of nobody whom we know: the traceback is wanted then.
    ``sys.exit()`` in a plugin is such an error as well, whatever status it asks for.
    """
    if isinstance(error, (NasRestoreError, KeyboardInterrupt)):
        return None
    files = {_file_of(entry): True for _, entry in _of_plugins()}
    known = [
        (frame, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename in files or frame.f_code.co_filename.startswith(PACKAGE)
    ]
    if not known or known[-1][0].f_code.co_filename not in files:
        return None
    theirs = [(frame, line) for frame, line in known if frame.f_code.co_filename in files]
    frame, line = theirs[-1]
    place = f"{Path(frame.f_code.co_filename).name}:{line}"
    who = next((name for name in map(_name_of, (f for f, _ in reversed(theirs))) if name), None)
    text = str(error).strip().partition("\n")[0]
    what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return NasRestoreError(
        f"the plugin's {who or 'code'} failed at {place}: {what}",
        hint="in the plugin: " + "; ".join(_shown(*one) for one in theirs[-MOST_FRAMES:]),
    )


def described(kind: Registry, made: object) -> str:
    """``the plugin's loss 'mine' (mine.py:12)``, or what a built-in is called."""
    for registry, entry in _of_plugins():
        if registry is kind and isinstance(entry.factory, type) and isinstance(made, entry.factory):
            line = _first_line(entry.factory)
            place = Path(_file_of(entry)).name + (f":{line}" if line else "")
            return f"the plugin's {kind.kind} {entry.name!r} ({place})"
    return f"the {kind.kind} {type(made).__name__}"


def _of_plugins() -> Iterator[tuple[Registry, Entry]]:
    for registry in KINDS.values():
        for name in registry.names():
            entry = registry.entry(name)
            if entry.factory is not None and entry.origin.partition(".")[0] != "nasrestore":
                yield registry, entry


def _file_of(entry: Entry) -> str:
    return str(getattr(sys.modules.get(entry.origin), "__file__", None) or entry.origin)


def _first_line(factory: type) -> int | None:
    for name in ("forward", "__call__"):
        code = getattr(vars(factory).get(name), "__code__", None)
        if code is not None:
            return int(code.co_firstlineno)
    return None


def _name_of(frame: FrameType) -> str | None:
    """The kind and the name of what a frame's code belongs to."""
    owner: Any = frame.f_locals.get("self")
    for registry, entry in _of_plugins():
        factory = entry.factory
        if isinstance(factory, type) and isinstance(owner, factory):
            return f"{registry.kind} {entry.name!r}"
        if getattr(factory, "__code__", None) is frame.f_code:
            return f"{registry.kind} {entry.name!r}"
    return None


def _shown(frame: FrameType, line: int) -> str:
    code = frame.f_code
    text = linecache.getline(code.co_filename, line).strip()
    return f"{code.co_filename}:{line} in {code.co_name}" + (f": {text}" if text else "")
