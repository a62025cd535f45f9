"""What a disk refuses while images and videos are written, as one message for the user."""

from __future__ import annotations

import errno
from pathlib import Path

from nasrestore.errors import NasRestoreError

_FULL = "free some space, or write to another disk"
_FORBIDDEN = "write to a folder that you may write to"
_HINTS = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), _FULL),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), _FORBIDDEN),
}


def refused(path: Path, error: Exception) -> NasRestoreError:
    """The message for a file that cannot be written, and what to do where the disk is to blame.

    Args:
        error: an ``OSError``, or FFmpeg's.
    """
    reason = getattr(error, "strerror", None) or error
    hint = _HINTS.get(getattr(error, "errno", None) or 0)
    return NasRestoreError(f"cannot write {path}: {reason}", hint=hint)
