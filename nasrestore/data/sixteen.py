"""PNG and TIFF files of 16 bits a channel, which Pillow reads as 8 bits and cannot write.

Reading goes through FFmpeg's decoders (PyAV); a PNG is written here, since its container is
simpler than the detour; a TIFF by tifffile, which comes with scikit-image.
"""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import PIL.Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_BITS_PER_SAMPLE, _SAMPLE_FORMAT = 258, 339  # TIFF tags
_UNSIGNED = 1
_PNG_COLOUR_TYPE = {1: 0, 2: 4, 3: 2, 4: 6}

# FFmpeg's packed formats: byte order and channels
_PACKED = {
    f"{name}{order}": (np.dtype(f"{'<' if order == 'le' else '>'}u2"), channels)
    for name, channels in (("gray16", 1), ("ya16", 2), ("rgb48", 3), ("rgba64", 4))
    for order in ("le", "be")
}


def is_sixteen_bit(image: PIL.Image.Image) -> bool:
    """Whether an opened, not yet loaded PNG or TIFF holds unsigned 16-bit channels."""
    if image.format == "PNG":
        return any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))
    if image.format == "TIFF":
        tags = image.tag_v2  # type: ignore[attr-defined]
        formats = tags.get(_SAMPLE_FORMAT, (_UNSIGNED,))
        return set(tags.get(_BITS_PER_SAMPLE, ())) == {16} and set(formats) == {_UNSIGNED}
    return False


def unsupported_samples(path: Path) -> str | None:
    """What the channels of a TIFF are, such as ``32-bit float``, where neither 8 nor 16 bits.

    ``None`` where they are, and where the file is no TIFF.
    """
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            kind = file.pages.first.dtype
    except Exception:  # decoders of hostile bytes raise nearly anything
        return None
    if kind is None or kind in (np.uint8, np.uint16):
        return None
    names = {"f": "float", "c": "complex", "i": "signed", "u": "integer"}
    return f"{8 * kind.itemsize}-bit {names.get(kind.kind, kind.name)}"


def decode(data: bytes) -> np.ndarray:
    """The bytes of a 16-bit PNG or TIFF to ``H W C`` uint16, C = 1 to 4, the last of 2 or 4 alpha.

    Raises:
        ValueError: FFmpeg cannot decode it, or decodes it to another pixel format.
    """
    import av

    with av.open(io.BytesIO(data)) as container:
        frame = next(container.decode(video=0))
    if frame.format.name not in _PACKED:
        raise ValueError(f"16-bit pixels of kind {frame.format.name} are not supported")
    dtype, channels = _PACKED[frame.format.name]
    plane = frame.planes[0]
    rows = np.frombuffer(plane, dtype=dtype).reshape(-1, plane.line_size // 2)
    pixels = rows[: frame.height, : frame.width * channels]
    return pixels.reshape(frame.height, frame.width, channels).astype(np.uint16)


def encode_png(samples: np.ndarray, *, exif: bytes | None, icc: bytes | None) -> bytes:
    """``H W C`` uint16, C = 1 to 4, as the bytes of a PNG file (ISO/IEC 15948)."""
    height, width, channels = samples.shape
    header = struct.pack(">IIBBBBB", width, height, 16, _PNG_COLOUR_TYPE[channels], 0, 0, 0)
    chunks = [_chunk(b"IHDR", header)]
    if icc is not None:
        chunks.append(_chunk(b"iCCP", b"profile\0\0" + zlib.compress(icc)))
    if exif is not None:
        chunks.append(_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")))
    chunks.append(_chunk(b"IDAT", zlib.compress(_filtered(samples))))
    chunks.append(_chunk(b"IEND", b""))
    return PNG_SIGNATURE + b"".join(chunks)


def encode_tiff(samples: np.ndarray, *, icc: bytes | None) -> bytes:
    """``H W C`` uint16, C = 1 to 4, as the bytes of a TIFF file; grey with alpha becomes RGBA."""
    import tifffile

    if samples.shape[2] == 2:
        samples = samples[:, :, [0, 0, 0, 1]]
    grey = samples.shape[2] == 1
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        samples[:, :, 0] if grey else samples,
        photometric="minisblack" if grey else "rgb",
        compression="zlib",
        extrasamples=["unassalpha"] if samples.shape[2] == 4 else None,
        iccprofile=icc,
        metadata=None,
    )
    return buffer.getvalue()


def _filtered(samples: np.ndarray) -> bytes:
    """Big-endian rows, each after the filter type 1: differences to the pixel on the left."""
    height, width, channels = samples.shape
    raw = samples.astype(">u2").view(np.uint8).reshape(height, width, channels * 2)
    rows = raw.copy()
    rows[:, 1:] -= raw[:, :-1]
    kind = np.ones((height, 1), np.uint8)
    return np.concatenate([kind, rows.reshape(height, -1)], axis=1).tobytes()


def _chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
