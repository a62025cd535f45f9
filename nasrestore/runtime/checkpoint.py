"""Checkpoints that a crash, a full disk or a torn file cannot turn into a lost run.

Also the two things that every file of a run is written with: :func:`write_atomic`, and
:func:`disk_errors`, which says what a disk refuses. Importing this module imports no torch.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import pickle
import random
import shutil
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrestore.errors import NasRestoreError

if TYPE_CHECKING:
    import torch

FORMAT = 1
_SEAL = b"sha256:"
_SEAL_LENGTH = len(_SEAL) + 64
_BARE_END = 22  # bytes that a zip archive ends with where it has no comment

_FULL = "free some space or choose another place; what was written before is intact"
_FORBIDDEN = "choose a place that you may write to"
_GONE = "check that the folder is still there and can be reached"
_DISK_ERRORS = {
    errno.ENOSPC: ("the disk is full", _FULL),
    errno.EDQUOT: ("the disk quota is used up", _FULL),
    errno.EFBIG: ("the file is larger than is allowed here", _FULL),
    errno.EROFS: ("the file system is read-only", _FORBIDDEN),
    errno.EACCES: ("permission denied", _FORBIDDEN),
    errno.EPERM: ("permission denied", _FORBIDDEN),
    errno.ENOTDIR: ("a part of the path is not a folder", _FORBIDDEN),
    errno.EISDIR: ("there is a folder of that name", _FORBIDDEN),
    errno.EEXIST: ("there is a file of that name", _FORBIDDEN),
    errno.ENAMETOOLONG: ("the name is too long", _FORBIDDEN),
    errno.ENOENT: ("there is no such file or folder", _GONE),
    errno.EIO: ("the disk reports an error", _GONE),
    errno.ESTALE: ("the network disk has gone", _GONE),
}


@contextmanager
def disk_errors(path: Path, action: str = "write") -> Iterator[None]:
    """Turns what a disk may refuse inside the block into one message for the user.

    Raises:
        NasRestoreError: full disk, quota, read-only, no permission and the like.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        reason, hint = _DISK_ERRORS[error.errno]
        space = f" ({_free_space(path)})" if hint is _FULL else ""
        raise NasRestoreError(f"cannot {action} {path}: {reason}{space}", hint=hint) from error


def _free_space(path: Path) -> str:
    for place in (path, *path.absolute().parents):
        with suppress(OSError):
            return f"{shutil.disk_usage(place).free / 1e9:.2f} GB free"
    return "free space unknown"


