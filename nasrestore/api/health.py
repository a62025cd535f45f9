"""Search health from a recipe: the monitor of a search, and judgements of its data."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from nasrestore.graph.ir import SearchGraph
from nasrestore.graph.reach import owned
from nasrestore.spec.recipe import RecipeSpec

if TYPE_CHECKING:
    from nasrestore.search.health.monitor import HealthMonitor


def health_monitor(
    recipe: RecipeSpec,
    members: Mapping[str, Collection[str]],
    event: Callable[..., None] = lambda name, **fields: None,
) -> HealthMonitor:
    """The monitor of a recipe's search.

    Args:
        members: the scenes of each split.
        event: hears of findings, as a log's ``event`` does.
    """
    from nasrestore.search.health.eigenvalue import EigenvalueRule
    from nasrestore.search.health.monitor import HealthMonitor

    splits = {level.name: level.data for level in recipe.search.levels}
    health: Any = recipe.search.health
    rule = None
    if health is not None and health.eigenvalue_every is not None:
        rule = EigenvalueRule(health.eigenvalue_every, health.stop_ratio, health.window)
    told = told_apart(recipe, members)
    return HealthMonitor(splits, told, eigenvalue=rule, event=event)


def told_apart(
    recipe: RecipeSpec, members: Mapping[str, Collection[str]]
) -> dict[str, Collection[str]]:
    """The scenes of each split by which batches are judged.

    Where the recipe accepts that splits overlap, a scene that is trained on is none of the test's.
    """
    told = dict(members)
    if recipe.data.overlap == "accepted" and "test" in told:
        trained = {name for split in told if split != "test" for name in told[split]}
        told["test"] = [name for name in told["test"] if name not in trained]
    return told


def levels_that_decide(recipe: RecipeSpec, graph: SearchGraph) -> list[str]:
    """The levels of the search that own architecture parameters or hyper-parameters."""
    scalars = {scalar.group for scalar in recipe.hyper.values()}
    return [
        level.name
        for level in recipe.search.levels
        if not scalars.union(graph.deciding).isdisjoint(owned(level))
    ]
