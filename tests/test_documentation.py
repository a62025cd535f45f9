"""What the documentation shows is valid: its spaces and recipes are checked as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nasrestore.assemble.prepare import prepare
from nasrestore.graph.compile import compile_space
from nasrestore.spec.space import parse_space

ROOT = Path(__file__).resolve().parents[1]
BLOCKS = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "language.md").read_text(), re.DOTALL)


def test_the_spaces() -> None:
    texts = [block for block in BLOCKS if "\nnodes:" in block]
    assert [compile_space(parse_space(text)).architectures for text in texts] == [12, 512]


def test_the_recipe(tmp_path: Path) -> None:
    (text,) = (block for block in BLOCKS if "\nrecipe:" in block)
    (tmp_path / "mine.yaml").write_text(text.replace("../spaces/mine.yaml", "rdmc"))
    prepared = prepare(tmp_path / "mine.yaml")
    assert (prepared.recipe.search.epochs, prepared.recipe.search.steps) == (20, None)
    assert prepared.recipe.description is None


def test_the_recipe_and_the_code_of_the_page_on_levels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "levels.md").read_text()
    (recipe,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "three.yaml").write_text(recipe)
    levels = prepare(tmp_path / "three.yaml").recipe.search.levels
    assert [level.name for level in levels] == ["weights", "architecture", "scalars"]
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(code, "levels.md", "exec"), {})
    assert "0.7000" in capsys.readouterr().out


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "docs/language.md",
        "docs/rdmc.md",
        "docs/memory.md",
        "docs/health.md",
        "docs/levels.md",
        "docs/video.md",
    ],
)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert ((ROOT / page).parent / target).exists(), f"{page} links {target}"
