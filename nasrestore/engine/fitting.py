"""How much of a step's activations a search keeps: as much as fits in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from nasrestore.runtime.memory import Kept, free_bytes, gibibytes
from nasrestore.search.loop import Loop

SHARE = 0.85  # of what is free; the rest is for what only comes later


def fit_memory(loop: Loop, wanted: str, undo: Callable[[], None]) -> str:
    """Sets the network's ``memory``, and gives what it is now.

    ``auto`` takes the first of plain, operation and mixture that fits: on a CPU by the bytes that a
    step keeps for its gradient, so that nothing is ever allocated beyond the limit, on a GPU by the
    measured peak. Any other setting is taken as it is. Real steps are taken for it.

    Args:
        undo: takes the steps back.

    Raises:
        RunStopped: the last setting does not fit.
    """
    network: Any = loop.network
    if len(getattr(network, "memory_settings", ("plain",))) == 1:
        return "plain"
    network.memory = "plain" if wanted == "auto" else wanted
    if wanted == "auto":
        device = next(network.parameters()).device
        if device.type == "cuda":
            _fit_peak(loop, device, undo)
        else:
            _fit_kept(loop, device, undo)
    return str(network.memory)


def _fit_kept(loop: Loop, device: torch.device, undo: Callable[[], None]) -> None:
    free = free_bytes(device)
    if free is None:
        return
    with Kept([*loop.network.parameters(), *loop.network.buffers()], limit=SHARE * free):
        _take_steps(loop, 1)
    undo()


def _fit_peak(loop: Loop, device: torch.device, undo: Callable[[], None]) -> None:
    while True:
        tried = loop.step_down.setting
        room = SHARE * (free_bytes(device) or 0)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        _take_steps(loop, 2)  # the second has the optimizer's memory beside it
        peak = torch.cuda.max_memory_allocated(device) - before
        undo()
        if loop.step_down.setting != tried:  # memory ran out on the way: the peak says nothing
            continue
        if peak <= room or loop.step_down.following() is None:
            return
        loop.step_down.less(f"{gibibytes(peak)} at its peak, {gibibytes(room)} may be used")


def _take_steps(loop: Loop, times: int) -> None:
    for index, level in enumerate(loop.levels):
        for _ in range(times):
            level.step(level.start, loop.levels[:index])
