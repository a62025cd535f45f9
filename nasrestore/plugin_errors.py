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
    ``sys.exit()`` in a plugin is such an error as well, whatever status it asks for; so is what a
    library's object raises that a plugin made, such as an ``nn.Conv2d`` given as an operation.
    """
    if isinstance(error, (NasRestoreError, KeyboardInterrupt)):
        return None
    files = {_file_of(entry): True for _, entry in _of_plugins()}
    theirs: list[tuple[FrameType, int]] = []
    ours = True  # the innermost
    for frame, line in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename in files or _maker_of(frame) is not None:
            theirs.append((frame, line))
            ours = False
        elif frame.f_code.co_filename.startswith(PACKAGE):
            ours = True
    if ours:
        return None
    text = str(error).strip().partition("\n")[0]
    what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    own = [(frame, line) for frame, line in theirs if frame.f_code.co_filename in files]
    if not own:
        registry, entry = _maker_of(theirs[-1][0])  # type: ignore[misc]
        return NasRestoreError(
            f"the plugin's {registry.kind} {entry.name!r} ({_place_of(entry)}) failed: {what}",
            hint="in what it made: " + _shown(*theirs[-1]),
        )
    frame, line = own[-1]
    place = f"{Path(frame.f_code.co_filename).name}:{line}"
    who = next((name for name in map(_name_of, (f for f, _ in reversed(own))) if name), None)
    return NasRestoreError(
        f"the plugin's {who or 'code'} failed at {place}: {what}",
        hint="in the plugin: " + "; ".join(_shown(*one) for one in own[-MOST_FRAMES:]),
    )


def described(kind: Registry, made: object) -> str:
    """``the plugin's loss 'mine' (mine.py:12)``, or what a built-in is called."""
    for registry, entry in _of_plugins():
        if registry is kind and isinstance(entry.factory, type) and isinstance(made, entry.factory):
            return f"the plugin's {kind.kind} {entry.name!r} ({_place_of(entry)})"
    return f"the {kind.kind} {type(made).__name__}"


def plugin_places(kind: Registry) -> dict[str, str]:
    """For each name of a kind that is a plugin's, where it begins: ``mine.py:12``."""
    return {entry.name: _place_of(entry) for registry, entry in _of_plugins() if registry is kind}


def _place_of(entry: Entry) -> str:
    line = _first_line(entry.factory)
    return Path(_file_of(entry)).name + (f":{line}" if line else "")


def _of_plugins() -> Iterator[tuple[Registry, Entry]]:
    for registry in KINDS.values():
        for name in registry.names():
            entry = registry.entry(name)
            if entry.factory is not None and entry.origin.partition(".")[0] != "nasrestore":
                yield registry, entry


def _file_of(entry: Entry) -> str:
    return str(getattr(sys.modules.get(entry.origin), "__file__", None) or entry.origin)


def _first_line(factory: Any) -> int | None:
    """Of a class, where its ``forward`` or ``__call__`` begins."""
    methods = vars(factory) if isinstance(factory, type) else {}
    places = (*map(methods.get, ("forward", "__call__", "__init__")), factory)
    for made in places:
        code = getattr(made, "__code__", None)
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


def _maker_of(frame: FrameType) -> tuple[Registry, Entry] | None:
    """The plugin's factory that made the object whose method runs in a frame."""
    owner = frame.f_locals.get("self")
    for registry in KINDS.values():
        name = registry.maker(owner)
        if name is not None:
            return registry, registry.entry(name)
    return None


def _shown(frame: FrameType, line: int) -> str:
    code = frame.f_code
    text = linecache.getline(code.co_filename, line).strip()
    return f"{code.co_filename}:{line} in {code.co_name}" + (f": {text}" if text else "")
