"""Optical flow of the windows of a clip, from the centre frame of each to its other frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

Flow = Callable[[torch.Tensor], torch.Tensor]


def window_flows(
    clip: torch.Tensor, window: int, flow: Flow, device: torch.device
) -> Iterator[np.ndarray]:
    """The flow of one window after another, ``window - 1`` frames, 2, H, W, float16 in pixels.

    Args:
        clip: T C H W uint8; grey is repeated.
        window: frames that are looked at together, odd.
        flow: from N T 3 H W in [0, 1] on ``device`` to N T 2 H W in pixels.
    """
    centre = window // 2
    others = [t for t in range(window) if t != centre]
    for start in range(len(clip) - window + 1):
        frames = clip[start : start + window].to(device)[None].float() / 255
        if frames.shape[2] == 1:
            frames = frames.expand(-1, -1, 3, -1, -1)
        yield flow(frames)[0, others].to("cpu", torch.float16).numpy()
