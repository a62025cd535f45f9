"""Recipes with all that they name: shipped files, ``extends``, overrides, paths."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nasrestore.errors import NasRestoreError, SpecError
from nasrestore.spec import shipped
from nasrestore.spec.load import load_recipe, open_recipe, overrides_of, resolve_recipe
from nasrestore.spec.source import dump_yaml, parse_yaml
from nasrestore.spec.space import kind_of

RECIPE = """
format: 1
recipe: mine
space: rdmc
data: {patch: 64, root: pairs}
objectives: {restoration: {ssim: 1, mse: 0.1}}
search:
  steps: 10
  levels:
    - {name: weights, variables: weights, objective: restoration}
    - {name: architecture, variables: architecture, objective: restoration, data: validation}
train:
  steps: 20
  levels: [{name: weights, variables: weights, objective: restoration}]
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(RECIPE)
    return path


# -- spaces with other settings --------------------------------------------------------------


def test_a_space_may_be_another_with_other_settings(recipe: Path) -> None:
    text = "space: {extends: rdmc, width: 4, links: {skip_up: {keep: 1}}, description: narrow}"
    recipe.write_text(RECIPE.replace("space: rdmc", text))
    space = load_recipe(recipe, overrides_of(["space.width=2"])).space
    plain = load_recipe(recipe).space
    assert (plain.constants["width"], space.constants["width"]) == (4, 2)
    assert plain.constants["depth"] == 5 and plain.description == "narrow"
    assert plain.links["skip_up"].keep == 1 and plain.links["skip_up"].direction == "up"
    assert plain.links["skip_down"].keep == 2


