"""A clip as windows of consecutive frames, one around each; beyond its ends it is reflected."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def reflected(index: int, length: int) -> int:
    """The position in a sequence that stands for any other: -1 is 1, ``length`` is ``length - 2``.

    Where reflection leaves the sequence again it is reflected again; a single item repeats.
    """
    if length == 1:
        return 0
    index = abs(index) % (2 * (length - 1))
    return min(index, 2 * (length - 1) - index)


def windows(stream: Iterable[Item], length: int) -> Iterator[tuple[Item, ...]]:
    """For every item the ``length`` items around it, in order, read as late as possible.

    At most ``length`` items are held, however long the stream is.

    Args:
        length: odd.

    Raises:
        ValueError: an even or negative length.
    """
    if length < 1 or length % 2 == 0:
        raise ValueError(f"windows of an odd number of frames expected, got {length}")
    radius = length // 2
    held: deque[Item] = deque(maxlen=length)
    read = centre = 0

    def around(known: int) -> tuple[Item, ...]:
        first = read - len(held)
        places = range(centre - radius, centre + radius + 1)
        return tuple(held[reflected(place, known) - first] for place in places)

    for item in stream:
        held.append(item)
        read += 1
        if read > radius:  # all that the window needs; only its beginning can be reflected
            yield around(read)
            centre += 1
    while centre < read:
        yield around(read)
        centre += 1
