"""A recipe's ``data``: where images and clips come from, how they are split and cut."""

from __future__ import annotations

import re
from functools import partial
from typing import Any, Literal

from nasrestore.spec.leaf import Bounds, Real
from nasrestore.spec.rain import QUANTITIES, Quantity, RainKind
from nasrestore.spec.schema import Located, entry, spec_class
from nasrestore.spec.tree import Tree, shown

Span = float | tuple[float, float]

_OF_COMMANDS = re.compile(r"([-+.\d]+):([-+.\d]+)", re.ASCII)  # a range as options have it


def _quantity(name: str) -> Any:
    """A field for a number of rain, or a range of it; without one it is the preset's."""
    quantity = QUANTITIES[name]
    number = {"type": "number", "minimum": quantity.least, "maximum": quantity.most}
    pair = {"type": "array", "items": number, "minItems": 2, "maxItems": 2}
    return entry(
        None,
        read=partial(read_span, quantity),
        schema={"anyOf": [number, pair]},
        doc=f"{quantity.doc}: a number, or [low, high] to draw from; default: the preset's",
    )


def read_span(quantity: Quantity, tree: Tree) -> Span:
    """A number, or ``[low, high]``, within the limits of a quantity.

    Raises:
        SpecError: neither of both, a number beyond the limits, or low above high.
    """
    if tree.kind != "sequence":
        return _within(quantity, tree, ", or [low, high]")
    if len(tree.value) != 2:
        raise tree.error(
            f"expected [low, high], got {shown(tree)} of {len(tree.value)}",
            "one number alone is written without brackets",
        )
    low, high = (_within(quantity, item) for item in tree.value)
    if low > high:
        raise tree.error(f"low {low:g} is above high {high:g}", f"write [{high:g}, {low:g}]")
    return low, high


def _within(quantity: Quantity, tree: Tree, otherwise: str = "") -> float:
    leaf, bounds = Real(), Bounds(quantity.least, quantity.most)
    if leaf.accepts(tree) and bounds.admit(tree.value):
        return float(tree.value)
    colons = isinstance(tree.value, str) and _OF_COMMANDS.fullmatch(tree.value)
    hint = f"write [{colons[1]}, {colons[2]}]" if colons else leaf.hint(tree)
    raise tree.error(f"expected {leaf.expected(bounds)[0]}{otherwise}, got {shown(tree)}", hint)


@spec_class
class RainSpec(Located):
    """Synthetic rain for clean photographs and clean clips."""

    preset: Literal["light", "medium", "heavy", "mixed"] = entry(
        "mixed", doc="kind of rain; what follows changes it"
    )
    model: RainKind = entry(
        "additive", doc="auxiliary: with the blurred second kind of streaks of TMICS's Eq. 1"
    )
    density: Span | None = _quantity("density")
    direction: Span | None = _quantity("direction")
    length: Span | None = _quantity("length")
    width: Span | None = _quantity("width")
    intensity: Span | None = _quantity("intensity")
    blur: Span | None = _quantity("blur")
    accumulation: Span | None = _quantity("accumulation")
    variants: int = entry(4, least=1, most=64, doc="rainy versions of each photograph")
    recolour: bool = entry(
        False, doc="train on versions in other colours and brightness, where photographs are few"
    )


@spec_class
class ClipSpec(Located):
    """Clips: those that a moving camera makes of photographs, and segments of long ones."""

    length: int = entry(12, least=1, doc="frames of a clip made of a photograph")
    height: int | None = entry(
        None, least=8, doc="of such a frame, pixels; default: 192, or a patch that is larger"
    )
    width: int | None = entry(
        None, least=8, doc="of such a frame, pixels; default: 256, or a patch that is larger"
    )
    pan: float = entry(
        3.0, least=0, most=100, doc="fastest of that camera along either axis, pixels a frame"
    )
    segment: int | None = entry(
        None,
        least=1,
        doc="frames of the consecutive segments that clips are cut into for training, each a clip of "
        "its own in the splits; needs overlap: accepted",
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
    rain: RainSpec | None = entry(None, doc="rain for clean photographs and clean clips")
    clip: ClipSpec = entry(
        default_factory=dict, doc="clips made of photographs by a moving camera; segments of clips"
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
