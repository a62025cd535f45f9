"""What can be measured of layers of rain."""

from __future__ import annotations

import math

import numpy as np


def dominant_angle(layer: np.ndarray) -> float:
    """Degrees from vertical along which the layer varies least (structure tensor).

    The derivatives are those of a Gaussian of 1 pixel, taken in the frequency domain: differences
    of neighbours turn thin streaks by up to 8 degrees towards the diagonal.
    """
    fy, fx = (2 * np.pi * np.fft.fftfreq(n) for n in layer.shape)
    smooth = np.fft.fft2(layer) * np.exp(-0.5 * (fy[:, None] ** 2 + fx[None, :] ** 2))
    along_y = np.fft.ifft2(1j * fy[:, None] * smooth).real
    along_x = np.fft.ifft2(1j * fx[None, :] * smooth).real
    xx, yy, xy = (along_x**2).mean(), (along_y**2).mean(), (along_x * along_y).mean()
    across = 0.5 * math.atan2(2 * xy, xx - yy)  # from the x axis; streaks lie across it
    return -math.degrees(across)
