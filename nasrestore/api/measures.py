"""What ``evaluate`` measures of a run: images or clips, with LPIPS and warping errors where wanted."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nasrestore.api.phases import Options
from nasrestore.api.run import OpenRun

if TYPE_CHECKING:
    from nasrestore.engine.evaluation import Evaluation
    from nasrestore.engine.model import RestorationModel
    from nasrestore.engine.perception import Perception
    from nasrestore.engine.steadiness import Steadiness

SHOWN_IMAGES = 4
Shown = tuple[str, Any, Any, Any]  # identity; degraded, restored (None: not kept) and clean pixels


@dataclass(frozen=True)
class Measured:
    """The figures of a set of images or clips.

    Attributes:
        shown: the first images, or the middle frames of the first clips, for people to look at.
        steady: the warping errors of clips; empty where they were not measured.
    """

    evaluation: Evaluation
    shown: list[Shown]
    steady: dict[str, Any] = field(default_factory=dict)


def measure(
    opened: OpenRun,
    model: RestorationModel,
    images: Any,
    protocols: Sequence[str],
    perception: Perception | None,
    options: Options,
) -> Measured:
    """Restores and measures an ``ImageSet`` or, where the network reads clips, a ``ClipSet``.

    Raises:
        NasRestoreError: images too small for LPIPS; clips too short for a protocol; as the engine's ``evaluate_pairs`` and
            ``evaluate_sequences``.
    """
    spec = opened.prepared.recipe.evaluate
    limit = None if spec is None else spec.limit
    names = images.identities if model.frames is None else images.names
    sizes = list(itertools.islice(zip(names, images.sizes, strict=True), limit))
    if perception is not None:
        from nasrestore.engine.perception import check_sizes

        check_sizes(sizes)
    if model.frames is None:
        return _measure_images(model, images, protocols, limit, perception, options)
    from nasrestore.engine.evaluate_sequences import check_lengths

    lengths = itertools.islice(zip(names, images.lengths, strict=True), limit)
    check_lengths(lengths, protocols)
    smallest = min(min(size) for _, size in sizes)
    steadiness = _steadiness(opened, model, smallest, perception is not None, options)
    return _measure_clips(model, images, protocols, limit, perception, steadiness, options)


def _steadiness(
    opened: OpenRun, model: RestorationModel, smallest: int, has_lpips: bool, options: Options
) -> Steadiness | None:
    """What measures warping errors, where a RAFT is named and frames are large enough.

    Where it is not, and there is no LPIPS either, temporal consistency is not measured: said aloud.
    """
    from nasrestore.engine.steadiness import Steadiness
    from nasrestore.ops.flow import NO_FLOW, SMALLEST_SIDE, OpticalFlow

    flow, tell = opened.prepared.recipe.data.flow, options.observer.message
    named = flow.model != NO_FLOW
    if named and smallest >= SMALLEST_SIDE:
        return Steadiness(OpticalFlow(flow.model, flow.weights).between, model.restorer.device)
    if named:
        tell(
            f"frames below {SMALLEST_SIDE} pixels have no optical flow: warping errors are left out"
        )
    if not has_lpips:
        other = (
            "larger frames" if named else "data.flow.model=raft_small (where its space reads flow)"
        )
        tell(
            "temporal consistency is not measured: evaluate.lpips.heads=FILE (or --lpips-heads FILE) "
            f"would give tLPIPS, {other} the warping error"
        )
    return None


def _measure_images(
    model: RestorationModel,
    images: Any,
    protocols: Sequence[str],
    limit: int | None,
    perception: Perception | None,
    options: Options,
) -> Measured:
    from nasrestore.data.whole import full_pairs
    from nasrestore.engine.evaluate import evaluate_pairs

    shown: list[Shown] = []
    total = len(images) if limit is None else min(limit, len(images))
    progress = _progress(options, total)

    def seen() -> Iterator[tuple[str, Any, Any]]:
        for identity, degraded, target in itertools.islice(full_pairs(images), total):
            progress()
            if len(shown) < SHOWN_IMAGES:
                shown.append((identity, degraded, None, target))
            yield identity, degraded, target

    restore = model.restorer.unquantised
    return Measured(evaluate_pairs(restore, seen(), protocols, perception), shown)


def _measure_clips(
    model: RestorationModel,
    clips: Any,
    protocols: Sequence[str],
    limit: int | None,
    perception: Perception | None,
    steadiness: Steadiness | None,
    options: Options,
) -> Measured:
    import torch

    from nasrestore.data.images import from_tensor
    from nasrestore.data.whole import full_clips
    from nasrestore.engine.evaluate_sequences import evaluate_sequences

    shown: list[Shown] = []
    lengths = dict(itertools.islice(zip(clips.names, clips.lengths, strict=True), limit))
    progress = _progress(options, sum(lengths.values()))

    def frame_done(name: str, number: int, rainy: Any, restored: Any, clean: Any) -> None:
        progress()
        if steadiness is not None:
            steadiness.frame(name, rainy, restored, clean)
        if number == lengths[name] // 2 and len(shown) < SHOWN_IMAGES:
            pixels = from_tensor(torch.from_numpy(restored).permute(2, 0, 1))
            shown.append((f"{name}/{number + 1}", rainy, pixels, clean))

    whole = itertools.islice(full_clips(clips), limit)
    restore = model.restorer.unquantised_stream
    evaluation = evaluate_sequences(restore, whole, protocols, frame_done, perception)
    return Measured(evaluation, shown, {} if steadiness is None else steadiness.summary())


def _progress(options: Options, total: int) -> Callable[[], None]:
    """Tells the observer, where it wants to hear, of one more of so many."""
    loading = getattr(options.observer, "loading", None)
    done = itertools.count(1)

    def one_more() -> None:
        if loading is not None:
            loading("measured", next(done), total)

    return one_more
