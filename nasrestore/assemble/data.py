"""Image sets, splits and batch streams from a recipe's ``data``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch

from nasrestore.assemble.clips import (
    Reading,
    add_flow,
    clip_set,
    contents_of,
    flow_notes,
    reading,
    testing_clips,
    training_clips,
)
from nasrestore.assemble.deal import Source, deal, synthetic
from nasrestore.assemble.images import testing_images, training_images
from nasrestore.assemble.rain import Rain, rain_of
from nasrestore.assemble.scenes import TRAINED, Scenes, compared_by_looks, not_looked_for
from nasrestore.assemble.segments import Segments
from nasrestore.data.clip_patches import ClipStream
from nasrestore.data.clipset import ClipSet
from nasrestore.data.imageset import ImageSet
from nasrestore.data.layouts import PairSet
from nasrestore.data.leaks import Leak, named
from nasrestore.data.patches import PatchStream
from nasrestore.errors import NasRestoreError, RunStopped, few
from nasrestore.graph.ir import SearchGraph
from nasrestore.search.health.splits import LEAVE_OUT
from nasrestore.search.level import BatchStream
from nasrestore.spec.data import DataSpec
from nasrestore.spec.recipe import LevelSpec, RecipeSpec

GIBIBYTE = 2**30
TEST_VARIANTS = 2
CALIBRATION_PATCH = 256  # pixels
CALIBRATION_BATCH = 4

Images = ImageSet | ClipSet
Progress = Callable[[str, int, int], None]


@dataclass
class Splits:
    """The images or clips of a recipe, split by clean scene; each set is decoded when first used.

    Attributes:
        name: what the training images are, for results.
        test_name: what the test images are.
        digest: hash of the content of all clean images and of what their rain has of its own, once
            :meth:`leaks` has seen them.
        contents: hashes of the clean images or frames that are ``trained`` on (or validated by) and
            ``tested``, once :meth:`leaks` has seen them.
        notes: sentences for the user.
        members: for each split its clean scenes.
    """

    name: str
    test_name: str
    notes: list[str]
    members: dict[str, list[str]]
    _recipe: RecipeSpec
    _training: Source
    _testing: Source
    _device: torch.device
    progress: Progress | None = None
    _reading: Reading | None = None
    _segments: Segments | None = None
    digest: str = field(default="", init=False)
    contents: dict[str, frozenset[str]] = field(default_factory=dict, init=False)
    _leaks: list[Leak] | None = field(default=None, init=False)
    _flow_added: bool = field(default=False, init=False)

    @cached_property
    def _decoded(self) -> Images:
        cut, members = self._segments, self._trained()
        if cut is not None:
            members = cut.clips_of(members)
        whole = self._image_set(self._training, members, self._rain.variants, "training")
        if cut is None or isinstance(whole, ImageSet):
            return whole
        return whole.in_segments(cut.frames)

    @cached_property
    def _rain(self) -> Rain:
        return rain_of(self._recipe.data)

    @property
    def all(self) -> Images:
        """Training and validation images together."""
        return self._decoded.select(self._trained())

    @property
    def train(self) -> Images:
        return self._decoded.select(self.members["train"])

    @property
    def validation(self) -> Images:
        return self._decoded.select(self.members["validation"])

    @cached_property
    def test(self) -> Images:
        """Images in neither: nothing may be decided by them."""
        return self._image_set(self._testing, self.members["test"], TEST_VARIANTS, "test")

    @property
    def _rained(self) -> bool:
        """Whether any images are put in rain here."""
        return synthetic(self._training) or synthetic(self._testing)

    def image_set(self, split: str) -> Images:
        """The images of ``train``, ``validation``, ``all`` (both) or ``test``."""
        if split not in ("train", "validation", "all", "test"):
            raise ValueError(f"no split is called {split!r}")
        found: Images = getattr(self, split)
        return found

    def check_disjoint(self) -> None:
        """Makes sure that no scene is in two splits, by name, by content and by looks.

        Raises:
            RunStopped: splits share scenes, and ``data.overlap`` does not accept it.
            NasRestoreError: see :meth:`leaks`.
        """
        leaks = self.leaks()
        if leaks and not self.overlap_accepted:
            raise RunStopped(f"{self._where()}: {named(leaks)}", hint=LEAVE_OUT)

    @property
    def overlap_accepted(self) -> bool:
        return self._recipe.data.overlap == "accepted"

    def leaks(self) -> list[Leak]:
        """The scenes that two splits share.

        Where the splits were dealt from one set, all images of a scene go to one side first: away
        from training if the test has one, else to where the first of them is. With
        ``data.overlap: accepted`` they stay where they were dealt.

        Raises:
            NasRestoreError: nothing is left for a split.
        """
        if self._leaks is None:
            self._leaks = self._compare()
        return self._leaks

    def _compare(self) -> list[Leak]:
        count = sum(map(len, self.members.values()))
        sketched = compared_by_looks(count)
        training = self.all.fingerprints(sketched=sketched)
        testing = self.test.fingerprints(sketched=sketched)
        scenes = Scenes(training, testing, self.members)
        self.notes += not_looked_for(count)
        if not self.overlap_accepted:
            self._deal(scenes)
        leaks = scenes.leaks()
        if self._segments is not None:
            leaks = [leak for leak in leaks if not self._segments.within_a_clip(leak)]
        if leaks and self.overlap_accepted:
            self.notes.append(
                "data.overlap is accepted: figures may be of scenes that were trained on, as "
                + named(leaks)
            )
        used = [scene for scene in training if scene.identity in self._trained()]
        self.contents["trained"] = contents_of(self._training, used)
        self.contents["tested"] = contents_of(self._testing, testing)
        contents = [(s.identity, content) for s in (*used, *testing) for content in s.contents]
        told = [*sorted(contents), *(self._rain.otherwise if self._rained else ())]
        self.digest = hashlib.sha256(repr(told).encode()).hexdigest()[:16]
        return leaks if self._segments is None else self._segments.leaks(self.members) + leaks

    def _deal(self, scenes: Scenes) -> None:
        """Brings all images of a scene to one side, where the splits were dealt from one set."""
        left_out: list[str] = []
        if self._testing is self._training:
            left_out = scenes.leave_out_tested()
            if left_out:
                self.notes.append(
                    f"left out of training, as copies of test images: {few(sorted(left_out))}"
                )
        moved = scenes.put_together()
        if moved:
            self.notes.append(f"put with the copies of the same scene: {few(sorted(moved))}")
        for split in TRAINED:
            if not self.members[split]:
                raise NasRestoreError(
                    f"nothing is left for {split}: its {self._what} show the scenes of others "
                    f"({few(sorted([*moved, *left_out]))}, of {self._trained_on()})",
                    hint=f"give {self._what} of more scenes, or say that this is meant with "
                    "data.overlap=accepted",
                )

    @property
    def _what(self) -> str:
        return "images" if self._reading is None else "clips"

    def _trained_on(self) -> str:
        return self._recipe.data.clean or self._recipe.data.root or "the samples"

    def _trained(self) -> set[str]:
        return {*self.members["train"], *self.members["validation"]}

    def _where(self) -> str:
        """The two sets that were given apart and share scenes."""
        data = self._recipe.data
        keys = ("test_clean", "test_root", "root")
        tested = next(key for key in keys if getattr(data, key) is not None)
        return (
            f"test {self._what} (data.{tested}: {getattr(data, tested)}) show scenes of the training "
            f"{self._what} ({self._trained_on()})"
        )

    def stream(self, level: LevelSpec, seed: int, limit: int | None = None) -> BatchStream:
        """The endless batches of a level, on the device.

        Args:
            limit: of training and validation scenes together, the first of either by its share.
        """
        data = self._recipe.data
        patches = data.patches
        if patches is not None and level.data != "all":
            share = data.validation if level.data == "validation" else 1 - data.validation
            patches = max(1, round(patches * share))
        images = self._with_flow(self.image_set(level.data))
        if limit is not None:
            images = images.select(self.first(limit, level.data))
        return _stream(
            images, data.patch, data.batch, patches, data.augment, seed=seed, device=self._device
        )

    def first(self, limit: int, split: str = "all") -> list[str]:
        """So many scenes of training and validation together, dealt as ``data.validation`` says.

        Each of both has one at least.

        Args:
            split: those of ``train`` or ``validation`` alone, or of ``all``.
        """
        validation = min(max(1, round(limit * self._recipe.data.validation)), limit - 1)
        most = {"train": limit - validation, "validation": validation}
        taken = TRAINED if split == "all" else (split,)
        return [scene for name in taken for scene in self.members[name][: most[name]]]

    def calibration(self, split: str, multiple: int) -> BatchStream:
        """Patches of what the network will be applied to: tiles, or else nearly whole images.

        Statistics of small patches lean on their borders.
        """
        images = self._with_flow(self.image_set(split))
        data, restore = self._recipe.data, self._recipe.restore
        smallest = min(min(size) for size in images.sizes)
        applied = CALIBRATION_PATCH if restore is None else restore.tile or CALIBRATION_PATCH
        side = max(data.patch, min(applied, smallest) // multiple * multiple)
        seed = self._recipe.seed + 3000
        return _stream(
            images, side, CALIBRATION_BATCH, augment=True, seed=seed, device=self._device
        )

    def _with_flow(self, images: Images) -> Images:
        """Clips with the optical flow that the network reads, which is computed when first asked for."""
        reads = self._reading
        whole = self._decoded
        if reads is None or reads.flow is None or self._flow_added or isinstance(whole, ImageSet):
            return images
        add_flow(whole, reads.flow, self._device, self._shown("optical flow"))
        self._flow_added = True
        return images

    def _shown(self, what: str) -> Callable[[int, int], None] | None:
        progress = self.progress
        return None if progress is None else (lambda done, total: progress(what, done, total))

    def _image_set(
        self, source: Source, members: Iterable[str], variants: int, part: str
    ) -> Images:
        limit = int(self._recipe.data.memory * GIBIBYTE)
        device = torch.device("cpu")
        if self._device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self._device)
            device, limit = self._device, min(limit, free // 4)
        rain = self._rain
        recolour = part == "training" and rain.recolour
        if self._reading is not None:
            clips = clip_set(
                source,
                set(members),
                self._recipe,
                self._reading.frames,
                rain=rain,
                variants=variants,
                recolour=recolour,
                device=device,
                limit_bytes=limit,
                progress=self._shown(f"{part} clips"),
            )
            self.notes += _kept_on_disk(clips, f"{part} clips")
            return clips
        show = self._shown(f"{part} images")
        if isinstance(source, PairSet):
            return ImageSet.from_pairs(
                source.select(set(members)), device=device, limit_bytes=limit, progress=show
            )
        wanted = set(members)
        return ImageSet.with_rain(
            [photograph for photograph in source if photograph.identity in wanted],
            rain.model,
            auxiliary=rain.auxiliary,
            variants=variants,
            recolour=recolour,
            seed=self._recipe.seed,
            device=device,
            limit_bytes=limit,
            progress=show,
        )


def _stream(
    images: Images,
    patch: int,
    batch: int,
    patches: int | None = None,
    augment: bool = False,
    *,
    seed: int,
    device: torch.device,
) -> BatchStream:
    made = ClipStream if isinstance(images, ClipSet) else PatchStream
    return made(images, patch, batch, patches, augment, seed, device)  # type: ignore[arg-type]


def _kept_on_disk(clips: ClipSet, what: str) -> list[str]:
    if clips.in_memory:
        return []
    size = f"{clips.bytes / GIBIBYTE:.3g} GiB"
    return [
        f"the {what} take {size}, more than data.memory: they are kept below {clips.on_disk} "
        "until the end"
    ]


def open_splits(
    recipe: RecipeSpec,
    device: torch.device,
    progress: Progress | None = None,
    graph: SearchGraph | None = None,
) -> Splits:
    """Finds the images or clips of a recipe and splits them; decodes nothing yet.

    Args:
        graph: of the networks that will read them; None reads images.

    Raises:
        NasRestoreError: a folder is missing, empty or unpaired, or there are too few images.
    """
    data = recipe.data
    notes: list[str] = []
    reads = reading(recipe, graph)
    training: Source
    testing: Source | None
    if reads is None:
        name, training = training_images(data, notes)
        testing = testing_images(data, notes)
    else:
        name, training = training_clips(recipe, notes)
        testing = testing_clips(recipe, notes)
        notes += flow_notes(reads)
    test_name = name if testing is None else _test_name(data, name)
    otherwise = rain_of(data).otherwise
    if otherwise and not synthetic(training) and not synthetic(testing):
        notes.append(f"data.rain ({', '.join(otherwise)}) has no effect: all images are pairs")
    dealt = deal(training, testing, recipe, reads)
    notes += dealt.notes()
    return Splits(
        name,
        test_name,
        notes,
        dealt.members,
        recipe,
        training,
        dealt.testing,
        device,
        progress,
        reads,
        dealt.segments,
    )


def _test_name(data: DataSpec, training: str) -> str:
    given = data.test_rainy or data.test_root
    return training if given is None else f"{Path(given).parent.name}/{Path(given).name}"
