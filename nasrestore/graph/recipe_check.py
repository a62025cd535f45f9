"""Checks of a recipe against its compiled space and the catalog. Torch-free."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nasrestore import registry
from nasrestore.errors import SpecError, raise_all
from nasrestore.graph.data_check import check_data
from nasrestore.graph.groups import parameter_groups
from nasrestore.graph.hyper_check import check_hyper, check_strength
from nasrestore.graph.ir import SearchGraph
from nasrestore.graph.learnable import check_learnable
from nasrestore.graph.level_check import SpaceNames, check_levels
from nasrestore.graph.named import known, named, parameters
from nasrestore.graph.reach import (
    ARCHITECTURE,
    check_dependence,
    groups_read,
    reads_architecture,
    reads_variables,
)
from nasrestore.graph.values import Problems
from nasrestore.registry import did_you_mean
from nasrestore.spec.data import DataSpec
from nasrestore.spec.parts import Part
from nasrestore.spec.recipe import LevelSpec, PhaseSpec, RecipeSpec, TermSpec
from nasrestore.spec.recipe_parts import RecipeParts, read_recipe_parts, recipe_parts_of
from nasrestore.spec.source import Tree


def check_recipe(recipe: RecipeSpec, graph: SearchGraph) -> None:
    """Checks names, parameters, levels and data of a recipe.

    Raises:
        SpecError: everything that is wrong with it, each with its place.
    """
    outputs = [output.name for output in graph.outputs]
    names = SpaceNames(graph.name, outputs, parameter_groups(graph), graph.deciding)
    raise_all(recipe_problems(recipe_parts_of(recipe), names))
    problems = Problems()
    check_dependence(recipe, graph, problems)
    check_learnable(recipe, graph, problems)
    check_data(recipe, graph, problems)
    raise_all(problems.errors)


def beyond_form(recipe: Tree, space: Tree | None) -> list[SpecError]:
    """What is wrong with a recipe beyond its form, as far as the rest of it can be read.

    Args:
        recipe: what its form says is not told again.
        space: the space's tree, which may be wrong itself; ``None`` where it cannot be read.
    """
    if recipe.kind != "mapping":
        return []
    return recipe_problems(read_recipe_parts(recipe), names_in(space))


def names_in(space: Tree | None) -> SpaceNames:
    """What a recipe may name of a space that need not be right."""
    found: dict[str, list[Tree]] = {}
    for section in ("outputs", "nodes", "links"):
        tree = None if space is None else space.child(section)
        if tree is None or tree.kind != "mapping":
            if section != "links" or tree is not None:
                return SpaceNames("?", None, None)
            continue
        found[section] = list(tree.value.values())
    assert space is not None
    groups = [
        tree.at("group").value
        if "group" in (tree.value if tree.kind == "mapping" else ())
        else None
        for tree in (*found["nodes"], *found.get("links", ()))
    ]
    named = [ARCHITECTURE, *dict.fromkeys(group or "weights" for group in groups)]
    known = all(group is None or isinstance(group, str) for group in groups)
    known &= not _names_groups_within(found["nodes"]) and "cells" not in space.value
    known &= not any(tree.child("decides") for tree in found.get("links", ()))
    outputs = list(space.at("outputs").value)
    return SpaceNames(str(space.at("space").value), outputs, named if known else None)


def _names_groups_within(nodes: Sequence[Tree]) -> bool:
    """Whether a choice names a group of its own."""
    choices = [node.at("op") for node in nodes if node.kind == "mapping"]
    return any(choice.kind == "mapping" and "group" in choice.value for choice in choices)


def recipe_problems(recipe: RecipeParts, space: SpaceNames) -> list[SpecError]:
    """Everything that is wrong with a recipe beyond its form."""
    problems = Problems()
    space = check_hyper(recipe, space, problems)
    _objectives(recipe, space, problems)
    if recipe.data.value is not None:
        _data(recipe.data, recipe.data.value, problems)
    for name, part in recipe.phases():
        if part.value is not None:
            _phase(part.value, part.damaged, recipe.levels[name], problems)
        check_levels(recipe, name, part, space, problems)
    if recipe.relaxation is not None:
        named(registry.relaxation, recipe.relaxation, problems)
    health = None if recipe.search.value is None else recipe.search.value.health
    if health is not None and health.stop_ratio is not None and health.eigenvalue_every is None:
        message = "stop_ratio needs eigenvalue_every: nothing looks at the curvature otherwise"
        problems.add(health.tree.at("stop_ratio"), message, "such as eigenvalue_every: 20")
    evaluate = recipe.evaluate.value
    if evaluate is not None:
        at = evaluate.tree.at("protocols")
        if not evaluate.protocols:
            problems.add(at, "name at least one protocol", ", ".join(registry.metric.names()))
        for i, protocol in enumerate(evaluate.protocols):
            known(registry.metric, protocol, at.at(i), problems)
    return problems.errors


def _objectives(recipe: RecipeParts, space: SpaceNames, problems: Problems) -> None:
    for name, terms in (recipe.objectives or {}).items():
        at = recipe.tree.at("objectives", name)
        for key, term in terms.items():
            named_apart = "loss" in (term.tree.value if term.tree.kind == "mapping" else ())
            place = at.at(key, "loss") if named_apart else at.at(key)
            parameters(registry.loss, term.loss, place, term.params, problems, key=not named_apart)
            if term.weight == 0:
                continue  # it is never computed
            if reads_variables(term.loss):
                _term_variables(recipe, term, space, problems)
            else:
                _term_output(term, space, problems)
            if isinstance(term.weight, str):
                check_strength(recipe, term.weight, term.tree, problems)
        whole = at.kind == "mapping" and len(terms) == len(at.value)
        if whole and all(term.weight == 0 for term in terms.values()):
            problems.add(at, "every weight is 0: nothing is left to minimise", key=True)


def _term_variables(
    recipe: RecipeParts, term: TermSpec, space: SpaceNames, problems: Problems
) -> None:
    if "output" in (term.tree.value if term.tree.kind == "mapping" else ()):
        message = "this loss reads a parameter group, not an output"
        problems.add(term.tree.at("output"), message, "variables: GROUP")
    at = term.tree.at("variables")
    if space.groups is None:
        return
    scalars = {scalar.group for scalar in (recipe.hyper or {}).values()}
    for group in groups_read(term, space.deciding):
        if group not in space.groups:
            problems.add(at, f"no parameter group {group!r}", did_you_mean(group, space.groups))
        elif reads_architecture(term.loss) and group not in space.deciding:
            message = f"{term.loss} reads architecture parameters, and the group {group!r} has none"
            groups = " or ".join(space.deciding)
            problems.add(at, message, f"variables: {groups}; left out, it reads them all")
        elif group in scalars:
            message = f"the group {group!r} is of hyper-parameters, which no loss reads"
            problems.add(at, message, "a group of the space, such as weights")


def _term_output(term: TermSpec, space: SpaceNames, problems: Problems) -> None:
    if term.variables is not None:
        message = "this loss reads an output, not a parameter group"
        problems.add(term.tree.at("variables"), message, "leave variables out")
    if space.outputs is None or term.output in space.outputs:
        return
    said = "output" in (term.tree.value if term.tree.kind == "mapping" else ())
    message = f"space {space.name!r} has no output {term.output!r}"
    hint = did_you_mean(term.output, space.outputs)
    problems.add(term.tree.at("output"), message if said else f"{message}, the default", hint)


def _data(part: Part[DataSpec], data: DataSpec, problems: Problems) -> None:
    at = data.tree
    known(registry.dataset, data.layout, at.at("layout"), problems)
    for first, second in (("rainy", "clean"), ("test_rainy", "test_clean")):
        given = [key for key in (first, second) if getattr(data, key) is not None]
        if len(given) == 1 and part.damaged.isdisjoint((first, second)):
            missing = second if given == [first] else first
            problems.add(at.at(given[0]), f"{given[0]} needs {missing}", "two folders, same names")
    for folder, other in (("root", "rainy"), ("test_root", "test_rainy")):
        if getattr(data, folder) is not None and getattr(data, other) is not None:
            message = f"{folder} and {other} were both given"
            problems.add(at.at(other), message, "leave one of them out")
    own_test = data.test_root is not None or data.test_rainy is not None
    if not own_test and data.validation + data.test >= 1:
        message = f"validation {data.validation:g} and test {data.test:g} leave nothing to train on"
        problems.add(at.at("validation"), message, "their sum is below 1")


def _phase(
    phase: PhaseSpec, damaged: frozenset[str], levels: Sequence[LevelSpec], problems: Problems
) -> None:
    at = phase.tree
    if phase.epochs is None and phase.steps is None and damaged.isdisjoint(("epochs", "steps")):
        problems.add(at, "missing key 'epochs' (or 'steps')", "how long it takes")
    if phase.epochs is not None and phase.steps is not None:
        message = "epochs and steps were both given"
        problems.add(at.at("steps"), message, "set one of them to null, or leave it out")
    if phase.budget is not None and seconds(phase.budget) is None:
        message = f"expected a time such as 90s, 10m or 2h, got {phase.budget[:60]!r}"
        problems.add(at.at("budget"), message)
    if not levels and "levels" not in damaged:
        problems.add(
            at.at("levels"), "expected at least one level", "levels: a list, innermost first"
        )


_UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: str) -> float | None:
    """Seconds of ``90s``, ``10m``, ``1.5h`` or ``90``; ``None`` for anything else."""
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(s|m|min|h|d|)", text.strip())
    if match is None or float(match[1]) == 0:
        return None
    return float(match[1]) * _UNITS.get(match[2], 1.0)
