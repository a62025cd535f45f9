"""``python -m nasrestore`` is the command ``nasrestore``."""

from __future__ import annotations

from nasrestore.cli.main import entry

if __name__ == "__main__":
    raise SystemExit(entry())
