"""Image sets, splits and batch streams from a recipe's ``data``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch

from nasrestore.assemble.scenes import TRAINED, Scenes, compared_by_looks, not_looked_for
from nasrestore.data.imageset import ImageSet
from nasrestore.data.layouts import SUBSET_FOLDERS, PairSet, Subset, open_pairs
from nasrestore.data.leaks import Leak, named
from nasrestore.data.patches import PatchStream
from nasrestore.data.rain import PRESETS
from nasrestore.data.samples import Photograph, clean_folder, sample_photographs
from nasrestore.data.split import split_identities
from nasrestore.errors import NasRestoreError, RunStopped
from nasrestore.search.health.splits import LEAVE_OUT
from nasrestore.search.level import BatchStream
from nasrestore.spec.recipe import DataSpec, LevelSpec, RecipeSpec

GIBIBYTE = 2**30
TEST_VARIANTS = 2
CALIBRATION_PATCH = 256  # pixels
CALIBRATION_BATCH = 4

Source = PairSet | tuple[Photograph, ...]
Progress = Callable[[str, int, int], None]


@dataclass
class Splits:
    """The images of a recipe, split by clean scene; each set is decoded when it is first used.

    Attributes:
        name: what the training images are, for results.
        test_name: what the test images are.
        digest: hash of the content of all images, once :meth:`leaks` has seen them.
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
    digest: str = field(default="", init=False)
    _leaks: list[Leak] | None = field(default=None, init=False)

    @cached_property
    def _decoded(self) -> ImageSet:
        variants = _variants(self._recipe.data)
        return self._image_set(self._training, self._trained(), variants, "training images")

    @property
    def all(self) -> ImageSet:
        """Training and validation images together."""
        return self._decoded.select(self._trained())

    @property
    def train(self) -> ImageSet:
        return self._decoded.select(self.members["train"])

    @property
    def validation(self) -> ImageSet:
        return self._decoded.select(self.members["validation"])

    @cached_property
    def test(self) -> ImageSet:
        """Images in neither: nothing may be decided by them."""
        return self._image_set(self._testing, self.members["test"], TEST_VARIANTS, "test images")

    def image_set(self, split: str) -> ImageSet:
        return {"train": lambda: self.train, "validation": lambda: self.validation}.get(
            split, lambda: self.all if split == "all" else self.test
        )()

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
        if leaks and self.overlap_accepted:
            self.notes.append(
                "data.overlap is accepted: figures may be of scenes that were trained on, as "
                + named(leaks)
            )
        used = [scene for scene in training if scene.identity in self._trained()]
        contents = [(s.identity, content) for s in (*used, *testing) for content in s.contents]
        self.digest = hashlib.sha256(repr(sorted(contents)).encode()).hexdigest()[:16]
        return leaks

    def _deal(self, scenes: Scenes) -> None:
        """Brings all images of a scene to one side, where the splits were dealt from one set."""
        if self._testing is self._training:
            left_out = scenes.leave_out_tested()
            if left_out:
                self.notes.append(
                    f"left out of training, as copies of test images: {_listed(left_out)}"
                )
        moved = scenes.put_together()
        if moved:
            self.notes.append(f"put with the copies of the same scene: {_listed(moved)}")
        for split in TRAINED:
            if not self.members[split]:
                raise NasRestoreError(
                    f"nothing is left for {split}: its images show the scenes of others",
                    hint="give more images, or say that this is meant with data.overlap=accepted",
                )

    def _trained(self) -> set[str]:
        return {*self.members["train"], *self.members["validation"]}

    def _where(self) -> str:
        """The two sets that were given apart and share scenes."""
        data = self._recipe.data
        keys = ("test_clean", "test_root", "root")
        tested = next(key for key in keys if getattr(data, key) is not None)
        trained = data.clean or data.root or "sample photographs"
        return (
            f"test images (data.{tested}: {getattr(data, tested)}) show scenes of the training "
            f"images ({trained})"
        )

    def stream(self, level: LevelSpec, seed: int) -> BatchStream:
        """The endless batches of a level, on the device."""
        data = self._recipe.data
        patches = data.patches
        if patches is not None and level.data != "all":
            share = data.validation if level.data == "validation" else 1 - data.validation
            patches = max(1, round(patches * share))
        return PatchStream(
            self.image_set(level.data),
            data.patch,
            data.batch,
            patches=patches,
            augment=data.augment,
            seed=seed,
            device=self._device,
        )

    def calibration(self, split: str, multiple: int) -> BatchStream:
        """Patches of what the network will be applied to: tiles, or else nearly whole images.

        Statistics of small patches lean on their borders.
        """
        images = self.image_set(split)
        data, restore = self._recipe.data, self._recipe.restore
        smallest = min(min(size) for size in images.sizes)
        applied = CALIBRATION_PATCH if restore is None else restore.tile or CALIBRATION_PATCH
        side = max(data.patch, min(applied, smallest) // multiple * multiple)
        seed = self._recipe.seed + 3000
        return PatchStream(
            images, side, CALIBRATION_BATCH, augment=True, seed=seed, device=self._device
        )

    def _image_set(
        self, source: Source, members: Iterable[str], variants: int, what: str
    ) -> ImageSet:
        progress = self.progress
        show = None if progress is None else (lambda done, total: progress(what, done, total))
        limit = int(self._recipe.data.memory * GIBIBYTE)
        device = torch.device("cpu")
        if self._device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self._device)
            device, limit = self._device, min(limit, free // 4)
        if isinstance(source, PairSet):
            return ImageSet.from_pairs(
                source.select(set(members)), device=device, limit_bytes=limit, progress=show
            )
        wanted = set(members)
        return ImageSet.with_rain(
            [photograph for photograph in source if photograph.identity in wanted],
            PRESETS[_rain(self._recipe.data)],
            variants=variants,
            recolour=what == "training images" and _recolour(self._recipe.data),
            seed=self._recipe.seed,
            device=device,
            limit_bytes=limit,
            progress=show,
        )


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - 3} more" if len(ordered) > 3 else ""
    return ", ".join(ordered[:3]) + more


