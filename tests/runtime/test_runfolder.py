from __future__ import annotations

import errno
import json
import math
import os
import shutil
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from nasrestore.errors import NasRestoreError
from nasrestore.runtime import runfolder as module
from nasrestore.runtime.runfolder import (
    RunFolder,
    check_out,
    create_run,
    newest_run,
    open_run,
    read_result,
    update_result,
)

NOON = datetime(2025, 1, 31, 12, 0, 0, tzinfo=timezone.utc)


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def new(out: Path | None = None, name: str = "rdmc", minutes: int = 0) -> RunFolder:
    """A run as a search leaves it behind."""
    now = NOON + timedelta(minutes=minutes)
    run = create_run(out, name, resume=False, overwrite=False, now=now)
    run.recipe.write_text("format: 1\n")
    return run


def refused(out: Path | None, match: str, *, resume: bool = False, overwrite: bool = False) -> str:
    with pytest.raises(NasRestoreError, match=match) as caught:
        create_run(out, "rdmc", resume=resume, overwrite=overwrite)
    return str(caught.value.hint)


def test_the_places_of_the_contract(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    places = {
        "recipe.yaml": run.recipe,
        "genotype.yaml": run.genotype,
        "log.jsonl": run.log,
        "result.json": run.result,
        "checkpoints/search": run.checkpoints_search,
        "checkpoints/train": run.checkpoints_train,
        "pictures": run.pictures,
        "report.html": run.report,
        "tensorboard": run.tensorboard,
        "plugins": run.plugins,
    }
    assert {name: tmp_path / name for name in places} == places


def test_default_names_carry_name_and_local_time() -> None:
    now = datetime(2025, 1, 31, 12, 5, 9)
    runs = [create_run(None, "rdmc", resume=False, overwrite=False, now=now) for _ in range(3)]
    assert [run.path for run in runs] == [
        Path("runs/rdmc-20250131-120509"),
        Path("runs/rdmc-20250131-120509-2"),
        Path("runs/rdmc-20250131-120509-3"),
    ]
    marker = json.loads((runs[0].path / "run.json").read_text())
    assert marker["format"] == 1
    assert datetime.fromisoformat(marker["created"]) == now.astimezone(timezone.utc)


@pytest.mark.parametrize(
    ("name", "folder"), [("my net/x2", "my-net-x2"), ("../..", "run"), ("Größe", "Größe")]
)
def test_a_name_is_one_safe_part_of_a_path(name: str, folder: str) -> None:
    run = create_run(None, name, resume=False, overwrite=False)
    assert run.path.parent == Path("runs")
    assert run.path.name.startswith(folder + "-2")


def test_out_may_be_new_or_empty(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for out in (Path("empty"), Path("new/deep")):
        assert open_run(new(out).path).path == out


def test_out_that_cannot_be_written_is_said_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_out(tmp_path / "a" / "b", overwrite=False)
    assert list(tmp_path.iterdir()) == []

    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(NasRestoreError, match=r"cannot write in .*: read-only file system"):
        check_out(tmp_path / "a" / "b", overwrite=False)
    with pytest.raises(NasRestoreError, match=r"make a run in runs: .*: read-only file system"):
        check_out(None, overwrite=False)


def test_the_default_folder_may_be_new_or_there_but_no_file(tmp_path: Path) -> None:
    check_out(None, overwrite=False)
    assert list(tmp_path.iterdir()) == []
    Path("runs").mkdir()
    check_out(None, overwrite=False)
    assert list(Path("runs").iterdir()) == []
    Path("runs").rmdir()
    Path("runs").touch()
    with pytest.raises(NasRestoreError, match="cannot write in runs: not a directory") as caught:
        check_out(None, overwrite=False)
    assert "--out" in str(caught.value.hint)
    with pytest.raises(NasRestoreError, match="runs: not a directory"):
        check_out(Path("runs/deep/first"), overwrite=False)


def test_out_that_holds_something_is_kept(tmp_path: Path) -> None:
    run = new(Path("first"))
    hint = refused(run.path, "exists and is not empty")
    assert "--resume" in hint
    assert "--overwrite" in hint
    assert run.recipe.exists()


def test_resume_finds_the_run() -> None:
    run = new(Path("first"))
    assert create_run(run.path, "rdmc", resume=True, overwrite=False) == run
    new(None, "rdmc", minutes=1)
    newest = new(None, "rdmc", minutes=3)
    new(None, "tmics", minutes=5)
    assert create_run(None, "rdmc", resume=True, overwrite=False).path == newest.path


def test_resume_never_starts_anew() -> None:
    refused(Path("missing"), "missing is not there", resume=True)
    assert not Path("missing").exists()
    new(None, "tmics")
    refused(None, "no run named 'rdmc' under runs/", resume=True)
    refused(None, "both given", resume=True, overwrite=True)


def test_overwrite_removes_a_run(tmp_path: Path) -> None:
    run = new(Path("first"))
    run.checkpoints_search.mkdir(parents=True)
    (run.checkpoints_search / "step-00000001.pt").write_text("old")
    (run.path / "notes.txt").write_text("mine, but --overwrite was asked for")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "image.png").write_text("precious")
    (run.path / "link").symlink_to(tmp_path / "data")
    again = create_run(run.path, "rdmc", resume=False, overwrite=True)
    assert os.listdir(again.path) == ["run.json"]
    assert (tmp_path / "data" / "image.png").exists()


def test_overwrite_follows_a_link_to_a_run_and_keeps_it() -> None:
    new(Path("first"))
    Path("latest").symlink_to("first")
    create_run(Path("latest"), "rdmc", resume=False, overwrite=True)
    assert Path("latest").is_symlink()
    assert os.listdir("first") == ["run.json"]


def test_overwrite_removes_a_run_without_a_marker() -> None:
    run = new(Path("first"))
    (run.path / "run.json").unlink()
    run.pictures.mkdir()
    create_run(run.path, "rdmc", resume=False, overwrite=True)
    assert os.listdir(run.path) == ["run.json"]


@pytest.mark.parametrize("files", [["a.txt"], ["recipe.yaml", "paper.tex"], ["log.jsonl"]])
def test_overwrite_removes_nothing_else(files: list[str]) -> None:
    Path("work").mkdir()
    for file in files:
        (Path("work") / file).write_text("mine")
    refused(Path("work"), "not a run folder, so --overwrite leaves it alone", overwrite=True)
    assert sorted(os.listdir("work")) == sorted(files)


@pytest.mark.parametrize("overwrite", [True, False])
def test_precious_folders_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "users" / "me"))
    (tmp_path / "users" / "me").mkdir(parents=True)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for place in (tmp_path / "work", tmp_path, tmp_path / "users" / "me", tmp_path / "users"):
        (place / "run.json").write_text('{"format": 1}')
    Path("file").write_text("")
    refused(Path("."), "is the working folder", overwrite=overwrite)
    refused(Path("/"), "contains the working folder", overwrite=overwrite)
    refused(tmp_path, "contains the working folder", overwrite=overwrite)
    refused(tmp_path / "users" / "me", "is the home folder", overwrite=overwrite)
    refused(tmp_path / "users", "contains the home folder", overwrite=overwrite)
    refused(Path("file"), "is a file", overwrite=overwrite)
    assert (tmp_path / "users" / "me" / "run.json").exists()


