"""What is said where a run's recipe is not that of its checkpoints any more."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from made_runs import small_run

import nasrestore as nr
from nasrestore.api.doctor import examine_run
from nasrestore.api.phases import Options
from nasrestore.errors import NasRestoreError
from nasrestore.search.loop import Interrupted, Silent

MISFIT = r"the weights in .*checkpoints/{kind}/step-\d+\.pt do not fit the recipe's network: "
MISFIT += r"\S*first\S* is 4x3x3x3 there and 6x3x3x3 here \(and \d+ more\)"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_run(tmp_path_factory.mktemp("place"))


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished run."""
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def change(run: Path, old: str, new: str) -> None:
    recipe = run / "recipe.yaml"
    text = recipe.read_text()
    assert text.count(old) == 1
    recipe.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        ("train", nr.load),
        ("train", nr.evaluate),
        ("search", nr.derive),
        ("search", lambda run: nr.train(run, overwrite=True)),
        ("train", lambda run: nr.train(run, resume=True, weights="fresh")),
    ],
    ids=["load", "evaluate", "derive", "train", "train --resume"],
)
def test_another_width_than_that_of_the_weights_is_one_message(
    run: Path, kind: str, command: Callable[[Path], object]
) -> None:
    before = (run / "result.json").read_bytes()
    change(run, "width: 4", "width: 6")
    with pytest.raises(NasRestoreError, match=MISFIT.format(kind=kind)) as caught:
        command(run)
    assert "recipe.yaml" in (caught.value.hint or "") and caught.value.exit_status == 2
    assert (run / "result.json").read_bytes() == before


def test_so_it_is_where_a_search_goes_on(finished: Path, tmp_path: Path) -> None:
    recipe, out = finished.parent / "small.yaml", tmp_path / "part"
    with pytest.raises(Interrupted):
        nr.search(recipe, out=out, should_stop=lambda: True)
    change(out, "width: 4", "width: 6")
    with pytest.raises(NasRestoreError, match=MISFIT.format(kind="search")):
        nr.search(recipe, out=out, resume=True)


def test_other_levels_than_those_of_the_checkpoint(finished: Path, tmp_path: Path) -> None:
    recipe, out = finished.parent / "small.yaml", tmp_path / "part"
    with pytest.raises(Interrupted):
        nr.search(recipe, out=out, should_stop=lambda: True)
    change(out, "  - name: architecture", "  - name: decisions")
    with pytest.raises(NasRestoreError, match="levels weights, architecture, and the recipe has "):
        nr.search(recipe, out=out, resume=True)


def test_the_doctor_finds_it(run: Path) -> None:
    change(run, "width: 4", "width: 6")
    found = examine_run(run, options=Options(Silent()), data=False)
    hard = {finding.subject: finding for finding in found.findings if finding.kind == "hard"}
    assert set(hard) == {"search", "train"}
    assert all(finding.check == "checkpoint" for finding in hard.values())
    assert "is 4x3x3x3 there and 6x3x3x3 here" in hard["search"].sentence
