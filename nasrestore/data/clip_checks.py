"""What must be true of clips before they are decoded, by their headers, and once they are."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from nasrestore.data.clip_sources import ClipSource
from nasrestore.data.files import Failures
from nasrestore.errors import NasRestoreError


def measured(sources: Sequence[ClipSource], window: int) -> list[tuple[int, int]]:
    """Sizes by headers; clips that are known to be too short are refused before any is decoded.

    Raises:
        NasRestoreError: clips that are, or that cannot be read, all in one message.
    """
    failures, sizes = Failures(), []
    for source in sources:
        with failures:
            sizes.append(source.size())
            if source.length is not None and source.length < window:
                raise _too_short(source.name, source.length, window)
    failures.raise_any("clips cannot be used")
    return sizes


def expected_bytes(
    sources: Sequence[ClipSource], sizes: Sequence[tuple[int, int]], channels: int
) -> int | None:
    """What all will take by their headers; None where a length is not known."""
    total = 0
    clean: dict[Hashable, int] = {}
    for source, (height, width) in zip(sources, sizes, strict=True):
        if source.length is None:
            return None
        taken = channels * height * width * source.length
        total += taken
        clean[source.clean_key] = taken
    return total + sum(clean.values())


def check_lengths(source: ClipSource, rainy: int, clean: int, window: int) -> None:
    """Whether a decoded clip has as many frames as its clean one, and enough of them.

    Raises:
        NasRestoreError: it has not.
    """
    if rainy != clean:
        raise NasRestoreError(
            f"{source.name} has {rainy} frames, its clean clip {source.identity} {clean}",
            hint="both need the same frames",
        )
    if rainy < window:
        raise _too_short(source.name, rainy, window)


def _too_short(name: str, length: int, window: int) -> NasRestoreError:
    return NasRestoreError(
        f"{name} has {length} frame{'s' * (length != 1)}, the network reads {window} at a time",
        hint="leave clips out that are shorter, or use a space of fewer frames",
    )