def test_a_removal_that_breaks_off_can_be_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    run = new(Path("first"))
    run.pictures.mkdir()

    def refuse(*_: object) -> None:
        raise OSError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(module.shutil, "rmtree", refuse)
        refused(run.path, "cannot remove first: permission denied", overwrite=True)
    assert open_run(run.path) == run
    create_run(run.path, "rdmc", resume=False, overwrite=True)
    assert os.listdir(run.path) == ["run.json"]


def test_newest_is_by_the_recorded_time() -> None:
    late = new(Path("runs/b"), minutes=10)
    early = new(Path("runs/a"), minutes=5)
    os.utime(late.recipe, (0, 0))
    Path("runs/no-recipe").mkdir()
    create_run(Path("runs/failed"), "rdmc", resume=False, overwrite=False)
    Path("runs/file").write_text("")
    assert newest_run() == open_run(None) == late
    shutil.copytree(late.path, "runs/z")
    shutil.rmtree(late.path)
    assert newest_run().path == Path("runs/z")
    shutil.rmtree("runs/z")
    assert newest_run() == early


def test_newest_of_one_second_is_the_one_with_the_highest_number() -> None:
    runs = [new() for _ in range(11)]
    assert newest_run() == runs[-1]
    assert runs[-1].path.name.endswith("-11")


def test_a_run_without_a_marker_counts_by_its_recipe() -> None:
    new(Path("runs/marked"))
    bare = Path("runs/bare")
    bare.mkdir()
    (bare / "recipe.yaml").write_text("format: 1\n")
    assert newest_run().path == bare
    assert open_run(bare).path == bare


