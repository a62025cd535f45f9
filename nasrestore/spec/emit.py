"""Plain data as YAML text that the strict reader reads back to an equal value."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from nasrestore.spec.scalar import resolve_plain

_FLOW_WIDTH = 72
_FLOW_DEPTH = 2
# YAML ends a simple key after 1024 characters; a longer one needs the explicit form.
_SIMPLE_KEY = 1000

# Strings that may stand without quotes, inside brackets too. Narrower than YAML, so that the
# text means the same to readers of YAML 1.1 and to people.
_PLAIN = re.compile(r"(\.{0,2}/)?[A-Za-z_$][\w$.+*/()@>-]*( [\w$.+*/()@>-]+)*", re.ASCII)
_WORDS_OF_OLD = frozenset(("y", "n", "yes", "no", "on", "off"))
_UNPRINTABLE = re.compile(
    "[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)


def dump_yaml(value: object) -> str:
    """YAML text of plain data: keys in order, blocks, short leaves in brackets.

    Reading it back gives an equal value of equal types, if it is within the reader's limits.

    Raises:
        ValueError: something that is not None, bool, int, float, str, list, tuple or dict.
    """
    return "\n".join(_block(value, root=True)) + "\n"


def _block(value: object, root: bool = False) -> list[str]:
    if not (root and isinstance(value, dict) and value) and _fits_flow(value):
        return [_flow(value)]
    lines: list[str] = []
    if isinstance(value, dict):
        for key, item in value.items():
            lines += _entry(_key(key), item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            first, *rest = _block(item)
            lines += ["- " + first, *("  " + line for line in rest)]
    return lines


def _entry(key: str, item: object) -> list[str]:
    head = [f"{key}:"] if len(key) <= _SIMPLE_KEY else [f"? {key}", ":"]
    if _fits_flow(item):
        return [*head[:-1], f"{head[-1]} {_flow(item)}"]
    return [*head, *("  " + line for line in _block(item))]


def _fits_flow(value: object) -> bool:
    if not isinstance(value, (dict, list, tuple)) or not value:
        return True
    return _depth(value) <= _FLOW_DEPTH and len(_flow(value)) <= _FLOW_WIDTH


def _depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, (list, tuple)):
        return 1 + max(map(_depth, value), default=0)
    return 0


def _flow(value: object) -> str:
    if isinstance(value, dict):
        pairs = (f"{_key(key)}: {_flow(item)}" for key, item in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _scalar(value)


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise ValueError(f"keys must be strings, found {key!r}")
    return _string(key)


def _scalar(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        if math.isfinite(value):
            return float.__repr__(value)
        return ".nan" if math.isnan(value) else (".inf" if value > 0 else "-.inf")
    if isinstance(value, str):
        return _string(value)
    raise ValueError(f"a value of type {type(value).__name__} cannot be written as YAML")


def _string(text: str) -> str:
    safe = _PLAIN.fullmatch(text) and text.lower() not in _WORDS_OF_OLD
    if safe and isinstance(resolve_plain(text), str):
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found.group()):04x}", quoted)
