"""What evaluate, restore, profile and report hand on, refuse and print."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from command_calls import Call, Recorder, StandIn

from nasrestore.cli.output import complain
from nasrestore.cli.report import report_after
from nasrestore.errors import NasRestoreError
from nasrestore.runtime.runfolder import RunFolder, update_result

pytestmark = pytest.mark.usefixtures("no_report")


# -- evaluate --------------------------------------------------------------------------------


def evaluated(run: RunFolder | None, csv: Path | None) -> SimpleNamespace:
    rows = [
        {
            "data": "pairs",
            "split": "test" if run else "given",
            "protocol": protocol,
            "images": 12,
            "psnr_before": 25.0 if run else None,
            "psnr_after": after,
            "ssim_before": 0.8 if run else None,
            "ssim_after": 0.75,
        }
        for protocol, after in (("prenet", 28.25), ("rgb", float("inf")))
    ]
    evaluation = SimpleNamespace(as_dict=lambda: {"rows": [{"identity": "1"}]})
    return SimpleNamespace(run=run, evaluation=evaluation, summaries=tuple(rows), csv=csv)


def test_evaluate_prints_a_table_and_places(
    call: Call, stand_in: StandIn, run_folder: RunFolder
) -> None:
    csv = run_folder.path / "evaluation-test.csv"
    (run_folder.pictures).mkdir()
    (run_folder.pictures / "test.png").touch()
    recorder = stand_in("api.evaluate.evaluate", evaluated(run_folder, csv))
    done = call("evaluate", "--protocol", "prenet", "--protocol", "rgb", "--precision", "bf16")
    assert done.status == 0
    assert recorder.arguments == (None,)
    assert recorder.options["protocols"] == ["prenet", "rgb"]
    assert recorder.options["precision"] == "bf16"
    lines = done.out.splitlines()
    assert lines[0] == "pairs (test)"
    assert lines[1].split("  ")[1] == "protocol" and "PSNR before -> after" in lines[1]
    assert "25.00 -> 28.25 dB (+3.25)" in lines[2] and "0.8000 -> 0.7500 (-0.0500)" in lines[2]
    assert "25.00 -> inf dB (+inf)" in lines[3]
    assert "csv: runs/first/evaluation-test.csv" in lines
    assert "pictures: runs/first/pictures/test.png" in lines


def test_evaluate_as_json_has_no_infinities(
    call: Call, stand_in: StandIn, run_folder: RunFolder
) -> None:
    stand_in("api.evaluate.evaluate", evaluated(run_folder, run_folder.path / "x.csv"))
    facts = call("evaluate", "--json").json
    assert facts["evaluations"][1]["psnr_after"] == "inf"
    assert facts["run"] == "runs/first" and facts["csv"] == "runs/first/x.csv"
    assert facts["images"] == [{"identity": "1"}] and facts["pictures"] is None


def test_anybodys_results_are_measured_without_a_run(
    call: Call, stand_in: StandIn, here: Path
) -> None:
    for name in ("restored", "clean"):
        Path(name).mkdir()
    recorder = stand_in("api.evaluate.evaluate_folders", evaluated(None, Path("r.csv")))
    done = call("evaluate", "--restored", "restored", "--clean", "clean", "--csv", "r.csv")
    assert done.status == 0
    assert recorder.arguments == (Path("restored"), Path("clean"))
    wanted = {"protocols": [], "rainy": None, "csv": Path("r.csv"), "sequences": False}
    assert {key: recorder.options[key] for key in wanted} == wanted
    assert recorder.options["lpips"] is None and recorder.options["device"] is None
    assert "- -> 28.25 dB" in done.out and "csv: r.csv" in done.out


def test_weights_of_lpips_are_handed_on(
    call: Call, stand_in: StandIn, run_folder: RunFolder
) -> None:
    recorder = stand_in("api.evaluate.evaluate", evaluated(run_folder, Path("x.csv")))
    call("evaluate", "--lpips-alexnet", "b.pth")
    assert recorder.options["lpips"] == {"alexnet": "b.pth"}
    call("evaluate", "--no-lpips")
    assert recorder.options["lpips"] is False
    recorder = stand_in("api.evaluate.evaluate_folders", evaluated(None, None))
    for name in ("restored", "clean"):
        Path(name).mkdir()
    folders = ("--restored", "restored", "--clean", "clean")
    call("evaluate", *folders, "--lpips-heads", "a.pth", "--device", "cpu")
    assert recorder.options["lpips"] == {"heads": "a.pth"} and recorder.options["device"] == "cpu"


def test_evaluate_prints_which_lpips_it_is(
    call: Call, stand_in: StandIn, run_folder: RunFolder
) -> None:
    result = evaluated(run_folder, run_folder.path / "x.csv")
    named = {"lpips": "LPIPS v0.1 (AlexNet)", "lpips_weights": {"alexnet": "12ab", "heads": "34cd"}}
    figures = {"lpips_before": 0.25, "lpips_after": 0.125, "tlpips_before": None, **named}
    result.summaries[0].update(figures, tlpips_after=0.0625)
    stand_in("api.evaluate.evaluate", result)
    lines = call("evaluate").out.splitlines()
    assert "LPIPS before -> after" in lines[1] and "tLPIPS before -> after" in lines[1]
    assert "0.2500 -> 0.1250 (-0.1250)  - -> 0.06250" in lines[2]
    assert lines[3].rstrip().endswith("- -> -")  # the other protocol, measured without
    assert lines[4].strip().startswith("LPIPS v0.1 (AlexNet), weights alexnet 12ab, heads 34cd")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--restored", "a"], "--restored needs --clean"),
        (["runs/a", "--restored", "a", "--clean", "b"], "a run (runs/a) and --restored"),
        (["--restored", "a", "--clean", "b", "--device", "cpu"], "--device has no effect"),
        (["--restored", "a", "--clean", "b", "--precision", "bf16"], "--precision has no effect"),
        (["--csv", "x.csv"], "--csv belongs to --restored"),
        (["--restored", "a", "--clean", "b", "--no-lpips"], "--no-lpips has no effect"),
        (["--no-lpips", "--lpips-heads", "a"], "--no-lpips and --lpips-heads were both given"),
        (["--rainy", "a"], "--rainy and --clean belong together"),
        (["--rainy", "a", "--clean", "b"], "--rainy a is not there"),
        (["--protocol", "prnet"], "unknown metric 'prnet'"),
        (["--precision", "fp16"], "--precision: expected fp32 or bf16, got 'fp16'"),
    ],
)
def test_evaluate_refuses_what_does_not_go_together(
    call: Call, arguments: list[str], message: str
) -> None:
    done = call("evaluate", *arguments)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"error: {message}")


# -- restore ---------------------------------------------------------------------------------


@pytest.fixture
def model(stand_in: StandIn) -> Recorder:
    return stand_in("api.evaluate.load", SimpleNamespace(restorer=None))


@pytest.fixture
def restored(stand_in: StandIn) -> Recorder:
    result = SimpleNamespace(
        source=Path("a.png"), target=Path("out/a.png"), frames=1, seconds=1.5, size=(2, 3), pages=2
    )
    return stand_in("cli.restore._restore", [result])


def test_restore_prints_the_files_written(
    call: Call, model: Recorder, restored: Recorder, run_folder: RunFolder
) -> None:
    Path("a.png").touch()
    done = call("restore", "a.png", "--out", "out", "--tile", 256, "--precision", "bf16")
    assert (done.status, done.out) == (0, "out/a.png\n")
    assert done.err == "a.png has 2 pages: the first alone is restored\n"
    assert model.arguments == (run_folder,)
    assert model.options.pop("warn") is complain
    assert model.options == {"device": None, "precision": "bf16", "tile": 256}
    facts = call("restore", "a.png", "--out", "out", "--json").json
    assert facts["run"] == "runs/first"
    assert facts["files"] == [
        {"source": "a.png", "target": "out/a.png", "frames": 1, "seconds": 1.5, "size": [2, 3]}
    ]


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".MOV", ".mkv", ".webm", ".gif"])
def test_what_is_no_video_is_said_before_the_network_is_made(
    call: Call, model: Recorder, run_folder: RunFolder, suffix: str
) -> None:
    assert "no such file" in call("restore", f"clip{suffix}", "--out", "out").err
    Path(f"clip{suffix}").write_bytes(b"no video " * 50)
    done = call("restore", f"clip{suffix}", "--out", "out")
    assert done.status == 2 and f"cannot read clip{suffix}: not a video" in done.err
    assert model.arguments == () and not Path("out").exists()


def test_restore_checks_outputs_before_the_network_is_made(
    call: Call, model: Recorder, run_folder: RunFolder
) -> None:
    Path("a.png").touch()
    Path("out").mkdir()
    Path("out/a.png").touch()
    done = call("restore", "a.png", "--out", "out")
    assert done.status == 2 and "--overwrite replaces it" in done.err
    assert call("restore", "a.png", "--out", ".", "--overwrite").status == 2
    assert model.arguments == ()


def test_an_interrupted_restoration_says_where_things_are(
    call: Call, model: Recorder, stand_in: StandIn, run_folder: RunFolder
) -> None:
    Path("a.png").touch()
    stand_in("cli.restore._restore", error=KeyboardInterrupt())
    done = call("restore", "a.png", "--out", "out")
    assert done.status == 130 and "what was restored so far is in out" in done.err


def test_progress_is_seen_within_a_large_image() -> None:
    from nasrestore.cli.restore import _Shown

    seen = []

    def restorer(pixels, progress):
        for done in range(1, 5):
            progress(done, 4)
        return pixels

    observer = SimpleNamespace(loading=lambda what, done, total: seen.append((done, total)))
    shown = _Shown(restorer, observer, "restored images")
    shown.total = 2
    for number in (1, 2):
        assert shown("pixels") == "pixels"
        shown.frame_done(number, 2)
    fractions = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2]
    assert seen == [(done, 2) for done in fractions]


# -- profile and report ----------------------------------------------------------------------


def profiled(macs: int | None) -> SimpleNamespace:
    return SimpleNamespace(
        name="rdmc",
        size=(128, 128),
        parameters=1000,
        macs=macs,
        analytic_macs=2000,
        by_operator={"conv": 1900},
        unsupported={"aten::add": 3},
        latency=0.25,
        device="cpu",
        notes=("a note",),
    )


def test_profile_hands_on_its_options(call: Call, stand_in: StandIn) -> None:
    recorder = stand_in("api.profile.profile", profiled(2100))
    arguments = ("--genotype", "rdmc-paper", "--size", "64x96", "--no-latency", "--set", "seed=1")
    done = call("profile", "rdmc", *arguments)
    assert done.status == 0
    recipe, genotype, overrides = recorder.arguments
    assert (recipe, genotype, len(overrides)) == ("rdmc", "rdmc-paper", 1)
    assert recorder.options == {"size": (64, 96), "device": None, "latency": False}
    assert "250.0 ms" in done.out and "aten::add (3)" in done.out and "a note" in done.out


@pytest.mark.parametrize(("macs", "shown"), [(2100, 2100), (None, 2000)])
def test_profile_as_json_falls_back_to_analytic_counts(
    call: Call, stand_in: StandIn, macs: int | None, shown: int
) -> None:
    stand_in("api.profile.profile", profiled(macs))
    done = call("profile", "rdmc", "--json")
    assert done.json["macs"] == shown and done.json["analytic_macs"] == 2000
    assert done.json["latency_seconds"] == 0.25
    assert done.json["by_operator"] == {"conv": 1900}
    assert done.json["unsupported"] == {"aten::add": 3}
    assert done.json["notes"] == ["a note"] and done.err == "a note\n"


def test_profile_of_a_run_takes_its_genotype(
    call: Call, stand_in: StandIn, run_folder: RunFolder
) -> None:
    recorder = stand_in("api.profile.profile", profiled(1))
    call("profile", "runs/first")
    assert recorder.arguments[:2] == ("runs/first/recipe.yaml", None)
    run_folder.genotype.touch()
    call("profile", "runs/first")
    assert recorder.arguments[:2] == ("runs/first/recipe.yaml", "runs/first/genotype.yaml")


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder("<html></html>")
    module = SimpleNamespace(run_page=recorder)
    monkeypatch.setitem(sys.modules, "nasrestore.report.page", module)
    return recorder


def test_report_writes_the_page(call: Call, page: Recorder, run_folder: RunFolder) -> None:
    done = call("report")
    assert (done.status, done.out) == (0, "report: runs/first/report.html\n")
    assert run_folder.report.read_text() == "<html></html>"
    folder, graph, decisions, strengths, findings = page.arguments
    assert (folder, graph.name, decisions, strengths) == (run_folder, "rdmc", None, None)
    assert findings == ()  # nothing was searched yet


def test_report_says_the_figures(call: Call, page: Recorder, run_folder: RunFolder) -> None:
    figures = {"psnr_before": 20.0, "psnr_after": 26.5, "ssim_before": 0.7, "ssim_after": "nan"}
    update_result(run_folder, protocol="prenet", **figures)
    out = call("report").out
    assert "PSNR 20.00 dB before, 26.50 dB after (+6.50)" in out and "LPIPS" not in out
    named = {"lpips": "LPIPS v0.1 (AlexNet)", "lpips_weights": {"alexnet": "12ab", "heads": "34cd"}}
    entry = {"data": "a", "split": "test", "protocol": "prenet", **figures, **named}
    entry |= {"lpips_before": 0.5, "lpips_after": 0.25, "tlpips_before": None, "tlpips_after": None}
    others = [{**entry, "split": "given"}, {**entry, "protocol": "rgb"}]
    update_result(run_folder, evaluations=[*others, {**entry, "lpips_after": 0.125}, *others])
    out = call("report").out
    assert "LPIPS 0.5000 before, 0.1250 after (-0.3750)" in out and "alexnet 12ab" in out
    assert "tLPIPS was not measured" in out


@pytest.mark.parametrize("error", [NasRestoreError("no room"), ZeroDivisionError("no room")])
def test_a_report_that_fails_is_one_line(
    page: Recorder, run_folder: RunFolder, capsys: pytest.CaptureFixture[str], error: BaseException
) -> None:
    page.error = error
    assert report_after(run_folder) is None
    assert capsys.readouterr().err == "the report could not be written: no room\n"
