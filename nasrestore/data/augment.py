"""More from few images: the eight flips and quarter turns of a patch, and other colours."""

from __future__ import annotations

import numpy as np
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


def dihedral_flow(flow: torch.Tensor, element: int) -> torch.Tensor:
    """Turns flow as :func:`dihedral` turns the frames that it belongs to: places and vectors.

    Args:
        flow: ``... 2 H W``, movement to the right first, then downwards.
        element: 0 (nothing) to 7.

    Raises:
        ValueError: no such element.
    """
    turned = dihedral(flow, element)
    right, down = turned.unbind(-3)
    if element >= 4:
        right = -right
    for _ in range(element % 4):  # a quarter counterclockwise: right becomes up
        right, down = down, -right
    return torch.stack([right, down], dim=-3)


def dihedral_inverse(element: int) -> int:
    """The element that undoes another: ``dihedral(dihedral(x, k), dihedral_inverse(k)) == x``."""
    return element if element >= 4 else -element % 4


def recoloured(pixels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The scene in other colours and brightness, ``H W 3`` uint8, so that few photographs stand for many.

    Channels are exchanged, brightness is bent (gamma 0.6 to 1.6) and scaled channel by channel, and
    every other one is turned into its negative. For clean images: degrade them afterwards.
    """
    image = pixels[..., generator.permutation(3)].astype(np.float32) / 255
    if generator.random() < 0.5:
        image = 1 - image
    image = image ** np.float32(generator.uniform(0.6, 1.6))
    gain = generator.uniform(0.7, 1.1, 3).astype(np.float32)
    offset = generator.uniform(0.0, 0.15, 3).astype(np.float32)
    changed: np.ndarray = np.rint((image * gain + offset).clip(0, 1) * 255).astype(np.uint8)
    return changed
