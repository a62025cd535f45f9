"""Sequences measured frame by frame, against figures by hand."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nasrestore.data.images import write_image
from nasrestore.engine.evaluate import evaluate_folders
from nasrestore.engine.evaluate_sequences import (
    check_lengths,
    evaluate_sequence_folders,
    evaluate_sequences,
)
from nasrestore.engine.restore import Restorer
from nasrestore.errors import NasRestoreError


@dataclass
class Clip:
    name: str
    rainy: list[np.ndarray]
    clean: list[np.ndarray]

    @property
    def length(self) -> int:
        return len(self.clean)


def grey(value: float, size: tuple[int, int] = (16, 16)) -> np.ndarray:
    return np.full((*size, 3), value, np.uint8)


def off_by(errors: Iterable[int], name: str = "a") -> Clip:
    """A grey clip whose rainy frames are too bright by so much each."""
    errors = list(errors)
    return Clip(name, [grey(100 + error) for error in errors], [grey(100) for _ in errors])


def decibels(error: float) -> float:
    return 20 * math.log10(255 / error)


def halved(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Takes half of the error away."""
    for pixels in frames:
        yield (100 + (pixels.astype(np.float32) - 100) / 2) / 255


def test_each_sequence_counts_the_same_whatever_its_length() -> None:
    clips = [off_by([10, 20, 40], "long"), off_by([4], "short")]
    evaluation = evaluate_sequences(halved, clips, ["rgb"])
    assert [row.identity for row in evaluation.rows] == ["long/1", "long/2", "long/3", "short/1"]
    summary = evaluation.summary("rgb")
    assert (summary["sequences"], summary["images"]) == (2, 4)
    first = np.mean([decibels(error) for error in (10, 20, 40)])
    assert summary["psnr_before"] == pytest.approx((first + decibels(4)) / 2)
    assert summary["psnr_after"] - summary["psnr_before"] == pytest.approx(
        decibels(1) - decibels(2)
    )
    assert 0 < summary["ssim_before"] < summary["ssim_after"] < 1


def test_the_protocol_says_which_frames_count() -> None:
    clip = off_by([50, 50, 1, 2, 4, 50, 50])
    evaluation = evaluate_sequences(halved, [clip], ["tmics", "rgb"])
    counted = [row.identity for row in evaluation.rows if row.protocol == "tmics"]
    assert counted == ["a/3", "a/4", "a/5"]
    summary = evaluation.summary("tmics")
    assert (summary["sequences"], summary["images"]) == (1, 3)
    y = 219 / 255  # a difference in grey, on limited-range luma
    expected = np.mean([decibels(error * y) for error in (1, 2, 4)])
    assert summary["psnr_before"] == pytest.approx(expected, abs=1e-6)
    assert evaluation.summary("rgb")["images"] == 7
    assert evaluation.protocols == ("tmics", "rgb")  # as asked, although rgb has the first row
    with pytest.raises(NasRestoreError, match=r"'tmics' leaves out 2 frames .* of a \(4 frames\)"):
        evaluate_sequences(halved, [off_by([1, 2, 3, 4])], ["tmics"])


def test_all_clips_that_are_too_short_are_named_at_once() -> None:
    check_lengths([("a", 5), ("b", 6)], ["rgb", "tmics"])
    lengths = [("a", 4), ("b", 5), ("c", 1)]
    check_lengths(lengths, ["rgb", "prenet"])
    with pytest.raises(
        NasRestoreError, match=r"nothing of a \(4 frames\), c \(1 frame\)\n"
    ) as error:
        check_lengths(lengths, ["rgb", "tmics"])
    assert error.value.hint is not None and "--protocol" in error.value.hint


class Mean(nn.Module):
    """Restores a frame as the mean of three."""

    multiple, channels, frames = 8, 3, 3

    def forward(self, clip: Tensor) -> dict[str, Tensor]:
        return {"restored": clip.mean(dim=1)}


def test_a_network_for_clips_is_measured_through_windows_reflected_at_the_ends() -> None:
    values = [10, 16, 40, 60]
    clip = Clip("a", [grey(value) for value in values], [grey(20)] * 4)
    restorer = Restorer(Mean().eval())
    evaluation = evaluate_sequences(restorer.unquantised_stream, [clip], ["rgb"])
    windows = [(16, 10, 16), (10, 16, 40), (16, 40, 60), (40, 60, 40)]
    for row, value, window in zip(evaluation.rows, values, windows, strict=True):
        assert row.psnr_before == pytest.approx(decibels(abs(value - 20)))
        error = abs(round(sum(window) / 3) - 20)
        assert row.psnr_after == pytest.approx(decibels(error))


