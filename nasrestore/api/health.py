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
    return HealthMonitor(splits, members, eigenvalue=rule, event=event)


def levels_that_decide(recipe: RecipeSpec, graph: SearchGraph) -> list[str]:
    """The levels of the search that own architecture parameters or hyper-parameters."""
    scalars = {scalar.group for scalar in recipe.hyper.values()}
    return [
        level.name
        for level in recipe.search.levels
        if not scalars.union(graph.deciding).isdisjoint(owned(level))
    ]
