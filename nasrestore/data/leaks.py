"""Images of one scene in two splits: under one name, with equal pixels, or as near-duplicates.

A near-duplicate is the same picture saved as JPEG, scaled, mirrored, turned by quarters, cut, or several of
these. Suspects are images whose thumbnails of 24 x 24 cells correlate above 0.9 in any of the eight
positions, and images that look like a part of another in 12 x 12; what counts is how well the two agree
in detail once they are laid on each other (:func:`nasrestore.data.sketch.agreement`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from nasrestore.data.sketch import (
    COARSE_CELLS,
    DETAIL_CELLS,
    TURNS,
    WHOLE,
    Lenses,
    agreement,
    lenses,
    seen,
    turned,
    unit,
)
from nasrestore.errors import few

MOST_CUT = 1_500  # images that are looked for in each other
MOST_WHOLE = 20_000  # images that are compared as wholes
SAME = 0.7  # agreement: different scenes are below 0.45, nearly all copies above 0.9

_SUSPECT = 0.9  # correlation of thumbnails
_SUSPECT_PART = 0.65
_LIKELIEST = 4  # suspects for each image that are laid on each other
_MISSES = 4  # parts of others that an image is laid on in vain
_MIRRORED = 4  # the turn that mirrors
_BLOCK = 2**22  # numbers in a block of correlations

How = Literal["identity", "content", "near-duplicate", "segment"]


@dataclass(frozen=True)
class Fingerprint:
    """What a clean scene is compared by.

    Attributes:
        contents: the content hash of each of its versions.
        sketch: of the first of them; ``None``: not compared by looks.
    """

    identity: str
    contents: tuple[str, ...]
    sketch: np.ndarray | None = field(compare=False, repr=False)


class Match(NamedTuple):
    """Numbers of two images of one scene, how that is known, and their agreement in detail.

    The agreement is a correlation, -1 to 1, and 1 where names or pixels are equal.
    """

    first: int
    second: int
    how: How
    correlation: float


@dataclass(frozen=True)
class Leak:
    """One scene in two splits; ``how`` and ``correlation`` are those of a :class:`Match`.

    Two segments of one clip are of one scene, whatever they look like.
    """

    split_a: str
    name_a: str
    split_b: str
    name_b: str
    how: How
    correlation: float = 1.0

    def __str__(self) -> str:
        if self.how == "identity":
            return f"{self.name_a} is in {self.split_a} and in {self.split_b}"
        here, there = f"{self.name_a} in {self.split_a}", f"{self.name_b} in {self.split_b}"
        if self.how == "content":
            return f"{here} has the same pixels as {there}"
        if self.how == "segment":
            return f"{here} is of one clip with {there}"
        return f"{here} shows the scene of {there} (correlation {self.correlation:.2f})"


def named(leaks: Sequence[Leak]) -> str:
    """The first three in words, and how many more there are."""
    return few(leaks, between="; ")


def find_leaks(
    scenes: Sequence[Fingerprint], splits: Sequence[str | None], matches: Iterable[Match]
) -> list[Leak]:
    """The matches whose images are in two splits.

    Args:
        splits: of each scene; ``None``: in none.
    """
    return [
        Leak(here, scenes[first].identity, there, scenes[second].identity, how, correlation)
        for first, second, how, correlation in matches
        if (here := splits[first]) and (there := splits[second]) and here != there
    ]


def groups(matches: Iterable[Match]) -> list[list[int]]:
    """The numbers of images that are linked by matches, each group and all groups in order."""
    group_of: dict[int, list[int]] = {}
    for first, second, *_ in matches:
        group = group_of.setdefault(first, [first])
        joined = group_of.setdefault(second, [second])
        if joined is not group:
            group += joined
            group_of.update(dict.fromkeys(joined, group))
    return sorted({id(group): sorted(group) for group in group_of.values()}.values())


def same_scenes(scenes: Sequence[Fingerprint]) -> list[Match]:
    """All pairs of one scene: by name, by content, and by looks where all have sketches."""
    sketches = [scene.sketch for scene in scenes if scene.sketch is not None]
    looks = near_duplicates(np.stack(sketches)) if sketches and len(sketches) == len(scenes) else {}
    found = []
    for first, second in sorted({*looks, *_equal(scenes)}):
        one, other = scenes[first], scenes[second]
        if one.identity == other.identity:
            found.append(Match(first, second, "identity", 1.0))
        elif not set(one.contents).isdisjoint(other.contents):
            found.append(Match(first, second, "content", 1.0))
        else:
            found.append(Match(first, second, "near-duplicate", looks[first, second]))
    return found


def _equal(scenes: Sequence[Fingerprint]) -> Iterable[tuple[int, int]]:
    """Numbers of scenes with one name or one content."""
    places: dict[str, list[int]] = {}
    for number, scene in enumerate(scenes):
        for key in {scene.identity, *scene.contents}:
            earlier = places.setdefault(key, [])
            yield from ((other, number) for other in earlier)
            earlier.append(number)


def near_duplicates(sketches: np.ndarray) -> dict[tuple[int, int], float]:
    """Pairs of images that show one scene, at least in part, and how well they agree.

    Found are whole images in any of the eight positions, and a part of 55% of the sides and more, upright or
    mirrored; one side by itself may be cut by a fifth. Two parts that overlap are found while most is
    common. Of more than ``MOST_CUT`` images parts are not looked for, and more than ``MOST_WHOLE``
    are not compared at all: the time grows with the square of their number.

    Args:
        sketches: ``N S S``.
    """
    found = _Found()
    if len(sketches) <= MOST_WHOLE:
        _find_wholes(sketches, found)
    if len(sketches) <= MOST_CUT:
        _find_parts(sketches, found)
    return found


class _Found(dict[tuple[int, int], float]):
    """Agreements of pairs of one scene, the lower number first."""

    def add(self, i: int, j: int, value: float) -> bool:
        """Keeps a pair that shows one scene, and says whether it does."""
        if value > SAME:
            key = (min(i, j), max(i, j))
            self[key] = max(round(value, 4), self.get(key, -1))
        return value > SAME


def _find_wholes(sketches: np.ndarray, found: _Found) -> None:
    """Whole images in any position: the likeliest suspects by thumbnail are laid on each other."""
    thumbnails = _vectors(sketches, _THUMBNAIL)
    squares = thumbnails.reshape(-1, DETAIL_CELLS, DETAIL_CELLS)
    suspects = []
    for turn in range(TURNS):
        for i, j, value in _correlated(thumbnails, turned(squares, turn).reshape(thumbnails.shape)):
            suspects.append((value, i, j, turn))
    suspects.sort(reverse=True)
    for _, i, j, turn in suspects[: _LIKELIEST * len(sketches)]:
        found.add(i, j, agreement(sketches[i], turned(sketches[j], turn), WHOLE))


def _correlated(one: np.ndarray, other: np.ndarray) -> Iterable[tuple[int, int, float]]:
    """Numbers of suspect pairs, each pair once, and the correlation."""
    rows = max(1, _BLOCK // len(one))
    for start in range(0, len(one), rows):
        products = one[start : start + rows] @ other[start:].T
        for i, j in np.argwhere(products > _SUSPECT):
            if i < j:
                yield start + int(i), start + int(j), float(products[i, j])


def _find_parts(sketches: np.ndarray, found: _Found) -> None:
    """Images that are parts of others, upright or mirrored: those that look like it are tried."""
    likeness = _likeness_to_parts(sketches)
    for part in range(len(sketches)):
        misses = 0
        for whole in np.argsort(-likeness[:, part], kind="stable").tolist():
            if misses == _MISSES or likeness[whole, part] < _SUSPECT_PART:
                break
            if (min(whole, part), max(whole, part)) not in found:
                misses += not found.add(whole, part, _as_part(sketches[whole], sketches[part]))


def _likeness_to_parts(sketches: np.ndarray) -> np.ndarray:
    """``N N``: the best correlation of any part of one (row) with the whole of another (column)."""
    count = len(sketches)
    looks = [_vectors(turned(sketches, turn), _WHOLE) for turn in (0, _MIRRORED)]
    wholes = np.concatenate(looks).T
    best = np.empty((count, count), np.float32)
    rows = max(1, _BLOCK // (len(WINDOWS) * 2 * count))
    for start in range(0, count, rows):
        products = _vectors(sketches[start : start + rows], _PARTS) @ wholes
        best[start : start + rows] = products.reshape(-1, len(WINDOWS), 2, count).max(axis=(1, 2))
    np.fill_diagonal(best, -1)
    return best


def _as_part(whole: np.ndarray, part: np.ndarray) -> float:
    """How well an image agrees with the part of another that it looks like most."""
    looks = np.stack([part, turned(part, _MIRRORED)])
    products = _vectors(whole[None], _PARTS) @ _vectors(looks, _WHOLE).T
    window, look = np.unravel_index(int(products.argmax()), products.shape)
    return agreement(whole, looks[int(look)], WINDOWS[int(window)])


def _vectors(sketches: np.ndarray, through: Lenses) -> np.ndarray:
    return np.concatenate([unit(seen(one, through)) for one in sketches])


def _windows() -> np.ndarray:
    """Squares of 56% to 100% of the sides, so close that any other is near one of them."""
    found = []
    for side in (1.0, 0.9, 0.78, 0.66, 0.56):
        places = np.linspace(0, 1 - side, int(np.ceil((1 - side) / (0.12 * side))) + 1)
        found += [(y, y + side, x, x + side) for y in places for x in places]
    return np.array(found)


WINDOWS = _windows()
_PARTS = lenses(WINDOWS, COARSE_CELLS)
_WHOLE = lenses(WHOLE[None], COARSE_CELLS)
_THUMBNAIL = lenses(WHOLE[None], DETAIL_CELLS)
