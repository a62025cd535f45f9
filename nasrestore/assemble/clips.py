"""Clips and their optical flow from a recipe's ``data``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nasrestore.assemble.rain import Rain, rain_of
from nasrestore.data.clip_layouts import (
    ClipPairSet,
    has_clip_subset,
    open_clip_folders,
    open_clips,
)
from nasrestore.data.clip_sources import CleanSource, MovedPhotograph, clean_clips
from nasrestore.data.clipset import ClipSet
from nasrestore.data.layouts import Subset
from nasrestore.data.leaks import Fingerprint
from nasrestore.data.samples import Photograph, clean_folder, sample_photographs
from nasrestore.errors import NasRestoreError, few
from nasrestore.graph.ir import SearchGraph
from nasrestore.ops.flow import LARGER, NO_FLOW, SMALLEST_SIDE, OpticalFlow
from nasrestore.spec.recipe import RecipeSpec

ClipData = ClipPairSet | tuple[CleanSource, ...]

FRAME_SIZE = (192, 256)  # height and width of frames made of photographs, pixels

MOST_NAMED = 10  # clips in one message

_CLEAN = ("photographs", "clean_clips")


@dataclass(frozen=True)
class Reading:
    """What a network reads of clips.

    Attributes:
        frames: at a time, odd.
        flow: what computes the optical flow, where it reads that.
    """

    frames: int
    flow: OpticalFlow | None = None


def reading(recipe: RecipeSpec, graph: SearchGraph | None) -> Reading | None:
    """What a space reads of clips; None where it reads images.

    Raises:
        NasRestoreError: weights of optical flow that cannot be had or are another model's.
    """
    if graph is None or graph.frames is None:
        return None
    return Reading(graph.frames, optical_flow(recipe, graph))


def optical_flow(recipe: RecipeSpec, graph: SearchGraph) -> OpticalFlow | None:
    """What computes the flow that a space's networks read; None where they read none.

    Raises:
        NasRestoreError: weights that cannot be had or are another model's.
    """
    flow = recipe.data.flow
    return OpticalFlow(flow.model, flow.weights) if graph.flows else None


def training_clips(recipe: RecipeSpec, notes: list[str]) -> tuple[str, ClipData]:
    """The name and the clips that a recipe trains on; nothing is decoded yet.

    Raises:
        NasRestoreError: a folder is missing, empty, unpaired or holds clips that cannot be used.
    """
    data = recipe.data
    if data.rainy is not None and data.clean is not None:
        given = open_clip_folders(data.rainy, data.clean)
        notes += given.notes
        return f"clips ({Path(data.rainy).name})", given
    if data.root is None:
        photographs = sample_photographs()
        notes.append(
            f"no data.root: a camera moves over {len(photographs)} sample photographs, under "
            "synthetic rain; --set data.root=FOLDER takes your own clips"
        )
        moved = _moved(photographs, recipe)
        return f"moved sample photographs, {rain_of(data).called()}", moved
    return _in_folder(data.root, data.layout, "train", recipe, notes)


def testing_clips(recipe: RecipeSpec, notes: list[str]) -> ClipData | None:
    """The test clips where they lie apart from the training clips; None where they do not.

    Raises:
        NasRestoreError: as :func:`training_clips`.
    """
    data = recipe.data
    if data.test_rainy is not None and data.test_clean is not None:
        given = open_clip_folders(data.test_rainy, data.test_clean)
        notes += given.notes
        return given
    if data.test_root is not None:
        own = "auto" if data.layout in _CLEAN else data.layout
        layout = data.test_layout or own
        return _in_folder(data.test_root, layout, "test", recipe, notes)[1]
    paired = data.root is not None and data.layout not in _CLEAN
    if not paired or not has_clip_subset(Path(str(data.root)), "test"):
        return None
    found = open_clips(str(data.root), data.layout, "test")
    notes += found.notes
    return found


def clip_set(
    source: ClipData,
    members: Collection[str],
    recipe: RecipeSpec,
    window: int,
    *,
    rain: Rain,
    variants: int,
    recolour: bool,
    device: torch.device,
    limit_bytes: int,
    progress: Callable[[int, int], None] | None,
) -> ClipSet:
    """The chosen clips, decoded.

    Raises:
        NasRestoreError: clips that cannot be read or used.
    """
    wanted = frozenset(members)
    settings: dict[str, Any] = {
        "window": window,
        "device": device,
        "limit_bytes": limit_bytes,
        "progress": progress,
    }
    if isinstance(source, ClipPairSet):
        return ClipSet.from_pairs(source.select(wanted), **settings)
    return ClipSet.with_rain(
        [clip for clip in source if clip.identity in wanted],
        rain.model,
        auxiliary=rain.auxiliary,
        variants=variants,
        recolour=recolour,
        seed=recipe.seed,
        **settings,
    )


def add_flow(
    clips: ClipSet,
    flow: OpticalFlow,
    device: torch.device,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Gives clips their flow, computed once on the device.

    Raises:
        NasRestoreError: frames below 128 pixels, of all such clips at once; or a full disk.
    """
    small = [
        f"{name} ({size[0]}x{size[1]})"
        for name, size in zip(clips.identities, clips.sizes, strict=True)
        if flow.too_small(*size)
    ]
    if small:
        raise NasRestoreError(
            f"frames are too small for optical flow, which needs {SMALLEST_SIDE}x{SMALLEST_SIDE} "
            f"pixels (height x width) at least: {few(dict.fromkeys(small), MOST_NAMED)}",
            hint=LARGER,
        )
    clips.add_flow(None if flow.model == NO_FLOW else flow.of, device, progress)


