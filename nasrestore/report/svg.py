"""The few SVG elements that the picture of a space needs, as text. All lengths are in pixels."""

from __future__ import annotations

import re
import unicodedata
from html import escape

TIMES = "\N{MULTIPLICATION SIGN}"
FONT = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"

# What XML 1.0 cannot hold, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# Widths in em, those of DejaVu Sans: no usual sans-serif font is wider, so text stays in its box.
_WIDTHS = {
    0.28: "'ijlIJ", 0.32: " ,.", 0.35: "/:;\\|-", 0.39: "f()[]t!", 0.41: "r", 0.5: "\"*_`·",
    0.53: "sz?", 0.56: "cL", 0.59: "Fkvxy", 0.62: "PTYaoe", 0.64: "ESbdghnpqu$0123456789{}",
    0.69: "KAVBRXZC", 0.76: "UHNDG&", 0.79: "OQ", 0.84: "w#+<=>^~" + TIMES, 0.87: "M",
    0.97: "%m", 1.0: "W@",
}  # fmt: skip
_WIDTH_OF = {character: em for em, letters in _WIDTHS.items() for character in letters}
_OTHER, _FULL_WIDTH = 0.7, 1.05
_BOLD = 1.14


def number(value: float) -> str:
    """A length with a tenth of a pixel at most."""
    return f"{round(value, 1) + 0.0:g}"


def clean(text: str) -> str:
    """The text without what XML cannot hold."""
    return _FORBIDDEN.sub("\ufffd", text)


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """An upper estimate of a line's width, whatever sans-serif font the viewer has."""
    return size * sum(map(_em, text)) * (_BOLD if bold else 1.0)


def _em(character: str) -> float:
    other = _FULL_WIDTH if unicodedata.east_asian_width(character) in "WF" else _OTHER
    return _WIDTH_OF.get(character, other)


def element(tag: str, content: str | None = None, /, **attributes: object) -> str:
    """One element; ``content`` is markup, None closes it at once.

    Attributes that are None are left out; ``class_`` is ``class``, ``data_edge`` is ``data-edge``.
    """
    shown = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_value(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    return f"<{tag}{shown}/>" if content is None else f"<{tag}{shown}>{content}</{tag}>"


def _value(value: object) -> str:
    return number(value) if isinstance(value, (int, float)) else clean(str(value))


def text(content: str, x: float, y: float, size: float, **attributes: object) -> str:
    """One line of text; ``y`` is its base line."""
    return element(
        "text", escape(clean(content), quote=False), x=x, y=y, font_size=size, **attributes
    )


def tooltip(content: str) -> str:
    """What a browser shows when the pointer rests on the element around it."""
    return element("title", escape(clean(content), quote=False))
