"""Image files to pixel arrays and back, with nothing lost on the way that need not be.

Pixels are ``H W C`` arrays, uint8 (0-255) or uint16 (0-65535) as the file holds them, with one
channel (grey) or three (RGB). Alpha is kept apart, since restoration does not touch it.
"""

from __future__ import annotations

import io
import os
import secrets
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image
from PIL import UnidentifiedImageError

from nasrestore.data import sixteen
from nasrestore.data.refused import refused
from nasrestore.errors import NasRestoreError

if TYPE_CHECKING:
    import torch

FORMAT_OF_SUFFIX = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
    ".bmp": "BMP",
}
IMAGE_SUFFIXES = frozenset(FORMAT_OF_SUFFIX)
MAX_PIXELS = 500_000_000

_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP")
_WITH_ALPHA = ("PNG", "TIFF", "WEBP")
_WITH_SIXTEEN_BITS = ("PNG", "TIFF")
_ORIENTATION = 0x0112
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257
_TURNED = (5, 6, 7, 8)  # orientations that exchange height and width

_pillow = threading.RLock()


@dataclass(frozen=True)
class Image:
    """One decoded image file, upright, and what is needed to write a result the same way.

    Attributes:
        pixels: ``H W C``, uint8 or uint16, C = 1 (grey) or 3 (RGB); a palette is read as RGB.
        alpha: ``H W`` of the same type, or None.
        format: PNG, JPEG, TIFF, WEBP or BMP.
        exif: the EXIF block without its orientation (the pixels are upright), or None.
        icc: the colour profile, or None.
        pages: how many pictures the file holds; only the first is here.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None
    format: str
    exif: bytes | None = None
    icc: bytes | None = None
    pages: int = 1

    @property
    def mode(self) -> str:
        """``grey`` or ``rgb``."""
        return "grey" if self.pixels.shape[2] == 1 else "rgb"

    @property
    def bits(self) -> int:
        """8 or 16 bits a channel."""
        return 8 * self.pixels.dtype.itemsize


def read_image(path: str | Path) -> Image:
    """Reads a PNG, JPEG, TIFF, WEBP or BMP file, upright; CMYK becomes RGB.

    Raises:
        NasRestoreError: the file is missing, not an image, truncated, of another pixel type
            (float, 32-bit) or over 500 megapixels; the message names it.
    """
    path = Path(path)
    with _reading(path), _quiet_pillow(), PIL.Image.open(path, formats=_FORMATS) as image:
        _check_pixel_count(path, image)
        # The second picture of an MPO is a camera's own preview.
        pages = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
        deep = sixteen.is_sixteen_bit(image)  # first: a PNG is loaded to look for its EXIF
        exif, orientation = _exif(image)
        image.load()  # finds a truncated file, which the 16-bit decoder may not
        if deep:
            samples = sixteen.decode(path.read_bytes())
        else:
            samples = _eight_bit(path, image)
            if image.format == "TIFF":  # Pillow turns TIFF, and nothing else, by itself
                orientation = 1
        icc = None if image.mode == "CMYK" else image.info.get("icc_profile")
        file_format = "JPEG" if image.format == "MPO" else str(image.format)
    samples = _upright(samples, orientation)
    colours = 1 if samples.shape[2] <= 2 else 3
    alpha = samples[:, :, colours] if samples.shape[2] in (2, 4) else None
    return Image(
        pixels=np.ascontiguousarray(samples[:, :, :colours]),
        alpha=None if alpha is None else np.ascontiguousarray(alpha),
        format=file_format,
        exif=exif,
        icc=icc,
        pages=pages,
    )


def image_size(path: str | Path) -> tuple[int, int]:
    """Height and width of the upright image, from the file's header alone.

    Raises:
        NasRestoreError: as :func:`read_image`, except that truncation is not noticed.
    """
    path = Path(path)
    with _reading(path), _quiet_pillow(), PIL.Image.open(path, formats=_FORMATS) as image:
        _check_pixel_count(path, image)
        width, height = _stored_size(image)
        # asking a PNG for its EXIF decodes it whole, unless the block came first
        if image.format != "PNG" or "exif" in image.info:
            _, orientation = _exif(image)
            if orientation in _TURNED:
                width, height = height, width
    return height, width


def write_image(
    path: str | Path, pixels: np.ndarray, like: Image | None = None, quality: int = 95
) -> None:
    """Writes pixels in the format that the suffix names; the file appears whole or not at all.

    Args:
        path: missing folders are made.
        pixels: ``H W C`` or ``H W``, uint8 or uint16, C = 1 or 3.
        like: where alpha, EXIF and colour profile come from. Alpha is dropped where the format has
            none (JPEG, BMP), EXIF is kept by PNG, JPEG and WEBP.
        quality: 1-100, for JPEG (without chroma subsampling) and WEBP.

    Raises:
        NasRestoreError: unknown suffix, 16 bits into a format of 8, or the disk refuses.
        ValueError: the array is not such pixels.
    """
    path = Path(path)
    file_format = FORMAT_OF_SUFFIX.get(path.suffix.lower())
    if file_format is None:
        raise NasRestoreError(
            f"cannot write {path}: the suffix {path.suffix!r} names no image format",
            hint=f"use one of {', '.join(sorted(IMAGE_SUFFIXES))}",
        )
    samples = _samples(pixels, like if file_format in _WITH_ALPHA else None)
    if samples.dtype == np.uint16 and file_format not in _WITH_SIXTEEN_BITS:
        raise NasRestoreError(
            f"cannot write {path}: {file_format} holds 8 bits a channel, the image has 16",
            hint="use .png or .tif",
        )
    data = _encode(samples, file_format, like, quality)
    try:
        _write_whole(path, data)
    except OSError as error:
        raise refused(path, error) from error


def to_tensor(pixels: np.ndarray) -> torch.Tensor:
    """``H W C`` uint8 or uint16 to ``C H W`` float32 in [0, 1]."""
    import torch

    scale = np.float32(np.iinfo(pixels.dtype).max)
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    return torch.from_numpy(planes.astype(np.float32) / scale)


def from_tensor(tensor: torch.Tensor, dtype: Any = np.uint8) -> np.ndarray:
    """``C H W`` in [0, 1] to ``H W C`` uint8 or uint16, clamped and rounded to nearest."""
    top = np.iinfo(dtype).max
    planes = tensor.detach().cpu().float().clamp(0, 1).mul(top).round()
    pixels: np.ndarray = planes.numpy().transpose(1, 2, 0).astype(dtype)
    return np.ascontiguousarray(pixels)


def to_eight_bit(pixels: np.ndarray) -> np.ndarray:
    """uint16 (0-65535) to uint8 (0-255), rounded to nearest; uint8 passes unchanged."""
    if pixels.dtype == np.uint8:
        return pixels
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def with_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """``H W C`` with 1 or 3 channels: grey is repeated, colour becomes BT.601 full-range luma."""
    if pixels.shape[2] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=2)
    luma = pixels.astype(np.float64) @ np.array([[0.299], [0.587], [0.114]])
    return np.rint(luma).astype(pixels.dtype)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Whatever a decoder raises on a bad file, as one error that names the file."""
    try:
        if path.exists() and not path.is_file() and not path.is_dir():  # a pipe would be waited for
            raise NasRestoreError(f"cannot read {path}: it is not a regular file")
        yield
    except NasRestoreError:
        raise
    except FileNotFoundError:
        raise NasRestoreError(f"cannot read {path}: no such file") from None
    except IsADirectoryError:
        raise NasRestoreError(f"cannot read {path}: it is a folder") from None
    except UnidentifiedImageError:
        unsupported = sixteen.unsupported_samples(path)
        if unsupported is not None:
            raise _other_samples(path, unsupported) from None
        found = "not an image, or truncated or damaged"
        if path.stat().st_size == 0:
            found = "the file is empty"
        raise NasRestoreError(
            f"cannot read {path}: {found}", hint=f"{', '.join(_FORMATS)} can be read"
        ) from None
    except MemoryError:
        raise NasRestoreError(f"cannot read {path}: not enough memory for its pixels") from None
    except OSError as error:
        reason = error.strerror if error.errno else f"truncated or damaged ({error})"
        raise NasRestoreError(f"cannot read {path}: {reason}") from error
    except Exception as error:  # decoders of hostile bytes raise nearly anything
        raise NasRestoreError(f"cannot read {path}: truncated or damaged ({error})") from error


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Pillow without warnings and with our size limit for its own; both are global, so locked."""
    with _pillow, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, PIL.Image.MAX_IMAGE_PIXELS = PIL.Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            PIL.Image.MAX_IMAGE_PIXELS = limit


def _check_pixel_count(path: Path, image: PIL.Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise NasRestoreError(
            f"cannot read {path}: {width}x{height} is {width * height / 1e6:.0f} megapixels, "
            f"over the limit of {MAX_PIXELS / 1e6:.0f}",
            hint="cut the image into parts",
        )


def _stored_size(image: PIL.Image.Image) -> tuple[int, int]:
    """Width and height before any turning; for a TIFF Pillow's versions differ in what size says."""
    if image.format == "TIFF":
        tags = image.tag_v2  # type: ignore[attr-defined]
        return tags[_TIFF_WIDTH], tags[_TIFF_HEIGHT]
    return image.size


