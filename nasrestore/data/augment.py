"""The eight flips and quarter turns of a square patch."""

from __future__ import annotations

import torch

DIHEDRAL = 8  # the order of the group of the square


def dihedral(images: torch.Tensor, element: int) -> torch.Tensor:
    """Turns images by ``element % 4`` quarters, mirrored left to right before if ``element >= 4``.

    Args:
        images: ``... H W``, such as N C H W.
        element: 0 (nothing) to 7.

    Raises:
        ValueError: no such element.
    """
    if not 0 <= element < DIHEDRAL:
        raise ValueError(f"element {element} of the dihedral group: expected 0 to {DIHEDRAL - 1}")
    if element >= 4:
        images = images.flip(-1)
    return torch.rot90(images, element % 4, (-2, -1))


def dihedral_inverse(element: int) -> int:
    """The element that undoes another: ``dihedral(dihedral(x, k), dihedral_inverse(k)) == x``."""
    return element if element >= 4 else -element % 4
