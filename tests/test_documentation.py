"""What the documentation shows is valid: its spaces and recipes are checked as they stand."""

from __future__ import annotations

import itertools
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from nasrestore.assemble.prepare import find_genotype, prepare
from nasrestore.cli.parser import Parser
from nasrestore.graph.compile import compile_space, compile_tree
from nasrestore.graph.cost import graph_cost
from nasrestore.graph.derive import derive
from nasrestore.spec.load import override_space, overrides_of
from nasrestore.spec.shipped import find
from nasrestore.spec.source import read_yaml
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


TMICS = (ROOT / "docs" / "tmics.md").read_text()
ABLATIONS = re.findall(
    r"^nasrestore .*?(?= *#|$)",
    re.findall(r"\*\*Ablations.*?```\n(.*?)```", TMICS, re.DOTALL)[0].replace("\\\n ", ""),
    re.MULTILINE,
)


@pytest.mark.parametrize("command", ABLATIONS)
def test_the_ablations_of_tmics_are_commands(command: str) -> None:
    """Each is checked as it stands, and the paper's genotypes fit what it leaves open."""
    name, *rest = shlex.split(command)[1:]
    module = import_module(f"nasrestore.cli.{name}")
    parser = Parser(name, name, module.EXAMPLE)
    module.add_arguments(parser)
    given = parser.parse(rest)
    prepared = prepare(given.recipe, overrides_of(given.overrides))
    names = [given.genotype] if name == "train" else ["tmics-heavy", "tmics-light"]
    for genotype in names:
        decided, _ = find_genotype(genotype, prepared.graph)
        assert derive(prepared.graph, decided).choices == ()


def test_what_the_ablations_of_tmics_cost() -> None:
    (table,) = re.findall(r"\| \| settings .*?\n\|[-|]+\n(.*?)\n\n", TMICS, re.DOTALL)
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()]
    assert len(rows) == 8 == len({row[1] for row in rows})
    for row in rows:
        space = override_space(
            read_yaml(find("tmics", "space")), overrides_of(re.findall(r"`(.*?)`", row[1]))
        )
        graph = compile_tree(space)
        for name, (parameters, macs) in {"heavy": row[2:4], "light": row[4:6]}.items():
            decided, _ = find_genotype(f"tmics-{name}", graph)
            cost = graph_cost(derive(graph, decided), (128, 128))
            assert f"{cost.parameters:,}" == parameters, row
            assert f"{float(cost.macs) / 1e9:.2f} G" == macs, row


@pytest.mark.parametrize("page", ["tmics", "rdmc"])
def test_the_settings_of_searches(page: str) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text().replace("\\\n", "")
    calls = [
        line.split("#")[0].split() for line in re.findall(r"^nasrestore search (.+)$", text, re.M)
    ]
    assert calls
    for recipe, *options in calls:
        settings = [o for flag, o in itertools.pairwise(options) if flag == "--set"]
        prepare(recipe, overrides_of([s for s in settings if "PATH" not in s]))


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "docs/language.md",
        "docs/rdmc.md",
        "docs/memory.md",
        "docs/health.md",
        "docs/levels.md",
        "docs/tmics.md",
        "docs/video.md",
    ],
)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert ((ROOT / page).parent / target).exists(), f"{page} links {target}"
