"""Judgements of the data: whether what decides, what trains and what measures are kept apart. Torch-free."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Protocol

from nasrestore.errors import few
from nasrestore.search.health.finding import Finding

LEAVE_OUT = (
    "leave these images out, or take another folder; where the overlap is meant, "
    "data.overlap=accepted goes on, and says so beside every figure"
)
ACCEPTED = "data.overlap is accepted: say so with every figure"


class Leak(Protocol):
    """Two images of one scene in two splits."""

    @property
    def split_a(self) -> str: ...

    @property
    def split_b(self) -> str: ...


def judge_members(members: Mapping[str, Collection[str]]) -> list[Finding]:
    """Whether a scene is in two splits by its name.

    Args:
        members: the scenes of each split.
    """
    found = []
    for one, other in combinations(members, 2):
        shared = sorted(set(members[one]) & set(members[other]))
        if shared:
            found.append(_shared(one, other, few(shared), len(shared)))
    if found or not members:
        return found
    sizes = ", ".join(f"{len(scenes)} in {split}" for split, scenes in members.items())
    return [Finding("ok", "splits", "data", f"no scene is in two splits by its name ({sizes})")]


def judge_leaks(leaks: Iterable[Leak], *, accepted: bool = False) -> list[Finding]:
    """Scenes that were found in two splits, by name, content or looks.

    Args:
        accepted: the recipe says that this is meant: to be known, but no reason to stop.
    """
    between: dict[tuple[str, str], list[str]] = {}
    for leak in leaks:
        if leak.split_a != leak.split_b:
            between.setdefault((leak.split_a, leak.split_b), []).append(str(leak))
    if not between:
        sentence = (
            "no image is in two splits, be it renamed, cut, scaled, mirrored or saved as JPEG"
        )
        return [Finding("ok", "leak", "data", sentence)]
    found = [_shared(*splits, few(said), len(said)) for splits, said in between.items()]
    return [replace(one, kind="soft", advice=ACCEPTED) for one in found] if accepted else found


def _shared(one: str, other: str, said: str, count: int) -> Finding:
    sentence = f"{one} and {other} share {count} scene{'s' * (count > 1)}: {said}"
    if "test" in (one, other):
        sentence += "; figures on the test images would be worth nothing"
    return Finding("hard", "leak", f"{one}, {other}", sentence, LEAVE_OUT, float(count))


def judge_reading(splits: Mapping[str, str], deciding: Sequence[str]) -> list[Finding]:
    """Whether what decides reads other images than what trains.

    Args:
        splits: the split of each level, innermost first.
        deciding: the levels that own the architecture or hyper-parameters.
    """
    innermost = next(iter(splits), None)
    found = []
    for level in deciding:
        if innermost is None or level == innermost:
            continue
        same = splits[level] == splits[innermost] or "all" in (splits[level], splits[innermost])
        if same:
            found.append(_same_images(level, innermost, splits[level]))
        else:
            sentence = f"level {level!r} decides by {splits[level]}, level {innermost!r} trains on "
            sentence += splits[innermost]
            found.append(Finding("ok", "reading", level, sentence))
    return found


def _same_images(level: str, innermost: str, split: str) -> Finding:
    return Finding(
        "soft",
        "reading",
        level,
        f"level {level!r} decides by images that level {innermost!r} trains on ({split}): what "
        "overfits looks good to it",
        "let it read data: validation",
    )
