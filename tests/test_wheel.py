"""A wheel, installed outside the checkout, has everything: code, recipes, spaces, genotypes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SMALL = [
    "space.width=2", "objectives.restoration.contrastive=0", "data.patch=16", "data.patches=8",
    "data.batch=2", "data.rain.variants=1", "search.epochs=null", "search.steps=1",
    "precision=fp32", "threads=1", "search.levels[0].schedule=constant",
    "search.levels[1].schedule=constant",
]  # fmt: skip

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the wheel's content and nothing else."""
    place = tmp_path_factory.mktemp("wheel")
    source = place / "source"  # building leaves folders behind, which must not be the checkout's
    source.mkdir()
    for name in ("nasrestore", "spaces", "recipes"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(place), str(source)]
    subprocess.run([*pip, *build], check=True, capture_output=True)
    (wheel,) = place.glob("*.whl")
    site = place / "site"
    subprocess.run(
        [*pip, "install", "--no-deps", "--target", str(site), str(wheel)],
        check=True,
        capture_output=True,
    )
    return site


@pytest.fixture
def nasrestore(installed: Path, tmp_path: Path) -> Command:
    """Runs the installed command in an empty folder outside the checkout."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
        return subprocess.run(
            [sys.executable, "-m", "nasrestore", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )

    return run


def test_list_copy_and_check(nasrestore: Command, tmp_path: Path) -> None:
    listed = nasrestore("list")
    assert listed.returncode == 0, listed.stderr
    for name in ("rdmc", "rdmc-quick", "rdmc-paper"):
        assert name in listed.stdout
    copied = nasrestore("copy", "rdmc-quick")
    assert copied.returncode == 0, copied.stderr
    files = sorted(str(path) for path in tmp_path.rglob("*.yaml"))
    assert any(path.endswith("rdmc-quick.yaml") for path in files)
    checked = nasrestore("check", *files)
    assert checked.returncode == 0, checked.stderr
    assert "2025 architectures" in checked.stdout


def test_search(nasrestore: Command, tmp_path: Path) -> None:
    overrides = [part for text in SMALL for part in ("--set", text)]
    searched = nasrestore("search", "rdmc", "--out", "run", *overrides)
    assert searched.returncode == 0, searched.stderr
    assert (tmp_path / "run" / "genotype.yaml").is_file()
    assert "sample photographs" in searched.stderr + searched.stdout
