"""What evaluations measure, as tables call it: for the page of a run and for the command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Summary = Mapping[str, Any]  # of one data set under one protocol, as result.json has it


@dataclass(frozen=True)
class Measure:
    """A measure that summaries have as ``KEY_before`` and ``KEY_after``.

    Attributes:
        places: decimals that are shown.
    """

    key: str
    name: str
    places: int
    unit: str = ""

    def of(self, row: Summary) -> tuple[Any, Any]:
        """Before and after; None where it was not measured."""
        return row.get(f"{self.key}_before"), row.get(f"{self.key}_after")


FIDELITY = (Measure("psnr", "PSNR", 2, "dB"), Measure("ssim", "SSIM", 4))
PERCEPTUAL = (Measure("lpips", "LPIPS", 4), Measure("tlpips", "tLPIPS", 5))
WARPING = Measure("warping", "warping error", 6)


def present(rows: Sequence[Summary], measures: Iterable[Measure]) -> list[Measure]:
    """The measures that any of the rows has."""
    return [measure for measure in measures if any(f"{measure.key}_after" in row for row in rows)]


def which_lpips(rows: Iterable[Summary]) -> list[str]:
    """Which LPIPS the figures of rows are, and by whose weights: a sentence for each."""
    named = (row for row in rows if "lpips" in row)
    return list(dict.fromkeys(map(_lpips_of, named)))


def _lpips_of(row: Summary) -> str:
    weights = ", ".join(f"{part} {digest}" for part, digest in row["lpips_weights"].items())
    return f"{row['lpips']}, weights {weights}: lower is nearer to the clean images"


def measured_how(rows: Iterable[Summary]) -> list[str]:
    """With which tiles and precision and on what networks ran; whose, where rows differ."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if "conditions" in row:
            found.setdefault(_conditions(row["conditions"]), []).append(
                f"{row['data']}, {row['protocol']}"
            )
    if len(found) == 1:
        return [f"Measured {how}" for how in found]
    return [f"Measured {how}: {'; '.join(whose)}" for how, whose in found.items()]


def _conditions(how: Mapping[str, Any]) -> str:
    flow = f", optical flow at {how['flow']}" if "flow" in how else ""
    side = how["tile"]
    return (
        f"in {how['precision']} on {how['device']}{flow}, images above {side}x{side} pixels in tiles "
        f"(overlap {how['overlap']})"
    )
