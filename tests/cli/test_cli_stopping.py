"""The first signal stops after the turn, the second one at once; and how to go on is said."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from nasrestore.cli.newrun import NewRun, Training
from nasrestore.cli.stopping import Stop, Stopped, resumable
from nasrestore.runtime.runfolder import RunFolder, create_run


class Interrupted(Exception):
    """Stands in for the loop's, whose module imports torch."""


@pytest.fixture(autouse=True)
def loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        sys.modules, "nasrestore.search.loop", SimpleNamespace(Interrupted=Interrupted)
    )


def test_before_the_first_turn_a_signal_interrupts() -> None:
    with pytest.raises(KeyboardInterrupt):
        Stop().handle(signal.SIGINT, None)


def test_the_first_signal_waits_for_the_turn_and_the_second_does_not() -> None:
    stop = Stop()
    stop.announces = False
    assert not stop.should_stop()
    stop.handle(signal.SIGINT, None)
    assert stop.should_stop()
    with pytest.raises(KeyboardInterrupt):
        stop.handle(signal.SIGINT, None)


def test_what_happens_next_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    stop = Stop()
    stop.should_stop()
    stop.handle(signal.SIGTERM, None)
    assert capfd.readouterr().err == "stopping after this turn; once more stops at once\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_real_signals_are_taken_and_handlers_put_back(
    number: int, capfd: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(number)
    with resumable(lambda: None) as stop:
        stop.should_stop()
        signal.raise_signal(number)
        assert stop.asked
    assert signal.getsignal(number) is before


def test_an_interruption_says_how_to_go_on() -> None:
    with pytest.raises(Stopped) as caught, resumable(lambda: "nasrestore train runs/a --resume"):
        raise Interrupted("stopped at turn 3 of 10")
    assert caught.value.exit_status == 130
    assert caught.value.message == (
        "interrupted: stopped at turn 3 of 10; go on with: nasrestore train runs/a --resume"
    )


def test_without_a_run_there_is_nothing_to_resume() -> None:
    with (
        pytest.raises(Stopped, match="interrupted; there is nothing to resume"),
        resumable(lambda: None),
    ):
        signal.raise_signal(signal.SIGINT)


def test_other_errors_pass() -> None:
    with pytest.raises(ZeroDivisionError), resumable(lambda: "x"):
        raise ZeroDivisionError


def made(path: Path | None) -> RunFolder:
    run = create_run(path, "rdmc", resume=False, overwrite=path is not None)
    run.recipe.write_text("format: 1\n")
    return run


def test_a_new_run_is_told_from_those_before(here: Path) -> None:
    made(None)
    new = NewRun(None)
    assert new.found() is None
    folder = made(None)
    assert new.found() == folder.path


def test_a_run_in_the_place_of_another_is_new(here: Path) -> None:
    out = Path("runs/a")
    made(out)
    new = NewRun(out)
    assert new.found() is None
    made(out)
    assert new.found() == out


def checkpoint(run: RunFolder, step: int) -> None:
    run.checkpoints_train.mkdir(parents=True, exist_ok=True)
    (run.checkpoints_train / f"step-{step:08d}.pt").touch()


def test_a_training_without_checkpoint_begins_again(here: Path) -> None:
    run = made(Path("runs/it is"))
    training = Training(run.path)
    assert training.resume_command() == "nasrestore train 'runs/it is'"
    checkpoint(run, 5)
    assert training.resume_command() == "nasrestore train 'runs/it is' --resume"


def test_an_overwritten_training_is_not_resumed_from_the_one_before(here: Path) -> None:
    run = made(Path("runs/a"))
    checkpoint(run, 400)
    training = Training(run.path, overwrite=True)
    assert training.resume_command() == "nasrestore train runs/a --overwrite"
    (run.checkpoints_train / "step-00000400.pt").unlink()
    checkpoint(run, 3)
    assert training.resume_command() == "nasrestore train runs/a --resume"
