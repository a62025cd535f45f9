from __future__ import annotations

import getpass
import json
import os
import platform
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy
import pytest
import torch

from nasrestore.runtime.determinism import deterministic_mode, environment, seed_everything


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    state = torch.get_rng_state(), random.getstate(), numpy.random.get_state()
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    yield
    deterministic_mode(False, "cpu")
    torch.set_rng_state(state[0])
    random.setstate(state[1])
    numpy.random.set_state(state[2])


def draw() -> tuple[float, float, float]:
    return random.random(), float(numpy.random.random()), torch.rand(()).item()


def test_a_seed_settles_every_generator() -> None:
    seed_everything(7)
    first = draw()
    seed_everything(8)
    other = draw()
    seed_everything(7)
    assert draw() == first
    assert all(a != b for a, b in zip(first, other, strict=True))


def test_seeds_of_64_bits_are_taken_and_others_refused() -> None:
    seed_everything(2**64 - 1)
    first = draw()
    seed_everything(2**64 - 1)
    assert draw() == first
    for seed in (-1, 2**64):
        with pytest.raises(ValueError, match=str(seed)):
            seed_everything(seed)


def test_on_a_cpu_what_is_not_deterministic_raises() -> None:
    deterministic_mode(True, "cpu")
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.is_deterministic_algorithms_warn_only_enabled()
    target = torch.zeros(3)
    index = torch.tensor([0, 0])
    with pytest.raises(RuntimeError, match="deterministic"):
        target.put_(index, torch.tensor([1.0, 2.0]), accumulate=False)
    deterministic_mode(False, "cpu")
    assert not torch.are_deterministic_algorithms_enabled()


def test_on_cuda_it_warns_and_cublas_gets_a_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    deterministic_mode(True, "cuda")
    assert torch.is_deterministic_algorithms_warn_only_enabled()
    assert torch.backends.cudnn.deterministic
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    deterministic_mode(False, "cuda")
    assert not torch.backends.cudnn.deterministic


def test_what_the_user_chose_for_cublas_stays() -> None:
    deterministic_mode(True, "cuda")
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


def test_environment_names_machine_and_versions() -> None:
    found = environment()
    assert json.loads(json.dumps(found)) == found
    machine, versions = found["machine"], found["versions"]
    assert machine["threads"] == torch.get_num_threads()
    assert 1 <= machine["cores"] <= (os.cpu_count() or 1)
    assert machine["memory_gb"] is None or machine["memory_gb"] > 0
    assert machine["cpu"]
    assert len(machine["gpus"]) == (torch.cuda.device_count() if torch.cuda.is_available() else 0)
    assert versions["python"] == platform.python_version()
    assert versions["torch"] == str(torch.__version__)
    assert set(versions) == {"python", "torch", "torchvision", "nasrestore", "cuda"}
    assert found["os"].startswith(platform.system())


def test_environment_does_not_tell_whose_machine_it_is() -> None:
    text = json.dumps(environment()).lower()
    words = {socket.gethostname(), str(Path.home()), str(Path.cwd()), getpass.getuser()}
    for word in words:
        assert len(word) < 4 or word.lower() not in text, word


@pytest.mark.gpu
def test_gpu_has_a_name() -> None:
    assert all(environment()["machine"]["gpus"])
