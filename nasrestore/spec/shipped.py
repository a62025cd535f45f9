"""Files that come with the package: recipes, spaces and genotypes, from a checkout or a wheel.

A name such as ``rdmc`` finds a shipped file; a path wins over a name.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from nasrestore.errors import NasRestoreError
from nasrestore.registry import did_you_mean

Kind = Literal["recipe", "space", "genotype"]

_PACKAGES: dict[Kind, tuple[str, str]] = {
    "recipe": ("nasrestore_recipes", "."),
    "space": ("nasrestore_spaces", "."),
    "genotype": ("nasrestore_recipes", "genotypes"),
}
_FOLDERS: dict[Kind, str] = {
    "recipe": "recipes",
    "space": "spaces",
    "genotype": "recipes/genotypes",
}


def folder(kind: Kind) -> Path:
    """Where the shipped files of a kind lie: in the checkout, or as installed."""
    checkout = Path(__file__).resolve().parents[2] / _FOLDERS[kind]
    if checkout.is_dir():
        return checkout
    package, below = _PACKAGES[kind]
    spec = importlib.util.find_spec(package)
    locations = [] if spec is None else list(spec.submodule_search_locations or ())
    for location in locations:
        path = Path(location) / below
        if path.is_dir():
            return path
    raise NasRestoreError(f"the shipped {kind} files are missing", hint="install nasrestore again")


def shipped(kind: Kind) -> Iterator[Path]:
    """The shipped files of a kind, by name."""
    return iter(sorted(folder(kind).glob("*.yaml"), key=lambda path: path.stem))


def is_path(text: str) -> bool:
    """Whether the text looks like a path, not like a name."""
    return "/" in text or "\\" in text or text.endswith((".yaml", ".yml"))


def _is_shipped(place: Path) -> bool:
    return place.resolve() in [folder(kind).resolve() for kind in _FOLDERS]


def find(text: str, kind: Kind, beside: Path | None = None) -> Path:
    """The file that a path or a shipped name means.

    Args:
        beside: the folder that relative paths start from, before the current one.

    Raises:
        NasRestoreError: there is neither such a file nor such a name.
    """
    path = Path(text).expanduser()
    places = [path] if path.is_absolute() or beside is None else [beside / path, path]
    for place in places:
        if place.is_file():
            return place
    if beside is not None and _is_shipped(beside) and path.parent.name == _FOLDERS[kind]:
        # in the checkout `../spaces/rdmc.yaml`; installed, the folders are packages of other names
        place = folder(kind) / path.name
        if place.is_file():
            return place
    if is_path(text):
        return places[0]  # reading it tells what is wrong, with the nearest file names
    names = {p.stem: p for p in shipped(kind)}
    if text in names:
        return names[text]
    raise NasRestoreError(
        f"no {kind} is called {text!r}, and there is no such file",
        hint=did_you_mean(text, names),
    )
