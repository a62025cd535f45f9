"""The one font that drawn pictures use: it comes with matplotlib, so it is there on every machine."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=1)
def font_path() -> str:
    """The file of DejaVu Sans."""
    import matplotlib

    return str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")


@lru_cache(maxsize=1)
def _known() -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(font_path()).get_charmap())


def drawable(text: str) -> str:
    """The text on one line, with a question mark for each character that the font lacks."""
    line = " ".join(text.split())
    return "".join(c if ord(c) in _known() else "?" for c in line)
