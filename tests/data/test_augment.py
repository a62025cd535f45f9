from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from nasrestore.data.augment import DIHEDRAL, dihedral, dihedral_inverse, recoloured

IMAGES = torch.arange(2 * 3 * 4 * 4).reshape(2, 3, 4, 4)


def test_eight_different_pictures() -> None:
    seen = [dihedral(IMAGES, element) for element in range(DIHEDRAL)]
    assert torch.equal(seen[0], IMAGES)
    for one, other in itertools.combinations(seen, 2):
        assert not torch.equal(one, other)
    for picture in seen:  # only places change, and the same in every image and channel
        assert torch.equal(picture.flatten(2).sort().values, IMAGES.flatten(2))


@pytest.mark.parametrize("element", range(DIHEDRAL))
def test_inverse(element: int) -> None:
    there = dihedral(IMAGES, element)
    assert torch.equal(dihedral(there, dihedral_inverse(element)), IMAGES)


def test_closed_under_composition() -> None:
    pictures = [dihedral(IMAGES, element).flatten().tolist() for element in range(DIHEDRAL)]
    for one, other in itertools.product(range(DIHEDRAL), repeat=2):
        assert dihedral(dihedral(IMAGES, one), other).flatten().tolist() in pictures


@pytest.mark.parametrize("element", [-1, 8])
def test_there_is_no_ninth(element: int) -> None:
    with pytest.raises(ValueError, match="expected 0 to 7"):
        dihedral(IMAGES, element)


def test_recoloured_is_bounded_seeded_and_different() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    first = recoloured(pixels, np.random.default_rng(5))
    assert first.shape == pixels.shape and first.dtype == np.uint8
    assert np.array_equal(first, recoloured(pixels, np.random.default_rng(5)))
    assert not np.array_equal(first, recoloured(pixels, np.random.default_rng(6)))


def test_recoloured_keeps_the_order_of_brightness_or_turns_it_round() -> None:
    ramp = np.repeat(np.arange(0, 250, 10, dtype=np.uint8)[None, :, None], 3, axis=2)
    for seed in range(20):
        steps = np.diff(recoloured(ramp, np.random.default_rng(seed)).astype(int), axis=1)
        assert (steps >= 0).all() or (steps <= 0).all()
