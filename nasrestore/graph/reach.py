"""What an output depends on: nodes, links, and the parameter groups behind them. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable

from nasrestore.graph.ir import SearchGraph
from nasrestore.graph.values import Problems
from nasrestore.spec.recipe import LevelSpec, RecipeSpec

ARCHITECTURE = "architecture"


def groups_behind(graph: SearchGraph, outputs: Iterable[str]) -> set[str]:
    """The parameter groups that the named outputs depend on; ``architecture`` where a choice does.

    With several stages an output depends on everything that the state depends on, too.
    """
    names = set(outputs)
    if graph.recursion is not None and graph.recursion.stages > 1:
        names.add(graph.recursion.state)
    used = {output.node for output in graph.outputs if output.name in names}
    groups: set[str] = set()
    for node in reversed(graph.nodes):
        if node.name not in used:
            continue
        used.update(node.reads)
        groups.add(node.group)
        if node.choice is not None:
            groups.add(ARCHITECTURE)
        for edge in graph.into(node.name):
            used.add(edge.source)
            groups.add(edge.group)
            if edge.choice is not None:
                groups.add(ARCHITECTURE)
    return groups


def check_dependence(recipe: RecipeSpec, graph: SearchGraph, problems: Problems) -> None:
    """Adds levels that cannot learn, and a search that decides nothing although there are choices."""
    search = recipe.search.levels
    if graph.choices and not any(ARCHITECTURE in _owned(level) for level in search):
        names = ", ".join(choice.name for choice in graph.choices[:3])
        problems.add(
            recipe.search.tree.at("levels"),
            f"no level owns {ARCHITECTURE!r}: nothing would be decided for {names}",
            "give a level variables: architecture",
        )
    for level in [*search, *recipe.train.levels]:
        _check_level(recipe, level, graph, problems)


def _check_level(
    recipe: RecipeSpec, level: LevelSpec, graph: SearchGraph, problems: Problems
) -> None:
    terms = recipe.objectives[level.objective].values()
    outputs = {term.output for term in terms if term.weight != 0}
    reached = groups_behind(graph, outputs)
    there = {node.group for node in graph.nodes} | {edge.group for edge in graph.edges}
    there |= {ARCHITECTURE} if graph.choices else set()  # a removed group has nothing to learn
    owned = _owned(level)
    for i, group in enumerate(owned):
        if group in there - reached:
            at = level.tree.at("variables")
            problems.add(
                at if isinstance(level.variables, str) else at.at(i),
                f"objective {level.objective!r} does not depend on the group {group!r}: its "
                f"gradient would be zero (it reads {', '.join(sorted(outputs))})",
                "choose an objective on an output that the group leads to, or leave the group out",
            )


def _owned(level: LevelSpec) -> list[str]:
    return [level.variables] if isinstance(level.variables, str) else level.variables
