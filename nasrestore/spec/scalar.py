"""YAML 1.2 core-schema scalars: what a plain word stands for.

PyYAML follows YAML 1.1, where ``no`` is false, ``12:30:45`` is 45045 and ``3e-4`` is a string; here
only ``true`` and ``false`` are truth values, and every spelling of a float is one.
Source: YAML 1.2.2, section 10.3.2 (core schema, tag resolution).
"""

from __future__ import annotations

import re
from typing import TypeAlias

Scalar: TypeAlias = bool | int | float | str | None

# Longer integers are no settings; past 4300 digits Python itself refuses to convert them to text.
MAX_INTEGER_CHARACTERS = 100

_CONSTANTS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **{sign + word: float("inf") for sign in ("", "+") for word in (".inf", ".Inf", ".INF")},
    **{"-" + word: float("-inf") for word in (".inf", ".Inf", ".INF")},
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_DECIMAL = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


def resolve_plain(text: str) -> Scalar:
    """The value of an unquoted scalar.

    Raises:
        ValueError: an integer of more than 100 characters; the message says so.
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _DECIMAL.fullmatch(text) or _BASED.fullmatch(text):
        if len(text) > MAX_INTEGER_CHARACTERS:
            raise ValueError(
                f"an integer of {len(text)} characters; at most {MAX_INTEGER_CHARACTERS} are read"
            )
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
