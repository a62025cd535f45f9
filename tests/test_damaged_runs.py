"""Checkpoints of a run that are damaged, gone or not its own: what is said, and how to go on."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from made_runs import small_run

import nasrestore as nr
from nasrestore.api.doctor import examine_run
from nasrestore.api.phases import Options
from nasrestore.errors import NasRestoreError
from nasrestore.runtime.runfolder import RunFolder
from nasrestore.search.loop import Interrupted, Silent


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_run(tmp_path_factory.mktemp("place"))


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished run, whose name a shell would take apart."""
    shutil.copytree(finished, tmp_path / "my run")
    return tmp_path / "my run"


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def changed(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[500:564] = bytes(64)
    file.write_bytes(content)


def foreign(file: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, file)


def training(run: Path) -> list[Path]:
    return sorted((run / "checkpoints" / "train").iterdir())


def refused(run: Path) -> NasRestoreError:
    with pytest.raises(NasRestoreError) as caught:
        nr.load(run)
    assert caught.value.exit_status == 2
    return caught.value


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (truncated, "step-00000004.pt is damaged (it ends early)"),
        (changed, "step-00000004.pt is damaged (its checksum is wrong)"),
        (foreign, "step-00000004.pt was not written by nasrestore"),
    ],
)
def test_a_damaged_last_checkpoint_is_named(
    run: Path, harm: Callable[[Path], None], said: str
) -> None:
    harm(training(run)[-1])
    error = refused(run)
    assert error.message == (
        f"the trained weights in {run}/checkpoints/train cannot be read: {said}; went back to "
        "step-00000000.pt, where the training had not ended (turn 0 of 4)"
    )
    assert f"nasrestore train {shlex.quote(str(run))} --resume" in (error.hint or "")
    found = examine_run(run, options=Options(Silent()), data=False).findings
    (finding,) = [one for one in found if (one.check, one.subject) == ("checkpoint", "train")]
    assert said in finding.sentence and finding.kind == "soft"
    heard = Heard()
    nr.train(run, resume=True, observer=heard)
    assert any(said in text for text in heard.messages)
    assert nr.load(run).description == "small, trained"


class Heard(Silent):
    def __init__(self) -> None:
        self.messages: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)


def test_where_no_checkpoint_is_intact_it_is_trained_again(run: Path) -> None:
    for file in training(run):
        truncated(file)
    for command in (nr.load, lambda run: nr.train(run, resume=True)):
        with pytest.raises(NasRestoreError, match=r"no intact checkpoint in .*train") as caught:
            command(run)
        assert (caught.value.hint or "").endswith(RunFolder(run).command("train", "--overwrite"))
    nr.train(run, overwrite=True)
    assert nr.load(run).description == "small, trained"


def test_hints_name_the_run_as_a_shell_takes_it(run: Path) -> None:
    genotype = run / "genotype.yaml"
    genotype.write_text(genotype.read_text().replace("conv(kernel=3)", "conv(kernel=5)", 1))
    error = refused(run)
    assert "are of another genotype" in error.message
    assert error.hint == f"train again: nasrestore train {shlex.quote(str(run))} --overwrite"
    with pytest.raises(NasRestoreError, match="of another genotype") as caught:
        nr.train(run, resume=True)
    assert caught.value.hint == error.hint


def test_a_training_that_was_interrupted_says_how_to_go_on(run: Path) -> None:
    with pytest.raises(Interrupted):
        nr.train(run, overwrite=True, should_stop=lambda: True)
    error = refused(run)
    assert "has not ended: it stopped at turn 1 of 4" in error.message
    assert error.hint == f"nasrestore train {shlex.quote(str(run))} --resume"


def test_a_run_without_checkpoints_has_nothing_to_derive_from(run: Path) -> None:
    shutil.rmtree(run / "checkpoints")
    assert refused(run).hint == RunFolder(run).command("train")
    with pytest.raises(NasRestoreError, match="no checkpoint of a search to derive from") as caught:
        nr.derive(run)
    assert "--resume" not in (caught.value.hint or "")
    assert RunFolder(run).command("train", "--from", "fresh") in (caught.value.hint or "")
    nr.train(run, weights="fresh")


def test_a_search_that_was_interrupted_goes_on_as_the_hint_says(
    finished: Path, tmp_path: Path
) -> None:
    out = tmp_path / "part"
    with pytest.raises(Interrupted):
        nr.search(finished.parent / "small.yaml", out=out, should_stop=lambda: True)
    with pytest.raises(NasRestoreError, match="its search has not ended") as caught:
        nr.load(out)
    words = shlex.split((caught.value.hint or "").partition(": ")[2])
    assert words == ["nasrestore", "search", f"{out}/recipe.yaml", "--resume", "--out", str(out)]
    nr.search(words[2], out=words[5], resume=True)
    assert (out / "genotype.yaml").is_file()
    shutil.rmtree(out / "checkpoints")
    (out / "genotype.yaml").unlink()
    with pytest.raises(NasRestoreError, match="has left no checkpoint yet") as caught:
        nr.derive(out)
    assert (caught.value.hint or "").partition(": ")[2] == shlex.join(words)
