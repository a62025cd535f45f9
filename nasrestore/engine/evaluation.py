"""What an evaluation found: a row for each image and protocol, and their means.

PSNR is in dB and infinite for equal images; a mean over images that holds one is infinite too.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from nasrestore.metrics.protocol import sequence_summary
from nasrestore.runtime.checkpoint import write_atomic
from nasrestore.runtime.runlog import json_safe

COLUMNS = ("psnr_before", "psnr_after", "ssim_before", "ssim_after")
LPIPS_COLUMNS = ("lpips_before", "lpips_after")
TLPIPS_COLUMNS = ("tlpips_before", "tlpips_after")


@dataclass(frozen=True, slots=True)
class Row:
    """One image under one protocol; None where nothing was measured.

    A frame's tLPIPS is that of its pair with the frame before, where that counts, too.
    """

    identity: str
    protocol: str
    psnr_before: float | None
    psnr_after: float | None
    ssim_before: float | None
    ssim_after: float | None
    lpips_before: float | None = None
    lpips_after: float | None = None
    tlpips_before: float | None = None
    tlpips_after: float | None = None


@dataclass(frozen=True)
class Evaluation:
    """The rows of an evaluation, image by image, each image under every protocol.

    Attributes:
        sequences: images are frames, ``SEQUENCE/FRAME``: means are taken of each sequence first.
        asked: the protocols in their order, where it is not that of the rows, since not every
            protocol counts the first frame.
        lpips: which one was measured, as ``Perception.facts`` says; None where none was.
    """

    rows: tuple[Row, ...]
    sequences: bool = False
    asked: tuple[str, ...] = ()
    lpips: Mapping[str, Any] | None = None

    @property
    def protocols(self) -> tuple[str, ...]:
        return self.asked or tuple(dict.fromkeys(row.protocol for row in self.rows))

    @property
    def columns(self) -> tuple[str, ...]:
        """The figures that rows and summaries have: four, and with LPIPS its own."""
        if self.lpips is None:
            return COLUMNS
        return (*COLUMNS, *LPIPS_COLUMNS, *(TLPIPS_COLUMNS if self.sequences else ()))

    def summary(self, protocol: str) -> dict[str, Any]:
        """The means under one protocol: ``protocol``, ``images``, the columns, and which LPIPS.

        A column that was not measured is None. Of sequences there is their number, too, and each
        counts the same, whatever its length. Raises ValueError for a protocol without rows.
        """
        rows = [row for row in self.rows if row.protocol == protocol]
        if not rows:
            raise ValueError(f"nothing was measured under {protocol!r}: {self.protocols}")
        if self.sequences:
            means = _sequence_means(rows, self.columns)
        else:
            columns = {name: _mean([getattr(row, name) for row in rows]) for name in self.columns}
            means = {"images": len(rows), **columns}
        return {"protocol": protocol, **means, **(self.lpips or {})}

    def as_dict(self) -> dict[str, Any]:
        """``summaries`` and ``rows`` for strict JSON: an infinite value is the text ``inf``."""
        summaries = [self.summary(name) for name in self.protocols]
        keys = ("identity", "protocol", *self.columns)
        rows = [{key: getattr(row, key) for key in keys} for row in self.rows]
        plain: dict[str, Any] = json_safe({"summaries": summaries, "rows": rows})
        return plain

    def write_csv(self, path: Path) -> None:
        """Writes one line per image and protocol below a header; not measured is empty.

        Raises:
            NasRestoreError: the file cannot be written.
        """
        which = {} if self.lpips is None else {"lpips": self.lpips["lpips"]}
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["identity", "protocol", *self.columns, *which])
        for row in self.rows:
            figures = [getattr(row, column) for column in self.columns]
            shown = ["" if figure is None else f"{figure:.6f}" for figure in figures]
            writer.writerow([row.identity, row.protocol, *shown, *which.values()])
        write_atomic(Path(path), text.getvalue())


def _sequence_means(rows: Sequence[Row], columns: Iterable[str]) -> dict[str, Any]:
    sequences: dict[str, list[Row]] = {}
    for row in rows:
        sequences.setdefault(row.identity.rpartition("/")[0], []).append(row)
    means = {column: _mean_of_sequences(sequences.values(), column) for column in columns}
    return {"sequences": len(sequences), "images": len(rows), **means}


def _mean_of_sequences(sequences: Iterable[Sequence[Row]], column: str) -> float | None:
    """The mean over sequences of their means, of those that have any figure."""
    known = [
        [{column: figure} for row in rows if (figure := getattr(row, column)) is not None]
        for rows in sequences
    ]
    measured = [figures for figures in known if figures]
    return sequence_summary(measured)[column] if measured else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
