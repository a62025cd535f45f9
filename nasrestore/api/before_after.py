"""Pictures of an evaluation: its first images before and after, beside the clean ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nasrestore.api.measures import Shown
from nasrestore.runtime.runfolder import RunFolder, disk_errors

if TYPE_CHECKING:
    from nasrestore.engine.evaluation import Evaluation
    from nasrestore.engine.model import RestorationModel


def write_pictures(
    folder: RunFolder,
    evaluation: Evaluation,
    shown: list[Shown],
    model: RestorationModel,
    split: str,
) -> None:
    """The first images as files of their own, and before, after and clean side by side.

    Args:
        split: names the folder and the sheet.
    """
    from nasrestore.data.images import write_image
    from nasrestore.report.images import comparison

    with disk_errors(folder.pictures):
        (folder.pictures / split).mkdir(parents=True, exist_ok=True)
    first = evaluation.protocols[0]
    rows = [row for row in evaluation.rows if row.protocol == first]
    if evaluation.sequences:
        by_frame = {row.identity: row for row in rows}
        shown = [one for one in shown if one[0] in by_frame]
        rows = [by_frame[one[0]] for one in shown]
    sheet = []
    for row, (identity, degraded, kept, target) in zip(rows, shown, strict=False):
        restored = model.restore(degraded) if kept is None else kept
        before, after = (
            f"{psnr:.2f} dB, {ssim:.4f}"
            for psnr, ssim in ((row.psnr_before, row.ssim_before), (row.psnr_after, row.ssim_after))
        )
        name = f"{len(sheet) + 1}-{identity.replace('/', '-')}"
        for part, pixels in (("rainy", degraded), ("restored", restored), ("clean", target)):
            write_image(folder.pictures / split / f"{name}-{part}.png", pixels)
        panels = [(f"before: {before}", degraded), (f"after: {after}", restored), ("clean", target)]
        sheet.append((f"{identity} ({first})", panels))
    comparison(folder.pictures / f"{split}.png", sheet)
