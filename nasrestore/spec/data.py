"""A recipe's ``data``: where images and clips come from, how they are split and cut."""

from __future__ import annotations

from typing import Literal

from nasrestore.spec.schema import Located, entry, spec_class


@spec_class
class RainSpec(Located):
    """Synthetic rain for clean photographs."""

    preset: Literal["light", "medium", "heavy", "mixed"] = entry("mixed", doc="kind of rain")
    variants: int = entry(4, least=1, most=64, doc="rainy versions of each photograph")
    recolour: bool = entry(
        False, doc="train on versions in other colours and brightness, where photographs are few"
    )


@spec_class
class MovementSpec(Located):
    """The clips that a moving camera makes of photographs."""

    length: int = entry(12, least=1, doc="frames")
    height: int | None = entry(
        None, least=8, doc="of a frame, pixels; default: 192, or a patch that is larger"
    )
    width: int | None = entry(
        None, least=8, doc="of a frame, pixels; default: 256, or a patch that is larger"
    )


@spec_class
class FlowSpec(Located):
    """What computes the optical flow of clips."""

    model: Literal["none", "raft_small", "raft_large"] = entry(
        "none", doc="a frozen RAFT; none: zero, frames are read where they are"
    )
    weights: str | None = entry(
        None, doc="file of RAFT's state dict; default: torchvision's, from its cache or downloaded"
    )


@spec_class
class DataSpec(Located):
    """Where the images come from, how they are split and cut."""

    root: str | None = entry(
        None, doc="folder of pairs; default: sample photographs of installed packages"
    )
    layout: str = entry("auto", doc="layout of the folder; auto looks; photographs: clean ones")
    rainy: str | None = entry(None, doc="folder of degraded images, with clean, in place of root")
    clean: str | None = entry(None, doc="folder of clean images of the same names")
    test_root: str | None = entry(None, doc="folder of the test pairs, if not part of root")
    test_layout: str | None = entry(None, doc="layout of test_root; default: that of root")
    test_rainy: str | None = entry(None, doc="folder of degraded test images, with test_clean")
    test_clean: str | None = entry(None, doc="folder of clean test images of the same names")
    rain: RainSpec | None = entry(None, doc="rain for clean photographs")
    clip: MovementSpec = entry(
        default_factory=dict, doc="clips made of photographs, by a moving camera"
    )
    flow: FlowSpec = entry(default_factory=dict, doc="optical flow, where the space reads it")
    patch: int = entry(128, least=8, doc="side of a training patch, pixels")
    patches: int | None = entry(None, least=1, doc="size of a fixed pool; default: fresh ones")
    batch: int = entry(8, least=1, doc="patches a step")
    augment: bool = entry(True, doc="flips and quarter turns")
    validation: float = entry(0.5, above=0, most=0.9, doc="share of images for validation")
    test: float = entry(0.25, least=0, most=0.9, doc="share held out, where there is no test set")
    overlap: Literal["refused", "accepted"] = entry(
        "refused", doc="scenes in two splits; accepted is written beside every figure"
    )
    limit: int | None = entry(None, least=2, doc="use the first so many images, and test images")
    memory: float = entry(
        4.0, above=0, doc="GiB of decoded images to hold in memory; more of clips go to the disk"
    )
