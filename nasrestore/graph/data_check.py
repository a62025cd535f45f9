"""Checks of a recipe's data against what its space reads: images, or clips and their flow. Torch-free."""

from __future__ import annotations

import nasrestore.graph.catalog  # noqa: F401  declares the built-in names
from nasrestore import registry
from nasrestore.graph.catalog_clips import CLIP_DATASETS, EITHER
from nasrestore.graph.ir import SearchGraph
from nasrestore.graph.signature import MetricSignature
from nasrestore.graph.values import Problems
from nasrestore.spec.data import DataSpec
from nasrestore.spec.recipe import RecipeSpec


def check_data(recipe: RecipeSpec, graph: SearchGraph, problems: Problems) -> None:
    """Adds what the space cannot read, and what it would not; and what could not be measured."""
    data = recipe.data
    at = data.tree
    reads_clips = graph.frames is not None
    for key in ("layout", "test_layout"):
        layout = getattr(data, key)
        if layout is None or layout in EITHER or layout not in registry.dataset.names():
            continue
        if (layout in CLIP_DATASETS) != reads_clips:
            what, wanted = ("images", "clips") if reads_clips else ("clips", "images")
            names = sorted({*registry.dataset.names()} - {*CLIP_DATASETS})
            fitting = sorted(CLIP_DATASETS) if reads_clips else names
            problems.add(
                at.at(key),
                f"layout {layout!r} is one of {what}, and space {graph.name!r} reads {wanted}",
                f"one of {', '.join(fitting)}, or auto",
            )
    _check_movement(data, graph, problems)
    _check_segments(data, graph, problems)
    _check_protocols(recipe, graph, problems)
    if data.flow.model != "none" and not graph.flows:
        problems.add(
            data.flow.tree.at("model"),
            f"space {graph.name!r} reads no optical flow: none is computed for it",
            "leave data.flow out, or give the space an input with flow_of",
        )
    if data.flow.model == "none" and data.flow.weights is not None:
        problems.add(
            data.flow.tree.at("weights"),
            "weights of optical flow are given, and its model is none",
            "model: raft_small or raft_large",
        )


def _check_movement(data: DataSpec, graph: SearchGraph, problems: Problems) -> None:
    clip, frames = data.clip, graph.frames
    if data.tree.child("clip") is None:
        return
    if frames is None:
        problems.add(
            data.tree.at("clip"),
            f"space {graph.name!r} reads images: nothing is made into clips for it",
            "leave data.clip out",
            key=True,
        )
    elif clip.length < frames:
        problems.add(
            clip.tree.at("length"),
            f"clips of {clip.length} frames, and space {graph.name!r} reads {frames} at a time",
            f"at least {frames}",
        )
    for side in ("height", "width"):
        given = getattr(clip, side)
        if frames is not None and given is not None and given < data.patch:
            problems.add(
                clip.tree.at(side),
                f"frames of a {side} of {given} hold no patch of {data.patch}",
                "larger frames, or a smaller data.patch",
            )


def _check_segments(data: DataSpec, graph: SearchGraph, problems: Problems) -> None:
    segment, frames = data.clip.segment, graph.frames
    if segment is None or frames is None:
        return
    at = data.clip.tree.at("segment")
    if segment < frames:
        problems.add(
            at,
            f"segments of {segment} frame{'s' * (segment != 1)}, and space {graph.name!r} reads "
            f"{frames} at a time",
            f"at least {frames}",
        )
    if data.overlap != "accepted":
        problems.add(
            at,
            "segments of one clip show one scene, and would be in training and in validation",
            "data.overlap: accepted says that this is meant, beside every figure",
        )


def _check_protocols(recipe: RecipeSpec, graph: SearchGraph, problems: Problems) -> None:
    """Whether test clips that are made of photographs have frames that the protocols count."""
    evaluate, clip = recipe.evaluate, recipe.data.clip
    if evaluate is None or graph.frames is None or not _tests_moved_photographs(recipe.data):
        return
    for name in evaluate.protocols:
        signature = registry.metric.signature(name)
        ends = signature.skip_ends if isinstance(signature, MetricSignature) else 0
        if clip.length <= 2 * ends:
            problems.add(
                clip.tree.at("length"),
                f"test clips of {clip.length} frame{'s' * (clip.length != 1)}, of which protocol "
                f"{name!r} counts none: it leaves out {ends} at either end",
                f"at least {2 * ends + 1}, or other evaluate.protocols",
            )


def _tests_moved_photographs(data: DataSpec) -> bool:
    """Whether a camera makes the test clips, of photographs."""
    if data.test_rainy is not None:
        return False
    if data.test_root is not None:
        return data.test_layout == "photographs"
    if data.rainy is not None or data.test == 0:
        return False
    return data.root is None or data.layout == "photographs"
