"""The published video deraining sets as they lie on disk: presets of rules, found by looking."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nasrestore.data.clips import (
    ClipPair,
    ClipRule,
    check_partners,
    clips_below,
    find_clips,
    has_clips,
    open_clip,
    pair_clips,
)
from nasrestore.data.files import Failures, existing_folder
from nasrestore.data.layouts import SUBSET_FOLDERS, Subset
from nasrestore.data.pairs import identity_of
from nasrestore.data.scenes import FoundPairs
from nasrestore.errors import NasRestoreError
from nasrestore.registry import did_you_mean


@dataclass(frozen=True)
class ClipLayout:
    """One way in which a set of clips lies on disk.

    Attributes:
        name: what a recipe calls it.
        title: what a person calls it.
        rules: tried in this order.
        ambiguous_rules: tried only where the layout is named: other sets look the same.
        folders: of a subset, beside ``train`` and ``test``.
        expected: how many rainy clips a subset has.
    """

    name: str
    title: str
    rules: tuple[ClipRule, ...]
    ambiguous_rules: tuple[ClipRule, ...] = ()
    folders: Mapping[Subset, tuple[str, ...]] = field(default_factory=dict)
    expected: Mapping[Subset, int] = field(default_factory=dict)

    def looks_for(self) -> str:
        """What on the disk makes this layout, in words."""
        return "; ".join(map(str, (*self.rules, *self.ambiguous_rules)))


def _folders(rainy: str, clean: str) -> ClipRule:
    return ClipRule(f"{rainy}/*", r"([^/]+)", f"{clean}/{{key}}")


def _videos(rainy: str, clean: str) -> ClipRule:
    return ClipRule(f"{rainy}/*.*", r"([^/]+)", f"{clean}/{{key}}.*")


def _syn(kind: str) -> tuple[ClipRule, Mapping[Subset, tuple[str, ...]]]:
    """RainSyn*25 as published: both clips in one folder, told apart by their files' names."""
    rule = ClipRule("*", r"([^/]+)", "{key}", "rfc-*.*", "gtc-*.*")
    folders: Mapping[Subset, tuple[str, ...]] = {
        "train": (f"frames_{kind}_train_JPEG",),
        "test": (f"frames_{kind}_test_JPEG",),
    }
    return rule, folders


_HEAVY, _HEAVY_FOLDERS = _syn("heavy")
_LIGHT, _LIGHT_FOLDERS = _syn("light")

_BUILT_IN = (
    ClipLayout(
        "rain_syn_complex25",
        "RainSynComplex25",
        (_HEAVY,),
        folders=_HEAVY_FOLDERS,
        expected={"train": 190, "test": 25},
    ),
    ClipLayout(
        "rain_syn_light25",
        "RainSynLight25",
        (_LIGHT, _folders("input", "processed")),
        ambiguous_rules=(_folders("input", "gt"),),
        folders=_LIGHT_FOLDERS,
        expected={"train": 190, "test": 25},
    ),
    ClipLayout(
        "nturain",
        "NTURain",
        (ClipRule("*_Rain*", r"([^/]+?)_Rain(?:_\d+)?", "{key}_GT", real=r"r[ab]\d+_Rain"),),
        folders={
            "train": ("Dataset_Training_Synthetic",),
            "test": ("Dataset_Testing_Synthetic",),
        },
        expected={"test": 8},
    ),
    ClipLayout("rain_syn_all100", "RainSynAll100", (_folders("Rain", "GT"),)),
    ClipLayout(
        "clip_folders",
        "a folder of rainy and a folder of clean clips",
        (
            _folders("rain", "norain"),
            _folders("rainy", "clean"),
            _folders("input", "target"),
            _folders("input", "gt"),
        ),
    ),
    ClipLayout(
        "clip_videos",
        "a folder of rainy and a folder of clean videos",
        (_videos("rain", "norain"), _videos("rainy", "clean")),
    ),
)
CLIP_LAYOUTS: dict[str, ClipLayout] = {layout.name: layout for layout in _BUILT_IN}


class ClipPairSet(FoundPairs[ClipPair]):
    """The pairs of clips of one set; an identity is that of a clean clip."""


