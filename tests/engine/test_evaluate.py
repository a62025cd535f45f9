from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from nasrestore.data.images import read_image, write_image
from nasrestore.engine.evaluate import evaluate_folders, evaluate_pairs
from nasrestore.engine.evaluation import Evaluation, Row
from nasrestore.engine.files import partners
from nasrestore.errors import NasRestoreError

ALL = ["rgb", "basicsr", "prenet", "restormer"]


def image(seed: int, shape: tuple[int, ...] = (20, 24, 3)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def as_floats(pixels: np.ndarray) -> np.ndarray:
    return pixels.astype(np.float32) / 255


def write_all(folder: Path, images: dict[str, np.ndarray]) -> Path:
    for name, pixels in images.items():
        write_image(folder / name, pixels)
    return folder


def touch(folder: Path, names: Iterable[str]) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    return folder


def test_the_identity_gives_the_same_before_and_after() -> None:
    evaluation = evaluate_pairs(as_floats, [("a", image(1), image(2)), ("b", *[image(3)] * 2)], ALL)
    assert [(row.identity, row.protocol) for row in evaluation.rows] == [
        (identity, name) for identity in "ab" for name in ALL
    ]
    for row in evaluation.rows:
        assert row.psnr_before == row.psnr_after and row.ssim_before == row.ssim_after
    assert evaluation.rows[-1].psnr_after == math.inf


def test_figures_and_means_follow_the_definition() -> None:
    clean = np.full((16, 16, 3), 100, np.uint8)
    pairs = [("a", clean + 10, clean), ("b", clean + 20, clean)]
    evaluation = evaluate_pairs(lambda rainy: as_floats(rainy) - 5 / 255, pairs, ["rgb"])
    decibels = [20 * math.log10(255 / error) for error in (10, 20, 5, 15)]
    summary = evaluation.summary("rgb")
    assert (summary["protocol"], summary["images"]) == ("rgb", 2)
    assert summary["psnr_before"] == pytest.approx(np.mean(decibels[:2]))
    assert summary["psnr_after"] == pytest.approx(np.mean(decibels[2:]))
    assert 0 < summary["ssim_before"] < summary["ssim_after"] < 1


def test_the_protocol_and_not_the_caller_rounds() -> None:
    clean = np.full((16, 16, 3), 100, np.uint8)
    evaluation = evaluate_pairs(
        lambda rainy: as_floats(rainy) + 0.4 / 255, [("a", clean, clean)], ["rgb", "prenet"]
    )
    assert [row.psnr_after for row in evaluation.rows] == [math.inf, math.inf]
    evaluation = evaluate_pairs(
        lambda rainy: as_floats(rainy) - 0.4 / 255, [("a", clean, clean)], ["rgb", "prenet"]
    )
    assert evaluation.rows[0].psnr_after == math.inf
    assert evaluation.rows[1].psnr_after < 60


def test_without_a_restorer_the_rainy_images_alone_are_measured() -> None:
    (row,) = evaluate_pairs(None, [("a", image(1), image(2))], ["rgb", "rgb"]).rows
    assert row.psnr_before is not None and row.ssim_before is not None
    assert row.psnr_after is None and row.ssim_after is None


def test_pairs_that_cannot_be_measured_are_named() -> None:
    pairs = [("a", image(1), image(2)), ("scene-7", image(1, (20, 20, 3)), image(2))]
    with pytest.raises(NasRestoreError, match=r"scene-7: .*20x20.*20x24"):
        evaluate_pairs(as_floats, pairs, ["rgb"])
    with pytest.raises(NasRestoreError, match="no pair"):
        evaluate_pairs(as_floats, [], ["rgb"])
    with pytest.raises(NasRestoreError, match="rgbb"):
        evaluate_pairs(as_floats, pairs, ["rgbb"])
    with pytest.raises(ValueError, match="at least one protocol"):
        evaluate_pairs(as_floats, pairs, [])


EVALUATION = Evaluation(
    (
        Row("a, b", "rgb", 20.0, math.inf, 0.5, 1.0),
        Row("a, b", "prenet", None, 30.123456789, None, 0.25),
        Row("c", "rgb", 22.0, 30.0, 0.75, 0.5),
    )
)


def test_csv_has_a_line_per_image_and_protocol(tmp_path: Path) -> None:
    EVALUATION.write_csv(tmp_path / "deep" / "rows.csv")
    assert os.listdir(tmp_path / "deep") == ["rows.csv"]
    with open(tmp_path / "deep" / "rows.csv", newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    assert lines == [
        ["identity", "protocol", "psnr_before", "psnr_after", "ssim_before", "ssim_after"],
        ["a, b", "rgb", "20.000000", "inf", "0.500000", "1.000000"],
        ["a, b", "prenet", "", "30.123457", "", "0.250000"],
        ["c", "rgb", "22.000000", "30.000000", "0.750000", "0.500000"],
    ]


def test_as_dict_is_strict_json() -> None:
    plain = json.loads(json.dumps(EVALUATION.as_dict(), allow_nan=False))
    assert plain["summaries"][0] == {
        "protocol": "rgb",
        "images": 2,
        "psnr_before": 21.0,
        "psnr_after": "inf",
        "ssim_before": 0.625,
        "ssim_after": 0.75,
    }
    assert plain["summaries"][1]["psnr_before"] is None
    assert plain["rows"][0]["psnr_after"] == "inf" and len(plain["rows"]) == 3
    assert EVALUATION.summary("rgb")["psnr_after"] == math.inf
    with pytest.raises(ValueError, match="basicsr"):
        EVALUATION.summary("basicsr")


def test_folders_give_what_pairs_give(tmp_path: Path) -> None:
    cleans = {f"norain-{i}.png": image(i) for i in (1, 2, 10)}
    rainies = {f"rain-{i:03}.png": image(i + 20) for i in (1, 2, 10)}
    restoreds = {f"rain-{i:03}.png": image(i + 40) for i in (1, 2, 10)}
    clean, rainy, restored = (
        write_all(tmp_path / name, images)
        for name, images in (("c", cleans), ("r", rainies), ("o", restoreds))
    )
    evaluation = evaluate_folders(restored, clean, ["rgb"], rainy)
    pairs = zip(restoreds, rainies.values(), cleans.values(), strict=True)
    outputs = iter(restoreds.values())
    expected = evaluate_pairs(
        lambda _: next(outputs), [(name[:-4], was, right) for name, was, right in pairs], ["rgb"]
    )
    assert evaluation == expected
    alone = evaluate_folders(restored, clean, ["rgb"])
    assert [row.psnr_after for row in alone.rows] == [row.psnr_after for row in expected.rows]
    assert all(row.psnr_before is None and row.ssim_before is None for row in alone.rows)


def test_folders_of_other_sizes_or_unreadable_files_are_named(tmp_path: Path) -> None:
    clean = write_all(tmp_path / "clean", {"1.png": image(1)})
    small = write_all(tmp_path / "small", {"1.png": image(1, (10, 10, 3))})
    with pytest.raises(NasRestoreError, match=r"1: .*10x10.*20x24"):
        evaluate_folders(small, clean, ["rgb"])
    with pytest.raises(NasRestoreError, match=r"1\.png"):
        evaluate_folders(clean, touch(tmp_path / "torn", ["1.png"]), ["rgb"])
    with pytest.raises(NasRestoreError, match="no such folder"):
        evaluate_folders(tmp_path / "gone", clean, ["rgb"])
    (tmp_path / "void").mkdir()
    with pytest.raises(NasRestoreError, match="no image in the folder"):
        evaluate_folders(tmp_path / "void", clean, ["rgb"])


@pytest.mark.parametrize(
    ("mine", "theirs", "expected"),
    [
        (["a.png", "b.png"], ["b.jpg", "a.png"], {"a": "a.png", "b": "b.jpg"}),
        (["rain-001.png"], ["norain-1.png"], {"rain-001": "norain-1.png"}),
        (["x/r1.png", "y/r1.png"], ["x/1.png", "y/1.png"], {"x/r1": "x/1.png", "y/r1": "y/1.png"}),
        (["norain-7x2.png"], ["norain-7.png"], {"norain-7x2": "norain-7.png"}),
        (["901_1.jpg", "901_2.jpg"], ["901.jpg"], {"901_1": "901.jpg", "901_2": "901.jpg"}),
        (
            ["2_out1.png", "10_out1.png"],
            ["2.png", "10.png"],
            {"2_out1": "2.png", "10_out1": "10.png"},
        ),
    ],
)
def test_partners_by_name_then_numbers_then_first_number(
    tmp_path: Path, mine: list[str], theirs: list[str], expected: dict[str, str]
) -> None:
    folder, other = touch(tmp_path / "mine", mine), touch(tmp_path / "theirs", theirs)
    found = partners(folder, other)
    assert {stem: path.relative_to(other).as_posix() for stem, path in found.items()} == expected
    assert list(found) == list(expected)


@pytest.mark.parametrize(
    ("mine", "theirs", "message"),
    [
        (["1.png", "2.png"], ["1.png"], r"1 in .*mine \(2\.png\); 0 in .*theirs"),
        (["1.png"], ["1.png", "b.png", "3.png"], r"0 in .*mine; 2 in .*theirs \(3\.png, b\.png\)"),
        (
            ["a.png"],
            [f"{i}.png" for i in range(5)],
            r"5 in .*\(0\.png, 1\.png, 2\.png and 2 more\)",
        ),
        (["r1.png", "r1 copy.png"], ["1.png"], "do not tell which images belong together"),
        (["a.png", "a.jpg"], ["a.png"], "differ in their suffix alone"),
    ],
)
def test_images_without_partner_are_named(
    tmp_path: Path, mine: list[str], theirs: list[str], message: str
) -> None:
    folder, other = touch(tmp_path / "mine", mine), touch(tmp_path / "theirs", theirs)
    with pytest.raises(NasRestoreError, match=message):
        partners(folder, other)


def test_a_single_partner_serves_one_image_only(tmp_path: Path) -> None:
    mine = touch(tmp_path / "mine", ["901_1.jpg", "901_2.jpg"])
    with pytest.raises(NasRestoreError, match="without partner"):
        partners(mine, touch(tmp_path / "theirs", ["901.jpg"]), single=True)


@pytest.mark.shared
def test_real_rain_by_folders_and_by_pairs() -> None:
    root = os.environ.get("NASRESTORE_TEST_DATA")
    if root is None:
        pytest.skip("NASRESTORE_TEST_DATA is not set")
    heavy, clean = Path(root, "rain100", "heavy"), Path(root, "rain100", "clean")
    evaluation = evaluate_folders(heavy, clean, ["basicsr"])
    assert evaluation.summary("basicsr")["images"] == 30
    assert evaluation.summary("basicsr")["psnr_after"] == pytest.approx(14.46, abs=0.01)
    name = next(iter(partners(heavy, clean)))
    path = partners(heavy, clean)[name]
    pair = (name, read_image(heavy / path.name).pixels, read_image(path).pixels)
    (row,) = evaluate_pairs(None, [pair], ["basicsr"]).rows
    assert row.psnr_before == evaluation.rows[0].psnr_after
