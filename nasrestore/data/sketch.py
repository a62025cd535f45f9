"""Scenes drawn small, and how well one sketch lies on a part of another.

A sketch is an image's luma, averaged over the cells of a 64 x 64 grid, whatever the image's sides.
A window is the part of a sketch that is looked at, as ``(top, bottom, left, right)`` in shares of its
sides; seen through a window, a sketch has again so and so many cells a side.
"""

from __future__ import annotations

import numpy as np

SIDE = 64  # cells of a sketch along a side
WHOLE = np.array([0.0, 1.0, 0.0, 1.0])
TURNS = 8  # four quarter turns, of the image or of its mirror image
COARSE_CELLS = 12
DETAIL_CELLS = 24

Lenses = tuple[np.ndarray, np.ndarray]

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_ENOUGH = 8 * SIDE  # pixels along a side: of more, every second (third, ...) one is averaged
_FLAT = 0.1  # grey levels: what varies less is rounding, not a picture
_SURE = 0.9  # agreement as they lie; below it, a better place is looked for
_COARSE_ENOUGH = 0.9  # coarse pictures of one scene, once aligned, had 0.97 or more
_LARGEST_STEP = 0.06  # of the sides, in one step
_SMALLEST_WINDOW = 0.4


def sketch(pixels: np.ndarray) -> np.ndarray:
    """The averages of luma over 64 x 64 cells, float32 in 0-255.

    Args:
        pixels: ``H W C`` uint8, C of 1 or 3, of any size.
    """
    thinned = pixels[:: _stride(pixels.shape[0]), :: _stride(pixels.shape[1])]
    grey = thinned[..., 0] if thinned.shape[2] == 1 else thinned @ _LUMA
    return np.ascontiguousarray(_band_means(_band_means(grey).T).T, np.float32)


def turned(sketches: np.ndarray, turn: int) -> np.ndarray:
    """``... S S`` sketches in one of the eight positions of a square; 0 leaves them, 4 mirrors."""
    mirrored = sketches[..., ::-1] if turn >= 4 else sketches
    return np.ascontiguousarray(np.rot90(mirrored, turn % 4, (-2, -1)))


def lenses(windows: np.ndarray, cells: int) -> Lenses:
    """What shows ``N 4`` windows in so many cells a side; beyond a border nothing is seen."""
    columns = _weights(windows[:, 2], windows[:, 3], cells)
    return _weights(windows[:, 0], windows[:, 1], cells), columns.transpose(0, 2, 1)


def seen(sketches: np.ndarray, through: Lenses) -> np.ndarray:
    """``N k k``: each of N sketches through the lens, or one, ``S S``, through each of N lenses."""
    rows, columns = through
    pictures: np.ndarray = rows @ sketches @ columns
    return pictures


def unit(pictures: np.ndarray) -> np.ndarray:
    """``N k k`` pictures as ``N k*k`` vectors of mean 0 and length 1; flat ones are 0.

    The product of two is their correlation, and that of a flat one with anything is 0.
    """
    vectors = pictures.reshape(len(pictures), -1)
    vectors = vectors - vectors.mean(1, keepdims=True)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    flat = lengths < _FLAT * np.sqrt(vectors.shape[1])
    return np.where(flat, 0, vectors / np.where(flat, 1, lengths)).astype(np.float32)


def detail(pictures: np.ndarray) -> np.ndarray:
    """``N k k`` to what every inner cell has beyond the mean of its 3 x 3 neighbourhood.

    Different scenes often agree in bright sky above dark ground; they do not agree in this.
    """
    inner = pictures.shape[1] - 2
    around = sum(
        pictures[:, y : y + inner, x : x + inner].copy() for y in range(3) for x in range(3)
    )
    fine: np.ndarray = pictures[:, 1:-1, 1:-1] - around / np.float32(9)
    return fine


