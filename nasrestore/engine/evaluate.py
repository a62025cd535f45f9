"""Measuring restored images against clean ones, before and after, under named protocols."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from nasrestore.data.images import image_size, read_image
from nasrestore.engine.evaluation import Evaluation, Row
from nasrestore.engine.files import images_by_stem, partners
from nasrestore.engine.perception import Perception, check_sizes
from nasrestore.errors import NasRestoreError
from nasrestore.metrics.protocol import Protocol, protocol


def evaluate_pairs(
    restore: Callable[[np.ndarray], np.ndarray] | None,
    pairs: Iterable[tuple[str, np.ndarray, np.ndarray]],
    protocols: Sequence[str],
    perception: Perception | None = None,
) -> Evaluation:
    """Restores every rainy image and measures it, before and after, under every protocol.

    Args:
        restore: from H W C pixels to float H W C in [0, 1], such as ``Restorer.unquantised``; the
            protocol rounds. None measures the rainy images alone.
        pairs: (identity, rainy, clean), pixels H W C of 8 or 16 bits; read one at a time.
        protocols: names of protocols.
        perception: measures LPIPS, too.

    Raises:
        NasRestoreError: an unknown protocol; no pair; a pair of different sizes, named.
    """
    chosen = chosen_protocols(protocols)
    rows: list[Row] = []
    for identity, rainy, clean in pairs:
        restored = None if restore is None else restore(rainy)
        rows += _image_rows(identity, chosen, (rainy, restored, clean), perception)
    if not rows:
        raise NasRestoreError("no pair to evaluate", hint="name a data set that is not empty")
    return Evaluation(tuple(rows), lpips=None if perception is None else perception.facts)


def evaluate_folders(
    restored_dir: Path,
    clean_dir: Path,
    protocols: Sequence[str],
    rainy_dir: Path | None = None,
    perception: Perception | None = None,
) -> Evaluation:
    """Measures anybody's restored images, found in a folder, against a folder of clean ones.

    Which files belong together, :func:`nasrestore.engine.files.partners` finds by their names.

    Args:
        rainy_dir: the images before restoration, one for each restored; without it, the columns
            before are None.
        perception: measures LPIPS, too.

    Raises:
        NasRestoreError: a folder without images; files left without partner, named; sizes that
            differ, named; files that cannot be read; an unknown protocol.
    """
    chosen = chosen_protocols(protocols)
    cleans = partners(restored_dir, clean_dir)
    rainies = {} if rainy_dir is None else partners(restored_dir, rainy_dir, single=True)
    restored = images_by_stem(restored_dir)
    if perception is not None:
        check_sizes((identity, image_size(path)) for identity, path in restored.items())
    rows: list[Row] = []
    for identity, path in restored.items():
        clean = read_image(cleans[identity]).pixels
        rainy = read_image(rainies[identity]).pixels if rainies else None
        images = (rainy, read_image(path).pixels, clean)
        rows += _image_rows(identity, chosen, images, perception)
    return Evaluation(tuple(rows), lpips=None if perception is None else perception.facts)


def _image_rows(
    identity: str,
    protocols: Sequence[Protocol],
    images: tuple[np.ndarray | None, np.ndarray | None, np.ndarray],
    perception: Perception | None,
) -> Iterator[Row]:
    """The rows of a rainy image, a restored one and the clean one."""
    rainy, restored, clean = images
    before = measured(identity, protocols, rainy, clean)
    after = measured(identity, protocols, restored, clean)
    seen = {} if perception is None else perception.image(rainy, restored, clean)
    return rows_of(identity, before, after, seen)


def chosen_protocols(names: Sequence[str]) -> list[Protocol]:
    """The protocols of those names, each once."""
    if not names:
        raise ValueError("at least one protocol expected, got none")
    return [protocol(name) for name in dict.fromkeys(names)]


def measured(
    identity: str, protocols: Sequence[Protocol], image: np.ndarray | None, clean: np.ndarray
) -> dict[str, dict[str, float] | None]:
    """PSNR and SSIM by protocol; None for no image. Errors name the identity."""
    try:
        return {p.name: None if image is None else p.measure(image, clean) for p in protocols}
    except NasRestoreError as error:
        error.message = f"{identity}: {error.message}"
        raise


def rows_of(
    identity: str,
    before: Mapping[str, dict[str, float] | None],
    after: Mapping[str, dict[str, float] | None],
    seen: Mapping[str, float],
) -> Iterator[Row]:
    """One row for each protocol that was asked, each with the figures of LPIPS that were ``seen``."""
    for name in before:
        was, now = before[name] or {}, after[name] or {}
        figures = (was.get("psnr"), now.get("psnr"), was.get("ssim"), now.get("ssim"))
        yield Row(identity, name, *figures, **seen)
