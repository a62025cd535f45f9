"""LPIPS and tLPIPS of images and frames that go by, over a backbone whose distance is done by hand."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nasrestore.data.images import to_tensor, write_image
from nasrestore.engine.evaluate import evaluate_folders, evaluate_pairs
from nasrestore.engine.evaluate_sequences import evaluate_sequence_folders, evaluate_sequences
from nasrestore.engine.perception import Perception, check_sizes
from nasrestore.errors import NasRestoreError
from nasrestore.metrics.perceptual import NAME, Lpips
from nasrestore.metrics.temporal import temporal_lpips

HEADS = ((1.0, 0.25, 3.0), (0.5, 2.0))
DIGESTS = {"alexnet": "0123abcd", "heads": "89abcdef"}
SIZE = (32, 36)


def features(image: Tensor) -> list[Tensor]:
    """The colours, shifted, and two of them at half the size."""
    return [image + 3, F.avg_pool2d(image, 2)[:, :2] + 4]


def by_hand(first: np.ndarray, second: np.ndarray) -> float:
    """LPIPS of two images of 8 bits over ``features``, by numpy."""
    total = 0.0
    described = []
    for pixels in (first, second):
        scaled = pixels.astype(np.float64) / 255 * 2 - 1
        standard = (scaled - [-0.030, -0.088, -0.188]) / [0.458, 0.448, 0.450]
        halves = standard.reshape(SIZE[0] // 2, 2, SIZE[1] // 2, 2, 3).mean((1, 3))
        layers = (standard + 3, halves[..., :2] + 4)
        described.append([x / np.linalg.norm(x, axis=2, keepdims=True) for x in layers])
    for weights, a, b in zip(HEADS, *described, strict=True):
        total += float(((a - b) ** 2 @ np.array(weights)).mean())
    return total


@pytest.fixture
def perception() -> Perception:
    return Perception(Lpips(features, [torch.tensor(head) for head in HEADS], DIGESTS))


def image(*seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), np.uint8)


def as_floats(pixels: np.ndarray) -> np.ndarray:
    return pixels.astype(np.float32) / 255


@dataclass
class Clip:
    name: str
    rainy: list[np.ndarray]
    clean: list[np.ndarray]

    @property
    def length(self) -> int:
        return len(self.clean)


def clip(name: str, frames: int) -> Clip:
    seeds = [(number, len(name)) for number in range(frames)]
    return Clip(name, [image(1, *seed) for seed in seeds], [image(2, *seed) for seed in seeds])


def inverted(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Stands in for a restorer."""
    return (1 - as_floats(pixels) for pixels in frames)


def test_images_are_compared_with_the_clean_one(perception: Perception) -> None:
    rainy, restored, clean = image(1), image(2), image(3)
    found = perception.image(rainy, as_floats(restored), clean)
    assert found == {
        "lpips_before": pytest.approx(by_hand(rainy, clean), rel=1e-5),
        "lpips_after": pytest.approx(by_hand(restored, clean), rel=1e-5),
    }
    assert perception.image(None, clean, clean) == {"lpips_after": 0}
    assert perception.facts == {"lpips": NAME, "lpips_weights": DIGESTS}


def test_restored_images_are_rounded_as_a_file_would_be(perception: Perception) -> None:
    clean, restored = image(1), image(2)
    exact = perception.image(None, restored, clean)
    slightly_off = as_floats(restored) + 0.4 / 255
    assert perception.image(None, slightly_off, clean) == exact
    assert perception.image(None, as_floats(clean) + 0.4 / 255, clean) == {"lpips_after": 0}
    deep = clean.astype(np.uint16) * 257
    assert perception.image(deep + 100, None, deep)["lpips_before"] > 0  # files are as they are


def test_frames_that_go_by_give_what_the_whole_clip_does(perception: Perception) -> None:
    made = clip("a", 4)
    restored = list(inverted(made.rainy))
    figures = [
        perception.frame("a", t, made.rainy[t], restored[t], made.clean[t]) for t in range(4)
    ]
    assert set(figures[0]) == {"lpips_before", "lpips_after"}
    clean = torch.stack([to_tensor(frame) for frame in made.clean])
    whole = {
        "before": torch.stack([to_tensor(frame) for frame in made.rainy]),
        "after": torch.stack([to_tensor(255 - frame) for frame in made.rainy]),
    }
    distance = Lpips(features, [torch.tensor(head) for head in HEADS])
    for kind, frames in whole.items():
        expected = temporal_lpips(distance, frames, clean).item()
        mean = np.mean([figure[f"tlpips_{kind}"] for figure in figures[1:]])
        assert mean == pytest.approx(expected, rel=1e-5) and expected > 0
    by_numpy = abs(by_hand(made.rainy[1], made.rainy[0]) - by_hand(made.clean[1], made.clean[0]))
    assert figures[1]["tlpips_before"] == pytest.approx(by_numpy, rel=1e-4)


def test_a_clip_restored_to_the_clean_one_changes_as_it_does(perception: Perception) -> None:
    for number in range(3):
        found = perception.frame("a", number, image(number), image(7, number), image(7, number))
        assert found["lpips_after"] == 0 and found["lpips_before"] > 0
        assert (number == 0) != (found.get("tlpips_after") == 0)


def test_only_consecutive_frames_of_one_clip_are_a_pair(perception: Perception) -> None:
    def is_pair(name: str, number: int) -> bool:
        found = perception.frame(name, number, None, image(1), image(2))
        assert not any("before" in key for key in found)
        return "tlpips_after" in found

    pairs = [is_pair(*place) for place in [("a", 0), ("a", 1), ("a", 3), ("b", 4), ("b", 5)]]
    assert pairs == [False, True, False, False, True]


