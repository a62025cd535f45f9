"""Recipes as far as their form is right; levels and terms that cannot be read are left out.

See :mod:`nasrestore.spec.parts`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from nasrestore.errors import SpecError
from nasrestore.spec.data import DataSpec
from nasrestore.spec.evaluate import EvaluateSpec
from nasrestore.spec.parts import Part, items_of, leniently
from nasrestore.spec.recipe import (
    HyperSpec,
    LevelSpec,
    NamedSpec,
    PhaseSpec,
    RecipeSpec,
    SearchSpec,
    TermSpec,
    TrainSpec,
    read_named,
    read_term,
)
from nasrestore.spec.tree import Tree


@dataclass(frozen=True)
class RecipeParts:
    """A recipe; levels and terms that cannot be read are left out.

    Attributes:
        objectives: by name; ``None`` where there may be others.
        levels: of each phase.
        relaxation: of the search.
        hyper: by name; ``None`` where there may be others.
    """

    tree: Tree
    data: Part[DataSpec]
    objectives: Mapping[str, Mapping[str, TermSpec]] | None
    search: Part[SearchSpec]
    train: Part[TrainSpec]
    levels: Mapping[str, list[LevelSpec]]
    relaxation: NamedSpec | None
    evaluate: Part[EvaluateSpec]
    hyper: Mapping[str, HyperSpec] | None = None

    def phases(self) -> Iterator[tuple[str, Part[PhaseSpec]]]:
        """Search and training, with their names."""
        yield "search", Part(self.search.value, self.search.damaged)
        yield "train", Part(self.train.value, self.train.damaged)


def recipe_parts_of(spec: RecipeSpec) -> RecipeParts:
    """The parts of a recipe whose form is right."""
    return RecipeParts(
        spec.tree,
        Part(spec.data),
        spec.objectives,
        Part(spec.search),
        Part(spec.train),
        {"search": spec.search.levels, "train": spec.train.levels},
        spec.search.relaxation,
        Part(spec.evaluate),
        spec.hyper,
    )


def read_recipe_parts(tree: Tree) -> RecipeParts:
    """What can be read of a recipe whose form is wrong; ``read_recipe`` says what is wrong."""
    objectives = {
        name: {key: t for key, item in items_of(terms) if (t := _term(item, key)) is not None}
        for name, terms in items_of(tree, "objectives")
    }
    hyper = {name: leniently(item, HyperSpec) for name, item in items_of(tree, "hyper")}
    scalars = {name: part.value for name, part in hyper.items() if part.value is not None}
    whole = "hyper" not in tree.value or tree.at("hyper").kind == "mapping"
    return RecipeParts(
        tree,
        leniently(tree.child("data"), DataSpec),
        objectives if tree.at("objectives").kind == "mapping" and objectives else None,
        leniently(tree.child("search"), SearchSpec, without=("levels", "relaxation")),
        leniently(tree.child("train"), TrainSpec, without=("levels",)),
        {"search": _levels(tree, "search"), "train": _levels(tree, "train")},
        _named(tree.at("search").child("relaxation")),
        leniently(tree.child("evaluate"), EvaluateSpec),
        scalars if whole and len(scalars) == len(hyper) else None,
    )


def _levels(tree: Tree, phase: str) -> list[LevelSpec]:
    levels = tree.at(phase).child("levels")
    items = levels.value if levels is not None and levels.kind == "sequence" else []
    found = [leniently(item, LevelSpec).value for item in items]
    return [level for level in found if level is not None]


def _named(tree: Tree | None) -> NamedSpec | None:
    try:
        return None if tree is None else read_named(tree)
    except SpecError:
        return None


def _term(tree: Tree, name: str) -> TermSpec | None:
    try:
        return read_term(tree, name)
    except SpecError:
        return None
