"""Every file of ``invalid/`` is refused, with exactly the errors that its first lines expect.

``# expect: LINE:COLUMN path: text`` gives the place and the beginning of one error, as it is shown;
``# expect: --set ...: LINE:COLUMN path: text`` one of an override, and ``# set: KEY=VALUE`` sets it.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from nasrestore.errors import NasRestoreError, SpecError
from nasrestore.graph.compile import compile_space, compile_tree
from nasrestore.graph.genotype import fit, read_genotype
from nasrestore.graph.ir import SearchGraph
from nasrestore.graph.recipe_check import check_recipe
from nasrestore.graph.whole import check_whole
from nasrestore.spec.load import each_error, load_recipe, open_recipe, overrides_of
from nasrestore.spec.shipped import find
from nasrestore.spec.source import read_yaml
from nasrestore.spec.space import load_space_spec, read_space

FOLDER = Path(__file__).parent / "invalid"
FILES = sorted(FOLDER.glob("*.yaml"))
_EXPECT = re.compile(
    r"# expect: (?P<file>--set .*?: )?(?P<place>\d+:\d+) (?P<path>\S*) ?: (?P<text>.+)"
)


def _kind(path: Path) -> str:
    return path.name.partition("-")[0]


def _settings(path: Path) -> list[str]:
    return re.findall(r"^# set: (.+)$", path.read_text(), flags=re.MULTILINE)


@cache
def _rdmc() -> SearchGraph:
    return compile_space(load_space_spec(find("rdmc", "space")))


def _load_all(path: Path) -> None:
    """The way in that tells errors of form and of meaning together."""
    if _kind(path) == "space":
        compile_tree(read_yaml(path))
    elif _kind(path) == "recipe":
        check_whole(open_recipe(path, overrides_of(_settings(path))))
    else:
        fit(read_genotype(read_yaml(path)), _rdmc())


def _load_by_steps(path: Path) -> None:
    """The steps one by one, each of which stops at its own errors."""
    if _kind(path) == "space":
        compile_space(read_space(read_yaml(path)))
    elif _kind(path) == "recipe":
        loaded = load_recipe(path, overrides_of(_settings(path)))
        check_recipe(loaded.recipe, compile_space(loaded.space))
    else:
        _load_all(path)


def _shown(error: SpecError, path: Path) -> str:
    """An error as the first lines of a file write it."""
    at = error.location
    assert at is not None, f"without a place: {error}"
    file = "" if at.file == str(path) else f"{at.file}: "
    hint = "" if error.hint is None else f" ({error.hint})"
    return f"{file}{at.line}:{at.column} {error.path}: {error.message}{hint}"


def _expected(path: Path) -> list[str]:
    lines = [line for line in path.read_text().splitlines() if line.startswith("# expect:")]
    matches = [_EXPECT.fullmatch(line) for line in lines]
    assert lines and all(matches), f"{path.name}: a line of another form than # expect"
    return [
        f"{m['file'] or ''}{m['place']} {m['path'].rstrip(':')}: {m['text']}" for m in matches if m
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_exactly_the_expected_errors(path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        _load_all(path)
    shown = [_shown(error, path) for error in each_error(caught.value)]
    expected = _expected(path)
    for text in expected:
        assert any(error.startswith(text) for error in shown), f"{text}\nnot in\n" + "\n".join(
            shown
        )
    assert len(shown) == len(expected), "more than expected:\n" + "\n".join(shown)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_steps_tell_no_other_errors(path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        _load_by_steps(path)
    shown = [_shown(error, path) for error in each_error(caught.value)]
    assert shown
    expected = _expected(path)
    assert all(any(error.startswith(text) for text in expected) for error in shown), shown


def test_the_table_covers_every_kind_of_file() -> None:
    kinds = Counter(_kind(path) for path in FILES)
    assert kinds.keys() == {"space", "recipe", "genotype"}
    assert kinds["space"] > 80 and kinds["recipe"] > 40 and kinds["genotype"] > 8


def test_errors_come_in_the_order_of_their_places() -> None:
    with pytest.raises(SpecError) as caught:
        _load_all(FOLDER / "space-several.yaml")
    lines = [e.location.line for e in each_error(caught.value) if e.location is not None]
    assert len(lines) == 6 and lines == sorted(lines)


def test_two_recipes_that_extend_each_other(tmp_path: Path) -> None:
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / f"{name}.yaml").write_text(f"format: 1\nextends: {other}.yaml\n")
    with pytest.raises(SpecError, match=r"b\.yaml:2:10: extends: recipes extend each other"):
        load_recipe(tmp_path / "a.yaml")


def test_a_recipe_that_does_not_exist() -> None:
    with pytest.raises(NasRestoreError, match=r"no recipe is called 'rdmx'.*\n.*mean 'rdmc'"):
        load_recipe("rdmx")
