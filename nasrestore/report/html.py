"""The few HTML elements of a run's page, as text; everything given as text is escaped."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from nasrestore.report.svg import clean

# Nothing is ever loaded from elsewhere: the page may be read years later, or without a network.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

_STYLE = """
:root { color-scheme: light; --ink: #1c2430; --muted: #5d6878; --line: #dfe3e9; --blue: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.5rem 4rem; max-width: 88rem; background: #fff;
  color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, Helvetica,
  Arial, sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0; }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .8rem; padding-bottom: .3rem;
  border-bottom: 1px solid var(--line); }
p { margin: .4rem 0; } .muted { color: var(--muted); }
.figures { display: flex; flex-wrap: wrap; gap: 1rem; margin: 1.6rem 0 0; }
.figure { border: 1px solid var(--line); border-radius: 10px; padding: .8rem 1.2rem; }
.figure b { display: block; font-size: 1.6rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.figure b span { color: var(--muted); font-weight: 400; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
th, td { text-align: left; padding: .3rem 1.4rem .3rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { font-weight: 600; color: var(--muted); white-space: nowrap; }
td.number, th.number { text-align: right; white-space: nowrap; }
td b { color: var(--blue); }
img, svg { max-width: 100%; height: auto; }
figure { margin: 1rem 0 1.6rem; } figcaption { color: var(--muted); font-size: .9rem; }
pre { overflow-x: auto; background: #f6f7f9; border-radius: 8px; padding: 1rem;
  font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
summary { cursor: pointer; font-weight: 600; }
@media print { body { padding: 0; max-width: none; } h2 { break-after: avoid; }
  figure, tr { break-inside: avoid; } }
""".strip()


@dataclass(frozen=True)
class Markup:
    """HTML that is escaped already."""

    html: str


Cell = str | Markup


def text(content: object) -> str:
    """Escaped text."""
    return escape(clean(str(content)))


def document(title: str, sections: Iterable[str]) -> str:
    """A whole page; empty sections are left out."""
    body = "\n".join(section for section in sections if section)
    return (
        "<!DOCTYPE html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def section(title: str, *contents: str) -> str:
    """A heading and what is below it; nothing where there is nothing below it."""
    inside = "\n".join(content for content in contents if content)
    return f"<section>\n<h2>{text(title)}</h2>\n{inside}\n</section>" if inside else ""


def table(
    rows: Sequence[Sequence[Cell]], head: Sequence[str] = (), numbers: Iterable[int] = ()
) -> str:
    """A table; without ``head`` the first cell of each row is its heading.

    Args:
        numbers: the columns that hold numbers, aligned to the right.
    """
    if not rows:
        return ""
    right = set(numbers)

    def cell(tag: str, content: Cell, column: int) -> str:
        kind = ' class="number"' if column in right else ""
        inner = content.html if isinstance(content, Markup) else text(content)
        return f"<{tag}{kind}>{inner}</{tag}>"

    lines = []
    if head:
        lines.append("".join(cell("th", content, i) for i, content in enumerate(head)))
    for row in rows:
        first = "td" if head else "th"
        lines.append("".join(cell(first if i == 0 else "td", c, i) for i, c in enumerate(row)))
    inside = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="wide"><table>\n{inside}\n</table></div>'


def image(png: bytes, alt: str, width: int | None = None) -> str:
    """A PNG inside the page; ``width`` in pixels of the screen."""
    data = base64.b64encode(png).decode()
    size = "" if width is None else f' width="{width}"'
    return f'<img src="data:image/png;base64,{data}" alt="{text(alt)}"{size}>'


def figure(content: str, caption: str = "") -> str:
    """A picture with a caption."""
    below = f"\n<figcaption>{text(caption)}</figcaption>" if caption else ""
    return f"<figure>\n{content}{below}\n</figure>"


def folded(title: str, content: str) -> str:
    """Text that is shown, as it is, when its title is clicked."""
    return f"<details>\n<summary>{text(title)}</summary>\n<pre>{text(content)}</pre>\n</details>"
