"""Cutting an image into overlapping tiles, and blending them into one again.

A tile knows nothing beyond its edge, where a convolution pads with zeros. So tiles overlap, and what
a tile says near an edge that is not the image's is not used. One axis at a time: tiles become
strips, and strips the image.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Span:
    """What a tile reads of an axis, ``start:stop``, and how it covers the tile before.

    ``opacity`` (float32, one value per position) rises from 0, where the tile before shows, to 1.
    """

    start: int
    stop: int
    opacity: np.ndarray


def axis_spans(size: int, *, tile: int, overlap: int, multiple: int) -> list[Span]:
    """Cuts an axis of ``size`` pixels into the fewest equal tiles of at most ``tile`` pixels.

    All tiles start and stop at multiples of ``multiple``, so that a pooling sees the same grid as in
    the whole image; the last may pass ``size`` by less than one multiple. Neighbours share at least
    ``overlap`` pixels. They are blended by a raised cosine over half of that, in the middle of what
    they share: the outer quarter of ``overlap``, where a tile lacks context, is not used. A network
    with a receptive radius of up to that quarter so gives what it gives for the whole image.

    ``tile`` is a multiple of ``multiple`` and at least two overlaps, each rounded up to multiples.
    """
    length, edge, shared = (-(-pixels // multiple) for pixels in (size, tile, overlap))
    count = 1 if length <= edge else math.ceil((length - shared) / (edge - shared))
    edge = math.ceil((length + (count - 1) * shared) / count)
    starts = [i * (length - edge) // max(count - 1, 1) for i in range(count)]
    seams = [multiple * (a + b + edge) / 2 for a, b in itertools.pairwise(starts)]
    spans = []
    for start, seam in zip(starts, [-math.inf, *seams], strict=True):
        centres = np.arange(start * multiple, (start + edge) * multiple) + 0.5
        opacity = _rise(centres - seam, overlap / 2).astype(np.float32)
        spans.append(Span(start * multiple, (start + edge) * multiple, opacity))
    return spans


def _rise(distance: np.ndarray, width: float) -> np.ndarray:
    """From 0 to 1 by a raised cosine of ``width`` around distance 0."""
    share = np.clip(distance / max(width, 1e-6) + 0.5, 0.0, 1.0)
    return 0.5 - 0.5 * np.cos(np.pi * share)


def mirrored(span: Span, size: int) -> np.ndarray:
    """The positions inside ``size`` that stand for ``span``; reflection without the edge itself.

    An axis too short to be reflected (a single pixel, for example) repeats its last pixel.
    """
    index = np.arange(span.start, span.stop)
    if span.stop - size > size - 1:
        return np.minimum(index, size - 1)
    return np.where(index < size, index, 2 * (size - 1) - index)


def lay_over(below: Tensor, tile: Tensor, span: Span, dim: int) -> None:
    """Lays a tile over what is there, in place; what passes the end of ``below`` is dropped.

    Tiles are laid in their order. An interpolation, not a sum of weighted tiles: where both say the
    same, exactly that comes out, and not one rounding less, which a protocol that floors would see.
    """
    length = min(span.stop, below.shape[dim]) - span.start
    opacity = torch.from_numpy(span.opacity[:length])
    opacity = opacity.view([-1 if axis == dim % below.ndim else 1 for axis in range(below.ndim)])
    below.narrow(dim, span.start, length).lerp_(tile.narrow(dim, 0, length), opacity)
