"""Clean photographs: the few inside installed packages, or a folder of the user's.

The packages are found, not imported, and nothing is downloaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from nasrestore.data.files import existing_folder, images_matching
from nasrestore.data.images import read_image, to_eight_bit, with_channels
from nasrestore.errors import NasRestoreError

_SKIMAGE = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png")
_INSTALLED = (
    ("skimage", "data", _SKIMAGE),
    ("sklearn", "datasets/images", ("china.jpg", "flower.jpg")),
)


@dataclass(frozen=True)
class Photograph:
    """A clean image that is decoded when it is needed."""

    identity: str
    path: Path

    def load(self) -> np.ndarray:
        """The pixels, ``H W 3`` uint8; grey is repeated, 16 bits are rounded to 8.

        Raises:
            NasRestoreError: the file cannot be read.
        """
        return with_channels(to_eight_bit(read_image(self.path).pixels), 3)


def sample_photographs() -> list[Photograph]:
    """The colour photographs inside scikit-image and, where it is installed, scikit-learn.

    Raises:
        NasRestoreError: neither package has any.
    """
    found = []
    for package, folder, names in _INSTALLED:
        for place in _package_folders(package):
            paths = (place / folder / name for name in names)
            found += [Photograph(f"sample/{p.stem}", p) for p in paths if p.is_file()]
    if not found:
        raise NasRestoreError(
            "no sample photographs: scikit-image is not installed, or without its data folder",
            hint="install scikit-image, or give a folder of clean photographs",
        )
    return found


def clean_folder(folder: str | Path) -> list[Photograph]:
    """All images directly in a folder, in natural order, as clean photographs.

    Raises:
        NasRestoreError: no such folder, no image in it, or two that differ in suffix alone.
    """
    root = existing_folder(folder)
    name = root.resolve().name
    found: dict[str, Path] = {}
    for path in images_matching(root, "*.*"):
        identity = f"{name}/{path.stem}"
        if identity in found:
            raise NasRestoreError(
                f"{root}: {found[identity].name} and {path.name} have one name",
                hint="a photograph may occur once; move one away",
            )
        found[identity] = path
    if not found:
        raise NasRestoreError(
            f"no image in {root}", hint="PNG, JPEG, TIFF, WEBP and BMP files are looked for"
        )
    return [Photograph(identity, path) for identity, path in found.items()]


def _package_folders(package: str) -> list[Path]:
    spec = find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        return []
    return [Path(place) for place in spec.submodule_search_locations]