def _rain(data: DataSpec) -> str:
    return "mixed" if data.rain is None else data.rain.preset


def _recolour(data: DataSpec) -> bool:
    return data.rain is not None and data.rain.recolour


def _variants(data: DataSpec) -> int:
    return 4 if data.rain is None else data.rain.variants


def open_splits(
    recipe: RecipeSpec, device: torch.device, progress: Progress | None = None
) -> Splits:
    """Finds the images of a recipe and splits them; decodes nothing yet.

    Raises:
        NasRestoreError: a folder is missing, empty or unpaired, or there are too few images.
    """
    data = recipe.data
    notes: list[str] = []
    name, training = _training_source(data, notes)
    testing = _testing_source(data, notes)
    test_name = name if testing is None else _test_name(data, name)
    scenes = _scenes(training)
    if data.limit is not None:
        scenes = scenes[: data.limit]
    members: dict[str, list[str]] = {}
    if testing is None:
        if data.test == 0:
            raise NasRestoreError(
                "data.test is 0, and there is no test set: nothing is left to measure by",
                hint="give data.test_root, or hold some images out with data.test=0.25",
            )
        dealt = split_identities(scenes, {"test": data.test, "rest": 1 - data.test}, recipe.seed)
        members["test"], scenes, testing = dealt["test"], dealt["rest"], training
    else:
        members["test"] = _scenes(testing)[: data.limit]
    shares = {"train": 1 - data.validation, "validation": data.validation}
    members |= split_identities(scenes, shares, recipe.seed)
    return Splits(name, test_name, notes, members, recipe, training, testing, device, progress)


def _scenes(source: Source) -> list[str]:
    if isinstance(source, PairSet):
        return source.identities
    return [photograph.identity for photograph in source]


def _training_source(data: DataSpec, notes: list[str]) -> tuple[str, Source]:
    if data.rainy is not None and data.clean is not None:
        pairs = open_pairs(rainy=data.rainy, clean=data.clean)
        notes += pairs.notes
        return f"pairs ({Path(data.rainy).name})", pairs
    if data.root is None:
        found = tuple(sample_photographs())
        names = ", ".join(p.identity.removeprefix("sample/") for p in found)
        notes.append(
            f"no data.root: using {len(found)} sample photographs with synthetic rain ({names}); "
            "--set data.root=FOLDER takes your own"
        )
        return f"sample photographs, {_rain(data)} rain", found
    if data.layout == "photographs":
        found = tuple(clean_folder(data.root))
        notes.append(f"{len(found)} photographs in {data.root}, {_rain(data)} synthetic rain")
        return f"photographs ({Path(data.root).name}), {_rain(data)} rain", found
    pairs = _open_pairs(data.root, data.layout, "train")
    notes += pairs.notes
    return f"{pairs.layout} ({Path(data.root).name})", pairs


def _test_name(data: DataSpec, training: str) -> str:
    given = data.test_rainy or data.test_root
    return training if given is None else f"{Path(given).parent.name}/{Path(given).name}"


def _testing_source(data: DataSpec, notes: list[str]) -> Source | None:
    """The test images where they lie apart from the training images; ``None`` where they do not."""
    if data.test_rainy is not None and data.test_clean is not None:
        pairs = open_pairs(rainy=data.test_rainy, clean=data.test_clean)
    elif data.test_root is not None:
        own = "auto" if data.layout == "photographs" else data.layout
        pairs = _open_pairs(data.test_root, data.test_layout or own, "test")
    elif data.root is not None and data.layout != "photographs" and _has(data.root, "test"):
        pairs = open_pairs(data.root, layout=data.layout, subset="test")
    else:
        return None
    notes += pairs.notes
    return pairs


def _has(root: str, subset: Subset) -> bool:
    return any((Path(root) / name).is_dir() for name in SUBSET_FOLDERS[subset])


def _open_pairs(root: str, layout: str, subset: Subset) -> PairSet:
    """The subset below a folder where there is one, else the folder itself."""
    return open_pairs(root, layout=layout, subset=subset if _has(root, subset) else None)
