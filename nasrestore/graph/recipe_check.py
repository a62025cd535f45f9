"""Checks of a recipe against its compiled space and the catalog. Torch-free."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from nasrestore import registry
from nasrestore.errors import NasRestoreError, raise_all
from nasrestore.graph.expand import Problems, parameter
from nasrestore.graph.ir import SearchGraph
from nasrestore.graph.signature import Signature, SignatureError
from nasrestore.registry import Registry, did_you_mean
from nasrestore.spec.expression import ExpressionError
from nasrestore.spec.recipe import LevelSpec, NamedSpec, PhaseSpec, RecipeSpec
from nasrestore.spec.source import Tree

ARCHITECTURE = "architecture"


def check_recipe(recipe: RecipeSpec, graph: SearchGraph) -> None:
    """Checks names, parameters, levels and data of a recipe.

    Raises:
        SpecError: everything that is wrong with it, each with its place.
    """
    problems = Problems()
    _objectives(recipe, graph, problems)
    _data(recipe, problems)
    _phase(recipe, recipe.search, graph, problems)
    _phase(recipe, recipe.train, graph, problems)
    _training(recipe, problems)
    named(registry.relaxation, recipe.search.relaxation, problems)
    if recipe.evaluate is not None:
        at = recipe.evaluate.tree.at("protocols")
        if not recipe.evaluate.protocols:
            problems.add(at, "name at least one protocol", ", ".join(registry.metric.names()))
        for i, name in enumerate(recipe.evaluate.protocols):
            _known(registry.metric, name, at.at(i), problems)
    raise_all(problems.errors)


def parameter_groups(graph: SearchGraph) -> list[str]:
    """The groups that a level can own: the architecture's, and those of nodes and links."""
    groups = dict.fromkeys([*(n.group for n in graph.nodes), *(e.group for e in graph.edges)])
    return [ARCHITECTURE, *groups]


def named(
    names: Registry, spec: NamedSpec, problems: Problems | None = None
) -> dict[str, Any] | None:
    """The checked parameters of anything named with parameters; ``None`` after an error.

    Raises:
        SpecError: only where ``problems`` is left out.
    """
    collected = problems or Problems()
    at = spec.tree.at("name") if spec.tree.kind == "mapping" else spec.tree
    found = parameters(names, spec.name, at, spec.params, collected)
    if problems is None:
        raise_all(collected.errors)
    return found


def parameters(
    names: Registry, name: str, at: Tree, params: Mapping[str, Tree], problems: Problems
) -> dict[str, Any] | None:
    """The checked parameters of ``name``; ``None`` after an error."""
    if not _known(names, name, at, problems):
        return None
    signature = names.signature(name)
    assert isinstance(signature, Signature)
    before = len(problems.errors)
    values = {}
    for key, tree in params.items():
        spec = signature.parameters.get(key)
        if spec is None:
            hint = did_you_mean(key, signature.parameters)
            message = f"{names.kind} {name!r} has no parameter {key!r}"
            problems.add(tree, message, hint, key=True)
            continue
        try:
            numeric = spec.type in ("int", "float", "ints", "floats")
            values[key] = spec.read(key, parameter(tree, {}, numeric))
        except (SignatureError, ExpressionError) as error:
            problems.add(tree, str(error), getattr(error, "hint", None))
    if len(problems.errors) > before:
        return None
    try:
        return signature.read(values)
    except SignatureError as error:
        problems.add(at, f"{names.kind} {name!r}: {error}", error.hint)
        return None


def _known(names: Registry, name: str, at: Tree, problems: Problems) -> bool:
    try:
        names.entry(name)
    except NasRestoreError as error:
        problems.add(at, error.message, error.hint)
        return False
    return True


def _objectives(recipe: RecipeSpec, graph: SearchGraph, problems: Problems) -> None:
    outputs = [output.name for output in graph.outputs]
    for name, terms in recipe.objectives.items():
        for loss, term in terms.items():
            at = recipe.tree.at("objectives", name, loss)
            if _known(registry.loss, loss, _Key(at), problems):
                parameters(registry.loss, loss, at, term.params, problems)
            if term.output not in outputs:
                hint = did_you_mean(term.output, outputs)
                message = f"space {graph.name!r} has no output {term.output!r}"
                problems.add(at.at("output"), message, hint)
        if all(term.weight == 0 for term in terms.values()):
            at = recipe.tree.at("objectives", name)
            problems.add(at, "every weight is 0: nothing is left to minimise")


