"""Deriving again in a run that has been trained and evaluated."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from made_runs import small_run

import nasrestore as nr
from nasrestore.errors import NasRestoreError
from nasrestore.runtime.runfolder import MEASURED
from nasrestore.runtime.runlog import read_log

SHOWN = ("evaluation-test.csv", "pictures/test.png", "pictures/test")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = small_run(tmp_path_factory.mktemp("place"))
    (run / "report.html").write_text("the page of the first network")
    return run


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished run."""
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def result_of(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "result.json").read_text()))


def files_of(run: Path) -> dict[str, bytes]:
    files = sorted(path for path in run.rglob("*") if path.is_file() and path.name != "run.lock")
    return {str(path.relative_to(run)): path.read_bytes() for path in files}


def smaller(run: Path) -> int:
    """A limit that the genotype of the run does not keep within."""
    return int(result_of(run)["derive"]["parameters"]) - 1


def test_the_same_genotype_keeps_everything(run: Path) -> None:
    before, figures = files_of(run), result_of(run)
    nr.derive(run, top=2)
    after = files_of(run)
    assert before.keys() == after.keys()
    changed = {name for name in before if before[name] != after[name]}
    assert changed <= {"genotype.yaml", "result.json", "checkpoints/derive/step-00000000.pt"}
    kept = {name: value for name, value in result_of(run).items() if name != "derive"}
    assert kept == {name: value for name, value in figures.items() if name != "derive"}


def test_another_genotype_is_refused_and_nothing_changes(run: Path) -> None:
    before = files_of(run)
    with pytest.raises(NasRestoreError, match=r"has been trained or evaluated .* another \(middle"):
        nr.derive(run, parameters=smaller(run))
    assert files_of(run) == before


def test_overwrite_takes_everything_of_the_genotype_before_along(run: Path) -> None:
    found = nr.derive(run, parameters=smaller(run), overwrite=True)
    assert not ({"train", *MEASURED} & result_of(run).keys())
    assert not (run / "checkpoints" / "train").exists()
    assert not any((run / name).exists() for name in (*SHOWN, "report.html"))
    assert not [x for x in read_log(run / "log.jsonl") if "terms" in x and x["phase"] == "train"]
    assert [x for x in read_log(run / "log.jsonl") if "terms" in x and x["phase"] == "search"]
    (note,) = [note for note in found.notes if "is removed" in note]
    assert all(name in note for name in (*SHOWN, "checkpoints/train"))
    assert (
        nr.load_genotype(run / "genotype.yaml").decisions
        == found.alternatives[0].genotype.decisions
    )
    assert nr.load(run).description == "small, carried over from the search"
    nr.train(run)
    nr.evaluate(run)
    assert {"train", *MEASURED} <= result_of(run).keys()


def test_a_genotype_that_nothing_was_made_of_yet_is_replaced(run: Path, tmp_path: Path) -> None:
    shutil.rmtree(run / "checkpoints" / "train")
    result = result_of(run)
    for name in ("train", *MEASURED):
        result.pop(name)
    (run / "result.json").write_text(json.dumps(result))
    found = nr.derive(run, parameters=smaller(run))
    assert not any("removed" in note for note in found.notes)
    assert (
        nr.load_genotype(run / "genotype.yaml").decisions
        == found.alternatives[0].genotype.decisions
    )


def test_figures_alone_are_refused_too(run: Path) -> None:
    """Also what was measured before any training is of the present genotype."""
    shutil.rmtree(run / "checkpoints" / "train")
    with pytest.raises(NasRestoreError, match="has been trained or evaluated"):
        nr.derive(run, parameters=smaller(run))


def test_training_again_takes_the_evaluations_along(run: Path) -> None:
    nr.train(run, overwrite=True)
    assert not (set(MEASURED) & result_of(run).keys())
    assert not any((run / name).exists() for name in SHOWN)


def test_going_on_with_a_training_that_has_ended_changes_nothing(run: Path) -> None:
    figures = result_of(run)
    summary = nr.train(run, resume=True).summary
    assert summary == figures["train"] and result_of(run) == figures
    assert all((run / name).exists() for name in SHOWN)
