"""Sheets of images before and after restoration, as PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nasrestore.report.fonts import drawable, font_path
from nasrestore.runtime.checkpoint import write_atomic

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

Panel = tuple[str, np.ndarray]
Row = tuple[str, Sequence[Panel]]

MOST_WIDTH, MOST_HEIGHT = 480, 480
LEAST_WIDTH = 240  # smaller images are enlarged by a whole factor
ZOOM = 4  # of the crop, over the image as it is
LEAST_CROP = 12
MARGIN, GAP = 20, 12
TITLE_SIZE, CAPTION_SIZE = 18, 14
INK, MARK = (28, 36, 48), (230, 60, 20)


@dataclass(frozen=True)
class Crop:
    """A part of an image, in its own pixels."""

    top: int
    left: int
    height: int
    width: int

    def of(self, pixels: np.ndarray) -> np.ndarray:
        return pixels[self.top : self.top + self.height, self.left : self.left + self.width]


def comparison(path: Path, rows: Sequence[Row]) -> None:
    """Writes a sheet: for each row its title, its images with captions, and an enlarged crop.

    The crop is where the first image of the row (the degraded one) differs most from its last (the
    clean one); a row of a single image has none. No image is wider or higher than 480 pixels.

    Args:
        path: a ``.png`` file.
        rows: title and (caption, pixels H W C of 1 or 3 channels, 0-255, uint8) of each image.

    Raises:
        ValueError: no row, an empty row, images of a row that differ in size, or no such images.
        NasRestoreError: the disk refuses.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"a sheet is written as .png, got {path}")
    write_atomic(path, comparison_png(rows))


def comparison_png(rows: Sequence[Row]) -> bytes:
    """The sheet that :func:`comparison` writes."""
    from PIL import Image

    if not rows:
        raise ValueError("a sheet needs at least one row")
    strips = [_strip(title, panels) for title, panels in rows]
    width = max(strip.width for strip in strips) + 2 * MARGIN
    height = sum(strip.height + MARGIN for strip in strips) + MARGIN
    sheet = Image.new("RGB", (width, height), "white")
    y = MARGIN
    for strip in strips:
        sheet.paste(strip, (MARGIN, y))
        y += strip.height + MARGIN
    file = io.BytesIO()
    sheet.save(file, "PNG", optimize=True)
    return file.getvalue()


def most_different(first: np.ndarray, last: np.ndarray, height: int, width: int) -> Crop:
    """The crop of a size in which two images differ most, by the sum of absolute differences.

    Args:
        first, last: H W C of one shape, uint8.
        height, width: of the crop; at most the image's.
    """
    difference = np.abs(first.astype(np.int64) - last.astype(np.int64)).sum(axis=2)
    sums = np.pad(difference, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    totals = (
        sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width]
        + sums[:-height, :-width]
    )  # fmt: skip
    top, left = np.unravel_index(int(totals.argmax()), totals.shape)
    return Crop(int(top), int(left), height, width)


def _strip(title: str, panels: Sequence[Panel]) -> Image:
    """One row of the sheet, without margins."""
    images = [_rgb(pixels) for _, pixels in panels]
    if not images or any(image.shape != images[0].shape for image in images):
        shapes = ", ".join(str(image.shape) for image in images) or "no image"
        raise ValueError(f"{title!r}: expected images of one size, got {shapes}")
    width, height = _shown_size(*images[0].shape[:2])
    crop = _crop(images, width) if len(images) > 1 else None
    scale = width / images[0].shape[1]
    captions = [_wrap(caption, width) for caption, _ in panels]
    columns = [
        _column(image, caption, (width, height), scale, crop)
        for image, caption in zip(images, captions, strict=True)
    ]
    return _beside(title, columns, max(len(lines) for lines in captions))


