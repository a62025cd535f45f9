"""Going on with less memory where a computation ran out of it."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
from torch import Tensor, nn

from nasrestore.errors import RunStopped
from nasrestore.runtime.checkpoint import random_state, set_random_state
from nasrestore.runtime.memory import is_out_of_memory

if TYPE_CHECKING:
    from nasrestore.search.level import BatchStream

SETTINGS = ("plain", "operation", "mixture")  # each needs less memory and more time than the last
HINT = "take a smaller patch or batch (data.patch, data.batch), fewer candidates, or another device"

Result = TypeVar("Result")


class StepDown:
    """Computes; where memory runs out, puts back what moved, and tries with the next setting.

    Args:
        network: its ``memory`` is set; one without ``memory_settings`` has no step to take.
        tell: hears the new setting, and a sentence for the user.
    """

    def __init__(self, network: nn.Module, tell: Callable[[str, str], None]) -> None:
        self.network = network
        self._tell = tell
        self._buffers: list[Tensor] = []
        self._kept: list[Tensor] = []

    def __call__(self, compute: Callable[[], Result], put_back: Callable[[], None]) -> Result:
        """What ``compute`` gives.

        Args:
            put_back: undoes what ``compute`` may have moved before memory ran out.

        Raises:
            RunStopped: it ran out with the last setting, too; everything was put back.
        """
        while True:
            try:
                return compute()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                reason = said(error)
            # Outside of the handler: the traceback would keep the tensors of the failed try alive.
            put_back()
            self.less(reason)

    def less(self, reason: str) -> None:
        """Takes the next setting.

        Raises:
            RunStopped: there is none.
        """
        gc.collect()
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.empty_cache()
        before, following = self.setting, self.following()
        if following is None:
            raise ran_out(f"{reason}; memory: {before} is the last setting")
        self.network.memory = following  # type: ignore[assignment]
        text = f"memory: {before} does not fit ({reason}); going on with memory: {following}"
        self._tell(following, text)

    @property
    def setting(self) -> str:
        return cast(str, getattr(self.network, "memory", SETTINGS[0]))

    def following(self) -> str | None:
        """The next setting that differs in this network."""
        known = getattr(self.network, "memory_settings", SETTINGS[:1])
        further = SETTINGS[SETTINGS.index(self.setting) + 1 :]
        return next((setting for setting in further if setting in known), None)

    def moment(self, streams: Iterable[BatchStream], *, statistics: bool) -> Moment:
        """The present, to be put back.

        Args:
            statistics: whether the network's buffers may move. Only one such moment at a time holds.
        """
        if not statistics:
            return Moment(streams, [], [])
        if not self._buffers:
            self._buffers = list(self.network.buffers())
            self._kept = [torch.empty_like(buffer) for buffer in self._buffers]
        return Moment(streams, self._buffers, self._kept)


class Moment:
    """What a gradient moves although it is no step: places in data, random numbers, statistics."""

    def __init__(
        self, streams: Iterable[BatchStream], buffers: list[Tensor], kept: list[Tensor]
    ) -> None:
        self._places: list[tuple[BatchStream, dict[str, Any]]] = [
            (stream, stream.state_dict()) for stream in streams
        ]
        self._random = random_state()
        self._buffers, self._kept = buffers, kept
        _copy(self._kept, self._buffers)

    def put_back(self) -> None:
        for stream, place in self._places:
            stream.load_state_dict(place)
        set_random_state(self._random)
        _copy(self._buffers, self._kept)


def ran_out(reason: str) -> RunStopped:
    """The end of a run for want of memory, and what to do."""
    return RunStopped(f"out of memory: {reason}", hint=HINT)


def said(error: BaseException) -> str:
    """The first two sentences of an error; CUDA's has a page of them."""
    lines = str(error).splitlines() or [type(error).__name__]
    return ". ".join(lines[0].split(". ")[:2]).rstrip(".")


@torch.no_grad()
def _copy(into: list[Tensor], values: list[Tensor]) -> None:
    if into:  # all at once: one by one would take longer than the rest of a moment
        torch._foreach_copy_(into, values)
