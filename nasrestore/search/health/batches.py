"""Whether the batches of a level go on, and stay within its split."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from nasrestore.errors import few
from nasrestore.search.health.finding import Finding
from nasrestore.search.objective import Batch

FIRST = 8  # batches of a level that are all looked at
REPEATS = 3  # times in a row that a batch may not be the one before
ALL = "all"  # the split that training and validation make together
TOLD_APART = ("train", "validation")


@torch.no_grad()
def fingerprint(batch: Batch) -> str | None:
    """The same for the same images in whatever order, flipped or turned; ``None`` for flat ones.

    Sums of pixels and of their squares, as whole numbers of 1/255, of each image.
    """
    rows, flat = [], True
    for images in (batch.clean, batch.degraded):
        pixels = (images.detach().flatten(1).double() * 255).round()
        total, squares = pixels.sum(1), pixels.square().sum(1)
        flat = flat and bool((pixels.shape[1] * squares == total.square()).all())
        rows += [total, squares]
    if flat:
        return None
    listed = sorted(map(tuple, torch.stack(rows, dim=1).tolist()))
    return hashlib.sha256(repr(listed).encode()).hexdigest()[:16]


@dataclass
class Drawn:
    """What one level has drawn.

    Attributes:
        count: batches so far.
        last: number and fingerprint of the last that was looked at.
        again: how many times in a row a batch was the one before it.
        seen: fingerprints of those that were looked at.
    """

    count: int = 0
    last: tuple[int, str | None] = (-2, None)
    again: int = 0
    seen: list[str] = field(default_factory=list)


class BatchWatch:
    """Looks at some of the batches of each level: the first ones, and where later passes begin.

    Args:
        splits: for each level the split that it is to read.
        members: the scenes of each split.
    """

    def __init__(
        self,
        splits: Mapping[str, str] | None = None,
        members: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        self._splits = dict(splits or {})
        self._split_of = {
            scene: split for split, scenes in (members or {}).items() for scene in scenes
        }
        self._drawn: dict[str, Drawn] = {}

    def look(self, level: str, batch: Batch, batches: int) -> list[Finding]:
        """What is wrong with a level's next batch.

        Args:
            batches: how many there are in a pass.
        """
        drawn = self._drawn.setdefault(level, Drawn())
        number = drawn.count
        drawn.count += 1
        found = self._foreign(level, batch)
        if not _looked_at(number, batches):
            return found
        mark = fingerprint(batch)
        before, drawn.last = drawn.last, (number, mark)
        if mark is None:
            return found
        if before[0] == number - 1:
            drawn.again = drawn.again + 1 if before[1] == mark else 0
        if drawn.again >= REPEATS and batches > 1:
            found.append(_stuck(level, batches))
        if mark not in drawn.seen:
            drawn.seen.append(mark)
            found += self._met_elsewhere(level, mark)
        return found

    def _foreign(self, level: str, batch: Batch) -> list[Finding]:
        """Scenes of another split, where batches say which scenes they show."""
        split = self._splits.get(level)
        names = getattr(batch, "identities", ())
        if split is None or not names:
            return []
        allowed = TOLD_APART if split == ALL else (split,)
        foreign = [n for n in names if self._split_of.get(n, allowed[0]) not in allowed]
        return [_leaks(level, split, foreign[0], self._split_of[foreign[0]])] if foreign else []

    def _met_elsewhere(self, level: str, mark: str) -> list[Finding]:
        mine = self._splits.get(level)
        for other, drawn in self._drawn.items():
            theirs = self._splits.get(other)
            apart = mine != theirs and mine in TOLD_APART and theirs in TOLD_APART
            if other != level and apart and mark in drawn.seen:
                return [_shared((level, str(mine)), (other, str(theirs)))]
        return []

    def state_dict(self) -> dict[str, Any]:
        return {level: asdict(drawn) for level, drawn in self._drawn.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._drawn = {
            level: Drawn(**{**drawn, "last": tuple(drawn["last"]), "seen": list(drawn["seen"])})
            for level, drawn in state.items()
        }


def _looked_at(number: int, batches: int) -> bool:
    """The first ones; then the first two of the passes 1, 2, 4, 8 and so on."""
    passed, place = divmod(number, batches)
    return number < FIRST or (place < 2 <= batches and passed & (passed - 1) == 0)


def _stuck(level: str, batches: int) -> Finding:
    return Finding(
        "hard",
        "batches",
        level,
        f"level {level!r} gets the very same batch again and again, although its data have "
        f"{batches} batches",
        "keep one iterator over the data for the whole search: a new one every step begins anew",
        float(batches),
    )


def _shared(mine: tuple[str, str], theirs: tuple[str, str]) -> Finding:
    return Finding(
        "hard",
        "leak",
        few([mine[0], theirs[0]]),
        f"level {mine[0]!r} reads {mine[1]} and level {theirs[0]!r} reads {theirs[1]}, but they got "
        "a batch of the same patches: what is decided is decided by training data",
        "sample the two splits from disjoint lists of images",
    )


def _leaks(level: str, split: str, scene: str, of: str) -> Finding:
    return Finding(
        "hard",
        "leak",
        level,
        f"level {level!r} reads {split}, but its batch shows {scene}, which belongs to {of}",
        "draw every level's batches from the scenes of its own split",
    )