def agreement(whole: np.ndarray, part: np.ndarray, window: np.ndarray) -> float:
    """The correlation in detail of a sketch with a window of another, once that is well placed.

    The window is moved and stretched by Gauss-Newton steps on the difference of the normalised
    pictures, first in twelve cells, then, where these agree, in the detail of twenty-four.

    Args:
        whole: ``S S``.
        part: ``S S``, of what may be seen in the window alone.
        window: where to begin, within about a tenth of the window's side.

    Returns:
        -1 to 1; 0 where either is flat.
    """
    start = _correlation(whole, part, window)
    if start > _SURE:
        return start
    window, coarse = _placed(whole, part, window, COARSE_CELLS, steps=4)
    if coarse < _COARSE_ENOUGH:
        return start
    _, fine = _placed(whole, part, window, DETAIL_CELLS, steps=3, fine=True)
    return max(start, fine)


def _correlation(whole: np.ndarray, part: np.ndarray, window: np.ndarray) -> float:
    one = unit(detail(seen(whole, lenses(window[None], DETAIL_CELLS))))
    other = unit(detail(seen(part, lenses(WHOLE[None], DETAIL_CELLS))))
    return float((one * other).sum())


def _placed(
    whole: np.ndarray,
    part: np.ndarray,
    window: np.ndarray,
    cells: int,
    steps: int,
    fine: bool = False,
) -> tuple[np.ndarray, float]:
    """The best of the windows that Gauss-Newton steps come to, and its correlation."""

    def pictured(sketch: np.ndarray, windows: np.ndarray) -> np.ndarray:
        pictures = seen(sketch, lenses(windows, cells))
        return unit(detail(pictures) if fine else pictures)

    target = pictured(part, WHOLE[None])[0]
    shift = 0.25 / cells
    nudges = np.concatenate([np.zeros((1, 4)), shift * np.eye(4), -shift * np.eye(4)])
    best, best_value = window, -1.0
    for step in range(steps + 1):
        pictures = pictured(whole, window + nudges)
        value = float(pictures[0] @ target)
        if value > best_value:
            best, best_value = window, value
        if step == steps:
            break
        slopes = ((pictures[1:5] - pictures[5:]) / (2 * shift)).astype(np.float64)
        normal = slopes @ slopes.T
        damping = 1e-3 * np.trace(normal) / 4 + 1e-12
        change = np.linalg.solve(normal + damping * np.eye(4), slopes @ (target - pictures[0]))
        window = np.clip(window + change.clip(-_LARGEST_STEP, _LARGEST_STEP), 0, 1)
        if min(window[1] - window[0], window[3] - window[2]) < _SMALLEST_WINDOW:
            break
    return best, best_value


def _stride(length: int) -> int:
    return max(1, length // _ENOUGH)


def _band_means(values: np.ndarray) -> np.ndarray:
    """``H W`` to the means of 64 bands of equal height, a row on an edge counting by its share."""
    height = len(values)
    sums = np.zeros((height + 1, values.shape[1]))
    np.cumsum(values, axis=0, out=sums[1:])
    edges = np.arange(SIDE + 1) * height / SIDE
    row = np.minimum(edges.astype(int), height - 1)
    up_to = sums[row] + (edges - row)[:, None] * (sums[row + 1] - sums[row])
    means: np.ndarray = np.diff(up_to, axis=0) * (SIDE / height)
    return means


def _weights(low: np.ndarray, high: np.ndarray, cells: int) -> np.ndarray:
    """``N cells S``: how much of each of a sketch's cells lies in each cell between two places."""
    shares = np.linspace(0, 1, cells + 1)
    edges = (low[:, None] + (high - low)[:, None] * shares) * SIDE
    start = np.arange(SIDE)
    covered = np.minimum(edges[:, 1:, None], start + 1) - np.maximum(edges[:, :-1, None], start)
    covered = np.clip(covered, 0, None)
    total = np.maximum(covered.sum(2, keepdims=True), 1e-9)
    return (covered / total).astype(np.float32)
