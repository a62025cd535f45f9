"""Which parameter groups of a space hold parameters at all, and the levels that would hold none. Torch-free."""

from __future__ import annotations

from nasrestore.errors import NasRestoreError
from nasrestore.graph.cost import operation_cost
from nasrestore.graph.ir import Node, Operation, SearchGraph, Shape
from nasrestore.graph.reach import owned
from nasrestore.graph.values import Problems
from nasrestore.spec.recipe import LevelSpec, RecipeSpec


def groups_with_parameters(graph: SearchGraph) -> set[str]:
    """The groups in which some architecture has a parameter, the architecture's own included.

    An operation whose signature does not tell its layers counts as having some.
    """
    found = {choice.group for choice in graph.choices if not choice.measured_by}
    found |= {node.group for node in graph.nodes if _node_has_some(node)}
    return found | {
        edge.group
        for edge in graph.edges
        if edge.adapter is not None and _has_some(edge.adapter, edge.from_shape)
    }


def check_learnable(recipe: RecipeSpec, graph: SearchGraph, problems: Problems) -> None:
    """Adds the levels whose groups hold no parameter; one error for all that own the same groups.

    A space without choices is never searched: its search may have any levels.
    """
    full = groups_with_parameters(graph) | {scalar.group for scalar in recipe.hyper.values()}
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


def _node_has_some(node: Node) -> bool:
    if node.between is not None and _has_some(node.between, node.read):
        return True
    return any(_has_some(operation, node.input) for operation in node.candidates)


def _has_some(operation: Operation, shape: Shape) -> bool:
    try:
        return operation_cost(operation, shape, (1, 1)).parameters > 0
    except NasRestoreError:
        return True
