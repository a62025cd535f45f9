"""A run whose network reads clips, measured on its test clips and on folders of others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_clip_runs import prepared, put_pairs, random_run

from nasrestore.api.evaluate import evaluate, load
from nasrestore.api.phases import Options
from nasrestore.assemble import clips as assembled
from nasrestore.cli.main import main
from nasrestore.data.images import read_image
from nasrestore.engine.restore import Restorer
from nasrestore.errors import NasRestoreError
from nasrestore.metrics.protocol import protocol
from nasrestore.ops import flow as flow_module
from nasrestore.runtime.runfolder import RunFolder, read_result


class Quiet:
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def message(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    settings: dict[str, Any] = {"data.clip.length": 6, "evaluate": {"protocols": ["tmics", "rgb"]}}
    return random_run(tmp_path / "run", **settings)


def measured(run: RunFolder, **more: Any) -> tuple[Any, Quiet]:
    quiet = Quiet()
    return evaluate(run, options=Options(quiet), device="cpu", **more), quiet  # type: ignore[arg-type]


def test_folders_of_clips_are_measured_as_the_network_restores_them(
    run: RunFolder, tmp_path: Path
) -> None:
    pairs = put_pairs(tmp_path / "set", 2, frames=6)
    result, quiet = measured(run, rainy=pairs / "rain", clean=pairs / "norain")
    assert "has not been trained" in quiet.said[0] and "no optical flow" in quiet.said[1]
    restorer = load(run, device="cpu").restorer
    rows = {(row.identity, row.protocol): row for row in result.evaluation.rows}
    assert len(rows) == 2 * (6 + 2)
    for clip in ("00", "01"):
        rainy, clean = (
            [read_image(pairs / part / clip / f"{n}.png").pixels for n in range(6)]
            for part in ("rain", "norain")
        )
        for n, restored in enumerate(restorer.unquantised_stream(rainy)):
            row = rows[f"{clip}/{n + 1}", "rgb"]
            assert row.psnr_after == protocol("rgb").measure(restored, clean[n])["psnr"]
            assert row.psnr_before == protocol("rgb").measure(rainy[n], clean[n])["psnr"]
    first = result.summaries[0]
    assert (first["protocol"], first["sequences"], first["images"]) == ("tmics", 2, 4)
    pictures = {path.name for path in run.pictures.glob("given-*/*.png")}
    assert {f"1-00-4-{part}.png" for part in ("rainy", "restored", "clean")} <= pictures


def test_the_test_clips_of_the_recipe(run: RunFolder) -> None:
    random_run(run.path.parent / "other", **{"data.clip.length": 6, "evaluate": {"limit": 1}})
    result, _ = measured(RunFolder(run.path.parent / "other"))
    (summary,) = result.summaries
    assert (summary["protocol"], summary["sequences"], summary["images"]) == ("prenet", 1, 6)
    kept = read_result(RunFolder(run.path.parent / "other"))
    assert kept["psnr_after"] == summary["psnr_after"]
    assert kept["evaluations"][0]["data"] == "moved sample photographs, medium rain"
    how = load(RunFolder(run.path.parent / "other"), device="cpu").restorer.conditions
    assert kept["evaluations"][0]["conditions"] == how
    assert (how["precision"], how["device"]) == ("fp32", "cpu")


def test_clips_too_short_for_the_protocol_are_named_before_any_is_measured(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = put_pairs(tmp_path / "set", 1, frames=5)
    put_pairs(tmp_path / "short", 3, frames=4)
    for part in ("rain", "norain"):
        for clip in ("01", "02"):
            (tmp_path / "short" / part / clip).rename(pairs / part / clip)

    def restored(*_: Any) -> None:
        raise AssertionError("a frame was restored")

    monkeypatch.setattr(Restorer, "unquantised_stream", restored)
    with pytest.raises(NasRestoreError, match=r"of 01 \(4 frames\), 02 \(4 frames\)\n"):
        measured(run, rainy=pairs / "rain", clean=pairs / "norain")
    short = random_run(tmp_path / "other")  # clips of 4 frames
    with pytest.raises(NasRestoreError, match=r"nothing of .*\(4 frames\), .*\(4 frames\)"):
        measured(short, protocols=["rgb", "tmics"])


class Still:
    """Stands in for RAFT: nothing moves."""

    note = None

    def __init__(self, model: str, weights: str | None) -> None:
        pass

    def of(self, clip: torch.Tensor) -> torch.Tensor:
        return clip.new_zeros(*clip.shape[:2], 2, *clip.shape[3:])

    def between(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        return first.new_zeros(len(first), 2, *first.shape[2:])


def test_warping_errors_where_a_raft_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (assembled, flow_module):
        monkeypatch.setattr(module, "OpticalFlow", Still)
    run = random_run(tmp_path / "run", **{"data.flow": {"model": "raft_small"}})
    for side, frames in ((120, 2), (128, 3)):
        pairs = put_pairs(tmp_path / f"set{side}", 1, frames=frames, side=side)
        result, quiet = measured(run, rainy=pairs / "rain", clean=pairs / "norain")
        summary = result.summaries[0]
        assert ("warping_before" in summary) == (side == 128)
        assert any("warping errors are left out" in text for text in quiet.said) == (side == 120)
    rainy, clean = (
        [read_image(tmp_path / f"set128/{part}/00/{n}.png").pixels / 255 for n in range(3)]
        for part in ("rain", "norain")
    )
    for kind, clip in (("before", rainy), ("clean", clean)):
        pairs_of = ((clip[t] - clip[t + 1]) ** 2 for t in range(2))
        expected = np.mean([square.sum(2).mean() for square in pairs_of])
        assert summary[f"warping_{kind}"] == pytest.approx(expected, rel=1e-4)


def test_flow_of_the_recipe_reaches_the_restorer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class Asked(Still):
        def __init__(self, model: str, weights: str | None) -> None:
            asked.append((model, weights))

        def of(self, clip: torch.Tensor) -> torch.Tensor:
            asked.append(tuple(clip.shape))
            return super().of(clip)

    monkeypatch.setattr(assembled, "OpticalFlow", Asked)
    weights = tmp_path / "raft.pth"
    weights.touch()
    flow = {"model": "raft_small", "weights": str(weights)}
    model = load(random_run(tmp_path / "run", **{"data.flow": flow}), device="cpu")
    frames = [np.zeros((20, 24, 3), np.uint8)] * 2
    assert len(model.restore_clip(frames)) == 2
    assert asked == [("raft_small", str(weights)), (1, 3, 3, 20, 24), (1, 3, 3, 20, 24)]


def test_weights_of_flow_are_found_beside_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "raft.pth").touch()
    found = prepared(
        **{"data.flow": {"model": "raft_small", "weights": str(tmp_path / "raft.pth")}}
    )
    (tmp_path / "mine.yaml").write_text(
        json.dumps(
            {**found.tree.plain(), "data": {"flow": {"model": "raft_small", "weights": "raft.pth"}}}
        )
    )
    from nasrestore.assemble.prepare import prepare

    assert prepare(tmp_path / "mine.yaml").recipe.data.flow.weights == str(tmp_path / "raft.pth")


def test_anybodys_clips_through_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = put_pairs(tmp_path / "set", 2, frames=6)
    arguments = ["evaluate", "--restored", pairs / "rain", "--clean", pairs / "norain"]
    command = [str(word) for word in (*arguments, "--sequences", "--protocol", "tmics")]
    assert main(command) == 0
    assert "4 in 2 clips" in capsys.readouterr().out
    (pairs / "rain/01/2.png").unlink()
    assert main(command) == 2
    assert "1 frame missing between 0.png and 5.png: 2" in capsys.readouterr().err
    assert main(["evaluate", "--sequences"]) == 2
    assert "--sequences belongs to --restored" in capsys.readouterr().err


@pytest.mark.shared
def test_real_rainy_frames(run: RunFolder, shared_data: Path) -> None:
    result, _ = measured(
        run, rainy=shared_data / "ntu/a1_Rain", clean=shared_data / "ntu/a1_GT", protocols=["tmics"]
    )
    summary = result.summaries[0]
    assert (summary["sequences"], summary["images"]) == (1, 80)
    assert 26 < summary["psnr_before"] < 31
