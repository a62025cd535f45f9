from __future__ import annotations

import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from nasrestore.engine.windows import reflected, windows


@pytest.mark.parametrize("length", [1, 3, 5, 7])
@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 9])
def test_windows_are_those_of_the_reflected_clip(frames: int, length: int) -> None:
    radius = length // 2
    padded = np.pad(np.arange(frames), radius, "reflect" if frames > 1 else "edge")
    expected = [tuple(padded[i : i + length]) for i in range(frames)]
    assert list(windows(range(frames), length)) == expected


def test_a_stream_without_frames_has_no_windows() -> None:
    assert list(windows([], 5)) == []


def test_five_frames_around_the_first_and_the_last() -> None:
    found = list(windows("abcdefg", 5))
    assert "".join(found[0]) == "cbabc" and "".join(found[1]) == "babcd"
    assert "".join(found[-1]) == "efgfe"


def test_reflection_goes_on_where_it_leaves_the_clip() -> None:
    assert [reflected(i, 3) for i in range(-4, 7)] == [0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2]


@pytest.mark.parametrize("length", [0, 2, -1])
def test_windows_have_a_middle(length: int) -> None:
    with pytest.raises(ValueError, match="odd"):
        next(windows([1], length))


class Frame:
    """Something that can be counted while it lives."""


def test_no_more_frames_live_than_a_window_holds() -> None:
    alive: weakref.WeakSet[Frame] = weakref.WeakSet()
    most = []

    def stream() -> Iterator[Frame]:
        for _ in range(300):
            frame = Frame()
            alive.add(frame)
            yield frame
            del frame
            most.append(len(alive))

    assert sum(1 for _ in windows(stream(), 5)) == 300
    assert max(most) <= 6  # five in the window before, and the one that was just read


def test_a_window_is_given_as_soon_as_its_frames_are_read() -> None:
    read = []
    found = windows((read.append(i) or i for i in range(100)), 5)
    assert next(found) == (2, 1, 0, 1, 2) and read == [0, 1, 2]
    next(found)
    assert read == [0, 1, 2, 3]