def test_images_that_are_too_small_are_named_at_once() -> None:
    check_sizes([("a", (31, 400))])
    sizes = [("a", (30, 40)), ("b", (31, 31)), *[(f"c{n}", (9, 99)) for n in range(3)]]
    with pytest.raises(NasRestoreError) as error:
        check_sizes(sizes)
    expected = r"needs 31x31 .* 4 of 5 are smaller: a 30x40, c0 9x99, c1 9x99 and 1 more"
    assert error.match(expected) and "--no-lpips" in str(error.value.hint)


# -- in evaluations --------------------------------------------------------------------------


def test_every_image_has_its_figures(perception: Perception, tmp_path: Path) -> None:
    pairs = [(name, image(n), image(n + 10)) for n, name in enumerate("ab")]
    evaluation = evaluate_pairs(
        lambda rainy: 1 - as_floats(rainy), pairs, ["rgb", "prenet"], perception
    )
    for row, (_, rainy, clean) in zip(evaluation.rows[::2], pairs, strict=True):
        assert row.lpips_before == pytest.approx(by_hand(rainy, clean), rel=1e-5)
        assert row.lpips_after == pytest.approx(by_hand(255 - rainy, clean), rel=1e-5)
    summary = evaluation.summary("prenet")
    assert summary["lpips_after"] == pytest.approx(
        np.mean([row.lpips_after for row in evaluation.rows[::2]])
    )
    assert summary["lpips"] == NAME and summary["lpips_weights"] == DIGESTS
    assert "tlpips_after" not in summary and "tlpips_after" not in evaluation.as_dict()["rows"][0]
    evaluation.write_csv(tmp_path / "rows.csv")
    lines = list(csv.DictReader((tmp_path / "rows.csv").read_text().splitlines()))
    assert [line["lpips_after"] for line in lines] == [
        f"{row.lpips_after:.6f}" for row in evaluation.rows
    ]
    assert {line["lpips"] for line in lines} == {NAME}


def test_folders_give_what_pairs_give(perception: Perception, tmp_path: Path) -> None:
    for name in "ab":
        for part, seed in (("restored", 1), ("rainy", 2), ("clean", 3)):
            write_image(tmp_path / part / f"{name}.png", image(seed, ord(name)))
    folders = [tmp_path / part for part in ("restored", "clean")]
    found = evaluate_folders(*folders, ["rgb"], tmp_path / "rainy", perception)
    outputs = iter(image(1, ord(name)) for name in "ab")
    pairs = [(name, image(2, ord(name)), image(3, ord(name))) for name in "ab"]
    assert found == evaluate_pairs(lambda rainy: next(outputs), pairs, ["rgb"], perception)
    alone = evaluate_folders(*folders, ["rgb"], None, perception).summary("rgb")
    assert alone["lpips_before"] is None and alone["lpips_after"] > 0
    write_image(tmp_path / "restored" / "a.png", image(1)[:30])
    with pytest.raises(NasRestoreError, match="1 of 2 are smaller: a 30x36"):
        evaluate_folders(*folders, ["rgb"], None, perception)


def test_frames_count_as_the_protocol_says(perception: Perception) -> None:
    evaluation = evaluate_sequences(inverted, [clip("a", 7)], ["tmics", "rgb"], None, perception)
    rows = {name: [r for r in evaluation.rows if r.protocol == name] for name in ("tmics", "rgb")}
    assert [row.identity for row in rows["tmics"]] == ["a/3", "a/4", "a/5"]
    for kind in ("before", "after"):
        both = {name: [getattr(r, f"tlpips_{kind}") for r in rows[name]] for name in rows}
        assert both["tmics"][0] is None and both["rgb"][0] is None
        assert (
            both["tmics"][1:] == both["rgb"][3:5]
        )  # the pair of frames 2 and 3 counts in rgb alone
        assert both["rgb"][2] is not None
        for name in rows:
            expected = np.mean([figure for figure in both[name] if figure is not None])
            assert evaluation.summary(name)[f"tlpips_{kind}"] == pytest.approx(expected)


def test_each_clip_counts_the_same_whatever_its_length(perception: Perception) -> None:
    clips = [clip("a", 3), clip("bb", 2), clip("ccc", 1)]
    evaluation = evaluate_sequences(inverted, clips, ["rgb"], None, perception)
    a, b = (
        [r.tlpips_after for r in evaluation.rows if r.identity.startswith(name) and r.tlpips_after]
        for name in ("a/", "bb/")
    )
    assert (len(a), len(b)) == (2, 1)
    summary = evaluation.summary("rgb")
    assert summary["tlpips_after"] == pytest.approx((np.mean(a) + b[0]) / 2)
    still = evaluate_sequences(inverted, [clip("ccc", 1)], ["rgb"], None, perception)
    assert still.summary("rgb")["tlpips_after"] is None


def test_folders_of_clips_give_what_streams_give(perception: Perception, tmp_path: Path) -> None:
    made = clip("a", 3)
    for number in range(3):
        for part, frame in (
            ("restored", 255 - made.rainy[number]),
            ("rainy", made.rainy[number]),
            ("clean", made.clean[number]),
        ):
            write_image(tmp_path / part / "a" / f"{number}.png", frame)
    found = evaluate_sequence_folders(
        tmp_path / "restored", tmp_path / "clean", ["rgb"], tmp_path / "rainy", perception
    )
    assert found == evaluate_sequences(inverted, [made], ["rgb"], None, perception)
