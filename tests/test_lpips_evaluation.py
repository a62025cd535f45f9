"""LPIPS and tLPIPS through ``evaluate``: by a recipe and by options, of runs and of folders."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_clip_runs import put_pairs, random_run, random_run_of
from made_lpips import put_weights

from nasrestore.api.evaluate import load
from nasrestore.api.run import write_recipe
from nasrestore.assemble.prepare import prepare
from nasrestore.cli.main import main
from nasrestore.data.images import read_image, to_tensor, write_image
from nasrestore.metrics.perceptual import lpips
from nasrestore.metrics.temporal import temporal_lpips
from nasrestore.runtime.runfolder import RunFolder, create_run, read_result
from nasrestore.spec.overrides import python_overrides

NAME = "LPIPS v0.1 (AlexNet)"
Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return put_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Path]:
    """torch.hub's folder, empty."""
    before = torch.hub.get_dir()
    torch.hub.set_dir(str(tmp_path / "hub"))
    yield tmp_path / "hub"
    torch.hub.set_dir(before)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    return put_pairs(tmp_path / "set", 2, frames=3, side=32)


def options_of(weights: dict[str, Path]) -> list[object]:
    return [word for key, path in weights.items() for word in (f"--lpips-{key}", path)]


def run_cli(*words: object) -> int:
    return main([str(word) for word in words])


def failed(capsys: Captured, *words: object) -> str:
    """What a command line that is refused says."""
    capsys.readouterr()
    assert run_cli(*words) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and "Traceback" not in captured.err
    return captured.err


def frames(folder: Path) -> torch.Tensor:
    return torch.stack([to_tensor(read_image(folder / f"{n}.png").pixels) for n in range(3)])


def test_clips_by_the_weights_of_the_recipe(
    tmp_path: Path, weights: dict[str, Path], pairs: Path, capsys: Captured
) -> None:
    files = {key: str(path) for key, path in weights.items()}
    run = random_run(tmp_path / "run", evaluate={"protocols": ["rgb"], "lpips": files})
    given = ("--rainy", pairs / "rain", "--clean", pairs / "norain")
    assert run_cli("evaluate", run.path, *given, "--device", "cpu", "--json") == 0
    captured = capsys.readouterr()
    assert "is not the published file" in captured.err
    assert "temporal consistency is not measured" not in captured.err
    facts = json.loads(captured.out)
    (summary,) = facts["evaluations"]
    distance = lpips(files["heads"], files["alexnet"])
    assert (summary["lpips"], summary["lpips_weights"]) == (NAME, distance.digests)
    model = load(run, device="cpu")
    figures: dict[str, list[float]] = {"lpips": [], "tlpips": []}
    for name in ("00", "01"):
        rainy = [read_image(pairs / "rain" / name / f"{n}.png").pixels for n in range(3)]
        after = torch.stack([to_tensor(frame) for frame in model.restore_clip(rainy)])
        clean = frames(pairs / "norain" / name)
        figures["lpips"].append(distance(after, clean).mean().item())
        figures["tlpips"].append(temporal_lpips(distance, after, clean).item())
    for key, clips in figures.items():
        assert summary[f"{key}_after"] == pytest.approx(np.mean(clips), rel=1e-4)
    assert "tlpips_after" in facts["images"][1] and facts["images"][0]["tlpips_after"] is None
    kept = read_result(run)["evaluations"][0]
    assert kept["tlpips_after"] == summary["tlpips_after"] and kept["lpips"] == NAME
    rows = list(csv.DictReader(Path(facts["csv"]).read_text().splitlines()))
    assert [row["tlpips_before"] == "" for row in rows] == [True, False, False] * 2
    assert {row["lpips"] for row in rows} == {NAME}
    assert NAME in run.report.read_text() and "tLPIPS before" in run.report.read_text()
    assert run_cli("evaluate", run.path, *given, "--no-lpips") == 0
    captured = capsys.readouterr()
    assert "LPIPS" not in captured.out
    assert "temporal consistency is not measured: evaluate.lpips.heads=FILE" in captured.err
    assert "data.flow.model=raft_small" in captured.err
    assert "lpips" not in read_result(run)["evaluations"][0]


IMAGE_SPACE: dict[str, Any] = {
    "format": 1,
    "space": "tiny",
    "inputs": {"rainy": {"channels": 3}},
    "nodes": {
        "body": {"op": {"choice": ["residual", "dense"]}},
        "head": {"op": "conv", "with": {"channels": 3}},
    },
    "outputs": {"restored": {"from": "head", "add": "rainy"}},
}


