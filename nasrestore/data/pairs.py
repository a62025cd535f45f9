"""Pairs of a rainy and a clean image on disk, found by one declarative rule.

A rule says where rainy files lie, what in their names is the key, and where the clean file of a
key lies. Every preset in :mod:`nasrestore.data.layouts` is such a rule; whatever does not pair
is an error, never left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from nasrestore.data.files import Failures, existing_folder, images_matching, some_of
from nasrestore.data.images import IMAGE_SUFFIXES, image_size, read_image
from nasrestore.errors import NasRestoreError

Half = Literal["left-clean", "left-rainy"]

_GENERIC_FOLDERS = frozenset(("train", "training", "test", "testing", "val", "validation", "small"))


@dataclass(frozen=True)
class PairRule:
    """How rainy and clean files belong together, relative to a folder.

    Args:
        rainy_glob: where rainy images lie, such as ``rainy/*.*``; of these, files with the suffix of
            an image count.
        key_pattern: regular expression with one group, for the whole stem of a rainy file.
        clean_template: the clean file of ``{key}``, such as ``norain-{key}.*``; ``{half}`` rules
            have none. Keys that differ in leading zeros alone are the same.
        half: both images in one file, side by side: what is on the left.
    """

    rainy_glob: str
    key_pattern: str = "(.+)"
    clean_template: str = ""
    half: Half | None = None

    def __str__(self) -> str:
        if self.half is not None:
            return f"{self.rainy_glob} (side by side, {self.half.removeprefix('left-')} left)"
        return f"{self.rainy_glob} with {self.clean_template.replace('{key}', 'KEY')}"


@dataclass(frozen=True)
class Pair:
    """One rainy image and its clean scene.

    Attributes:
        identity: the clean scene: folder and file name of the clean image without suffix, the same
            for all rainy versions of it, whatever the place of the data set on the disk.
        rainy: None where there is only a clean image.
        half: both are the same file, halves side by side.
    """

    identity: str
    rainy: Path | None
    clean: Path
    half: Half | None = None


def find_pairs(root: str | Path, rule: PairRule, *, check_sizes: bool = True) -> list[Pair]:
    """All pairs below ``root`` in natural order (2 before 10).

    Raises:
        NasRestoreError: no such folder, nothing found, files without a partner on either side,
            or a pair of two sizes.
    """
    root = existing_folder(root)
    rainy = _keyed_rainy(root, rule)
    if rule.half is not None:
        pairs = [Pair(identity_of(root, path), path, path, rule.half) for _, path in rainy]
    else:
        clean_glob = rule.clean_template.replace("{key}", "*")
        clean = _keyed_clean(root, rule.clean_template)
        if not clean:
            raise NasRestoreError(f"no clean image in {root}: looked for {clean_glob}")
        pairs = match_keys(root, rainy, clean)
    if check_sizes:
        check_pair_sizes(pairs)
    return pairs


def has_pairs(root: Path, rule: PairRule) -> bool:
    """Whether a folder looks as the rule says: a rainy file with a key and, if any, a clean one."""
    rainy = images_matching(root, rule.rainy_glob) if root.is_dir() else []
    if not any(re.fullmatch(rule.key_pattern, file.stem) for file in rainy):
        return False
    return rule.half is not None or bool(_keyed_clean(root, rule.clean_template))


def match_keys(
    root: Path, rainy: Sequence[tuple[str, Path]], clean: Sequence[tuple[str, Path]]
) -> list[Pair]:
    """Pairs files by key: equal keys first, then keys that are equal as numbers.

    Raises:
        NasRestoreError: a clean key occurs twice, or files on either side have no partner.
    """
    exact: dict[str, Path] = {}
    for key, path in clean:
        if key in exact:
            raise NasRestoreError(f"two clean images for {key!r}: {exact[key]} and {path}")
        exact[key] = path
    by_number: dict[str, Path | None] = {}
    for key, path in clean:
        number = _without_leading_zeros(key)
        by_number[number] = None if number in by_number else path
    pairs, alone = [], []
    for key, path in rainy:
        partner = exact.get(key) or by_number.get(_without_leading_zeros(key))
        if partner is None:
            alone.append(path)
        else:
            pairs.append(Pair(identity_of(root, partner), path, partner))
    used = {pair.clean for pair in pairs}
    _check_none_alone(root, alone, [path for _, path in clean if path not in used])
    return pairs


def read_pair_list(path: str | Path, *, check_sizes: bool = True) -> list[Pair]:
    """Pairs of a text file with ``rainy clean`` a line, relative to the file's folder (SPA-Data).

    A leading slash is taken as the file's folder too, as SPA-Data has it.

    Raises:
        NasRestoreError: a line without exactly two names, missing files, or a pair of two sizes.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise NasRestoreError(f"cannot read the list {path}: {error}") from error
    pairs = []
    for number, line in enumerate(lines, start=1):
        names = line.split()
        if not names:
            continue
        if len(names) != 2:
            raise NasRestoreError(
                f"{path}:{number}: expected 'rainy clean', found {len(names)} names"
            )
        rainy, clean = (path.parent / name.lstrip("/") for name in names)
        pairs.append(Pair(identity_of(path.parent, clean), rainy, clean))
    if not pairs:
        raise NasRestoreError(f"the list {path} names no pair", hint="a line is 'rainy clean'")
    files = [file for pair in pairs for file in (pair.rainy, pair.clean) if file is not None]
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise NasRestoreError(f"{path} names {some_of(missing, 'missing file')}")
    if check_sizes:
        check_pair_sizes(pairs)
    return pairs


def load_pair(pair: Pair) -> tuple[np.ndarray | None, np.ndarray]:
    """The rainy and the clean pixels, ``H W C`` uint8 or uint16; rainy is None without a file.

    Raises:
        NasRestoreError: a file cannot be read, or the two sizes differ.
    """
    return load_rainy(pair), load_clean(pair)


def load_clean(pair: Pair) -> np.ndarray:
    """The clean pixels of a pair, ``H W C``."""
    pixels = read_image(pair.clean).pixels
    return pixels if pair.half is None else _half(pair, pixels, left=pair.half == "left-clean")


def load_rainy(pair: Pair) -> np.ndarray | None:
    """The rainy pixels of a pair, ``H W C``."""
    if pair.rainy is None:
        return None
    pixels = read_image(pair.rainy).pixels
    return pixels if pair.half is None else _half(pair, pixels, left=pair.half == "left-rainy")


def pair_size(pair: Pair) -> tuple[int, int]:
    """Height and width of a pair, from the files' headers.

    Raises:
        NasRestoreError: a header cannot be read, or the two images differ in size.
    """
    height, width = image_size(pair.clean)
    if pair.half is not None:
        _check_even(pair, width)
        return height, width // 2
    if pair.rainy is not None:
        rainy = image_size(pair.rainy)
        if rainy != (height, width):
            raise NasRestoreError(
                f"{pair.rainy} is {rainy[1]}x{rainy[0]}, its clean image {pair.clean} "
                f"{width}x{height}: a pair needs one size"
            )
    return height, width


def check_pair_sizes(pairs: Iterable[Pair]) -> None:
    """Reads all headers; every pair that fails is in the one error (five of them named)."""
    failures = Failures()
    for pair in pairs:
        with failures:
            pair_size(pair)
    failures.raise_any("pairs cannot be used")


def identity_of(root: Path, path: Path) -> str:
    """Folder name and path below it without suffix; ``train`` and such alone would say little."""
    absolute = root.resolve()
    name = absolute.name
    if name.lower() in _GENERIC_FOLDERS and absolute.parent.name:
        name = f"{absolute.parent.name}/{name}"
    inner = path.relative_to(root) if path.is_relative_to(root) else Path(path.name)
    return f"{name}/{inner.with_suffix('').as_posix()}"


def _keyed_rainy(root: Path, rule: PairRule) -> list[tuple[str, Path]]:
    files = images_matching(root, rule.rainy_glob)
    if not files:
        raise NasRestoreError(
            f"no rainy image in {root}: looked for {rule.rainy_glob}",
            hint=f"images are {', '.join(sorted(IMAGE_SUFFIXES))}",
        )
    keyed, strange = [], []
    for file in files:
        match = re.fullmatch(rule.key_pattern, file.stem)
        if match is None:
            strange.append(file)
        else:
            keyed.append((match.group(1), file))
    if strange:
        raise NasRestoreError(
            f"{root}: {some_of(strange, 'rainy image')} without a key: "
            f"expected names like {rule.key_pattern}"
        )
    return keyed


def _keyed_clean(root: Path, template: str) -> list[tuple[str, Path]]:
    pattern = re.escape(template).replace(r"\{key\}", "([^/]+)").replace(r"\*", "[^/]*")
    keyed = []
    for file in images_matching(root, template.replace("{key}", "*")):
        match = re.fullmatch(pattern, file.relative_to(root).as_posix())
        if match is not None:
            keyed.append((match.group(1), file))
    return keyed


def _check_none_alone(root: Path, rainy: Sequence[Path], clean: Sequence[Path]) -> None:
    found = []
    if rainy:
        found.append(f"{some_of(rainy, 'rainy image')} without a clean one")
    if clean:
        found.append(f"{some_of(clean, 'clean image')} without a rainy one")
    if found:
        raise NasRestoreError(
            f"{root}: {' and '.join(found)}", hint="every image needs its partner; move others away"
        )


def _half(pair: Pair, pixels: np.ndarray, *, left: bool) -> np.ndarray:
    width = pixels.shape[1]
    _check_even(pair, width)
    return pixels[:, : width // 2] if left else pixels[:, width // 2 :]


def _check_even(pair: Pair, width: int) -> None:
    if width % 2:
        raise NasRestoreError(
            f"{pair.clean} is {width} wide: halves side by side need an even width"
        )


def _without_leading_zeros(key: str) -> str:
    return re.sub(r"0*([0-9]+)", r"\1", key)
