"""``list`` and ``copy``: what is shipped, and copies that work where they land."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_calls import Call

from nasrestore.spec.shipped import shipped

NAMES = sorted({path.stem for kind in ("recipe", "space", "genotype") for path in shipped(kind)})


def test_list_names_all_with_description_and_path(call: Call) -> None:
    files = call("list", "--json").json
    assert set(files) == {"recipes", "spaces", "genotypes"}
    found = [file for kind in files.values() for file in kind]
    assert sorted({file["name"] for file in found}) == NAMES
    assert all(file["description"] and Path(file["path"]).is_file() for file in found)


def test_list_is_a_table(call: Call) -> None:
    done = call("list")
    assert done.status == 0
    assert all(name in done.out for name in ["recipes", "spaces", "genotypes", *NAMES])


@pytest.mark.parametrize("name", NAMES)
def test_every_copy_is_right_where_it_lands(call: Call, here: Path, name: str) -> None:
    done = call("copy", name)
    assert (done.status, done.err) == (0, "")
    written = done.out.split()
    assert written[0] == f"{name}.yaml"
    assert all(Path(path).is_file() for path in written)
    assert call("check", *written).status == 0


def test_a_copied_recipe_uses_the_copies(call: Call, here: Path) -> None:
    assert call("copy", "rdmc-quick").out.split() == [
        "rdmc-quick.yaml",
        "rdmc.yaml",
        "spaces/rdmc.yaml",
    ]
    space = Path("spaces/rdmc.yaml")
    space.write_text(
        space.read_text()
        .replace("depth: 5", "depth: 4")
        .replace("1-4", "1-3")
        .replace("2-5", "2-4")
    )
    mine = call("show", "rdmc-quick.yaml", "--json").json
    assert mine["architectures"] != 2025
    base = Path("rdmc.yaml")
    base.write_text(base.read_text().replace("ssim: 1", "sim: 1"))
    assert "rdmc.yaml:" in call("check", "rdmc-quick.yaml").err


def test_comments_stay(call: Call, here: Path) -> None:
    call("copy", "rdmc")
    original = next(path for path in shipped("recipe") if path.stem == "rdmc").read_text()
    copied = Path("rdmc.yaml").read_text()
    differing = [
        (old, new)
        for old, new in zip(original.splitlines(), copied.splitlines(), strict=True)
        if old != new
    ]
    assert [new for _, new in differing] in ([], ["space: spaces/rdmc.yaml"])


def test_a_copy_may_have_another_name_or_folder(call: Call, here: Path) -> None:
    assert call("copy", "rdmc-quick", "--to", "mine.yaml").out.split()[0] == "mine.yaml"
    assert call("check", "mine.yaml").status == 0
    assert call("copy", "rdmc-quick", "--to", "deep/er").out.split()[0] == "deep/er/rdmc-quick.yaml"
    assert call("check", "deep/er/rdmc-quick.yaml").status == 0


def test_nothing_is_overwritten_silently(call: Call, here: Path) -> None:
    call("copy", "rdmc")
    Path("rdmc.yaml").write_text("mine\n")
    done = call("copy", "rdmc-quick")
    assert done.status == 2 and "rdmc.yaml" in done.err and "--overwrite" in done.err
    assert not Path("rdmc-quick.yaml").exists()
    assert Path("rdmc.yaml").read_text() == "mine\n"
    done = call("copy", "rdmc-quick", "--overwrite", "--json")
    assert done.json["written"] == ["rdmc-quick.yaml", "rdmc.yaml"]
    assert Path("rdmc.yaml").read_text() != "mine\n"


def test_what_is_there_already_is_no_hindrance(call: Call, here: Path) -> None:
    call("copy", "rdmc")
    done = call("copy", "rdmc")
    assert done.status == 0 and done.out.count("(the same is there already)") == 2


def test_two_files_for_one_name_are_refused(call: Call, here: Path) -> None:
    done = call("copy", "rdmc-quick", "--to", "rdmc.yaml")
    assert done.status == 2 and not Path("rdmc.yaml").exists()


def test_an_unknown_name_suggests(call: Call) -> None:
    done = call("copy", "rdmc-quik")
    assert done.status == 2 and "did you mean 'rdmc-quick'?" in done.err