@pytest.fixture
def image_run(tmp_path: Path) -> RunFolder:
    values = {"space": IMAGE_SPACE, "precision": "fp32", "evaluate": {"protocols": ["rgb"]}}
    return random_run_of(tmp_path / "run", prepare("rdmc-quick", python_overrides(values)))


def test_a_run_and_the_images_it_wrote_have_the_same_figures(
    image_run: RunFolder, tmp_path: Path, weights: dict[str, Path], pairs: Path, capsys: Captured
) -> None:
    given = ("--rainy", pairs / "rain" / "00", "--clean", pairs / "norain" / "00")
    command = ("evaluate", image_run.path, *given, *options_of(weights), "--device", "cpu")
    assert run_cli(*command) == 0
    captured = capsys.readouterr()
    assert "LPIPS before -> after" in captured.out and "tLPIPS" not in captured.out
    assert f"{NAME}, weights alexnet" in captured.out
    assert "temporal" not in captured.err
    model = load(image_run, device="cpu")
    for path in (pairs / "rain" / "00").iterdir():
        write_image(tmp_path / "restored" / path.name, model.restore(read_image(path).pixels))
    folders = ("--restored", tmp_path / "restored", *given)
    assert run_cli("evaluate", *folders, "--protocol", "rgb", *options_of(weights), "--json") == 0
    (alone,) = json.loads(capsys.readouterr().out)["evaluations"]
    (of_run,) = read_result(image_run)["evaluations"]
    for key in ("lpips_before", "lpips_after", "psnr_after"):
        assert alone[key] == pytest.approx(of_run[key], rel=1e-6), key
    assert alone["lpips"] == of_run["lpips"] == NAME


def test_folders_of_clips_restored_to_the_clean_ones(
    weights: dict[str, Path], pairs: Path, capsys: Captured
) -> None:
    shutil.copytree(pairs / "norain", pairs / "restored")
    command = ["evaluate", "--restored", pairs / "restored", "--clean", pairs / "norain"]
    command += ["--rainy", pairs / "rain", "--sequences"]
    assert run_cli(*command, *options_of(weights), "--json") == 0
    (summary,) = json.loads(capsys.readouterr().out)["evaluations"]
    assert summary["lpips_after"] == summary["tlpips_after"] == 0
    assert summary["lpips_before"] > 0 and summary["tlpips_before"] > 0
    assert run_cli(*command) == 0
    captured = capsys.readouterr()
    assert "temporal consistency is not measured: --lpips-heads FILE would" in captured.err
    assert "LPIPS" not in captured.out


def test_alexnet_comes_from_the_cache(
    weights: dict[str, Path], pairs: Path, hub: Path, capsys: Captured
) -> None:
    (hub / "checkpoints").mkdir(parents=True)
    shutil.copy(weights["alexnet"], hub / "checkpoints" / "alexnet-owt-7be5be79.pth")
    folders = ("--restored", pairs / "rain/00", "--clean", pairs / "norain/00")
    assert run_cli("evaluate", *folders, "--lpips-heads", weights["heads"]) == 0
    assert "- -> 0." in capsys.readouterr().out


# -- what cannot be ----------------------------------------------------------------------------


