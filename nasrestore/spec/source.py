"""Strict reading of YAML: every value with its place, every error at once, no surprises.

Here is what concerns files and characters; ``builder`` gives the parser's events a meaning,
``tree`` holds the result, ``scalar`` says what a word stands for, and ``emit`` writes.
"""

from __future__ import annotations

import itertools
import os
import re
import stat

from nasrestore.errors import Location, SpecError
from nasrestore.registry import nearest
from nasrestore.spec.builder import Builder
from nasrestore.spec.emit import dump_yaml
from nasrestore.spec.tree import Tree, tree_of

__all__ = ["Tree", "dump_yaml", "parse_yaml", "read_yaml", "tree_of"]

MAX_BYTES = 64 * 1024

# What YAML forbids, and what some count as a line break and others do not.
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]"
)
_BYTE_ORDER_MARK = "\ufeff"
_LINE_BREAK = re.compile("\r\n|\r|\n")


def read_yaml(path: str | os.PathLike[str]) -> Tree:
    """The located contents of a YAML file of at most 64 KB.

    Raises:
        SpecError: the file is missing or unreadable, or :func:`parse_yaml` refuses it.
    """
    name = os.fspath(path)
    try:
        mode = os.stat(name).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # a pipe would wait for a writer
            raise _unreadable(name, "it is not a regular file", "name a file")
        with open(name, "rb") as file:
            text = file.read(MAX_BYTES + 1)
    except IsADirectoryError:
        raise _unreadable(name, "it is a folder", "name a file inside it") from None
    except FileNotFoundError:
        raise _unreadable(name, "there is no such file", _near_file(name)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _unreadable(name, reason.lower(), "check its name and permissions") from None
    return parse_yaml(text, name)


def parse_yaml(text: str | bytes, name: str, *, column: int = 1, path: str = "") -> Tree:
    """The located value of YAML text of at most 64 KB.

    Args:
        text: YAML; bytes are UTF-8, with or without a byte order mark.
        name: what to call the file in errors.
        column: the column that the first line begins at, where the text is part of a longer one.
        path: the path of the value, where it is part of a larger one.

    Raises:
        SpecError: what is wrong, all of it at once; an error of syntax ends the list.
    """
    return Builder(_checked_text(text, name, column, path), name, column, path).build()


def _unreadable(name: str, reason: str, hint: str | None) -> SpecError:
    return SpecError(None, "", f"cannot read {name!r}: {reason}", hint)


def _near_file(name: str) -> str | None:
    folder, base = os.path.split(name)
    try:
        with os.scandir(folder or ".") as entries:
            names = [entry.name for entry in itertools.islice(entries, 1000)]
    except OSError:
        return f"there is no folder {folder!r}"
    close = nearest(base, names)
    return f"did you mean {os.path.join(folder, close)!r}?" if close else None


def _checked_text(text: str | bytes, name: str, column: int, path: str) -> str:
    """The text, known to be short and to hold nothing but characters that YAML allows."""
    size = len(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        start = Location(name, 1, column)
        raise SpecError(start, path, f"the file is larger than {MAX_BYTES // 1024} KB")
    decoded = _decoded(text, name, column, path) if isinstance(text, bytes) else text
    decoded = decoded.removeprefix(_BYTE_ORDER_MARK)
    forbidden = _FORBIDDEN.search(decoded)
    if forbidden is not None:
        at = _place(decoded[: forbidden.start()], name, column)
        code = ord(forbidden.group())
        hint = f'remove it, or write it as "\\u{code:04x}" in double quotes'
        raise SpecError(at, path, f"the character U+{code:04X} is not allowed", hint)
    return decoded


def _decoded(text: bytes, name: str, column: int, path: str) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        at = _place(text[: error.start].decode("utf-8"), name, column)
        found = f"not valid UTF-8 (byte 0x{text[error.start]:02x})"
        raise SpecError(at, path, found, "save the file as UTF-8") from None


def _place(before: str, name: str, column: int) -> Location:
    *earlier, last = _LINE_BREAK.split(before.removeprefix(_BYTE_ORDER_MARK))
    return Location(name, len(earlier) + 1, len(last) + (1 if earlier else column))
