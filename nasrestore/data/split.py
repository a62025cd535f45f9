"""Splits by clean scene, and what tells equal pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np

from nasrestore.data.files import natural_key
from nasrestore.errors import NasRestoreError


def split_identities(
    identities: Iterable[str],
    fractions: Mapping[str, float],
    seed: int,
    *,
    what: str = "clean image",
    hint: str = "give more images, or fewer splits",
) -> dict[str, list[str]]:
    """Deals scenes to named splits at random, in proportion to ``fractions``, each at least one.

    The result depends on the set of identities, the fractions and the seed, not on the order or on
    repetitions. Every list is in natural order.

    Args:
        what: what a message calls a scene.
        hint: what it says is to be done where there are too few.

    Raises:
        NasRestoreError: fewer scenes than splits, or a fraction that is not positive.
    """
    scenes = sorted(set(identities))
    for name, fraction in fractions.items():
        if not 0 < fraction < float("inf"):
            raise NasRestoreError(f"the split {name!r} has fraction {fraction}: expected above 0")
    if len(scenes) < len(fractions):
        raise NasRestoreError(
            f"{len(scenes)} {what}{'s' * (len(scenes) != 1)} cannot be split into "
            f"{', '.join(fractions)}: at least {len(fractions)} are needed, and there is only "
            f"{', '.join(scenes) or 'none'}",
            hint=hint,
        )
    shuffled = [scenes[i] for i in np.random.default_rng(seed).permutation(len(scenes))]
    result, start = {}, 0
    for name, count in _shares(fractions, len(scenes)).items():
        result[name] = sorted(shuffled[start : start + count], key=natural_key)
        start += count
    return result


def content_hash(pixels: np.ndarray) -> str:
    """SHA-256 over shape, type and decoded pixels: equal for a renamed or losslessly saved copy.

    A copy that was cut, scaled or saved as JPEG has another one.
    """
    digest = hashlib.sha256(f"{pixels.shape} {pixels.dtype.str} ".encode())
    digest.update(np.ascontiguousarray(pixels).tobytes())
    return digest.hexdigest()


def _shares(fractions: Mapping[str, float], total: int) -> dict[str, int]:
    """Whole numbers in proportion, each at least 1, by largest remainder."""
    whole = sum(fractions.values())
    exact = {name: fraction / whole * total for name, fraction in fractions.items()}
    counts = {name: max(1, int(share)) for name, share in exact.items()}

    def surplus(name: str) -> float:
        return counts[name] - exact[name]

    while sum(counts.values()) < total:
        counts[min(counts, key=surplus)] += 1
    while sum(counts.values()) > total:
        counts[max((n for n in counts if counts[n] > 1), key=surplus)] -= 1
    return counts