def test_weights_that_are_missing_or_wrong_are_one_message(
    image_run: RunFolder,
    tmp_path: Path,
    weights: dict[str, Path],
    pairs: Path,
    hub: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
) -> None:
    def no_network(url: str, **options: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", no_network)
    page = tmp_path / "alex.pth"
    page.write_text("<!DOCTYPE html>")
    heads, alexnet = weights["heads"], weights["alexnet"]
    given = ("--rainy", pairs / "rain" / "00", "--clean", pairs / "norain" / "00")
    for command in (
        ("evaluate", image_run.path, *given),
        ("evaluate", "--restored", pairs / "rain" / "00", "--clean", pairs / "norain" / "00"),
    ):
        for files, message in (
            (("--lpips-heads", "gone.pth"), "LPIPS: there is no file gone.pth"),
            (("--lpips-heads", page), f"LPIPS: {page} holds no weights of torch"),
            (("--lpips-heads", alexnet, "--lpips-alexnet", heads), "is not LPIPS's state dict"),
            (("--lpips-heads", heads, "--lpips-alexnet", heads), "is not AlexNet's state dict"),
            (("--lpips-heads", heads), "cannot download the AlexNet weights: no route to host"),
            (("--lpips-alexnet", alexnet), "LPIPS was given AlexNet's weights, and none of its"),
        ):
            said = failed(capsys, *command, *files)
            assert said.count("error: ") == 1 and message in said
            assert "FILE), or leave LPIPS out (evaluate.lpips=null, or --no-lpips)" in said
    assert "evaluations" not in read_result(image_run)


def test_images_that_are_too_small_are_refused_before_any_is_measured(
    image_run: RunFolder, tmp_path: Path, weights: dict[str, Path], capsys: Captured
) -> None:
    small = put_pairs(tmp_path / "small", 1, frames=3, side=24)
    clips = random_run(tmp_path / "clips")
    for command in (
        ("evaluate", image_run.path, "--rainy", small / "rain/00", "--clean", small / "norain/00"),
        ("evaluate", clips.path, "--rainy", small / "rain", "--clean", small / "norain"),
        ("evaluate", "--restored", small / "rain/00", "--clean", small / "norain/00"),
        ("evaluate", "--restored", small / "rain", "--clean", small / "norain", "--sequences"),
    ):
        said = failed(capsys, *command, *options_of(weights))
        assert f"{NAME} needs 31x31 pixels" in said and "24x24" in said
        assert "measure larger images, or leave LPIPS out" in said


# -- in a recipe -------------------------------------------------------------------------------


def recipe(folder: Path, lpips_files: object) -> Path:
    folder.mkdir(exist_ok=True)
    text = f"format: 1\nextends: rdmc-quick\nrecipe: mine\nevaluate:\n  lpips: {lpips_files}\n"
    (folder / "mine.yaml").write_text(text)
    return folder / "mine.yaml"


def test_files_of_a_recipe_are_beside_it_and_absolute_in_its_runs(
    tmp_path: Path, weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = recipe(tmp_path / "mine", "{heads: heads.pth, alexnet: ~/alexnet.pth}")
    shutil.copy(weights["heads"], tmp_path / "mine")
    shutil.copy(weights["alexnet"], tmp_path)
    expected = [str(tmp_path / "mine/heads.pth"), str(tmp_path / "alexnet.pth")]
    run = create_run(tmp_path / "run", "mine", resume=False, overwrite=False)
    write_recipe(run, prepare(path), {})
    for kept in (path, run.recipe):
        spec = prepare(kept).recipe.evaluate
        assert spec is not None and spec.lpips is not None
        assert [spec.lpips.heads, spec.lpips.alexnet] == expected
    assert run_cli("check", path) == 0
    found = prepare(path, python_overrides({"evaluate.lpips.alexnet": None})).recipe.evaluate
    assert found is not None and found.lpips is not None and found.lpips.alexnet is None
    assert prepare(path, python_overrides({"evaluate.lpips": None})).recipe.evaluate.lpips is None  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ("{heads: gone.pth}", "5:18: evaluate.lpips.heads: there is no file"),
        ("{heads: mine.yaml}", "mine.yaml holds no weights of torch (give a path to"),
        ("{heads: heads.pth, alexnet: gone.pth}", "5:38: evaluate.lpips.alexnet: there is no file"),
        ("{heads: heads.pth, alexnett: a}", "unknown key 'alexnett' (did you mean 'alexnet'?)"),
        ("{alexnet: heads.pth}", "evaluate.lpips: missing key 'heads'"),
        ("{heads: 3}", "evaluate.lpips.heads: expected a string, got 3"),
        ("heads.pth", "evaluate.lpips: expected a mapping or null, got 'heads.pth'"),
    ],
)
def test_check_looks_at_the_files(
    tmp_path: Path, weights: dict[str, Path], files: str, message: str, capsys: Captured
) -> None:
    path = recipe(tmp_path, files)
    shutil.copy(weights["heads"], tmp_path)
    assert message in failed(capsys, "check", path)


def test_a_run_does_without_the_files_but_for_its_evaluation(
    tmp_path: Path, pairs: Path, capsys: Captured
) -> None:
    run = random_run(tmp_path / "run", evaluate={"lpips": {"heads": str(tmp_path / "gone.pth")}})
    assert load(run, device="cpu").frames == 3
    given = ("--rainy", pairs / "rain", "--clean", pairs / "norain", "--device", "cpu")
    said = failed(capsys, "evaluate", run.path, *given)
    assert "there is no file" in said and "gone.pth" in said
    assert run_cli("evaluate", run.path, *given, "--no-lpips") == 0


@pytest.mark.shared
def test_the_published_heads_are_known(
    shared_data: Path, weights: dict[str, Path], pairs: Path, capsys: Captured
) -> None:
    heads = shared_data / "metrics" / "lpips_v0.1_alex.pth"
    folders = ("--restored", pairs / "rain/00", "--clean", pairs / "norain/00")
    files = options_of({"heads": heads, "alexnet": weights["alexnet"]})
    assert run_cli("evaluate", *folders, *files) == 0
    captured = capsys.readouterr()
    assert "alexnet is not the published file" in captured.err
    assert "heads is not the published file" not in captured.err
