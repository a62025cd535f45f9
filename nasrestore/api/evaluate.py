"""Measuring: a run's network on images that nothing was decided by, or anybody's results."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrestore.api.before_after import write_pictures
from nasrestore.api.measures import Measured, measure
from nasrestore.api.phases import Options
from nasrestore.api.run import OpenRun, RunLike, Tell, open_recipe
from nasrestore.api.weights import finished_network
from nasrestore.assemble.lpips import GivenLpips, LpipsFiles, lpips_files, open_perception
from nasrestore.errors import NasRestoreError
from nasrestore.runtime.runfolder import RunFolder, read_result, update_result

if TYPE_CHECKING:
    from nasrestore.engine.evaluation import Evaluation
    from nasrestore.engine.model import RestorationModel
    from nasrestore.engine.perception import Perception

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
    warn: Tell = warnings.warn,
) -> RestorationModel:
    """The derived network of a run, ready to restore.

    Args:
        precision: ``fp32`` or ``bf16``; default fp32.
        warn: is told of what becomes coarser for want of memory while it restores.

    Raises:
        NasRestoreError: the run has no derived network yet.
    """
    return _model(open_recipe(run), device, precision, tile, lambda text: None, warn)


def _model(
    opened: OpenRun,
    device: str | None,
    precision: str | None,
    tile: int | None,
    tell: Tell,
    warn: Tell,
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
        tell=warn,
    )


@dataclass(frozen=True)
class _Tested:
    """Images that are measured, and how result files call them."""

    data: str
    split: str
    images: Any


def evaluate(
    run: RunLike = None,
    *,
    options: Options,
    protocols: Sequence[str] = (),
    rainy: Path | None = None,
    clean: Path | None = None,
    device: str | None = None,
    precision: str | None = None,
    lpips: GivenLpips = None,
) -> EvaluateResult:
    """Measures a run's network on the recipe's test images, or on two folders of pairs.

    Args:
        lpips: files of weights, ``heads`` and ``alexnet``, in place of the recipe's; False: no LPIPS.

    Raises:
        NasRestoreError: nothing is derived yet, an unknown protocol, unusable images or weights.
    """
    opened = open_recipe(run)
    opened.derived  # noqa: B018  says that nothing is decided yet, before torch is imported
    spec = opened.prepared.recipe.evaluate
    files = lpips_files(spec, lpips)
    names = list(protocols) or (["prenet"] if spec is None else list(spec.protocols))
    tell = options.observer.message
    with opened.folder.locked():
        _check_protocols(names)
        model = _model(opened, device, precision, None, tell, tell)
        perception = open_perception(files, model.restorer.device, tell) if files else None
        tested = _images(opened, rainy, clean, options)
        found = measure(opened, model, tested.images, names, perception, options)
        return _written(opened, model, tested, found, subset=names if protocols else ())


def _check_protocols(names: Sequence[str]) -> None:
    from nasrestore.metrics.protocol import protocol

    for name in names:
        protocol(name)


def _written(
    opened: OpenRun,
    model: RestorationModel,
    tested: _Tested,
    found: Measured,
    subset: Sequence[str],
) -> EvaluateResult:
    """The figures in the run's folder: a row for each image, their means, and pictures.

    Args:
        subset: the protocols, where they are not those of the recipe; the file's name has them.
    """
    folder, evaluation = opened.folder, found.evaluation
    in_test = tested.split == "test"
    accepted = in_test and opened.prepared.recipe.data.overlap == "accepted"
    overlap = {"overlap": "accepted"} if accepted else {}
    named = {"data": tested.data, "split": tested.split}
    conditions = {"conditions": model.restorer.conditions}
    summaries = tuple(
        {**named, **evaluation.summary(name), **found.steady, **overlap, **conditions}
        for name in evaluation.protocols
    )
    label = tested.split if in_test else f"given-{_slug(tested.data)}"
    csv = folder.path / f"evaluation-{'-'.join((label, *subset))}.csv"
    evaluation.write_csv(csv)
    _update_result(folder, model, summaries)
    write_pictures(folder, evaluation, found.shown, model, label)
    return EvaluateResult(folder, evaluation, summaries, csv)


def _update_result(
    folder: RunFolder, model: RestorationModel, summaries: Sequence[dict[str, Any]]
) -> None:
    """Puts the means into ``result.json``, in the place of earlier ones of the same."""
    from nasrestore.runtime.determinism import environment

    def what(row: dict[str, Any]) -> tuple[str, str, str]:
        return row["data"], row["split"], row["protocol"]

    now = {what(row) for row in summaries}
    earlier = [row for row in read_result(folder).get("evaluations", []) if what(row) not in now]
    note = {"environment": environment(), "weights": model.description}
    sections: dict[str, Any] = {"evaluations": [*earlier, *({**s, **note} for s in summaries)]}
    if summaries[0]["split"] == "test":
        sections |= {key: summaries[0][key] for key in TOP_LEVEL}
    update_result(folder, **sections)


def evaluate_folders(
    restored: Path,
    clean: Path,
    *,
    options: Options,
    protocols: Sequence[str],
    rainy: Path | None = None,
    csv: Path | None = None,
    sequences: bool = False,
    lpips: GivenLpips = None,
    device: str | None = None,
) -> EvaluateResult:
    """Measures anybody's results against clean images, paired by name.

    Args:
        sequences: the folders hold clips, folders of frames or videos: means are taken of each first,
            and the protocol says which frames count.
        lpips: files of weights, ``heads`` and ``alexnet``; None: LPIPS is not measured.
        device: where LPIPS is computed; default: a GPU where there is one.

    Raises:
        NasRestoreError: a folder is missing, images without a partner, an unknown protocol, unusable
            weights.
    """
    files = lpips_files(None, lpips)
    tell = options.observer.message
    if sequences:
        from nasrestore.engine.evaluate_sequences import (
            evaluate_sequence_folders as measure_folders,
        )
    else:
        from nasrestore.engine.evaluate import evaluate_folders as measure_folders

    names = list(protocols) or ["prenet"]
    _check_protocols(names)
    if sequences and files is None:
        tell("temporal consistency is not measured: --lpips-heads FILE would give tLPIPS")
    perception = _perception_on(device, files, tell) if files else None
    evaluation = measure_folders(restored, clean, names, rainy, perception)
    summaries = tuple(
        {"data": str(clean), "split": "given", **evaluation.summary(name)}
        for name in evaluation.protocols
    )
    if csv is not None:
        evaluation.write_csv(csv)
    return EvaluateResult(None, evaluation, summaries, csv)


def _perception_on(device: str | None, files: LpipsFiles, tell: Tell) -> Perception:
    from nasrestore.assemble.network import device_named

    return open_perception(files, device_named(device or "auto"), tell)


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")[-40:]


def _images(opened: OpenRun, rainy: Path | None, clean: Path | None, options: Options) -> _Tested:
    """The recipe's test images, or those of two folders."""
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
        return _Tested(str(rainy), "given", clips)
    if rainy is not None and clean is not None:
        pairs = ImageSet.from_pairs(open_pairs(rainy=rainy, clean=clean))
        return _Tested(str(rainy), "given", pairs)
    loading = getattr(options.observer, "loading", None)
    splits = open_splits(recipe, torch.device("cpu"), loading, graph)
    return _Tested(splits.test_name, "test", splits.test)
