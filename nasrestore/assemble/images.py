"""Images from a recipe's ``data``: pairs on disk, or photographs under synthetic rain."""

from __future__ import annotations

from pathlib import Path

from nasrestore.assemble.rain import rain_of
from nasrestore.data.layouts import SUBSET_FOLDERS, PairSet, Subset, open_pairs
from nasrestore.data.samples import Photograph, clean_folder, sample_photographs
from nasrestore.spec.data import DataSpec

Images = PairSet | tuple[Photograph, ...]


def training_images(data: DataSpec, notes: list[str]) -> tuple[str, Images]:
    """The name and the images that a recipe trains on; nothing is decoded yet.

    Raises:
        NasRestoreError: a folder is missing, empty or unpaired.
    """
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
        return f"sample photographs, {rain_of(data).called()}", found
    if data.layout == "photographs":
        found = tuple(clean_folder(data.root))
        rain = rain_of(data)
        notes.append(f"{len(found)} photographs in {data.root}, {rain.called('synthetic rain')}")
        return f"photographs ({Path(data.root).name}), {rain.called()}", found
    pairs = _open_pairs(data.root, data.layout, "train")
    notes += pairs.notes
    return f"{pairs.layout} ({Path(data.root).name})", pairs


def testing_images(data: DataSpec, notes: list[str]) -> Images | None:
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
