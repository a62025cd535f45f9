"""``check`` finds every error of every file, and says who owns what."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import yaml
from command_calls import Call

from nasrestore.spec.shipped import find, shipped

SHIPPED = [path for kind in ("recipe", "space", "genotype") for path in shipped(kind)]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_all_that_is_shipped_is_right(call: Call, path: Path) -> None:
    done = call("check", path)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"{path}: ok (")


def test_a_shipped_name_will_do(call: Call) -> None:
    done = call("check", "rdmc", "rdmc-paper")
    assert done.status == 0
    assert "rdmc: ok (recipe rdmc: space rdmc, 2025 architectures)" in done.out
    assert "rdmc-paper: ok (genotype of space rdmc)" in done.out


def test_owners_and_what_is_frozen_are_said(call: Call, here: Path) -> None:
    Path("still.yaml").write_text(
        "format: 1\nextends: rdmc-quick\nrecipe: still\nspace: space.yaml\n"
    )
    text = find("rdmc", "space").read_text()
    assert "op: conv\n" in text
    Path("space.yaml").write_text(text.replace("op: conv\n", "op: conv\n    group: last\n"))
    done = call("check", "still.yaml")
    assert done.status == 0
    assert "search: level weights owns weights: restoration on train data" in done.out
    assert "search: level architecture owns architecture: " in done.out
    assert "search: frozen: last" in done.out and "train: frozen: last" in done.out


def test_choices_that_no_level_owns_are_a_warning(call: Call, here: Path) -> None:
    Path("macro.yaml").write_text(
        "format: 1\nextends: rdmc-quick\nrecipe: macro\n"
        "space: {extends: rdmc, links: {skip_up: {decides: macro}}}\n"
    )
    said = "warning: frozen: macro — no level owns it, its decisions stay at the start"
    done = call("check", "macro.yaml")
    assert done.status == 0 and f"  search: {said}\n" in done.out
    assert "search: frozen: " not in done.out and "train: frozen: nothing" in done.out
    assert f"    {said}\n" in call("show", "macro.yaml").out
    facts = call("check", "macro.yaml", "--json").json["files"][0]
    assert facts["search"]["undecided"] == ["macro"] and facts["train"]["undecided"] == []
    Path("both.yaml").write_text(
        "format: 1\nextends: macro.yaml\nrecipe: both\n"
        "search: {levels: [{name: architecture, variables: [architecture, macro]}]}\n"
    )
    assert "search: frozen: nothing" in call("check", "both.yaml").out


def test_what_an_ablation_leaves_no_parameter_of_is_not_frozen(call: Call) -> None:
    fixed = ["search.levels[2].off=true", "train.levels[1].off=true", "train.epochs=160"]
    for setting, frozen in (("features=16", "lambda"), ("share=0.7", "nothing")):
        changed = [*fixed, f"space.nodes.average.with.{setting}"]
        done = call("check", "tmics", *[part for key in changed for part in ("--set", key)])
        assert done.status == 0
        assert [line for line in done.out.splitlines() if "frozen" in line] == [
            f"  search: frozen: {frozen}",
            f"  train: frozen: {frozen}",
        ]


def write_wrong(name: str) -> None:
    Path(name).write_text(
        "format: 1\nextends: rdmc-quick\nrecipe: wrong\nsead: 3\nsearch:\n  steps: two\n"
    )


def test_errors_of_all_files_have_their_places(call: Call, here: Path) -> None:
    write_wrong("a.yaml")
    write_wrong("b.yaml")
    done = call("check", "a.yaml", "rdmc", "b.yaml", "missing.yaml")
    assert done.status == 2
    places = re.findall(r"^error: (\S+\.yaml:\d+:\d+): (\S+): ", done.err, flags=re.MULTILINE)
    expected = [("4:1", "sead"), ("6:10", "search.steps")]
    assert places == [(f"{f}.yaml:{at}", path) for f in "ab" for at, path in expected]
    assert "(did you mean 'seed'?)" in done.err
    assert "error: cannot read 'missing.yaml'" in done.err
    assert "rdmc: ok" in done.out and "a.yaml" not in done.out


def test_json_has_all_errors_and_stderr_too(call: Call, here: Path) -> None:
    write_wrong("a.yaml")
    done = call("check", "a.yaml", "rdmc", "--json")
    assert done.status == 2
    assert not done.json["ok"]
    wrong, right = done.json["files"]
    assert (wrong["ok"], wrong["kind"], right["ok"]) == (False, "recipe", True)
    assert wrong["errors"][0] == {
        "file": "a.yaml",
        "line": 4,
        "column": 1,
        "path": "sead",
        "message": "unknown key 'sead'",
        "hint": "did you mean 'seed'?",
    }
    assert right["space"] == "rdmc" and right["architectures"] == 2025
    assert done.err.count("error: ") == len(wrong["errors"])


def test_a_file_of_no_kind_is_named(call: Call, here: Path) -> None:
    Path("list.yaml").write_text("- 1\n")
    Path("other.yaml").write_text("a: 1\n")
    done = call("check", "list.yaml", "other.yaml")
    assert done.status == 2
    assert done.err.count("this is neither a recipe, a space nor a genotype") == 2


def test_an_unknown_name_suggests(call: Call) -> None:
    done = call("check", "rdmc-quik")
    assert done.status == 2 and "did you mean 'rdmc-quick'?" in done.err


def genotype(**changes: object) -> None:
    path = next(path for path in SHIPPED if path.stem == "rdmc-paper")
    Path("mine.yaml").write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changes}))


def test_a_genotype_is_held_against_its_space(call: Call, here: Path) -> None:
    genotype(decisions={"skip_up": ["encoder.3->decoder.4", "encoder.4->decoder.33"]})
    done = call("check", "mine.yaml")
    assert done.status == 2
    assert "mine.yaml:" in done.err and "encoder.4->decoder.33" in done.err
    assert "skip_down" in done.err


def test_a_genotype_of_a_space_elsewhere_needs_it_named(call: Call, here: Path) -> None:
    genotype(space="mine")
    done = call("check", "mine.yaml")
    assert done.status == 0 and "only its form was checked" in done.out
    space = find("rdmc", "space")
    Path("spaces").mkdir()
    Path("spaces/mine.yaml").write_text(space.read_text().replace("space: rdmc", "space: mine"))
    done = call("check", "mine.yaml", "--space", "spaces/mine.yaml")
    assert (done.status, done.out) == (0, "mine.yaml: ok (genotype of space mine)\n")


def test_an_unknown_operation_of_a_space_may_be_a_plugin_s(call: Call, here: Path) -> None:
    Path("space.yaml").write_text(
        "format: 1\nspace: s\ninputs: {rainy: {channels: 3}}\n"
        "nodes: {a: {op: mine}}\noutputs: {restored: a}\n"
    )
    done = call("check", "space.yaml")
    assert done.status == 2 and "unknown operation 'mine'" in done.err
    assert "check the recipe that names the plugin" in done.err


def test_a_line_break_in_a_name_makes_no_second_error(call: Call, here: Path) -> None:
    Path("space.yaml").write_text('format: 1\nspace: s\nnodes: {}\n"a\\nerror: b": 1\n')
    done = call("check", "space.yaml")
    lines = done.err.splitlines()
    assert done.status == 2 and all(line.startswith("error: ") for line in lines)
    assert not any(line.startswith("error: b") for line in lines) and "\\nerror: b" in done.err


def test_a_pipe_is_not_waited_for(call: Call, here: Path) -> None:
    os.mkfifo("pipe.yaml")
    done = call("check", "pipe.yaml")
    assert done.status == 2 and "not a regular file" in done.err


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("raise ValueError('mine')", "ValueError: mine"),
        ("import sys; sys.exit(0)", "SystemExit: 0"),
    ],
)
def test_plugins_of_a_recipe_are_imported(call: Call, here: Path, code: str, shown: str) -> None:
    Path("plugin.py").write_text(f"{code}\n")
    Path("a.yaml").write_text(
        "format: 1\nextends: rdmc-quick\nrecipe: mine\nplugins: [plugin.py]\n"
    )
    done = call("check", "a.yaml")
    assert done.status == 2
    assert "a.yaml:4:11: plugins[0]: " in done.err and shown in done.err


def test_settings_are_checked_with_the_file(call: Call, here: Path) -> None:
    done = call("check", "rdmc", "--set", "space.links.skip_up.keep=0")
    assert done.status == 0 and "space rdmc, 45 architectures" in done.out
    space = str(find("rdmc", "space"))
    for key in ("links.skip_up.keep=0", "space.links.skip_up.keep=0"):
        assert "ok (space rdmc, 45 architectures)" in call("check", space, "--set", key).out
    done = call("check", "rdmc", "--set", "search.steps=two")
    assert done.status == 2
    assert done.err.startswith(
        "error: --set search.steps=two: search.steps: expected an integer >= 1 or null, got 'two'"
    )
    done = call("check", space, "--set", "widht=8", "--json")
    assert done.status == 2 and not done.json["ok"] and "did you mean 'width'?" in done.err


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["rdmc", "rdmc-quick"], "--set changes one recipe or space, got 2 files"),
        (["rdmc-paper"], "rdmc-paper: --set changes a space or a recipe, not a genotype"),
    ],
)
def test_settings_are_of_one_recipe_or_space(call: Call, files: list[str], message: str) -> None:
    done = call("check", *files, "--set", "space.width=8")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"error: {message}") and done.err.count("error:") == 1