def _exif(image: PIL.Image.Image) -> tuple[bytes | None, int]:
    """The EXIF block without orientation, and the orientation (1-8)."""
    try:
        exif = image.getexif()
        orientation = exif.get(_ORIENTATION, 1)
        block = None
        if image.format != "TIFF":  # whose tags are its structure, and read again when it loads
            exif.pop(_ORIENTATION, None)
            block = exif.tobytes() if len(exif) else None
    except Exception:  # a damaged EXIF block is no reason to refuse the picture
        return None, 1
    return block, orientation if orientation in range(1, 9) else 1


def _eight_bit(path: Path, image: PIL.Image.Image) -> np.ndarray:
    """``H W`` 1 to 4 channels uint8; the last of 2 or 4 is alpha."""
    transparent = "transparency" in image.info
    if image.mode in ("1", "L"):
        mode = "LA" if transparent else "L"
    elif image.mode in ("LA", "RGBA"):
        mode = image.mode
    elif image.mode in ("P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV"):
        mode = "RGBA" if transparent else "RGB"
    elif image.mode in ("PA", "La", "RGBa"):
        mode = {"PA": "RGBA", "La": "LA", "RGBa": "RGBA"}[image.mode]
    else:
        raise _other_samples(path, {"F": "32-bit float", "I": "32-bit"}.get(image.mode, image.mode))
    samples = np.asarray(image if image.mode == mode else image.convert(mode))
    return samples[:, :, None] if samples.ndim == 2 else samples


