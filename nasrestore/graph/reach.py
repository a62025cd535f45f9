"""What an output depends on: nodes, links, and the parameter groups behind them. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import nasrestore.graph.catalog  # noqa: F401  declares the built-in names
from nasrestore import registry
from nasrestore.graph.hyper_check import strengths_of_level, strengths_of_term
from nasrestore.graph.ir import SearchGraph, ends_of
from nasrestore.graph.signature import HypergradientSignature, LossSignature
from nasrestore.graph.values import Problems
from nasrestore.spec.recipe import LevelSpec, RecipeSpec, TermSpec
from nasrestore.spec.source import Tree

ARCHITECTURE = "architecture"


def groups_behind(graph: SearchGraph, outputs: Iterable[str]) -> set[str]:
    """The parameter groups that the named outputs depend on, those of choices included.

    With several stages an output depends on everything that the state depends on, too.
    """
    names = set(outputs)
    if names and graph.recursion is not None and graph.recursion.stages > 1:
        names.add(graph.recursion.state)
    used = set(ends_of(output for output in graph.outputs if output.name in names))
    groups: set[str] = set()
    deciding = {c.name: c.group for c in graph.choices if not c.measured_by}
    for node in reversed(graph.nodes):
        if node.name not in used:
            continue
        used.update(node.reads)
        groups.add(node.group)
        edges = list(graph.into(node.name))
        used.update(edge.source for edge in edges)
        groups.update(edge.group for edge in edges)
        choices = [node.choice, *(edge.choice for edge in edges)]
        groups.update(deciding[choice] for choice in choices if choice in deciding)
    return groups


def check_dependence(recipe: RecipeSpec, graph: SearchGraph, problems: Problems) -> None:
    """Adds levels that cannot learn, and a search that decides nothing although there are choices."""
    search = recipe.search.levels
    deciding = set(graph.deciding)
    if graph.choices and all(deciding.isdisjoint(owned(level)) for level in search):
        names = ", ".join(choice.name for choice in graph.choices[:3])
        groups = " or ".join(repr(group) for group in graph.deciding)
        problems.add(
            recipe.search.tree.at("levels"),
            f"no level owns {groups}: nothing would be decided for {names}",
            f"give a level variables: {graph.deciding[0]}",
        )
    for levels in (search, recipe.train.levels):
        for i, level in enumerate(levels):
            _check_level(recipe, level, levels[:i], graph, problems)


def _check_level(
    recipe: RecipeSpec,
    level: LevelSpec,
    below: Sequence[LevelSpec],
    graph: SearchGraph,
    problems: Problems,
) -> None:
    if level.augment is not None and level.augment.degradation != 0 and graph.frames:
        message = (
            "the degradation of a clip cannot be enlarged: its other frames have no clean ones"
        )
        problems.add(level.augment.tree.at("degradation"), message, "use noise")
    direct = _behind(recipe, level, graph)
    entering = _entering(level, below)
    reached = direct.union(*(_behind(recipe, one, graph) for one in entering))
    there = {node.group for node in graph.nodes} | {edge.group for edge in graph.edges}
    there |= {c.group for c in graph.choices}  # a removed group has nothing to learn
    at = level.tree.at("variables")
    for i, group in enumerate(owned(level)):
        place = at if isinstance(level.variables, str) else at.at(i)
        scalars = [name for name, scalar in recipe.hyper.items() if scalar.group == group]
        for name in scalars:
            if f"${name}" not in reached:
                message = f"the hyper-parameter {name!r} would have no gradient: "
                message += _why(level, below, entering)
                own = _own_place(recipe, level, place)
                problems.add(own, message, _way_out(level, below), key=own.kind == "mapping")
        if group in there - reached:
            outputs = ", ".join(sorted(_outputs(recipe, level)))
            message = f"objective {level.objective!r} does not depend on the group {group!r}: its "
            message += f"gradient would be zero (it reads {outputs or 'no output'})"
            own = _own_place(recipe, level, place)
            hint = (
                "choose an objective on an output that the group leads to, or leave the group out"
            )
            problems.add(own, message, hint, key=own.kind == "mapping")


def _own_place(recipe: RecipeSpec, level: LevelSpec, place: Tree) -> Tree:
    """Where the user can mend it: the objective, where that is the recipe's own and the level is not."""
    file = recipe.tree.location.file
    objective = recipe.tree.at("objectives", level.objective)
    theirs = place.location.file != file
    if theirs and level.tree.at("objective").location.file == file:
        return level.tree.at("objective")
    ours = [objective, *(objective.value.values() if objective.kind == "mapping" else ())]
    return objective if theirs and any(one.location.file == file for one in ours) else place


