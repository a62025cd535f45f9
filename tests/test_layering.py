"""Imports point down only, and the lower half knows neither torch nor YAML's consumers."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "nasrestore"

LAYERS = [
    {"errors"},
    {"registry"},
    {"plugin_errors"},
    {"spec"},
    {"graph"},
    {"ops"},
    {"metrics"},
    {"losses"},
    {"network", "data"},
    {"runtime"},
    {"search"},
    {"engine"},
    {"report", "integrations"},
    {"assemble"},
    {"api"},
    {"cli"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
WITHOUT_SPEC = {"runtime", "search", "engine"}
TORCH_FREE = {"errors", "registry", "plugin_errors", "spec", "graph"}
FILES = sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    """The part of the package that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_imported(path: Path) -> set[str]:
    found = {name.split(".")[1] for name in imports(path) if name.startswith("nasrestore.")}
    return {name for name in found if name in RANK}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    mine = room(path)
    if mine in ("__init__", "__main__"):
        return
    for other in rooms_imported(path) - {mine}:
        assert RANK[other] < RANK[mine], f"{path.name} ({mine}) imports {other}"
        assert not (other == "spec" and mine in WITHOUT_SPEC), f"{path.name} imports spec"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_only_cli_prints_or_exits(path: Path) -> None:
    if room(path) in ("cli", "__main__"):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in ("print", "sys.exit", "exit"), path


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_torch_below(path: Path) -> None:
    if room(path) in TORCH_FREE:
        heavy = {name.split(".")[0] for name in imports(path)} & {"torch", "networkx", "numpy"}
        assert not heavy, f"{path} imports {heavy}"


def test_check_of_a_recipe_imports_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from nasrestore.assemble.prepare import prepare\n"
        "prepare('rdmc')\n"
        "heavy = {'torch', 'numpy', 'networkx', 'rich', 'matplotlib', 'nni'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_every_file_has_a_name_and_a_size_of_its_own() -> None:
    for path in FILES:
        assert path.stem not in {"utils", "common", "helpers", "misc"}, path
        assert len(path.read_text().splitlines()) <= 400, path


def test_nothing_is_a_room_that_the_list_does_not_know() -> None:
    rooms = {p.name for p in PACKAGE.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert rooms <= set(RANK)