def test_no_run_says_how_to_make_one() -> None:
    for _ in range(2):
        with pytest.raises(NasRestoreError, match="no run under runs/") as caught:
            open_run(None)
        assert "nasrestore search" in str(caught.value.hint)
        Path("runs").mkdir(exist_ok=True)


def test_what_is_no_run_is_said() -> None:
    run = new(Path("runs/first"))
    with pytest.raises(NasRestoreError, match="fist is not there") as caught:
        open_run(Path("runs/fist"))
    assert caught.value.hint == "did you mean runs/first?"
    with pytest.raises(NasRestoreError, match="is a file"):
        open_run(run.recipe)
    with pytest.raises(NasRestoreError, match=r"no recipe\.yaml"):
        open_run(Path("runs"))
    run.recipe.unlink()
    with pytest.raises(NasRestoreError, match="its recipe is missing"):
        open_run(run.path)
    run.recipe.write_text("")
    (run.path / "run.json").write_text('{"format": 2, "created": "2099"}')
    with pytest.raises(NasRestoreError, match="format 2") as caught:
        open_run(None)
    assert "another version" in str(caught.value.hint)
    (run.path / "run.json").write_text("{")
    with pytest.raises(NasRestoreError, match=r"run\.json is damaged"):
        open_run(run.path)


def test_a_run_can_be_moved() -> None:
    run = new(Path("first"))
    update_result(run, search={"seconds": 3})
    shutil.move("first", "elsewhere")
    assert read_result(open_run(Path("elsewhere")))["search"] == {"seconds": 3}


def test_results_are_merged_by_section() -> None:
    run = new()
    assert read_result(run) == {"format": 1}
    update_result(run, search={"steps": 3, "seconds": 1.5}, evaluations=[])
    update_result(run, train={"steps": 4}, psnr_after=math.inf, ssim_after=math.nan)
    whole = update_result(run, search={"steps": 9})
    assert whole == read_result(run)
    assert whole == {
        "format": 1,
        "search": {"steps": 9},
        "evaluations": [],
        "train": {"steps": 4},
        "psnr_after": "inf",
        "ssim_after": "nan",
    }
    assert run.result.read_text().startswith('{\n  "format": 1')
    with pytest.raises(ValueError, match="JSON cannot hold"):
        update_result(run, train=object())
    assert read_result(run) == whole


@pytest.mark.parametrize("text", ["", "{", "[]", '{"search": {}}', '{"format": 2}', "\udcff"])
def test_a_result_that_cannot_be_read_is_not_overwritten(text: str) -> None:
    run = new()
    data = text.encode(errors="surrogateescape")
    run.result.write_bytes(data)
    with pytest.raises(NasRestoreError, match=r"result\.json"):
        update_result(run, search={})
    assert run.result.read_bytes() == data


def hold(run: RunFolder) -> subprocess.Popen[str]:
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from nasrestore.runtime.runfolder import RunFolder\n"
        "with RunFolder(Path(sys.argv[1])).locked():\n"
        "    print('locked', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(run.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    return process


def test_two_processes_do_not_write_one_run() -> None:
    run = new(Path("first"))
    with hold(run) as process:
        with (
            pytest.raises(NasRestoreError, match=f"written by process {process.pid}"),
            run.locked(),
        ):
            pass
        refused(run.path, "is being written by process", overwrite=True)
        assert run.recipe.exists()
        # Killed, it cannot clear up: its lock is stale, and is taken over.
        process.kill()
        process.wait()
        assert (run.path / "run.lock").exists()
        with run.locked():
            assert (run.path / "run.lock").read_text() == f"{os.getpid()}\n"
        assert not (run.path / "run.lock").exists()


def test_a_lock_is_free_after_an_error_and_not_held_twice() -> None:
    run = new()
    with pytest.raises(ZeroDivisionError), run.locked():
        raise ZeroDivisionError
    with run.locked():
        with pytest.raises(NasRestoreError, match=f"process {os.getpid()}"), run.locked():
            pass
        assert (run.path / "run.lock").exists()
    with run.locked():
        pass


def test_a_lock_that_was_replaced_is_not_removed() -> None:
    run = new()
    with run.locked():
        (run.path / "run.lock").unlink()
        (run.path / "run.lock").write_text("of another process")
    assert (run.path / "run.lock").read_text() == "of another process"


def test_a_file_system_without_locks_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")
    run = new()

    def cannot(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", cannot)
    with run.locked():
        assert (run.path / "run.lock").exists()


def test_a_lock_on_a_read_only_disk_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    run = new()

    def refuse(*_: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        with pytest.raises(NasRestoreError, match=r"cannot write .*run\.lock: .* read-only"):
            run.locked().__enter__()