def flow_notes(found: Reading | None) -> list[str]:
    """What the user should hear about the flow."""
    note = None if found is None or found.flow is None else found.flow.note
    return [] if note is None else [f"{note}; data.flow.model=raft_small aligns them"]


def _in_folder(
    root: str, layout: str, subset: Subset, recipe: RecipeSpec, notes: list[str]
) -> tuple[str, ClipData]:
    name, rain = Path(root).name, rain_of(recipe.data)
    synthetic = rain.called("synthetic rain")
    if layout == "photographs":
        photographs = clean_folder(root)
        notes.append(f"a camera moves over {len(photographs)} photographs in {root}, {synthetic}")
        return f"moved photographs ({name}), {rain.called()}", _moved(photographs, recipe)
    if layout == "clean_clips":
        found = tuple(clean_clips(root))
        count = f"{len(found)} clean clip{'s' * (len(found) != 1)}"
        notes.append(f"{count} in {root}, {synthetic}")
        return f"clean clips ({name}), {rain.called()}", found
    below = subset if has_clip_subset(Path(root), subset) else None
    pairs = open_clips(root, layout, below)
    notes += pairs.notes
    return f"{pairs.layout} ({name})", pairs


def contents_of(source: object, scenes: Sequence[Fingerprint]) -> frozenset[str]:
    """Hashes of the images or frames of scenes, by which weights are known to have seen them.

    Photographs under a moving camera go by their name, too: their frames change with the seed.
    """
    sources = source if isinstance(source, tuple) else ()
    moved = {one.identity for one in sources if isinstance(one, MovedPhotograph)}
    named = (f"photograph {scene.identity}" for scene in scenes if scene.identity in moved)
    return frozenset((*named, *(content for scene in scenes for content in scene.contents)))


def _moved(photographs: Collection[Photograph], recipe: RecipeSpec) -> tuple[CleanSource, ...]:
    movement = recipe.data.clip
    height, width = (max(side, recipe.data.patch) for side in FRAME_SIZE)
    size = (movement.height or height, movement.width or width)
    return tuple(
        MovedPhotograph(photograph, movement.length, size, recipe.seed, movement.pan)
        for photograph in photographs
    )