class _Key:
    """A tree whose errors stand at its key, where the key itself is the name at fault."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree

    def error(self, message: str, hint: str | None = None, *, key: bool = False) -> Any:
        return self.tree.error(message, hint, key=True)


def _data(recipe: RecipeSpec, problems: Problems) -> None:
    data = recipe.data
    at = data.tree
    _known(registry.dataset, data.layout, at.at("layout"), problems)
    for first, second in (("rainy", "clean"), ("test_rainy", "test_clean")):
        given = [key for key in (first, second) if getattr(data, key) is not None]
        if len(given) == 1:
            missing = second if given == [first] else first
            problems.add(at.at(given[0]), f"{given[0]} needs {missing}", "two folders, same names")
    if data.root is not None and data.rainy is not None:
        problems.add(at.at("rainy"), "root and rainy were both given", "leave one of them out")
    if data.test_root is not None and data.test_rainy is not None:
        message = "test_root and test_rainy were both given"
        problems.add(at.at("test_rainy"), message, "leave one of them out")
    synthesises = data.layout == "photographs" or (data.root is None and data.rainy is None)
    if data.rain is not None and "rain" in at.value and not synthesises and "root" in at.value:
        pass  # a recipe's rain is for its sample photographs; a data root of pairs takes its place
    own_test = data.test_root is not None or data.test_rainy is not None
    if not own_test and data.validation + data.test >= 1:
        message = f"validation {data.validation:g} and test {data.test:g} leave nothing to train on"
        problems.add(at.at("validation"), message)


def _phase(
    recipe: RecipeSpec, phase: PhaseSpec, graph: SearchGraph, problems: Problems
) -> None:
    at = phase.tree
    if phase.epochs is None and phase.steps is None:
        problems.add(at, "missing key 'epochs' (or 'steps')")
    if phase.epochs is not None and phase.steps is not None:
        problems.add(at.at("steps"), "epochs and steps were both given", "leave one of them out")
    if phase.budget is not None and seconds(phase.budget) is None:
        problems.add(at.at("budget"), f"expected a time such as 90s, 10m or 2h, got {phase.budget!r}")
    if not phase.levels:
        problems.add(at.at("levels"), "expected at least one level")
    owner: dict[str, str] = {}
    groups = parameter_groups(graph)
    for i, level in enumerate(phase.levels):
        names = [other.name for other in phase.levels[:i]]
        if level.name in names:
            problems.add(level.tree.at("name"), f"two levels are called {level.name!r}")
        _level(recipe, phase, level, problems)
        _variables(level, groups, owner, problems)


def _variables(
    level: LevelSpec, groups: Iterable[str], owner: dict[str, str], problems: Problems
) -> None:
    at = level.tree.at("variables")
    values = [level.variables] if isinstance(level.variables, str) else level.variables
    trees = [at] if isinstance(level.variables, str) else [at.at(i) for i in range(len(values))]
    if not values:
        problems.add(at, "a level needs variables", f"groups: {', '.join(groups)}")
    for value, tree in zip(values, trees, strict=True):
        if value not in groups:
            problems.add(tree, f"no parameter group {value!r}", did_you_mean(value, groups))
        elif value in owner:
            problems.add(tree, f"level {owner[value]!r} owns {value!r} already")
        owner.setdefault(value, level.name)


def _level(recipe: RecipeSpec, phase: PhaseSpec, level: LevelSpec, problems: Problems) -> None:
    at = level.tree
    if level.objective not in recipe.objectives:
        hint = did_you_mean(level.objective, recipe.objectives)
        problems.add(at.at("objective"), f"no objective is called {level.objective!r}", hint)
    named(registry.optimizer, level.optimizer, problems)
    named(registry.hypergradient, level.hypergradient, problems)
    values = named(registry.schedule, level.schedule, problems)
    end, unit = (1.0, "") if phase.epochs is None else (phase.epochs, " epochs")
    if level.start >= end:
        message = f"the level starts after the end: {level.start:g} of {end:g}{unit}"
        problems.add(at.at("start"), message)
    after = [] if values is None else list(values.get("after", ()))
    if after != sorted(after) or any(x > end for x in after):
        tree = level.schedule.params["after"]
        problems.add(tree, f"expected rising numbers up to {end:g}{unit}, got {after}")


def _training(recipe: RecipeSpec, problems: Problems) -> None:
    levels = recipe.train.levels
    for level in levels:
        owned = [level.variables] if isinstance(level.variables, str) else level.variables
        if ARCHITECTURE in owned:
            message = "training has no architecture: it is decided by then"
            problems.add(level.tree.at("variables"), message)


_UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: str) -> float | None:
    """Seconds of ``90s``, ``10m``, ``1.5h`` or ``90``; ``None`` for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d|)", text.strip())
    if match is None or float(match[1]) == 0:
        return None
    return float(match[1]) * _UNITS.get(match[2], 1.0)
