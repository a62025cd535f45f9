"""Command lines run in this process, and a run folder as a search leaves it, without torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from command_calls import Call, Called, Recorder, StandIn

import nasrestore
from nasrestore.api.run import write_recipe
from nasrestore.assemble.prepare import prepare
from nasrestore.cli.main import main
from nasrestore.runtime.runfolder import RunFolder, create_run


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def environment() -> dict[str, str]:
    """For processes of their own: they find the package that is tested, wherever they run."""
    places = (str(Path(nasrestore.__file__).parents[1]), os.environ.get("PYTHONPATH", ""))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))}


@pytest.fixture
def call(here: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs a command line in an empty folder."""

    def run(*arguments: object) -> Called:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Called(status, captured.out, captured.err)

    return run


@pytest.fixture
def run_folder(here: Path) -> RunFolder:
    """``runs/first``, with a recipe and nothing else."""
    folder = create_run(Path("runs/first"), "rdmc-quick", resume=False, overwrite=False)
    write_recipe(folder, prepare("rdmc-quick"), {})
    return folder


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Puts a recorder in the place of a function, named from within the package."""

    def replace(place: str, result: Any = None, error: BaseException | None = None) -> Recorder:
        recorder = Recorder(result, error)
        monkeypatch.setattr(f"nasrestore.{place}", recorder)
        return recorder

    return replace


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that end with a page leave it out."""
    for name in ("search", "derive", "train", "evaluate"):
        monkeypatch.setattr(f"nasrestore.cli.{name}.report_after", lambda run: None)