def write_atomic(path: Path, data: str | bytes | memoryview) -> None:
    """Writes a file so that its path holds the old or the new content, whatever happens.

    Text is written as UTF-8. Folders above are made as needed.

    Raises:
        NasRestoreError: the disk refuses; the old content is intact, nothing else is left behind.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "xb") as file:
                file.write(data.encode() if isinstance(data, str) else data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    # Without it a new name may be lost in a power cut; some file systems cannot do it at all.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def check_format(found: object, path: Path) -> None:
    """Refuses a file of another version.

    Raises:
        NasRestoreError: ``found`` is not the format that this version writes.
    """
    if found != FORMAT:
        raise NasRestoreError(
            f"{path} has format {found!r}, where this version of nasrestore reads format {FORMAT}",
            hint="it was written by another version: use that one, or start again with this one",
        )


def package_version() -> str:
    """The installed version of nasrestore, "unknown" where it runs from plain sources."""
    try:
        return metadata.version("nasrestore")
    except metadata.PackageNotFoundError:
        return "unknown"


class Checkpoint(dict[str, Any]):
    """The state that was saved, and where it comes from.

    Attributes:
        path: the file that was read.
        step: the step that it was saved at.
        kind: what saved it, such as "search".
        version: the version of nasrestore that wrote it.
        notes: what the user should hear, such as that a newer file is damaged.
    """

    def __init__(self, path: Path, content: dict[str, Any]) -> None:
        super().__init__(content["state"])
        self.path = path
        self.step: int = content["step"]
        self.kind: str = content["kind"]
        self.version: str = content["version"]
        self.notes: tuple[str, ...] = ()


class NoneIntactError(NasRestoreError):
    """There are checkpoints, and none of them holds what was written."""


class _DamagedError(Exception):
    """A checkpoint file that does not hold what was written."""


def save_checkpoint(
    folder: Path, state: dict[str, Any], *, step: int, keep: int = 2, kind: str = "checkpoint"
) -> Path:
    """Writes ``step-00001234.pt``, then removes all but the ``keep`` newest.

    A file of a later step than this one is from a course that was given up, and is removed too, so
    that the newest is always the last one written. See :func:`plain` for what ``state`` may hold.

    Raises:
        NasRestoreError: the disk refuses; the checkpoints from before are intact.
        ValueError: ``state`` holds something that cannot be loaded safely.
    """
    import torch

    if step < 0 or keep < 1:
        raise ValueError(f"expected step >= 0 and keep >= 1, got step {step} and keep {keep}")
    content = {
        "format": FORMAT,
        "kind": kind,
        "version": package_version(),
        "step": step,
        "state": plain(state),
    }
    # To memory first: torch's own writer turns a full disk into a RuntimeError without a number.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    _seal(buffer)
    path = folder / f"step-{step:08d}.pt"
    write_atomic(path, buffer.getbuffer())
    with disk_errors(folder, "remove older checkpoints in"):
        earlier = [file for file in reversed(_files(folder)) if _step(file) < step]
        kept = {path, *earlier[: keep - 1]}
        for file in (*_files(folder), *folder.glob(".step-*.tmp")):
            if file not in kept:
                file.unlink(missing_ok=True)
    return path


def _seal(buffer: io.BytesIO) -> None:
    """Appends a checksum as the comment of the zip archive, so that ``torch.load`` reads it as ever.

    torch does not compare the checksums that it writes: a flipped bit would pass unseen.
    """
    body = buffer.getbuffer()[:-2]
    seal = _SEAL + hashlib.sha256(body).hexdigest().encode()
    body.release()
    # The archive's last two bytes are the length of its comment.
    buffer.seek(-2, os.SEEK_END)
    buffer.write(len(seal).to_bytes(2, "little") + seal)


def _check_seal(path: Path, data: bytes) -> None:
    end = len(data) - _SEAL_LENGTH
    if end < 2 or not data.startswith(_SEAL, end):
        foreign = data.startswith(b"PK\5\6", len(data) - _BARE_END)
        what = "was not written by nasrestore" if foreign else "is damaged (it ends early)"
        raise _DamagedError(f"{path.name} {what}")
    digest = hashlib.sha256(memoryview(data)[: end - 2]).hexdigest().encode()
    length = _SEAL_LENGTH.to_bytes(2, "little")
    if data[end - 2 :] != length + _SEAL + digest:
        raise _DamagedError(f"{path.name} is damaged (its checksum is wrong)")


def _files(folder: Path) -> list[Path]:
    files = [file for file in folder.glob("step-*.pt") if file.stem[5:].isdecimal()]
    return sorted(files, key=_step)


def _step(file: Path) -> int:
    return int(file.stem[5:])


def checkpoints(folder: Path) -> list[Path]:
    """All checkpoints in a folder, damaged or not, by step."""
    return _files(folder)


def latest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of the highest step, damaged or not; None where there is none."""
    files = _files(folder)
    return files[-1] if files else None


def load_checkpoint(
    source: Path, map_location: str | torch.device = "cpu", *, kind: str | None = None
) -> Checkpoint:
    """The state of a checkpoint file, or of the newest intact one in a folder.

    Nothing but plain data and tensors is ever loaded (``weights_only``). Where newer files of a
    folder are damaged, the ``notes`` of the result say so.

    Args:
        kind: what must have saved it; None takes any.

    Raises:
        NoneIntactError: all that are there are damaged.
        NasRestoreError: none is there, or it is of another version or kind.
    """
    if source.is_file() or source.suffix == ".pt":
        try:
            return _read(source, map_location, kind)
        except _DamagedError as error:
            raise _none_intact(source, [str(error)]) from error
    damages: list[str] = []
    for file in reversed(_files(source)):
        try:
            checkpoint = _read(file, map_location, kind)
        except _DamagedError as error:
            damages.append(str(error))
        else:
            checkpoint.notes = tuple(f"{damage}; went back to {file.name}" for damage in damages)
            return checkpoint
    if damages:
        raise _none_intact(source, damages)
    raise NasRestoreError(
        f"there is no checkpoint in {source}", hint="put it there from a copy, or make it again"
    )


