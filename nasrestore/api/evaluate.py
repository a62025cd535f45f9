"""Measuring: a run's network on images that nothing was decided by, or anybody's results."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrestore.api.phases import Options
from nasrestore.api.run import OpenRun, RunLike, Tell, finished_network, open_recipe
from nasrestore.errors import NasRestoreError
from nasrestore.runtime.runfolder import RunFolder, disk_errors, read_result, update_result

if TYPE_CHECKING:
    from nasrestore.engine.evaluate import Evaluation
    from nasrestore.engine.model import RestorationModel

SHOWN_IMAGES = 4
TOP_LEVEL = ("protocol", "psnr_before", "psnr_after", "ssim_before", "ssim_after")


@dataclass(frozen=True)
class EvaluateResult:
    """What was measured.

    Attributes:
        summaries: one for each protocol, the recipe's first one first.
        csv: the file with a row for each image and protocol.
    """

    run: RunFolder | None
    evaluation: Evaluation
    summaries: tuple[dict[str, Any], ...]
    csv: Path | None


def load(
    run: RunLike = None,
    *,
    device: str | None = None,
    precision: str | None = None,
    tile: int | None = None,
) -> RestorationModel:
    """The derived network of a run, ready to restore.

    Args:
        precision: ``fp32`` or ``bf16``; default fp32.

    Raises:
        NasRestoreError: the run has no derived network yet.
    """
    return _model(open_recipe(run), device, precision, tile, lambda text: None)


def _model(
    opened: OpenRun, device: str | None, precision: str | None, tile: int | None, tell: Tell
) -> RestorationModel:
    opened.derived  # noqa: B018  says that nothing is decided yet, before torch is imported
    from nasrestore.assemble.network import device_named
    from nasrestore.engine.model import RestorationModel

    network, origin = finished_network(opened, tell)
    place = device_named(device or opened.prepared.recipe.device)
    description = f"{opened.prepared.recipe.recipe}, {origin}"
    spec = opened.prepared.recipe.restore
    return RestorationModel(
        network,
        device=place,
        precision=precision or "fp32",
        tile=tile if tile is not None or spec is None else spec.tile,
        overlap=32 if spec is None else spec.overlap,
        description=description,
    )


def evaluate(
    run: RunLike = None,
    *,
    options: Options,
    protocols: Sequence[str] = (),
    rainy: Path | None = None,
    clean: Path | None = None,
    device: str | None = None,
    precision: str | None = None,
) -> EvaluateResult:
    """Measures a run's network on the recipe's test images, or on two folders of pairs.

    Raises:
        NasRestoreError: nothing is derived yet, an unknown protocol, or unusable images.
    """
    opened = open_recipe(run)
    opened.derived  # noqa: B018  says that nothing is decided yet, before torch is imported
    with opened.folder.locked():
        return _evaluate(opened, options, protocols, rainy, clean, device, precision)


def _evaluate(
    opened: OpenRun,
    options: Options,
    protocols: Sequence[str],
    rainy: Path | None,
    clean: Path | None,
    device: str | None,
    precision: str | None,
) -> EvaluateResult:
    from nasrestore.data.patches import full_pairs
    from nasrestore.engine.evaluate import evaluate_pairs
    from nasrestore.metrics.protocol import protocol
    from nasrestore.runtime.determinism import environment

    names = list(protocols) or _protocols(opened)
    for name in names:
        protocol(name)
    model = _model(opened, device, precision, None, options.observer.message)
    data, split, images = _images(opened, rainy, clean, options)
    limit = (
        None if opened.prepared.recipe.evaluate is None else opened.prepared.recipe.evaluate.limit
    )
    pictures: list[tuple[str, Any, Any, Any]] = []

    def pairs() -> Any:
        total = len(images) if limit is None else min(limit, len(images))
        for index, item in enumerate(full_pairs(images)):
            if index >= total:
                return
            loading = getattr(options.observer, "loading", None)
            if loading is not None:
                loading("measured", index + 1, total)
            yield item

    def restore(pixels: Any) -> Any:
        return model.restorer.unquantised(pixels)

    def seen() -> Any:
        for identity, degraded, target in pairs():
            if len(pictures) < SHOWN_IMAGES:
                pictures.append((identity, degraded, None, target))
            yield identity, degraded, target

    evaluation = evaluate_pairs(restore, seen(), names)
    accepted = split == "test" and opened.prepared.recipe.data.overlap == "accepted"
    overlap = {"overlap": "accepted"} if accepted else {}
    summaries = tuple(
        {"data": data, "split": split, **evaluation.summary(name), **overlap}
        for name in evaluation.protocols
    )
    folder = opened.folder
    label = split if split == "test" else f"given-{_slug(data)}"
    subset = f"-{'-'.join(names)}" if protocols else ""
    csv = folder.path / f"evaluation-{label}{subset}.csv"
    evaluation.write_csv(csv)
    earlier = [
        row
        for row in read_result(folder).get("evaluations", [])
        if (row["data"], row["split"]) != (data, split) or row["protocol"] not in names
    ]
    note = {"environment": environment(), "weights": model.description}
    sections: dict[str, Any] = {"evaluations": [*earlier, *({**s, **note} for s in summaries)]}
    if split == "test":
        sections |= {key: summaries[0][key] for key in TOP_LEVEL}
    update_result(folder, **sections)
    _pictures(folder, evaluation, pictures, model, label)
    return EvaluateResult(folder, evaluation, summaries, csv)


def evaluate_folders(
    restored: Path,
    clean: Path,
    *,
    protocols: Sequence[str],
    rainy: Path | None = None,
    csv: Path | None = None,
) -> EvaluateResult:
    """Measures anybody's results against clean images, paired by name.

    Raises:
        NasRestoreError: a folder is missing, images without a partner, an unknown protocol.
    """
    from nasrestore.engine.evaluate import evaluate_folders as measure

    evaluation = measure(restored, clean, list(protocols) or ["prenet"], rainy)
    summaries = tuple(
        {"data": str(clean), "split": "given", **evaluation.summary(name)}
        for name in evaluation.protocols
    )
    if csv is not None:
        evaluation.write_csv(csv)
    return EvaluateResult(None, evaluation, summaries, csv)


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")[-40:]


def _protocols(opened: OpenRun) -> list[str]:
    spec = opened.prepared.recipe.evaluate
    return ["prenet"] if spec is None else list(spec.protocols)


def _images(opened: OpenRun, rainy: Path | None, clean: Path | None, options: Options) -> Any:
    """(name of the data, split, images)."""
    import torch

    from nasrestore.assemble.data import open_splits
    from nasrestore.data.imageset import ImageSet
    from nasrestore.data.layouts import open_pairs

    if (rainy is None) != (clean is None):
        raise NasRestoreError(
            "--rainy and --clean belong together", hint="two folders, the same file names"
        )
    if rainy is not None and clean is not None:
        return str(rainy), "given", ImageSet.from_pairs(open_pairs(rainy=rainy, clean=clean))
    loading = getattr(options.observer, "loading", None)
    splits = open_splits(opened.prepared.recipe, torch.device("cpu"), loading)
    return splits.test_name, "test", splits.test


def _pictures(
    folder: RunFolder,
    evaluation: Evaluation,
    shown: list[tuple[str, Any, Any, Any]],
    model: RestorationModel,
    split: str,
) -> None:
    """The first images as files of their own, and before, after and clean side by side."""
    from nasrestore.data.images import write_image
    from nasrestore.report.images import comparison

    with disk_errors(folder.pictures):
        (folder.pictures / split).mkdir(parents=True, exist_ok=True)
    first = evaluation.protocols[0]
    rows = [row for row in evaluation.rows if row.protocol == first]
    sheet = []
    for row, (identity, degraded, _, target) in zip(rows, shown, strict=False):
        restored = model.restore(degraded)
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
