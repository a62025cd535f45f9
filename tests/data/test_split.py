from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasrestore.data.split import content_hash, split_identities
from nasrestore.errors import NasRestoreError

NAMES = [f"set/{number}" for number in range(1, 41)]


@given(
    st.integers(3, 60),
    st.lists(st.floats(0.01, 5), min_size=1, max_size=3),
    st.integers(0, 2**31),
)
def test_every_scene_once_and_no_split_empty(count: int, shares: list[float], seed: int) -> None:
    names = [f"s{number}" for number in range(count)]
    fractions = {f"split{i}": share for i, share in enumerate(shares)}
    parts = split_identities(names, fractions, seed)
    assert list(parts) == list(fractions)
    assert sorted(name for part in parts.values() for name in part) == sorted(names)
    for name, part in parts.items():
        exact = count * fractions[name] / sum(shares)
        assert part
        assert len(part) == 1 or abs(len(part) - exact) < 3


def test_exact_shares_and_natural_order() -> None:
    parts = split_identities(NAMES, {"train": 0.5, "validation": 0.3, "test": 0.2}, 0)
    assert [len(part) for part in parts.values()] == [20, 12, 8]
    numbers = [int(name.split("/")[1]) for name in parts["train"]]
    assert numbers == sorted(numbers)


def test_only_the_set_the_shares_and_the_seed_count() -> None:
    parts = split_identities(NAMES, {"a": 3, "b": 1}, 7)
    assert split_identities(NAMES[::-1] + NAMES[:9], {"a": 3, "b": 1}, 7) == parts
    assert split_identities(NAMES, {"a": 3, "b": 1}, 8) != parts


def test_too_few_images() -> None:
    with pytest.raises(NasRestoreError, match=r"2 clean images .* at least 3 are needed"):
        split_identities(NAMES[:2], {"a": 1, "b": 1, "c": 1}, 0)
    with pytest.raises(NasRestoreError, match="'b' has fraction 0"):
        split_identities(NAMES, {"a": 1, "b": 0}, 0)


def test_content_hash_knows_pixels_alone() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert content_hash(pixels) == content_hash(np.asfortranarray(pixels.copy()))
    others = [pixels + 1, pixels.reshape(4, 2, 3), pixels.astype(np.uint16)]
    assert content_hash(pixels) not in [content_hash(other) for other in others]
