"""Memory: what there is, what autograd keeps of a forward pass, and the errors of its end."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")
CGROUP = Path("/sys/fs/cgroup")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; only CUDA has a type of its own for it."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(sign in text for sign in OUT_OF_MEMORY)


def free_bytes(device: torch.device) -> int | None:
    """What a process could still have; ``None`` where the system does not tell.

    On a GPU what torch holds in reserve counts as free where no tensor is in it. On a CPU a
    container's limit counts.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        reserve = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free + reserve)
    known = [found for found in (_available(), _left_in_container()) if found is not None]
    return min(known, default=None)


def gibibytes(size: float) -> str:
    """``3.2 GiB``."""
    return f"{size / 2**30:.3g} GiB"


def _available() -> int | None:
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _left_in_container() -> int | None:
    with suppress(OSError, ValueError):  # "max" is no number: there is no limit
        limit = int((CGROUP / "memory.max").read_text())
        used = int((CGROUP / "memory.current").read_text())
        cached = 0
        for line in (CGROUP / "memory.stat").read_text().splitlines():
            name, value = line.split()
            if name == "inactive_file":  # given back when memory is wanted
                cached = int(value)
        return max(0, limit - used + cached)
    return None


class TooMuchKept(MemoryError):
    """A pass keeps more for its gradient than it may."""


class Kept:
    """Counts the bytes that autograd keeps for gradients; a context manager.

    Each storage counts once, as long as anything keeps it. Within it, passes and gradients of any
    order may run.

    Args:
        without: tensors that are there anyway, such as parameters; their storages do not count.
        limit: bytes at which a pass is broken off.

    Attributes:
        now: bytes that are kept at present.
        peak: the most that were kept at a time.

    Raises:
        TooMuchKept: inside, at the limit.
    """

    def __init__(self, without: Iterable[Tensor] = (), limit: float | None = None) -> None:
        self._without = {_place(tensor) for tensor in without}
        self._limit = limit
        self._holders: dict[tuple[str, int], int] = {}
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, self._unpack)
        self.now = 0
        self.peak = 0

    def __enter__(self) -> Kept:
        self._hooks.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._hooks.__exit__(kind, error, traceback)

    def _pack(self, tensor: Tensor) -> Any:
        place = _place(tensor)
        # Detached: a result would hold the node that keeps it, and neither would ever go.
        tensor = tensor.detach()
        if place in self._without:
            return tensor
        kept = _Kept(self, tensor, place)
        if self._limit is not None and self.now > self._limit:
            raise TooMuchKept(f"gradients want more than {gibibytes(self._limit)} kept")
        return kept

    @staticmethod
    def _unpack(kept: Any) -> Tensor:
        return kept.tensor if isinstance(kept, _Kept) else kept

    def add(self, place: tuple[str, int], size: int) -> None:
        count = self._holders.get(place, 0)
        self._holders[place] = count + 1
        if count == 0:
            self.now += size
            self.peak = max(self.peak, self.now)

    def remove(self, place: tuple[str, int], size: int) -> None:
        self._holders[place] -= 1
        if not self._holders[place]:
            del self._holders[place]
            self.now -= size


class _Kept:
    """A tensor that autograd keeps; it counts until it is let go."""

    def __init__(self, count: Kept, tensor: Tensor, place: tuple[str, int]) -> None:
        self.count, self.tensor, self.place = count, tensor, place
        self.size = tensor.untyped_storage().nbytes()
        count.add(place, self.size)

    def __del__(self) -> None:
        self.count.remove(self.place, self.size)


def _place(tensor: Tensor) -> tuple[str, int]:
    return str(tensor.device), tensor.untyped_storage().data_ptr()
