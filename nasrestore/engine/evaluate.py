"""Measuring restored images against clean ones, before and after, under named protocols.

PSNR is in dB and infinite for equal images; a mean over images that holds one is infinite too.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from nasrestore.data.images import read_image
from nasrestore.engine.files import images_by_stem, partners
from nasrestore.errors import NasRestoreError
from nasrestore.metrics.protocol import Protocol, protocol, sequence_summary
from nasrestore.runtime.checkpoint import write_atomic
from nasrestore.runtime.runlog import json_safe

COLUMNS = ("psnr_before", "psnr_after", "ssim_before", "ssim_after")


@dataclass(frozen=True, slots=True)
class Row:
    """One image under one protocol; None where nothing was measured."""

    identity: str
    protocol: str
    psnr_before: float | None
    psnr_after: float | None
    ssim_before: float | None
    ssim_after: float | None


@dataclass(frozen=True)
class Evaluation:
    """The rows of an evaluation, image by image, each image under every protocol.

    Attributes:
        sequences: images are frames, ``SEQUENCE/FRAME``: means are taken of each sequence first.
        asked: the protocols in their order, where it is not that of the rows, since not every
            protocol counts the first frame.
    """

    rows: tuple[Row, ...]
    sequences: bool = False
    asked: tuple[str, ...] = ()

    @property
    def protocols(self) -> tuple[str, ...]:
        return self.asked or tuple(dict.fromkeys(row.protocol for row in self.rows))

    def summary(self, protocol: str) -> dict[str, Any]:
        """The means under one protocol: ``protocol``, ``images`` and the four columns.

        A column that was not measured is None. Of sequences there is their number, too, and each
        counts the same, whatever its length. Raises ValueError for a protocol without rows.
        """
        rows = [row for row in self.rows if row.protocol == protocol]
        if not rows:
            raise ValueError(f"nothing was measured under {protocol!r}: {self.protocols}")
        if self.sequences:
            return {"protocol": protocol, **_sequence_means(rows)}
        means = {column: _mean([getattr(row, column) for row in rows]) for column in COLUMNS}
        return {"protocol": protocol, "images": len(rows), **means}

    def as_dict(self) -> dict[str, Any]:
        """``summaries`` and ``rows`` for strict JSON: an infinite value is the text ``inf``."""
        summaries = [self.summary(name) for name in self.protocols]
        plain: dict[str, Any] = json_safe(
            {"summaries": summaries, "rows": [asdict(row) for row in self.rows]}
        )
        return plain

    def write_csv(self, path: Path) -> None:
        """Writes one line per image and protocol below a header; not measured is empty.

        Raises:
            NasRestoreError: the file cannot be written.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(field.name for field in fields(Row))
        for row in self.rows:
            figures = [getattr(row, column) for column in COLUMNS]
            shown = ["" if figure is None else f"{figure:.6f}" for figure in figures]
            writer.writerow([row.identity, row.protocol, *shown])
        write_atomic(Path(path), text.getvalue())


def _sequence_means(rows: Sequence[Row]) -> dict[str, Any]:
    by_sequence: dict[str, list[dict[str, float]]] = {}
    filled = [column for column in COLUMNS if getattr(rows[0], column) is not None]
    for row in rows:
        name = row.identity.rpartition("/")[0]
        by_sequence.setdefault(name, []).append({c: getattr(row, c) for c in filled})
    found = sequence_summary(list(by_sequence.values()))
    counts = {name: int(found[name]) for name in ("sequences", "images")}
    return {**counts, **{column: found.get(column) for column in COLUMNS}}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def evaluate_pairs(
    restore: Callable[[np.ndarray], np.ndarray] | None,
    pairs: Iterable[tuple[str, np.ndarray, np.ndarray]],
    protocols: Sequence[str],
) -> Evaluation:
    """Restores every rainy image and measures it, before and after, under every protocol.

    Args:
        restore: from H W C pixels to float H W C in [0, 1], such as ``Restorer.unquantised``; the
            protocol rounds. None measures the rainy images alone.
        pairs: (identity, rainy, clean), pixels H W C of 8 or 16 bits; read one at a time.
        protocols: names of protocols.

    Raises:
        NasRestoreError: an unknown protocol; no pair; a pair of different sizes, named.
    """
    chosen = chosen_protocols(protocols)
    rows: list[Row] = []
    for identity, rainy, clean in pairs:
        before = measured(identity, chosen, rainy, clean)
        restored = None if restore is None else restore(rainy)
        rows += rows_of(identity, before, measured(identity, chosen, restored, clean))
    if not rows:
        raise NasRestoreError("no pair to evaluate", hint="name a data set that is not empty")
    return Evaluation(tuple(rows))


def evaluate_folders(
    restored_dir: Path,
    clean_dir: Path,
    protocols: Sequence[str],
    rainy_dir: Path | None = None,
) -> Evaluation:
    """Measures anybody's restored images, found in a folder, against a folder of clean ones.

    Which files belong together, :func:`nasrestore.engine.files.partners` finds by their names.

    Args:
        rainy_dir: the images before restoration, one for each restored; without it, the columns
            before are None.

    Raises:
        NasRestoreError: a folder without images; files left without partner, named; sizes that
            differ, named; files that cannot be read; an unknown protocol.
    """
    chosen = chosen_protocols(protocols)
    cleans = partners(restored_dir, clean_dir)
    rainies = {} if rainy_dir is None else partners(restored_dir, rainy_dir, single=True)
    rows: list[Row] = []
    for identity, path in images_by_stem(restored_dir).items():
        clean = read_image(cleans[identity]).pixels
        rainy = read_image(rainies[identity]).pixels if rainies else None
        before = measured(identity, chosen, rainy, clean)
        rows += rows_of(
            identity, before, measured(identity, chosen, read_image(path).pixels, clean)
        )
    return Evaluation(tuple(rows))


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
) -> Iterator[Row]:
    """One row for each protocol that was asked."""
    for name in before:
        was, now = before[name] or {}, after[name] or {}
        yield Row(
            identity, name, was.get("psnr"), now.get("psnr"), was.get("ssim"), now.get("ssim")
        )
