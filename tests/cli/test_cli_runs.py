"""What search, derive and train hand on, refuse and print; the work itself is stood in for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from command_calls import Call, Recorder, StandIn

from nasrestore.api.search import SearchResult
from nasrestore.api.train import TrainResult
from nasrestore.graph.cost import Cost
from nasrestore.graph.genotype import Genotype
from nasrestore.runtime.runfolder import RunFolder

pytestmark = pytest.mark.usefixtures("no_report")

DECISIONS = {"skip_up": ("encoder.3->decoder.4", "encoder.4->decoder.3"), "cell": ("conv",)}
STRENGTHS = {"skip_up": {"encoder.3->decoder.4": 0.25, "encoder.4->decoder.3": 0.125}}
GENOTYPE = Genotype("rdmc", "0123456789abcdef", DECISIONS, STRENGTHS)


# -- search ----------------------------------------------------------------------------------


@pytest.fixture
def searched(stand_in: StandIn) -> Recorder:
    result = SearchResult(
        RunFolder(Path("runs/a")), GENOTYPE, ("cell: a and b are equally strong",)
    )
    return stand_in("api.search.search", result)


def test_search_hands_on_its_options(call: Call, searched: Recorder) -> None:
    done = call(
        *("search", "rdmc", "--set", "search.steps=3", "--set", "space.width=8", "--out", "runs/a"),
        *("--budget", "10m", "--device", "cpu", "--seed", "7", "--overwrite"),
    )
    assert done.status == 0
    recipe, overrides = searched.arguments
    assert recipe == "rdmc"
    assert [(keys, tree.value) for keys, tree in overrides] == [
        (("search", "steps"), 3),
        (("space", "width"), 8),
    ]
    options = searched.options.pop("options")
    assert options.budget == 600.0 and options.should_stop() is False
    assert searched.options == {
        "out": Path("runs/a"),
        "seed": 7,
        "device": "cpu",
        "resume": False,
        "overwrite": True,
    }


@pytest.mark.parametrize(
    "command",
    ["search rdmc-quick", "train --recipe rdmc-quick --genotype rdmc-paper"],
)
def test_a_place_for_runs_that_cannot_be_had_is_said_before_data_is_read(
    call: Call, here: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    def read(*arguments: object) -> None:
        pytest.fail("data was read")

    monkeypatch.setattr("nasrestore.assemble.data.open_splits", read)
    Path("runs").touch()
    done = call(*command.split())
    assert (done.status, done.out) == (2, "")
    assert done.err.splitlines() == [
        "error: cannot make a run in runs: cannot write in runs: not a directory",
        "hint: --out names a folder elsewhere",
    ]


def test_search_prints_decisions_folder_and_what_is_next(call: Call, searched: Recorder) -> None:
    done = call("search", "rdmc")
    assert "skip_up  encoder.3->decoder.4  0.250" in done.out
    assert "cell     conv" in done.out
    assert "cell: a and b are equally strong" in done.out
    assert "run: runs/a" in done.out
    assert "nasrestore derive runs/a" in done.out and "nasrestore train runs/a" in done.out
    assert "was searched" not in done.out


@pytest.mark.parametrize(
    ("unsearched", "what"),
    [(("skip_up", "cell"), "nothing was searched"), (("cell",), "cell: nothing was searched")],
)
def test_search_ends_with_what_was_not_searched(
    call: Call, stand_in: StandIn, unsearched: tuple[str, ...], what: str
) -> None:
    result = SearchResult(RunFolder(Path("runs/a")), GENOTYPE, (), unsearched=unsearched)
    stand_in("api.search.search", result)
    done = call("search", "rdmc")
    end = done.out.partition("trains the network that was decided for\n")[2]
    assert done.status == 0 and end.startswith(f"\n{what}: no level that decides it took a step")
    assert "the first candidates" in end
    assert call("search", "rdmc", "--json").json["unsearched"] == list(unsearched)


def test_search_as_json(call: Call, searched: Recorder) -> None:
    facts = call("search", "rdmc", "--json").json
    assert facts["run"] == "runs/a" and facts["report"] is None
    assert facts["decisions"] == {name: list(names) for name, names in DECISIONS.items()}
    assert facts["strengths"] == STRENGTHS


def test_search_resumes_the_newest_run_of_the_recipe(
    call: Call, searched: Recorder, run_folder: RunFolder
) -> None:
    assert call("search", "rdmc-quick", "--resume").status == 0
    assert searched.options["out"] == run_folder.path and searched.options["resume"]
    assert call("search", "rdmc", "--resume").status == 2


def test_a_resumed_search_keeps_its_plan(
    call: Call, searched: Recorder, run_folder: RunFolder
) -> None:
    done = call("search", "rdmc-quick", "--resume", "--budget", "10m")
    assert done.status == 2 and "--budget" in done.err
    assert searched.arguments == ()


def test_an_interrupted_search_says_how_to_resume(
    call: Call, stand_in: StandIn, run_folder: RunFolder
) -> None:
    stand_in("api.search.search", error=KeyboardInterrupt())
    done = call("search", "rdmc-quick", "--resume")
    command = "nasrestore search rdmc-quick --resume --out runs/first"
    assert (done.status, done.err) == (130, f"interrupted; go on with: {command}\n")
    done = call("search", "rdmc-quick")
    assert (done.status, done.err) == (130, "interrupted; there is nothing to resume\n")


# -- derive ----------------------------------------------------------------------------------


@pytest.fixture
def derived(stand_in: StandIn, run_folder: RunFolder) -> Recorder:
    decided = [
        SimpleNamespace(genotype=GENOTYPE, score=-2.5),
        SimpleNamespace(genotype=GENOTYPE, score=-3.0),
    ]
    result = SimpleNamespace(
        run=run_folder,
        alternatives=decided,
        costs=(Cost(1234, 5678), None),
        gap={"supernet": 0.5, "derived": 0.625, "gap": 0.125},
        notes=("one is ignored",),
    )
    return stand_in("api.derive.derive", result)


def test_derive_hands_on_its_limits(call: Call, derived: Recorder) -> None:
    done = call(
        "derive", "runs/b", "--parameters", "250k", "--macs", "3G", "--size", "64x96", "--top", 2
    )
    assert done.status == 0
    assert derived.arguments == (Path("runs/b"),)
    del derived.options["options"]
    assert derived.options == {
        "parameters": 250_000,
        "macs": 3 * 10**9,
        "size": (64, 96),
        "top": 2,
        "device": None,
        "overwrite": False,
    }
    assert "1,234 parameters, 5,678 multiply-adds at 64x96" in done.out
    assert "alternative 2" in done.out and "- parameters, - multiply-adds" in done.out
    assert "one is ignored" in done.out
    assert "supernet  0.5000" in done.out and "costs +0.1250" in done.out


def test_derive_may_overwrite(call: Call, derived: Recorder) -> None:
    assert call("derive", "runs/b", "--overwrite").status == 0
    assert derived.options["overwrite"] is True


def test_derive_without_a_run_takes_the_newest(call: Call, derived: Recorder) -> None:
    facts = call("derive", "--json").json
    assert derived.arguments == (None,)
    assert facts["run"] == "runs/first" and facts["size"] == [128, 128]
    assert [a["score"] for a in facts["alternatives"]] == [-2.5, -3.0]
    assert facts["gap"]["gap"] == 0.125


# -- train -----------------------------------------------------------------------------------

SUMMARY = {"turns": 4000, "seconds": 70.0, "precision": "fp32"}


@pytest.fixture
def trained(stand_in: StandIn) -> Recorder:
    return stand_in("api.train.train", TrainResult(RunFolder(Path("runs/first")), SUMMARY))


@pytest.fixture
def genotype_trained(stand_in: StandIn) -> Recorder:
    return stand_in("api.train.train_genotype", TrainResult(RunFolder(Path("runs/g")), SUMMARY))


def test_train_hands_on_its_options(call: Call, trained: Recorder, run_folder: RunFolder) -> None:
    done = call("train", "--from", "fresh", "--budget", "90s", "--overwrite")
    assert done.status == 0
    assert trained.arguments == (run_folder.path,)
    assert trained.options.pop("options").budget == 90.0
    assert trained.options == {
        "weights": "fresh",
        "device": None,
        "resume": False,
        "overwrite": True,
    }
    assert "trained 4,000 turns in 1 min 10 s, fp32" in done.out
    assert "nasrestore evaluate runs/first" in done.out
    assert done.out.rstrip().endswith("--run runs/first  restores images")


def test_after_a_training_on_clips_videos_are_restored(
    call: Call, stand_in: StandIn, run_folder: RunFolder
) -> None:
    stand_in("api.train.train", TrainResult(run_folder, SUMMARY, frames=5))
    assert call("train").out.rstrip().endswith("restores videos and folders of frames")


def test_the_help_of_train_says_what_needs_a_recipe(call: Call) -> None:
    words = " ".join(call("train", "--help").out.split())
    for option in ("--genotype FILE", "--set KEY=VALUE", "--out DIR", "--seed N"):
        assert f"{option} with --recipe: " in words


def test_train_of_a_genotype_makes_a_run_of_its_own(call: Call, genotype_trained: Recorder) -> None:
    arguments = (
        "--genotype",
        "rdmc-paper",
        "--set",
        "train.steps=9",
        "--out",
        "runs/g",
        "--seed",
        3,
    )
    facts = call("train", "--recipe", "rdmc", *arguments, "--json").json
    assert facts == {"run": "runs/g", "train": SUMMARY, "report": None}
    recipe, genotype, overrides = genotype_trained.arguments
    assert (recipe, genotype) == ("rdmc", "rdmc-paper")
    assert [keys for keys, _ in overrides] == [("train", "steps")]
    del genotype_trained.options["options"]
    assert genotype_trained.options == {
        "weights": None,
        "out": Path("runs/g"),
        "seed": 3,
        "device": None,
        "overwrite": False,
    }


def test_resumed_training_keeps_its_weights(call: Call, run_folder: RunFolder) -> None:
    refused = call("train", run_folder.path, "--resume", "--from", "fresh")
    assert refused.status == 2 and "--from cannot change them" in refused.err


def test_train_starts_from_another_run(
    call: Call, genotype_trained: Recorder, tmp_path: Path
) -> None:
    assert call("train", "--recipe", "rdmc", "--from", tmp_path).status == 0
    assert genotype_trained.options["weights"] == str(tmp_path)
    refused = call("train", "--recipe", "rdmc", "--from", tmp_path / "none")
    assert refused.status == 2
    assert "--from: expected search, fresh or the folder of a run, got" in refused.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "train.steps=3"], "--set needs --recipe"),
        (["--genotype", "rdmc-paper"], "--genotype needs --recipe"),
        (["--out", "runs/b"], "--out needs --recipe"),
        (["--seed", "0"], "--seed needs --recipe"),
        (["runs/first", "--recipe", "rdmc"], "a run (runs/first) and --recipe were both given"),
        (["--recipe", "rdmc", "--resume"], "--resume and --recipe were both given"),
        (["--recipe", "rdmc", "--from", "search"], "--from search needs a run"),
        (["--resume", "--budget", "10m"], "--resume goes on with the turns"),
    ],
)
def test_train_refuses_what_does_not_go_together(
    call: Call, trained: Recorder, run_folder: RunFolder, arguments: list[str], message: str
) -> None:
    done = call("train", *arguments)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"error: {message}")
    assert trained.arguments == ()


def test_an_interrupted_training_says_how_to_go_on(
    call: Call, stand_in: StandIn, run_folder: RunFolder
) -> None:
    stand_in("api.train.train", error=KeyboardInterrupt())
    done = call("train")
    assert (done.status, done.err) == (
        130,
        "interrupted; go on with: nasrestore train runs/first\n",
    )