def _other_samples(path: Path, found: str) -> NasRestoreError:
    return NasRestoreError(
        f"cannot read {path}: {found} channels are not supported, expected 8 or 16 bits",
        hint="convert it to a PNG of 8 or 16 bits",
    )


def _upright(samples: np.ndarray, orientation: int) -> np.ndarray:
    """Undoes an EXIF orientation (Exif 2.32, tag 0x0112)."""
    if orientation in _TURNED:
        samples = samples.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    return samples


def _samples(pixels: np.ndarray, like: Image | None) -> np.ndarray:
    """Colours and alpha as one array ``H W`` 1 to 4 channels."""
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.dtype not in (np.uint8, np.uint16) or pixels.ndim != 3 or 0 in pixels.shape:
        raise ValueError(f"pixels {pixels.shape} {pixels.dtype}: expected H W C uint8 or uint16")
    if pixels.shape[2] not in (1, 3):
        raise ValueError(f"pixels {pixels.shape}: expected 1 or 3 channels")
    if like is None or like.alpha is None:
        return pixels
    alpha = like.alpha
    if alpha.shape != pixels.shape[:2]:
        raise ValueError(f"alpha {alpha.shape} does not fit pixels {pixels.shape}")
    if alpha.dtype != pixels.dtype:
        widen = pixels.dtype == np.uint16
        alpha = alpha.astype(np.uint16) * np.uint16(257) if widen else to_eight_bit(alpha)
    return np.concatenate([pixels, alpha[:, :, None]], axis=2)


def _encode(samples: np.ndarray, file_format: str, like: Image | None, quality: int) -> bytes:
    exif = like.exif if like is not None else None
    icc = like.icc if like is not None else None
    if like is not None and (like.pixels.shape[2] == 1) != (samples.shape[2] <= 2):
        icc = None  # a profile for grey does not describe colours, nor the reverse
    if samples.dtype == np.uint16:
        if file_format == "PNG":
            return sixteen.encode_png(samples, exif=exif, icc=icc)
        return sixteen.encode_tiff(samples, icc=icc)
    options: dict[str, Any] = {"icc_profile": icc} if icc is not None else {}
    if exif is not None and file_format in ("PNG", "JPEG", "WEBP"):
        options["exif"] = exif
    if file_format == "JPEG":
        options.update(quality=quality, subsampling=0)
    elif file_format == "WEBP":
        options.update(quality=quality)
    elif file_format == "TIFF":
        options.update(compression="tiff_adobe_deflate")
    buffer = io.BytesIO()
    array = samples[:, :, 0] if samples.shape[2] == 1 else samples
    with _quiet_pillow():
        PIL.Image.fromarray(np.ascontiguousarray(array)).save(buffer, file_format, **options)
    return buffer.getvalue()


def _write_whole(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(partial, "xb") as file:
            file.write(data)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