def _rgb(pixels: np.ndarray) -> np.ndarray:
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or pixels.dtype != np.uint8:
        raise ValueError(
            "expected uint8 pixels H W C of 1 or 3 channels, "
            f"got {pixels.dtype} of shape {pixels.shape}"
        )
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def _shown_size(height: int, width: int) -> tuple[int, int]:
    """(width, height) of a panel: as the image is, made smaller to fit, or larger if tiny."""
    factor = min(MOST_WIDTH / width, MOST_HEIGHT / height)
    if factor >= 2 and width < LEAST_WIDTH:
        factor = min(int(factor), -(-LEAST_WIDTH // width))
    else:
        factor = min(factor, 1.0)
    return max(1, round(width * factor)), max(1, round(height * factor))


def _crop(images: Sequence[np.ndarray], shown_width: int) -> Crop:
    """As much of the image as fills a panel, enlarged."""
    height, width = images[0].shape[:2]
    zoom = ZOOM * max(1.0, shown_width / width)
    crop_width = min(width, max(LEAST_CROP, round(shown_width / zoom)))
    crop_height = min(height, max(1, round(crop_width * height / width)))
    return most_different(images[0], images[-1], crop_height, crop_width)


def _column(
    pixels: np.ndarray,
    caption: Sequence[str],
    size: tuple[int, int],
    scale: float,
    crop: Crop | None,
) -> tuple[Image, Image | None, Sequence[str]]:
    """An image, its crop, and its caption."""
    from PIL import Image, ImageDraw

    resample = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.LANCZOS
    whole = Image.fromarray(pixels).resize(size, resample)
    if crop is None:
        return whole, None, caption
    # Copied: a slice of an array is no image of its own to Pillow.
    part = Image.fromarray(np.ascontiguousarray(crop.of(pixels)))
    enlarged = part.resize(
        (size[0], max(1, round(size[0] * crop.height / crop.width))), Image.Resampling.NEAREST
    )
    left, top = crop.left * scale, crop.top * scale
    right, bottom = left + crop.width * scale, top + crop.height * scale
    # Around the crop, not over it.
    ImageDraw.Draw(whole).rectangle(
        (left - 2, top - 2, right + 1, bottom + 1), outline=MARK, width=2
    )
    ImageDraw.Draw(enlarged).rectangle(
        (0, 0, enlarged.width - 1, enlarged.height - 1), outline=MARK, width=2
    )
    return whole, enlarged, caption


def _beside(
    title: str, columns: Sequence[tuple[Image, Image | None, Sequence[str]]], lines: int
) -> Image:
    """The columns next to each other below their title."""
    from PIL import Image, ImageDraw

    whole, part, _ = columns[0]
    heading = (TITLE_SIZE + GAP) if title else 0
    below = heading + whole.height + 6 + lines * (CAPTION_SIZE + 5)
    height = below + (0 if part is None else GAP // 2 + part.height)
    wide = len(columns) * (whole.width + GAP) - GAP
    strip = Image.new("RGB", (max(wide, _text_width(title, TITLE_SIZE)), height), "white")
    draw = ImageDraw.Draw(strip)
    _write(draw, title, 0, 0, TITLE_SIZE)
    for number, (image, crop, caption) in enumerate(columns):
        x = number * (whole.width + GAP)
        strip.paste(image, (x, heading))
        for i, text in enumerate(caption):
            _write(draw, text, x, heading + whole.height + 6 + i * (CAPTION_SIZE + 5), CAPTION_SIZE)
        if crop is not None:
            strip.paste(crop, (x, below + GAP // 2))
    return strip


# -- text ------------------------------------------------------------------------------------


def _font(size: int) -> FreeTypeFont:
    from PIL import ImageFont

    return ImageFont.truetype(font_path(), size)


def _text_width(text: str, size: int) -> int:
    return int(_font(size).getlength(drawable(text))) + 1


def _write(draw: ImageDraw, text: str, x: int, y: int, size: int) -> None:
    draw.text((x, y), drawable(text), fill=INK, font=_font(size))


def _wrap(text: str, width: int) -> list[str]:
    """The text in lines that fit; a word that is too long by itself is left as it is."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and _text_width(longer, CAPTION_SIZE) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