def open_clips(root: str | Path, layout: str = "auto", subset: Subset | None = None) -> ClipPairSet:
    """Opens a set of clips by its folder.

    Args:
        layout: a name of ``CLIP_LAYOUTS``, or ``auto``: decided by what is on the disk.
        subset: the training or test folder below ``root``; None takes ``root`` itself.

    Raises:
        NasRestoreError: not found (the message lists what was looked for), or clips that cannot be
            used: see :func:`nasrestore.data.clips.find_clips`.
    """
    root = existing_folder(root)
    named = layout != "auto"
    tried = [clip_layout_named(layout)] if named else _likeliest(root.resolve().name)
    for one in tried:
        for base in _bases(one, root, subset):
            for rule in one.rules + (one.ambiguous_rules if named else ()):
                if has_clips(base, rule):
                    return _found(one, base, rule, subset)
    raise _not_found(root, subset, tried)


def open_clip_folders(rainy: str | Path, clean: str | Path) -> ClipPairSet:
    """Two folders whose clips have the same names: folders of frames, or videos.

    Raises:
        NasRestoreError: a missing folder, no clip, clips without partner, or that do not match.
    """
    rainy, clean = existing_folder(rainy), existing_folder(clean)
    if rainy.resolve() == clean.resolve():
        raise NasRestoreError(f"rainy and clean are the same folder: {rainy}")
    first, second = clips_below(rainy), clips_below(clean)
    check_partners(first, second, (rainy, clean))
    failures, pairs = Failures(), []
    for name, place in first.items():
        with failures:
            identity = identity_of(clean, clean / name / "_").removesuffix("/_")
            shown = rainy.resolve().name if name == "." else name
            pairs.append(pair_clips(identity, shown, open_clip(place), open_clip(second[name])))
    failures.raise_any("clips cannot be used")
    count = f"{len(pairs)} pair{'s' * (len(pairs) != 1)} of clips"
    return ClipPairSet(tuple(pairs), "given", [f"{count} in {rainy} and {clean}"])


def clip_layout_named(name: str) -> ClipLayout:
    """The layout of that name.

    Raises:
        NasRestoreError: there is none; the hint has the nearest.
    """
    if name not in CLIP_LAYOUTS:
        hint = did_you_mean(name, [*CLIP_LAYOUTS, "auto"])
        raise NasRestoreError(f"unknown layout of clips {name!r}", hint=hint)
    return CLIP_LAYOUTS[name]


def has_clip_subset(root: Path, subset: Subset) -> bool:
    """Whether a folder has the training or the test folder of any set of clips."""
    return any((root / name).is_dir() for name in _subset_folders(subset))


def _likeliest(folder: str) -> list[ClipLayout]:
    """All layouts, first those that have a folder of that name."""

    def strange(layout: ClipLayout) -> bool:
        return all(folder not in names for names in layout.folders.values())

    return sorted(CLIP_LAYOUTS.values(), key=strange)


def _subset_folders(subset: Subset, layout: ClipLayout | None = None) -> list[str]:
    own = CLIP_LAYOUTS.values() if layout is None else (layout,)
    return [*SUBSET_FOLDERS[subset], *(n for one in own for n in one.folders.get(subset, ()))]


def _bases(layout: ClipLayout, root: Path, subset: Subset | None) -> Iterator[Path]:
    if subset is None:
        yield root
        return
    folders = _subset_folders(subset, layout)
    yield from (root / name for name in folders)
    if root.resolve().name in folders:
        yield root


def _found(layout: ClipLayout, base: Path, rule: ClipRule, subset: Subset | None) -> ClipPairSet:
    found = find_clips(base, rule)
    count = len(found.pairs)
    notes = [f"found {layout.title}: {count} pair{'s' * (count != 1)} of clips in {base}"]
    if found.real:
        names = ", ".join(place.name for place in found.real)
        notes.append(f"left out, as real rain has no clean frames: {names}")
    expected = layout.expected.get(subset) if subset else None
    if expected is not None and count != expected:
        notes.append(
            f"{layout.title} has {expected} clips for {subset}, here are {count}: figures do not "
            "compare with published ones"
        )
    return ClipPairSet(found.pairs, layout.name, notes)


def _not_found(root: Path, subset: Subset | None, tried: list[ClipLayout]) -> NasRestoreError:
    inside = [
        name
        for kind in ("train", "test")
        for name in _subset_folders(kind)
        if subset is None and (root / name).is_dir()
    ]
    if inside:
        return NasRestoreError(
            f"{root} holds {' and '.join(inside)}: say which", hint="give the folder itself"
        )
    where = f"{root}" if subset is None else f"{root} (subset {subset})"
    looked = "\n  ".join(f"{layout.name}: {layout.looks_for()}" for layout in tried)
    return NasRestoreError(
        f"no pairs of clips found in {where}; looked for\n  {looked}",
        hint="name the layout (clean_clips: frames or videos without rain, which is synthesised), or "
        "give the rainy and the clean folder separately",
    )
