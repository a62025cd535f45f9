"""The signatures of operations on clips, and of those that rain and two images need. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence

from nasrestore.graph.signature import (
    Layer,
    OperationSignature,
    Parameter,
    Params,
    Signature,
    SignatureError,
)

FLOW_CHANNELS = 2


def temporal_group_frames(frames: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The frames of a clip, from 0, at even and at odd distances from its centre, in order of time.

    Each group holds the centre t, too: {t-2, t, t+2} and {t-1, t, t+1} of five frames. Where the
    distances come out unequal in number, for 3, 7, 11, ... frames, the even group repeats the centre
    twice more, so that one block can read both: {t, t, t} and {t-1, t, t+1} of three frames,
    {t-2, t, t, t, t+2} and {t-3, t-1, t, t+1, t+3} of seven.
    """
    centre = frames // 2
    even = [t for t in range(frames) if (t - centre) % 2 == 0]
    odd = sorted([t for t in range(frames) if (t - centre) % 2 == 1] + [centre])
    even = sorted(even + [centre] * (len(odd) - len(even)))
    return tuple(even), tuple(odd)


def _odd(frames: int, least: int = 1) -> int:
    if frames % 2 == 0 or frames < least:
        more = f" and at least {least}" if least > 1 else ""
        raise SignatureError(
            f"a clip of {frames} frame{'s' * (frames != 1)} has no centre frame with as many frames "
            f"before as after it: expected an odd number{more}"
        )
    return frames


def _to_channels(frames: int, channels: int, params: Params) -> tuple[None, int]:
    return None, frames * channels


def _centre(frames: int, channels: int, params: Params) -> tuple[None, int]:
    _odd(frames)
    return None, channels


def _groups(frames: int, channels: int, params: Params) -> tuple[int, int]:
    group, _ = temporal_group_frames(_odd(frames, least=3))
    return 2, len(group) * channels


def _warp(frames: int, channels: int, params: Params) -> tuple[int, int]:
    if channels <= FLOW_CHANNELS:
        raise SignatureError(
            f"warp reads a clip and its flow, {FLOW_CHANNELS} channels more than the clip has, "
            f"got {channels} in all",
            hint="name the clip and then the flow in `reads:`",
        )
    return frames, channels - FLOW_CHANNELS


def _nothing(channels: int, params: Params) -> list[Layer]:
    return []


CLIP_OPERATIONS: dict[str, OperationSignature] = {
    name: OperationSignature(doc, clip=clip, layers=_nothing, parameter_free=True)
    for name, doc, clip in (
        ("frames_to_channels", "all frames side by side as one image", _to_channels),
        ("centre_frame", "the frame in the middle", _centre),
        ("temporal_groups", "frames at even and at odd distances from the centre (TMICS)", _groups),
        ("warp", "a clip and its flow: every frame moved to the centre one", _warp),
    )
}


def _rain_layers(channels: int, p: Params) -> Sequence[Layer]:
    def by_channel(kernel: int) -> Layer:
        return Layer(channels, channels, kernel, groups=channels, bias=False)

    made = [layer for kernel in p["kernels"] for layer in (by_channel(kernel), by_channel(1))]
    return [Layer(channels, channels, 3, norm=True)] * 3 + made


def _half(channels: int, params: Params) -> int:
    if channels % 2:
        raise SignatureError(
            f"two images of the same channels expected, got {channels} channels in all"
        )
    return channels // 2


def _average_layers(channels: int, p: Params) -> Sequence[Layer]:
    if p["share"] is not None:
        return []
    one = channels // 2
    return [Layer(one, p["features"], 3, times=2), Layer(p["features"], one, 3, times=2)]


FRAME_OPERATIONS: dict[str, OperationSignature] = {
    "auxiliary_rain": OperationSignature(
        "x + its rain, filtered in several sizes (TMICS's GARS)",
        {"kernels": Parameter("ints", (3, 5), least=1, most=31, odd=True, doc="filter sizes")},
        layers=_rain_layers,
    ),
    "attention_average": OperationSignature(
        "average of two images, shares by attention or fixed (TMICS's AAS)",
        {
            "share": Parameter("float", None, least=0, most=1, doc="a fixed share of the first"),
            "features": Parameter("int", 32, least=1, most=1024, doc="channels in between"),
        },
        channels=_half,
        layers=_average_layers,
    ),
}

CLIP_DATASETS: dict[str, Signature] = {
    "clean_clips": Signature("clean clips: folders of frames and videos; rain is synthesised"),
    "rain_syn_complex25": Signature("RainSynComplex25, heavy rain"),
    "rain_syn_light25": Signature("RainSynLight25"),
    "nturain": Signature("NTURain"),
    "rain_syn_all100": Signature("RainSynAll100"),
    "clip_folders": Signature("a folder of rainy and a folder of clean clips"),
    "clip_videos": Signature("a folder of rainy and a folder of clean videos"),
}
EITHER = frozenset(("auto", "photographs"))  # layouts for images and for clips
