"""The levels of a recipe that would hold no parameter. Torch-free."""

from __future__ import annotations

from nasrestore.graph.groups import groups_with_parameters
from nasrestore.graph.ir import SearchGraph
from nasrestore.graph.reach import owned
from nasrestore.graph.values import Problems
from nasrestore.spec.recipe import LevelSpec, RecipeSpec


def check_learnable(recipe: RecipeSpec, graph: SearchGraph, problems: Problems) -> None:
    """Adds the levels whose groups hold no parameter; one error for all that own the same groups.

    A space without choices is never searched: its search may have any levels.
    """
    full = {*groups_with_parameters(graph), *(s.group for s in recipe.hyper.values())}
    phases = {"search": recipe.search.levels if graph.choices else (), "train": recipe.train.levels}
    empty: dict[tuple[str, ...], list[tuple[str, LevelSpec]]] = {}
    for phase, levels in phases.items():
        for level in levels:
            groups = tuple(sorted(owned(level)))
            if groups and full.isdisjoint(groups):
                empty.setdefault(groups, []).append((phase, level))
    for groups, places in empty.items():
        _, first = places[0]
        names = " or ".join(repr(group) for group in groups)
        off = " ".join(f"--set {phase}.levels.{level.name}.off=true" for phase, level in places)
        problems.add(
            first.tree.at("variables"),
            f"level {first.name!r} would have no variables: nothing in space {graph.name!r} has "
            f"parameters in {names}",
            f"leave it out with off: true; {off}",
        )
