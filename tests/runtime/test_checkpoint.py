from __future__ import annotations

import enum
import errno
import io
import os
import random
import resource
import subprocess
import sys
from collections import OrderedDict, namedtuple
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy
import pytest
import torch
from torch import nn

from nasrestore.errors import NasRestoreError
from nasrestore.runtime import checkpoint as module
from nasrestore.runtime.checkpoint import (
    disk_errors,
    latest_checkpoint,
    load_checkpoint,
    plain,
    random_state,
    save_checkpoint,
    set_random_state,
    write_atomic,
)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """A disk that takes no more than ``size`` bytes a file, by the system's own limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def save(folder: Path, step: int, **options: int) -> Path:
    return save_checkpoint(folder, {"weights": torch.full((300,), step)}, step=step, **options)


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    state = {"weights": torch.randn(3, 4), "rate": 1e-3, "names": ["a", "b"], "none": None}
    path = save_checkpoint(tmp_path / "new" / "folder", state, step=1234, kind="search")
    assert path.name == "step-00001234.pt"
    loaded = load_checkpoint(path)
    assert torch.equal(loaded.pop("weights"), state.pop("weights"))
    assert loaded == state
    assert (loaded.step, loaded.kind, loaded.path, loaded.notes) == (1234, "search", path, ())
    content = torch.load(path, weights_only=True)
    assert content["format"] == 1
    assert content["version"] == loaded.version


def test_training_goes_on_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    def make() -> tuple[nn.Module, torch.optim.Optimizer]:
        network = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
        return network, torch.optim.Adam(network.parameters(), 0.1)

    def train(network: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            network(torch.randn(4, 3)).square().sum().backward()
            optimizer.step()

    network, optimizer = make()
    train(network, optimizer, 3)
    state = {
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "random": random_state(),
    }
    save_checkpoint(tmp_path, state, step=3)
    train(network, optimizer, 3)

    resumed, its_optimizer = make()
    loaded = load_checkpoint(tmp_path)
    resumed.load_state_dict(loaded["network"])
    its_optimizer.load_state_dict(loaded["optimizer"])
    set_random_state(loaded["random"])
    train(resumed, its_optimizer, 3)
    for name, value in network.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_keep_counts_the_newest(tmp_path: Path) -> None:
    for step in (1, 2, 3, 10):
        save(tmp_path, step, keep=5)
    assert len(names(tmp_path)) == 4
    save(tmp_path, 20)
    assert names(tmp_path) == ["step-00000010.pt", "step-00000020.pt"]
    save(tmp_path, 21, keep=1)
    assert names(tmp_path) == ["step-00000021.pt"]


def test_newest_is_by_number_not_by_name(tmp_path: Path) -> None:
    save(tmp_path, 99_999_999)
    save(tmp_path, 100_000_000)
    latest = latest_checkpoint(tmp_path)
    assert latest is not None
    assert latest.name == "step-100000000.pt"


def test_a_course_that_was_given_up_goes(tmp_path: Path) -> None:
    for step in (10, 20):
        save(tmp_path, step)
    save(tmp_path, 15)
    assert names(tmp_path) == ["step-00000010.pt", "step-00000015.pt"]


def test_other_files_are_left_alone_and_torn_temporary_ones_go(tmp_path: Path) -> None:
    (tmp_path / "step-best.pt").write_text("mine")
    (tmp_path / ".step-00000001.pt.0011.tmp").write_text("torn")
    save(tmp_path, 2, keep=1)
    assert names(tmp_path) == ["step-00000002.pt", "step-best.pt"]


def test_no_checkpoint(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path) is None
    assert latest_checkpoint(tmp_path / "missing") is None
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(NasRestoreError, match="no checkpoint in") as caught:
            load_checkpoint(folder)
            assert "from a copy" in str(caught.value)
    with pytest.raises(NasRestoreError, match="cannot read"):
        load_checkpoint(tmp_path / "step-00000001.pt")


@pytest.mark.parametrize("size", [0, 1, 100, 1000, -1])
def test_a_torn_newest_file_falls_back_and_says_so(tmp_path: Path, size: int) -> None:
    save(tmp_path, 1)
    newest = save(tmp_path, 2)
    newest.write_bytes(newest.read_bytes()[:size])
    loaded = load_checkpoint(tmp_path)
    assert loaded.step == 1
    assert torch.equal(loaded["weights"], torch.full((300,), 1))
    (note,) = loaded.notes
    assert "step-00000002.pt is damaged" in note
    assert "went back to step-00000001.pt" in note
    with pytest.raises(NasRestoreError, match="no intact checkpoint"):
        load_checkpoint(newest)


def test_no_flipped_bit_goes_unseen(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, {"weights": torch.arange(8)}, step=1)
    intact = path.read_bytes()
    for position in range(0, len(intact), 5):
        damaged = bytearray(intact)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        with pytest.raises(NasRestoreError, match="damaged"):
            load_checkpoint(path)


def test_all_damaged_names_them_all(tmp_path: Path) -> None:
    for step in (1, 2):
        save(tmp_path, step).write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(NasRestoreError, match="no intact checkpoint") as caught:
        load_checkpoint(tmp_path)
    assert all(f"step-0000000{step}.pt is damaged" in str(caught.value) for step in (1, 2))


def write_sealed(path: Path, content: object) -> None:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    module._seal(buffer)
    path.write_bytes(buffer.getvalue())


def test_code_in_a_file_is_never_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "ran"),)

    write_sealed(tmp_path / "step-00000001.pt", {"format": 1, "kind": "x", "state": Bomb()})
    with pytest.raises(NasRestoreError, match="more than plain data"):
        load_checkpoint(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_other_version_and_kind(tmp_path: Path) -> None:
    path = save(tmp_path, 1)
    with pytest.raises(NasRestoreError, match=r"kind 'checkpoint', where 'train' is expected"):
        load_checkpoint(path, kind="train")
    # Another version is said at once: an older file of this one would be the wrong state.
    write_sealed(tmp_path / "step-00000002.pt", {"format": 2, "kind": "search", "future": 1})
    with pytest.raises(NasRestoreError, match="format 2") as caught:
        load_checkpoint(tmp_path)
    assert "another version" in str(caught.value)


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    save(tmp_path, 1, keep=1)
    with largest_file(1000), pytest.raises(NasRestoreError) as caught:
        save(tmp_path, 2, keep=1)
    assert names(tmp_path) == ["step-00000001.pt"]
    assert load_checkpoint(tmp_path).step == 1
    assert "step-00000002.pt" in caught.value.message
    assert "GB free" in caught.value.message
    assert "another place" in str(caught.value.hint)
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission denied"),
    ],
)
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_every_refusal_has_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str, call: str
) -> None:
    path = tmp_path / "result.json"
    path.write_text("old")

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module.os, call, refuse)
    with pytest.raises(NasRestoreError, match=words):
        write_atomic(path, "new")
    assert names(tmp_path) == ["result.json"]
    assert path.read_text() == "old"


def test_an_interruption_leaves_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module.os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "file", b"x")
    assert names(tmp_path) == []


def test_write_atomic_writes_text_as_it_is(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a" / "b.txt", "Größe\r\n")
    assert (tmp_path / "a" / "b.txt").read_bytes() == "Größe\r\n".encode()


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(NasRestoreError, match="cannot write"):
        write_atomic(tmp_path / "runs" / "a" / "b", "x")


def test_a_bug_stays_a_bug(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Bad file descriptor"), disk_errors(tmp_path):
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


def test_plain_types_survive_safe_loading(tmp_path: Path) -> None:
    class Kind(enum.IntEnum):
        A = 3

    Pair = namedtuple("Pair", "x y")
    state = {
        "float64": numpy.float64(0.1),
        "int32": numpy.int32(-7),
        "bool": numpy.bool_(True),
        "array": numpy.arange(3, dtype=numpy.uint16),
        "path": Path("a/b"),
        "version": torch.__version__,
        "kind": Kind.A,
        "pair": Pair(1, 2),
        "size": torch.Size([1, 2]),
        "bytes": b"\x00\xff",
        "large": 2**80,
        "dtype": torch.bfloat16,
        "device": torch.device("cpu"),
        7: {None: {(1, "a"): ()}},
    }
    save_checkpoint(tmp_path, state, step=0)
    loaded = load_checkpoint(tmp_path)
    assert loaded.pop("array").tolist() == [0, 1, 2]
    assert loaded == {
        "float64": 0.1,
        "int32": -7,
        "bool": True,
        "path": "a/b",
        "version": str(torch.__version__),
        "kind": 3,
        "pair": (1, 2),
        "size": (1, 2),
        "bytes": b"\x00\xff",
        "large": 2**80,
        "dtype": torch.bfloat16,
        "device": torch.device("cpu"),
        7: {None: {(1, "a"): ()}},
    }
    assert all(type(loaded[name]) in (int, float, bool) for name in ("float64", "int32", "bool"))


def test_state_dicts_keep_the_versions_of_their_modules() -> None:
    state = nn.BatchNorm2d(2).state_dict()
    kept = plain(state)
    assert isinstance(kept, OrderedDict)
    assert kept._metadata == state._metadata == {"": {"version": 2}}


def test_what_cannot_be_loaded_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"state\['search'\]\[1\] is a object, which a checkpoint"):
        save_checkpoint(tmp_path, {"search": [1, object()]}, step=0)
    assert names(tmp_path) == []
    with pytest.raises(ValueError, match="keep 0"):
        save(tmp_path, 1, keep=0)


def test_random_state_goes_through_a_file(tmp_path: Path) -> None:
    def draw() -> tuple[float, ...]:
        return (
            random.random(),
            random.gauss(0, 1),
            numpy.random.standard_normal(),
            torch.rand(()).item(),
        )

    # Both keep the second of two normal numbers back, which is part of the state.
    random.gauss(0, 1)
    numpy.random.standard_normal()
    save_checkpoint(tmp_path, random_state(), step=0)
    expected = [draw() for _ in range(3)]
    set_random_state(load_checkpoint(tmp_path))
    assert [draw() for _ in range(3)] == expected


def test_import_is_light() -> None:
    code = (
        "import sys, nasrestore.runtime.runfolder, nasrestore.runtime.checkpoint\n"
        "sys.exit(bool({'torch', 'numpy'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
