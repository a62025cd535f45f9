"""Whether a level's step leaves traces on what is not its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from nasrestore.errors import few
from nasrestore.search.health.finding import Finding
from nasrestore.search.level import Level

VALUED_STEPS = 3  # in which values are compared, too

Look = tuple[list[tuple[int, Any]], list[float] | None]


class Traces:
    """The parameters that one level must leave alone.

    torch counts the writes to every tensor, so that a look costs no computation. Writes through
    ``.data`` are not counted: for these, norms are compared in the first steps.
    """

    def __init__(self, level: Level, owners: Mapping[int, str]) -> None:
        own = {id(variable) for variable in level.variables.values()}
        everything = level.objective.parameters()
        others = {name: p for name, p in everything.items() if id(p) not in own}
        self._level = level.name
        self._names = list(others)
        self._tensors = list(others.values())
        self._owners = [owners.get(id(p), "") for p in self._tensors]
        self._left = VALUED_STEPS

    def look(self) -> Look:
        """How they are now."""
        marks = []
        for tensor in self._tensors:
            gradient = tensor.grad
            mark = None if gradient is None else (id(gradient), gradient._version)
            marks.append((tensor._version, mark))
        return marks, self._norms() if self._left > 0 else None

    def compare(self, before: Look) -> list[Finding]:
        """What is wrong, since they were ``before``."""
        (marks, norms), (old_marks, old_norms) = self.look(), before
        self._left = max(0, self._left - 1)
        if marks == old_marks and norms == old_norms:
            return []
        both = list(enumerate(zip(marks, old_marks, strict=True)))
        written = {i for i, (new, old) in both if new[0] != old[0]}
        pairs = zip(norms or (), old_norms or (), strict=True)
        moved = {i for i, (new_norm, old_norm) in enumerate(pairs) if new_norm != old_norm}
        changed = sorted(written | moved)
        left = [i for i, (new, old) in both if new[1] is not None and new[1] != old[1]]
        found = []
        if changed:
            found.append(self._crossing("changed", changed))
        if left:
            found.append(self._crossing("left gradients on", left))
        return found

    @torch.no_grad()
    def _norms(self) -> list[float]:
        return [float(norm) for norm in torch._foreach_norm(self._tensors)] if self._tensors else []

    def _crossing(self, what: str, places: Sequence[int]) -> Finding:
        owners = dict.fromkeys(self._owners[i] for i in places)
        whose = few(f"level {name!r}" if name else "no level" for name in owners)
        names = few((self._names[i] for i in places), most=1)
        return Finding(
            "hard",
            "crossing",
            self._level,
            f"a step of level {self._level!r} {what} {len(places)} parameters of {whose}: {names}",
            "compute gradients with torch.autograd.grad, which adds to nobody's, and give the "
            "optimizer the level's own variables alone",
            float(len(places)),
        )
