"""Scenes dealt to test, training and validation; a long clip in segments, where a recipe says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nasrestore.assemble.clips import ClipData, Reading
from nasrestore.assemble.segments import Segments, cut_clips
from nasrestore.data.clip_layouts import ClipPairSet
from nasrestore.data.layouts import PairSet
from nasrestore.data.samples import Photograph
from nasrestore.data.split import split_identities
from nasrestore.errors import NasRestoreError
from nasrestore.spec.recipe import RecipeSpec

Source = PairSet | tuple[Photograph, ...] | ClipData


@dataclass(frozen=True)
class Dealt:
    """What is in which split.

    Attributes:
        members: for each split its clean scenes; in training and validation segments of clips.
        testing: where the test's are.
        segments: of the clips of training, where they are cut.
    """

    members: dict[str, list[str]]
    testing: Source
    segments: Segments | None = None

    def notes(self) -> list[str]:
        """What the user should hear about it."""
        return [] if self.segments is None else [self.segments.said(self.members)]


def deal(
    training: Source, testing: Source | None, recipe: RecipeSpec, reads: Reading | None
) -> Dealt:
    """Deals whole scenes to the test where it has none of its own, then the rest to the levels.

    Args:
        testing: the test's own images or clips.
        reads: what networks read of clips; None: images.

    Raises:
        NasRestoreError: too few scenes, or a video that is to be cut stops decoding half way.
    """
    data = recipe.data
    scenes = scenes_of(training)[: data.limit]
    members: dict[str, list[str]] = {}
    if testing is None:
        if data.test == 0:
            raise NasRestoreError(
                "data.test is 0, and there is no test set: nothing is left to measure by",
                hint="give data.test_root, or hold some images out with data.test=0.25",
            )
        dealt = _split(scenes, {"test": data.test, "rest": 1 - data.test}, recipe, reads)
        members["test"], scenes, testing = dealt["test"], dealt["rest"], training
    else:
        members["test"] = scenes_of(testing)[: data.limit]
    segments = None
    if data.clip.segment is not None and reads is not None:
        segments = cut_clips(training, scenes, data.clip.segment)  # type: ignore[arg-type]
        scenes = list(segments.clip_of)
    shares = {"train": 1 - data.validation, "validation": data.validation}
    members |= _split(scenes, shares, recipe, reads)
    return Dealt(members, testing, segments)


def scenes_of(source: Source) -> list[str]:
    """The clean scenes, each once, in order."""
    if isinstance(source, (PairSet, ClipPairSet)):
        return source.identities
    return [scene.identity for scene in source]


def synthetic(source: Source | None) -> bool:
    """Whether its images are clean ones, and put in rain here."""
    return isinstance(source, tuple)


def _split(
    scenes: Sequence[str], shares: Mapping[str, float], recipe: RecipeSpec, reads: Reading | None
) -> dict[str, list[str]]:
    """Scenes dealt by shares; where clips are too few for it, how they could be more."""
    if reads is None:
        return split_identities(scenes, shares, recipe.seed)
    cut = "data.clip.segment=FRAMES with data.overlap=accepted cuts long ones for training"
    if "test" in shares:
        hint = f"give more clips, or a test set of its own (data.test_root); then {cut}"
    elif recipe.data.clip.segment is None:
        hint = f"give more clips; {cut}"
    else:
        hint = "give more clips, longer ones, or a smaller data.clip.segment"
    return split_identities(scenes, shares, recipe.seed, what="clean clip", hint=hint)
