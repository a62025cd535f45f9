"""Made photographs, and what happens to photographs on their way into a data set."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image


def made_scene(seed: int, height: int = 120, width: int = 160) -> np.ndarray:
    """``H W 3`` uint8 whose spectrum falls with frequency as that of photographs does."""
    generator = np.random.default_rng(seed)
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)
    frequency = np.hypot(rows, columns)
    frequency[0, 0] = np.inf
    noise = np.fft.rfft2(generator.normal(size=(height, width)))
    field = np.fft.irfft2(noise / frequency**1.2, (height, width))
    field = 128 + 50 * field / field.std()
    tint = generator.uniform(0.6, 1, 3)
    return (field[..., None] * tint).clip(0, 255).astype(np.uint8)


def jpeg(pixels: np.ndarray, quality: int = 50) -> np.ndarray:
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    with PIL.Image.open(file) as image:
        return np.asarray(image)


def scaled(pixels: np.ndarray, factor: float) -> np.ndarray:
    height, width = pixels.shape[:2]
    size = (round(width * factor), round(height * factor))
    return np.asarray(PIL.Image.fromarray(pixels).resize(size, PIL.Image.Resampling.BICUBIC))


def cut(pixels: np.ndarray, top: float, left: float, side: float) -> np.ndarray:
    """A part whose sides are so large a share of the image's; places are shares, too."""
    height, width = pixels.shape[:2]
    y, x = int(top * height), int(left * width)
    return pixels[y : y + int(side * height), x : x + int(side * width)]
