"""Pixels as a network reads them, and back: how channels meet, and what of a plane a tile reads.

Shapes: an image is N C H W, a clip N T C H W, flow N T 2 H W; here N is 1 but where colour goes plane
by plane.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nasrestore.errors import NasRestoreError


def check_pixels(pixels: np.ndarray) -> None:
    """Raises ValueError unless ``pixels`` are H W or H W C, C 1 or 3, of uint8 or uint16."""
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"pixels of uint8 or uint16 expected, got {pixels.dtype}")
    shaped = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (1, 3))
    if not shaped or pixels.size == 0:
        raise ValueError(
            f"H W or H W C with 1 or 3 channels expected (alpha apart), got {pixels.shape}"
        )


def channels_in(x: Tensor, channels: int) -> Tensor:
    """1 ... C H W as the network reads it: as it is, grey as three, or colour as a batch of planes.

    Raises:
        NasRestoreError: the network reads another number of channels.
    """
    found = x.shape[-3]
    if found == channels:
        return x
    if found == 1:
        return x.expand(*x.shape[:-3], channels, -1, -1)
    if channels == 1:
        return x.transpose(0, -3)
    raise NasRestoreError(
        f"the image has {found} channels, the network reads {channels}",
        hint=f"convert the image to {channels} channels",
    )


def channels_out(image: Tensor, channels: int) -> Tensor:
    """What the network gives for :func:`channels_in`, as 1 C H W of so many channels."""
    if channels == image.shape[1]:
        return image
    return image.mean(dim=1, keepdim=True) if channels == 1 else image.transpose(0, 1)


def cut(planes: Tensor, rows: np.ndarray, columns: np.ndarray) -> Tensor:
    """Those rows and columns of ... H W, float32."""
    down, across = (torch.from_numpy(index).to(planes.device) for index in (rows, columns))
    return planes[..., down, :][..., across].float()


def cut_flow(flow: Tensor, rows: np.ndarray, columns: np.ndarray) -> Tensor:
    """Those rows and columns of N T 2 H W flow, x first; in a mirror, movement is mirrored too."""
    part = cut(flow, rows, columns)
    for component, index, axis in ((0, columns, -1), (1, rows, -2)):
        sign = torch.from_numpy(np.where(np.diff(index, prepend=-1) < 0, -1.0, 1.0)).to(part)
        part[:, :, component] *= sign if axis == -1 else sign[:, None]
    return part
