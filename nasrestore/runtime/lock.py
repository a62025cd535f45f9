"""One writer a run: a lock that goes with its process."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nasrestore.errors import NasRestoreError
from nasrestore.runtime.checkpoint import disk_errors

LOCK_NAME = "run.lock"
# What flock says on a file system that cannot lock, as some network ones cannot.
_CANNOT_LOCK = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL}


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Holds the lock file ``path``; one that a killed process left behind holds nobody up.

    Raises:
        NasRestoreError: a live process has it.
    """
    with disk_errors(path):
        descriptor = _take_lock(path)
    try:
        yield
    finally:
        with suppress(OSError):
            if _is_same_file(descriptor, path):
                path.unlink()
        os.close(descriptor)


def _take_lock(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if not _lock_descriptor(descriptor):
                holder = os.read(descriptor, 20).decode(errors="replace").strip() or "unknown"
                raise NasRestoreError(
                    f"{path.parent} is being written by process {holder}",
                    hint="wait until it has ended, stop it, or choose another folder with --out",
                )
            # The holder before may have removed the file between our opening and our locking.
            if _is_same_file(descriptor, path):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"{os.getpid()}\n".encode())
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock_descriptor(descriptor: int) -> bool:
    """Whether the lock is ours now; where there are no locks (Windows), it always is."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _CANNOT_LOCK:
            raise
    return True


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