def test_an_unquantised_stream_is_not_rounded_and_rounds_to_the_stream() -> None:
    frames = list(np.random.default_rng(0).integers(0, 256, (5, 9, 11, 3), dtype=np.uint8))
    restorer = Restorer(Mean().eval())
    floats = list(restorer.unquantised_stream(frames))
    for exact, rounded in zip(floats, restorer.stream(frames), strict=True):
        assert exact.dtype == np.float32
        np.testing.assert_array_equal(torch.from_numpy(exact * 255).round().byte(), rounded)
    assert any((exact * 255 % 1 > 0.1).any() for exact in floats)


def test_frames_done_come_with_what_they_were_restored_from() -> None:
    seen = []

    def read_ahead(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        yield from list(halved(frames))

    evaluate_sequences(
        read_ahead,
        [off_by([10, 20])],
        ["rgb"],
        lambda name, number, rainy, restored, clean: seen.append(
            (
                name,
                number,
                int(rainy[0, 0, 0]),
                round(float(restored[0, 0, 0]) * 255),
                clean[0, 0, 0],
            )
        ),
    )
    assert seen == [("a", 0, 110, 105, 100), ("a", 1, 120, 110, 100)]


def test_what_does_not_go_together_is_named() -> None:
    clip = off_by([1, 2, 3])
    clip.rainy.pop()
    with pytest.raises(NasRestoreError, match=r"a: .*different numbers of frames"):
        evaluate_sequences(halved, [clip], ["rgb"])
    with pytest.raises(NasRestoreError, match="no clip"):
        evaluate_sequences(halved, [], ["rgb"])
    sizes = Clip("b", [grey(1, (16, 20))], [grey(2)])
    with pytest.raises(NasRestoreError, match=r"b/1: .*16x20.*16x16"):
        evaluate_sequences(None, [sizes], ["rgb"])


def write(root: Path, clips: dict[str, list[int]]) -> Path:
    for name, values in clips.items():
        for number, value in enumerate(values, start=1):
            write_image(root / name / f"{number:04d}.png", grey(value))
    return root


def test_folders_of_sequences_give_what_streams_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = write(tmp_path / "clean", {"x": [100] * 5, "y": [100]})
    rainy = write(tmp_path / "rainy", {"x": [110, 120, 130, 140, 150], "y": [104]})
    restored = write(tmp_path / "restored", {"x": [105, 110, 115, 120, 125], "y": [102]})
    evaluation = evaluate_sequence_folders(restored, clean, ["rgb"], rainy)
    clips = [off_by([10, 20, 30, 40, 50], "x"), off_by([4], "y")]
    assert evaluation == evaluate_sequences(halved, clips, ["rgb"])
    alone = evaluate_sequence_folders(restored, clean, ["rgb"])
    assert alone.summary("rgb")["psnr_before"] is None
    assert alone.summary("rgb")["psnr_after"] == evaluation.summary("rgb")["psnr_after"]
    as_images = evaluate_folders(restored, clean, ["rgb"], rainy).summary("rgb")
    assert "sequences" not in as_images and as_images["images"] == 6
    assert as_images["psnr_after"] != evaluation.summary("rgb")["psnr_after"]
    with monkeypatch.context() as patched:  # lengths are looked at before any frame is read
        patched.delattr("nasrestore.engine.evaluate_sequences.frames_of")
        with pytest.raises(NasRestoreError, match=r"protocol 'tmics' .* nothing of y \(1 frame\)"):
            evaluate_sequence_folders(restored, clean, ["tmics"])
    (restored / "x/0003.png").unlink()
    with pytest.raises(NasRestoreError, match="1 frame missing"):
        evaluate_sequence_folders(restored, clean, ["rgb"])


def test_rows_of_frames_go_into_the_same_table(tmp_path: Path) -> None:
    evaluate_sequences(None, [off_by([10, 20])], ["rgb"]).write_csv(tmp_path / "rows.csv")
    with open(tmp_path / "rows.csv", newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    assert [line[:2] for line in lines[1:]] == [["a/1", "rgb"], ["a/2", "rgb"]]
    assert [line[3] for line in lines[1:]] == ["", ""]
