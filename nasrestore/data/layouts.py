"""The published deraining sets as they lie on disk: presets of pairing rules, found by looking.

Single images only. RainTrainH is read whole: 546 of its 1800 pairs show scenes of Rain100H's test,
and since no list of them can be shipped, they are not left out here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from nasrestore.data.files import existing_folder, images_matching
from nasrestore.data.pairs import Pair, PairRule, find_pairs, has_pairs, read_pair_list
from nasrestore.data.scenes import FoundPairs
from nasrestore.errors import NasRestoreError
from nasrestore.registry import did_you_mean

Subset = Literal["train", "test"]

SUBSET_FOLDERS: dict[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
}


@dataclass(frozen=True)
class Layout:
    """One way in which a set lies on disk.

    Attributes:
        name: what a recipe calls it.
        title: what a person calls it.
        rules: tried in this order.
        ambiguous_rules: tried only where the layout is named: another set looks the same.
        expected: how many pairs a subset has; several numbers where several sets share the layout.
        only: the subset that the folder is, where the set has no other.
        by_count: looks like any folder of pairs, so that only the number of pairs gives it away.
        text_list: the pairs are in a text file.
    """

    name: str
    title: str
    rules: tuple[PairRule, ...] = ()
    ambiguous_rules: tuple[PairRule, ...] = ()
    expected: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    only: Subset | None = None
    by_count: bool = False
    text_list: bool = False

    def looks_for(self) -> str:
        """What on the disk makes this layout, in words."""
        looks = [str(rule) for rule in (*self.rules, *self.ambiguous_rules)]
        return "; ".join(["a text file with 'rainy clean' a line"] * self.text_list + looks)


def _folders(rainy: str, clean: str, key: str = "(.+)") -> PairRule:
    return PairRule(f"{rainy}/*.*", key, f"{clean}/{{key}}.*")


_BUILT_IN = (
    Layout(
        "rain100",
        "the old Rain100L or Rain100H",
        (PairRule("rainy/*.*", r"rain-(\d+)", "norain-{key}.*"),),
        expected={"test": (100,)},
        only="test",
    ),
    Layout(
        "rain_train",
        "RainTrainL or RainTrainH",
        (PairRule("rain-*.*", r"rain-(\d+)", "norain-{key}.*"),),
        expected={"train": (200, 1800)},
        only="train",
    ),
    Layout(
        "rain200",
        "the new Rain200L or Rain200H",
        (PairRule("rain/X2/*.*", r"norain-(\d+)x2", "norain/norain-{key}.*"),),
        expected={"train": (1800,), "test": (200,)},
    ),
    Layout(
        "rain1400",
        "Rain1400",
        (_folders("rainy_image", "ground_truth", r"(\d+)_\d+"),),
        expected={"train": (12600,), "test": (1400,)},
    ),
    Layout(
        "rain12",
        "Rain12",
        tuple(_folders(name, "groundtruth") for name in ("rainy", "rainy_images", "rain", "input")),
        expected={"test": (12,)},
        only="test",
    ),
    Layout(
        "rain1200",
        "Rain1200",
        (PairRule("Rain_[HML]*/**/*.*", half="left-rainy"),),
        ambiguous_rules=(PairRule("*.*", r"(\d+)", half="left-rainy"),),
        expected={"train": (12000,), "test": (1200,)},
    ),
    Layout(
        "rain800",
        "Rain800",
        ambiguous_rules=(PairRule("*.*", r"(\d+)", half="left-clean"),),
        expected={"train": (700,), "test": (100,)},
    ),
    Layout(
        "rain13k",
        "Rain13K or one of its tests",
        (_folders("input", "target", r"(\d+)"),),
        expected={"train": (13712,), "test": (100, 98, 2800, 1200)},
        by_count=True,
    ),
    Layout(
        "folders",
        "a folder of rainy and a folder of clean images",
        (
            _folders("rain", "norain"),
            _folders("rainy", "clean"),
            _folders("input", "target"),
            _folders("input", "gt"),
        ),
    ),
    Layout("spa", "SPA-Data or another list of pairs", text_list=True),
)
LAYOUTS: dict[str, Layout] = {layout.name: layout for layout in _BUILT_IN}


class PairSet(FoundPairs[Pair]):
    """The pairs of images of one set."""


def open_pairs(
    root: str | Path | None = None,
    layout: str = "auto",
    subset: Subset | None = None,
    *,
    rainy: str | Path | None = None,
    clean: str | Path | None = None,
) -> PairSet:
    """Opens a set by its folder, or two folders whose files have the same names.

    Args:
        root: the folder of the set, or a text file with ``rainy clean`` a line.
        layout: a name of ``LAYOUTS``, or ``auto``: decided by what is on the disk.
        subset: the ``train`` or ``test`` folder below ``root``; None takes ``root`` itself.
        rainy: with ``clean``, instead of ``root``.

    Raises:
        NasRestoreError: not found (the message lists what was looked for), ambiguous, unpaired files
            or pairs of two sizes.
        ValueError: neither ``root`` nor both folders are given.
    """
    if rainy is not None and clean is not None and root is None:
        return _two_folders(existing_folder(rainy), existing_folder(clean))
    if root is None or rainy is not None or clean is not None:
        raise ValueError("give either root, or rainy and clean")
    root = Path(root)
    if root.is_file():
        return _listed(LAYOUTS["spa"], root)
    existing_folder(root)
    chosen = detect_layout(root, subset) if layout == "auto" else layout_named(layout)
    if chosen.text_list:
        return _listed(chosen, _only_list(root))
    found = _locate(chosen, root, subset, named=layout != "auto")
    if found is None:
        raise _not_found(root, subset, [chosen])
    base, rule = found
    pairs = tuple(find_pairs(base, rule))
    note = f"found {chosen.title}: {len(pairs)} pairs in {base}"
    return PairSet(pairs, chosen.name, [note, *_count_notes(chosen, subset, base, len(pairs))])


def layout_named(name: str) -> Layout:
    """The layout of that name.

    Raises:
        NasRestoreError: there is none; the hint has the nearest.
    """
    if name not in LAYOUTS:
        hint = did_you_mean(name, [*LAYOUTS, "auto"])
        raise NasRestoreError(f"unknown data layout {name!r}", hint=hint)
    return LAYOUTS[name]


def detect_layout(root: str | Path, subset: Subset | None = None) -> Layout:
    """The layout of a folder, by what is in it.

    Raises:
        NasRestoreError: none fits; the message lists what was looked for.
    """
    root = existing_folder(root)
    for layout in LAYOUTS.values():
        if layout.text_list:
            if _pair_lists(root):
                return layout
            continue
        found = _locate(layout, root, subset, named=False)
        if found is not None and (not layout.by_count or _count_fits(layout, *found)):
            return layout
    raise _not_found(root, subset, list(LAYOUTS.values()))


def _locate(
    layout: Layout, root: Path, subset: Subset | None, *, named: bool
) -> tuple[Path, PairRule] | None:
    """The folder and the rule under which pairs are found."""
    rules = layout.rules + (layout.ambiguous_rules if named else ())
    for base in _bases(layout, root, subset):
        for rule in rules:
            if has_pairs(base, rule):
                return base, rule
    return None


def _bases(layout: Layout, root: Path, subset: Subset | None) -> Iterator[Path]:
    """Where a subset may lie: the repacks have ``train/small/rain``."""
    if subset is not None:
        for name in SUBSET_FOLDERS[subset]:
            yield root / name
            yield root / name / "small"
    if subset is None or layout.only == subset or root.resolve().name in SUBSET_FOLDERS[subset]:
        yield root
        yield root / "small"


def _two_folders(rainy: Path, clean: Path) -> PairSet:
    if rainy.resolve() == clean.resolve():
        raise NasRestoreError(f"rainy and clean are the same folder: {rainy}")
    root = Path(os.path.commonpath([rainy.resolve(), clean.resolve()]))
    pairs = tuple(_same_names(root, rainy.resolve(), clean.resolve()))
    return PairSet(pairs, "given", [f"{len(pairs)} pairs of {rainy} and {clean}"])


def _same_names(root: Path, rainy: Path, clean: Path) -> list[Pair]:
    # a folder inside the other is no problem: only its own files match
    inner = {
        "rainy": rainy.relative_to(root).as_posix(),
        "clean": clean.relative_to(root).as_posix(),
    }
    for name in inner.values():
        if set(name) & set("*?[]{}"):
            raise NasRestoreError(f"{root / name}: the folder's name has one of * ? [ ] {{ }}")
    return find_pairs(root, _folders(inner["rainy"], inner["clean"]))


def _listed(layout: Layout, file: Path) -> PairSet:
    pairs = tuple(read_pair_list(file))
    return PairSet(pairs, layout.name, [f"found a list of {len(pairs)} pairs in {file}"])


def _pair_lists(root: Path) -> list[Path]:
    """Text files of a folder whose first line is two image names."""
    found = []
    for file in sorted(root.glob("*.txt")):
        with open(file, encoding="utf-8", errors="replace") as lines:
            names = lines.readline(4096).split()
        if len(names) == 2 and all("." in name for name in names):
            found.append(file)
    return found


def _only_list(root: Path) -> Path:
    lists = _pair_lists(root)
    if len(lists) != 1:
        names = ", ".join(file.name for file in lists) or "none"
        raise NasRestoreError(
            f"{root}: expected one list of pairs (lines 'rainy clean'), found {names}",
            hint="give the text file itself",
        )
    return lists[0]


def _count_fits(layout: Layout, base: Path, rule: PairRule) -> bool:
    # the one large number is a fingerprint; a hundred pairs may be anybody's
    return len(find_pairs(base, rule, check_sizes=False)) in layout.expected["train"]


def _count_notes(layout: Layout, subset: Subset | None, base: Path, count: int) -> list[str]:
    known: str | None = subset or layout.only
    for name, folders in SUBSET_FOLDERS.items():
        if known is None and base.resolve().name in folders:
            known = name
    expected = [n for name, ns in layout.expected.items() if known in (None, name) for n in ns]
    if not expected or count in expected:
        return []
    numbers = " or ".join(str(number) for number in sorted(expected))
    return [
        f"{layout.title} has {numbers} pairs{f' for {known}' if known else ''}, here are {count}: "
        "figures do not compare with published ones"
    ]


def _not_found(root: Path, subset: Subset | None, layouts: list[Layout]) -> NasRestoreError:
    if subset is None:
        inside = [n for ns in SUBSET_FOLDERS.values() for n in ns if (root / n).is_dir()]
        if inside:
            return NasRestoreError(
                f"{root} holds {' and '.join(inside)}: say which",
                hint=f"subset {' or '.join(n for n in SUBSET_FOLDERS)}, or the folder itself",
            )
    where = f"{root}" if subset is None else f"{root} (subset {subset})"
    looked = "\n  ".join(f"{layout.name}: {layout.looks_for()}" for layout in layouts)
    hint = "name the layout, or give the rainy and the clean folder separately"
    if len(layouts) > 1 and images_matching(root, "*.*"):
        hint = (
            "if a file holds both images side by side, name the layout: "
            "rain800 (clean left) or rain1200 (rainy left); if these are clean photographs that "
            "are to be put under rain, data.layout=photographs"
        )
    return NasRestoreError(f"no pairs found in {where}; looked for\n  {looked}", hint=hint)