def test_a_whole_space_takes_the_place_of_that_of_the_recipe_below(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    head = "format: 1\nextends: rdmc-quick\nrecipe: own\n"
    own.write_text(head + "space: {extends: darts, depth: 1}\n")
    space = load_recipe(own).space
    assert space.space == "darts" and space.recursion is None and space.constants["depth"] == 1
    own.write_text(head + "space: {width: 8}\n")
    narrow = load_recipe(own).space
    assert narrow.recursion is not None
    assert (narrow.space, narrow.constants["width"], narrow.recursion.norm) == (
        "rdmc", 8, "per_stage",
    )  # fmt: skip


# -- finding ---------------------------------------------------------------------------------


def test_shipped_files_are_found_by_name() -> None:
    assert shipped.find("rdmc", "recipe") != shipped.find("rdmc", "space")
    assert shipped.find("rdmc-paper", "genotype").name == "rdmc-paper.yaml"
    assert [p.stem for p in shipped.shipped("recipe")] == sorted(
        p.stem for p in shipped.shipped("recipe")
    )


def test_a_path_wins_over_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    space = shipped.find("rdmc", "space")
    (tmp_path / "rdmc").write_text(RECIPE.replace("space: rdmc", f"space: {space}"))
    assert load_recipe("rdmc").recipe.recipe == "mine"


def test_an_unknown_name_and_a_missing_file() -> None:
    with pytest.raises(NasRestoreError, match="no space is called 'rdcm'") as caught:
        shipped.find("rdcm", "space")
    assert caught.value.hint == "did you mean 'rdmc'?"
    with pytest.raises(SpecError, match="there is no such file"):
        load_recipe("nowhere/none.yaml")


def test_recipes_lead_to_spaces_where_their_folders_are_installed_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {"recipe": "nasrestore_recipes", "space": "nasrestore_spaces"}
    for kind, name in places.items():
        (tmp_path / name).mkdir()
        for path in shipped.shipped(kind):  # type: ignore[arg-type]
            shutil.copy(path, tmp_path / name)
    monkeypatch.setattr(shipped, "folder", lambda kind: tmp_path / places.get(kind, "none"))
    loaded = load_recipe("rdmc-quick")
    assert loaded.space.space == "rdmc" and loaded.recipe.recipe == "rdmc-quick"
    assert str(tmp_path) in loaded.space.tree.location.file


# -- extends ---------------------------------------------------------------------------------


def test_a_recipe_on_top_of_another(tmp_path: Path, recipe: Path) -> None:
    top = tmp_path / "top.yaml"
    top.write_text(
        "format: 1\nextends: mine.yaml\nrecipe: top\ndata: {batch: 2}\n"
        "search: {levels: [{name: architecture, steps: 3}]}\n"
    )
    found = load_recipe(top).recipe
    assert (found.recipe, found.data.batch, found.data.patch) == ("top", 2, 64)
    assert [(level.name, level.steps) for level in found.search.levels] == [
        ("weights", 1), ("architecture", 3)
    ]  # fmt: skip


def test_a_number_on_top_of_a_term_changes_its_weight_alone(recipe: Path, tmp_path: Path) -> None:
    term = "{loss: architecture_entropy, weight: 0.01, variables: architecture}"
    recipe.write_text(RECIPE.replace("mse: 0.1", f"mse: 0.1, entropy: {term}"))
    top = tmp_path / "top.yaml"
    head = "format: 1\nextends: mine.yaml\nrecipe: top\n"
    top.write_text(head + "objectives: {restoration: {entropy: 0.5, mse: {output: restored}}}\n")
    terms = load_recipe(top).recipe.objectives["restoration"]
    assert {key: term.weight for key, term in terms.items()} == {
        "ssim": 1, "mse": 0.1, "entropy": 0.5
    }  # fmt: skip
    assert terms["entropy"].loss == "architecture_entropy"
    assert terms["entropy"].variables == "architecture"
    set_ = overrides_of(["objectives.restoration.entropy=0.25"])
    term_set = load_recipe(top, set_).recipe.objectives["restoration"]["entropy"]
    assert (term_set.weight, term_set.variables) == (0.25, "architecture")


def test_a_weight_on_top_that_is_none_is_told_where_it_stands(recipe: Path, tmp_path: Path) -> None:
    recipe.write_text(RECIPE.replace("mse: 0.1", "mse: {weight: 0.1}"))
    top = tmp_path / "top.yaml"
    top.write_text(
        "format: 1\nextends: mine.yaml\nrecipe: top\nobjectives: {restoration: {mse: many}}\n"
    )
    with pytest.raises(SpecError, match=r"top\.yaml:4:33: .*expected a number"):
        load_recipe(top)


def test_what_is_wrong_is_placed_in_the_file_that_says_it(tmp_path: Path, recipe: Path) -> None:
    top = tmp_path / "top.yaml"
    top.write_text("format: 1\nextends: mine.yaml\nrecipe: top\nseed: many\n")
    recipe.write_text(RECIPE.replace("patch: 64", "patch: few"))
    with pytest.raises(SpecError) as caught:
        load_recipe(top)
    assert f"{recipe}:5:15: data.patch: expected an integer" in str(caught.value)
    assert f"{top}:4:7: seed: expected an integer" in str(caught.value)


def test_a_chain_that_is_too_long(tmp_path: Path, recipe: Path) -> None:
    (tmp_path / "r0.yaml").write_text(RECIPE)
    for i in range(1, 30):
        (tmp_path / f"r{i}.yaml").write_text(f"format: 1\nextends: r{i - 1}.yaml\n")
    assert load_recipe(tmp_path / "r15.yaml").recipe.recipe == "mine"
    with pytest.raises(SpecError, match="extend"):
        load_recipe(tmp_path / "r29.yaml")


# -- paths -----------------------------------------------------------------------------------


def test_paths_of_a_file_are_relative_to_it(tmp_path: Path, recipe: Path) -> None:
    assert load_recipe(recipe).recipe.data.root == str(Path.cwd() / "pairs")
    (tmp_path / "pairs").mkdir()
    assert load_recipe(recipe).recipe.data.root == str(tmp_path / "pairs")


def test_paths_of_an_override_are_relative_to_the_current_folder(
    tmp_path: Path, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "elsewhere"
    (other / "pairs").mkdir(parents=True)
    monkeypatch.chdir(other)
    found = load_recipe(recipe, overrides_of(["data.root=pairs"]))
    assert found.recipe.data.root == str(other / "pairs")


# -- overrides and the space -----------------------------------------------------------------


def test_overrides_reach_recipe_and_space(recipe: Path) -> None:
    texts = ["search.levels.architecture.steps=4", "space.width=8", "space.links.skip_up.keep=1"]
    loaded = load_recipe(recipe, overrides_of(texts, {"data.batch": 3}))
    assert loaded.recipe.search.levels[1].steps == 4 and loaded.recipe.data.batch == 3
    assert loaded.space.constants["width"] == 8 and loaded.space.links["skip_up"].keep == 1


def test_an_override_of_the_space_itself_comes_first(tmp_path: Path, recipe: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(shipped.find("rdmc", "space").read_text().replace("width: 16", "wide: 4"))
    loaded = load_recipe(recipe, overrides_of(["space.wide=2", f"space={other}"]))
    assert loaded.space.constants["wide"] == 2


def test_all_that_goes_wrong_with_overrides_is_said_at_once(recipe: Path) -> None:
    texts = ["search.levels[7].steps=1", "seed.x=1", "space.with=1"]
    with pytest.raises(SpecError) as caught:
        load_recipe(recipe, overrides_of(texts))
    for path in ("search.levels[7]", "seed.x", "space.with"):
        assert path in str(caught.value)


def test_what_a_run_keeps_is_self_sufficient(recipe: Path) -> None:
    loaded = load_recipe(recipe, overrides_of(["space.width=8"]))
    text = dump_yaml(loaded.tree.plain())
    again = resolve_recipe(parse_yaml(text, "recipe.yaml"))
    assert again.recipe == loaded.recipe and again.space == loaded.space
    assert again.space.constants["width"] == 8


def test_opening_does_not_look_at_the_form(recipe: Path) -> None:
    recipe.write_text(RECIPE.replace("steps: 10", "steps: ten"))
    opened = open_recipe(recipe)
    assert opened.space is not None and opened.errors == ()
    assert opened.tree.at("search", "steps").value == "ten"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("{decisions: {}}", "genotype"),
        ("{recipe: a, space: b}", "recipe"),
        ("{extends: a}", "recipe"),
        ("{space: a, search: {}}", "recipe"),
        ("{space: a, nodes: {}}", "space"),
        ("{space: a}", None),
        ("[]", None),
    ],
)
def test_the_kind_of_a_file_shows_in_its_keys(text: str, kind: str | None) -> None:
    assert kind_of(parse_yaml(text, "file")) == kind