def _why(level: LevelSpec, below: Sequence[LevelSpec], entering: Sequence[LevelSpec]) -> str:
    method = level.hypergradient.name
    if not entering:
        held = ", and first_order holds the levels below fixed" if below else ""
        return f"objective {level.objective!r} does not use it{held}"
    names = " nor in ".join(repr(one.name) for one in entering)
    frozen = below[:-1] if len(entering) < len(below) else []
    rest = f" (curvature frozen holds {', '.join(one.name for one in frozen)})" if frozen else ""
    return f"it is neither in {level.objective!r} nor, under {method}, in {names}{rest}"


def _way_out(level: LevelSpec, below: Sequence[LevelSpec]) -> str:
    if level.hypergradient.name == "first_order" and below:
        return "give the level a hypergradient that sees the levels below, such as unrolled"
    return (
        "use it in an objective of this level or of one below that enters, or let no level own it"
    )


def _entering(level: LevelSpec, below: Sequence[LevelSpec]) -> list[LevelSpec]:
    """The levels below whose objectives enter the level's hypergradient."""
    if not below or level.hypergradient.name not in registry.hypergradient:
        return []
    signature = registry.hypergradient.signature(level.hypergradient.name)
    if isinstance(signature, HypergradientSignature) and not signature.below:
        return []
    frozen = level.curvature is None or level.curvature.name == "frozen"
    return list(below[-1:] if frozen else below)


def _outputs(recipe: RecipeSpec, level: LevelSpec) -> set[str]:
    terms = recipe.objectives[level.objective].values()
    return {t.output for t in terms if t.weight != 0 and not reads_variables(t.loss)}


def _behind(recipe: RecipeSpec, level: LevelSpec, graph: SearchGraph) -> set[str]:
    """What a level's objective depends on: groups, and scalars as ``$NAME``."""
    found = groups_behind(graph, _outputs(recipe, level))
    for term in recipe.objectives[level.objective].values():
        if term.weight != 0 and reads_variables(term.loss):
            found.update(groups_read(term, graph.deciding))
        found |= {f"${name}" for name in strengths_of_term(term)}
    return found | {f"${name}" for name in strengths_of_level(level)}


def _reads(loss: str) -> str:
    signature = registry.loss.signature(loss) if loss in registry.loss else None
    return signature.reads if isinstance(signature, LossSignature) else "output"


def reads_variables(loss: str) -> bool:
    """Whether a loss reads parameters in place of an output."""
    return _reads(loss) != "output"


def reads_architecture(loss: str) -> bool:
    """Whether a loss reads architecture parameters, and no others."""
    return _reads(loss) == "architecture"


def groups_read(term: TermSpec, deciding: Sequence[str]) -> tuple[str, ...]:
    """The parameter groups that a term reads, whose loss reads no output.

    Args:
        deciding: the groups of the architecture parameters, which are meant where the loss reads
            these and the term names no group.
    """
    if term.variables is not None:
        return (term.variables,)
    return tuple(deciding) if reads_architecture(term.loss) else ("weights",)


def owned(level: LevelSpec) -> list[str]:
    """The parameter groups that a level owns."""
    return [level.variables] if isinstance(level.variables, str) else level.variables
