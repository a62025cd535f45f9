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
    from nasrestore.engine.steadiness import Steadiness

SHOWN_IMAGES = 4
Shown = tuple[str, Any, Any, Any]  # identity; degraded, restored (None: not kept) and clean pixels
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
    from nasrestore.assemble.clips import optical_flow
    from nasrestore.assemble.network import device_named
    from nasrestore.engine.model import RestorationModel

    network, origin = finished_network(opened, tell)
    place = device_named(device or opened.prepared.recipe.device)
    description = f"{opened.prepared.recipe.recipe}, {origin}"
    spec = opened.prepared.recipe.restore
    flow = optical_flow(opened.prepared.recipe, opened.derived)
    if flow is not None and flow.note is not None:
        tell(flow.note)
    return RestorationModel(
        network,
        device=place,
        precision=precision or "fp32",
        tile=tile if tile is not None or spec is None else spec.tile,
        overlap=32 if spec is None else spec.overlap,
        description=description,
        flow=None if flow is None else flow.of,
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
    steadiness = _steadiness(opened, model, images, options)
    if model.frames is None:
        evaluation, pictures = _measure_images(model, images, names, limit, options)
    else:
        evaluation, pictures = _measure_clips(model, images, names, limit, options, steadiness)
    steady = {} if steadiness is None else steadiness.summary()
    accepted = split == "test" and opened.prepared.recipe.data.overlap == "accepted"
    overlap = {"overlap": "accepted"} if accepted else {}
    summaries = tuple(
        {"data": data, "split": split, **evaluation.summary(name), **steady, **overlap}
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


def _steadiness(
    opened: OpenRun, model: RestorationModel, images: Any, options: Options
) -> Steadiness | None:
    """What measures warping errors, where a RAFT is named; None, said aloud, where not."""
    if model.frames is None:
        return None
    from nasrestore.engine.steadiness import Steadiness
    from nasrestore.ops.flow import NO_FLOW, SMALLEST_SIDE, OpticalFlow

    flow = opened.prepared.recipe.data.flow
    if flow.model == NO_FLOW:
        options.observer.message("no optical flow in the recipe: warping errors are left out")
        return None
    if min(min(size) for size in images.sizes) < SMALLEST_SIDE:
        options.observer.message(
            f"frames below {SMALLEST_SIDE} pixels have no optical flow: warping errors are left out"
        )
        return None
    found = OpticalFlow(flow.model, flow.weights)
    return Steadiness(found.between, model.restorer.device)


def _measure_images(
    model: RestorationModel,
    images: Any,
    names: Sequence[str],
    limit: int | None,
    options: Options,
) -> tuple[Evaluation, list[Shown]]:
    """The figures of an image set, and the first images for people to look at."""
    from nasrestore.data.patches import full_pairs
    from nasrestore.engine.evaluate import evaluate_pairs

    shown: list[Shown] = []
    loading = getattr(options.observer, "loading", None)
    total = len(images) if limit is None else min(limit, len(images))

    def seen() -> Any:
        for index, (identity, degraded, target) in enumerate(full_pairs(images)):
            if index >= total:
                return
            if loading is not None:
                loading("measured", index + 1, total)
            if len(shown) < SHOWN_IMAGES:
                shown.append((identity, degraded, None, target))
            yield identity, degraded, target

    return evaluate_pairs(model.restorer.unquantised, seen(), names), shown


def _measure_clips(
    model: RestorationModel,
    clips: Any,
    names: Sequence[str],
    limit: int | None,
    options: Options,
    steadiness: Steadiness | None,
) -> tuple[Evaluation, list[Shown]]:
    """The figures of a set of clips, and the middle frames of the first ones."""
    import itertools

    import torch

    from nasrestore.data.clipset import full_clips
    from nasrestore.data.images import from_tensor
    from nasrestore.engine.evaluate_sequences import evaluate_sequences

    shown: list[Shown] = []
    lengths = dict(itertools.islice(zip(clips.names, clips.lengths, strict=True), limit))
    loading = getattr(options.observer, "loading", None)
    done = itertools.count(1)

    def frame_done(name: str, number: int, rainy: Any, restored: Any, clean: Any) -> None:
        if loading is not None:
            loading("measured", next(done), sum(lengths.values()))
        if steadiness is not None:
            steadiness.frame(name, rainy, restored, clean)
        if number == lengths[name] // 2 and len(shown) < SHOWN_IMAGES:
            pixels = from_tensor(torch.from_numpy(restored).permute(2, 0, 1))
            shown.append((f"{name}/{number + 1}", rainy, pixels, clean))

    whole = itertools.islice(full_clips(clips), limit)
    restore = model.restorer.unquantised_stream
    return evaluate_sequences(restore, whole, names, frame_done), shown


def evaluate_folders(
    restored: Path,
    clean: Path,
    *,
    protocols: Sequence[str],
    rainy: Path | None = None,
    csv: Path | None = None,
    sequences: bool = False,
) -> EvaluateResult:
    """Measures anybody's results against clean images, paired by name.

    Args:
        sequences: the folders hold clips, folders of frames or videos: means are taken of each first,
            and the protocol says which frames count.

    Raises:
        NasRestoreError: a folder is missing, images without a partner, an unknown protocol.
    """
    if sequences:
        from nasrestore.engine.evaluate_sequences import evaluate_sequence_folders as measure
    else:
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
    from nasrestore.data.clip_layouts import open_clip_folders
    from nasrestore.data.clipset import ClipSet
    from nasrestore.data.imageset import ImageSet
    from nasrestore.data.layouts import open_pairs

    if (rainy is None) != (clean is None):
        raise NasRestoreError(
            "--rainy and --clean belong together", hint="two folders, the same file names"
        )
    recipe, graph = opened.prepared.recipe, opened.derived
    if rainy is not None and clean is not None and graph.frames is not None:
        clips = ClipSet.from_pairs(
            open_clip_folders(rainy, clean), limit_bytes=int(recipe.data.memory * 2**30)
        )
        return str(rainy), "given", clips
    if rainy is not None and clean is not None:
        return str(rainy), "given", ImageSet.from_pairs(open_pairs(rainy=rainy, clean=clean))
    loading = getattr(options.observer, "loading", None)
    splits = open_splits(recipe, torch.device("cpu"), loading, graph)
    return splits.test_name, "test", splits.test


def _pictures(
    folder: RunFolder,
    evaluation: Evaluation,
    shown: list[Shown],
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