def _none_intact(source: Path, damages: list[str]) -> NoneIntactError:
    return NoneIntactError(
        f"no intact checkpoint in {source}: {'; '.join(damages)}",
        hint="put the file there from a copy, or make it again",
    )


def _read(path: Path, map_location: str | torch.device, kind: str | None) -> Checkpoint:
    import torch

    with disk_errors(path, "read"):
        data = path.read_bytes()
    _check_seal(path, data)
    try:
        content = torch.load(io.BytesIO(data), map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        raise _DamagedError(f"{path.name} holds more than plain data and tensors") from error
    check_format(content["format"], path)
    checkpoint = Checkpoint(path, content)
    if kind not in (None, checkpoint.kind):
        raise NasRestoreError(
            f"{path} is of kind {checkpoint.kind!r}, where {kind!r} is expected",
            hint="name a checkpoint that the same command wrote",
        )
    return checkpoint


def plain(value: Any, where: str = "state") -> Any:
    """The same data in types that ``torch.load(weights_only=True)`` always accepts.

    Numpy scalars become numbers, arrays tensors, paths strings, and the subclasses of built-in
    types those types; state dicts keep their versions. Tensors are detached, not copied.

    Raises:
        ValueError: an object of another type, with its place in the state.
    """
    import numpy
    import torch

    if isinstance(value, torch.Tensor):
        return value.detach()
    if isinstance(value, numpy.generic):
        return plain(value.item(), where)
    if isinstance(value, numpy.ndarray) and value.dtype.kind in "biuf":
        return torch.from_numpy(value.copy())
    if value is None or isinstance(value, (bool, torch.dtype, torch.device)):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes):
        return bytes(value)
    if isinstance(value, (int, float)):
        return int(value) if isinstance(value, int) else float(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (list, tuple)):
        items = [plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, dict):
        return _plain_dict(value, where)
    raise ValueError(f"{where} is a {type(value).__name__}, which a checkpoint cannot hold")


def _plain_dict(value: dict[Any, Any], where: str) -> dict[Any, Any]:
    items = [(plain(key, where), plain(item, f"{where}[{key!r}]")) for key, item in value.items()]
    if not hasattr(value, "_metadata"):
        return dict(items)
    # A module reads here which version of itself wrote its part of a state dict.
    versioned = OrderedDict(items)
    versioned._metadata = plain(value._metadata, where)  # type: ignore[attr-defined]
    return versioned


def random_state() -> dict[str, Any]:
    """The states of Python's, numpy's global and torch's generators, CUDA's where it is in use."""
    import numpy
    import torch

    version, words, gauss = random.getstate()
    legacy: Any = numpy.random.get_state(legacy=False)
    state = {
        "python": [version, list(words), gauss],
        "numpy": {
            "key": legacy["state"]["key"].tolist(),
            "pos": int(legacy["state"]["pos"]),
            "has_gauss": int(legacy["has_gauss"]),
            "gauss": float(legacy["gauss"]),
        },
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Puts back what :func:`random_state` gave; CUDA's as far as there are devices."""
    import numpy
    import torch

    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    numbers = state["numpy"]
    key = numpy.array(numbers["key"], dtype=numpy.uint32)
    numpy.random.set_state(("MT19937", key, numbers["pos"], numbers["has_gauss"], numbers["gauss"]))
    torch.set_rng_state(state["torch"].cpu())
    devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for device, cuda in enumerate(state.get("cuda", [])[:devices]):
        torch.cuda.set_rng_state(cuda.cpu(), device)
