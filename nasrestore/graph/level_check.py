"""Checks of a chain of levels: who owns what, and which hypergradient is possible where. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nasrestore import registry
from nasrestore.graph.hyper_check import check_amount, check_strength, strengths_of_level
from nasrestore.graph.named import named
from nasrestore.graph.reach import ARCHITECTURE, owned
from nasrestore.graph.signature import HypergradientSignature
from nasrestore.graph.values import Problems
from nasrestore.registry import did_you_mean
from nasrestore.spec.parts import Part
from nasrestore.spec.recipe import LevelSpec, NamedSpec, PhaseSpec
from nasrestore.spec.recipe_parts import RecipeParts


@dataclass(frozen=True)
class SpaceNames:
    """What a recipe may name of its space; ``None`` where an error leaves it open.

    Attributes:
        deciding: those of the groups that are architecture parameters.
    """

    name: str
    outputs: Sequence[str] | None
    groups: Sequence[str] | None
    deciding: Sequence[str] = (ARCHITECTURE,)


def check_levels(
    recipe: RecipeParts,
    phase_name: str,
    part: Part[PhaseSpec],
    space: SpaceNames,
    problems: Problems,
) -> None:
    """Adds what is wrong with the levels of a phase, each by itself and in its place."""
    owner: dict[str, str] = {}
    names: set[str] = set()
    levels = recipe.levels[phase_name]
    whole = "levels" not in part.damaged or _all_there(part, levels)
    timed = part.value is not None and part.damaged.isdisjoint(("epochs", "steps"))
    before = problems.found
    for i, level in enumerate(levels):
        if level.name in names:
            message = f"two levels are called {level.name!r}"
            problems.add(level.tree.at("name"), message, "give each a name of its own")
            continue  # the rest of it would be complained of for being the other one's
        names.add(level.name)
        _level(recipe, level, problems)
        if whole:
            _place(level, levels[:i], problems)
        if timed:
            assert part.value is not None
            _level_times(part.value, level, problems)
        _variables(level, space, owner, problems)
        if phase_name == "train" and not set(space.deciding).isdisjoint(owned(level)):
            message = "training has no architecture: it is decided by then"
            problems.add(level.tree.at("variables"), message, "leave the level to the search")
    if whole and timed and problems.found == before:
        assert part.value is not None
        _idle(phase_name, part.value, levels, problems)


def _all_there(part: Part[PhaseSpec], levels: Sequence[LevelSpec]) -> bool:
    """Whether no level is missing since its form is wrong."""
    tree = None if part.value is None else part.value.tree.child("levels")
    return tree is None or tree.kind != "sequence" or len(tree.value) == len(levels)


def _variables(
    level: LevelSpec, space: SpaceNames, owner: dict[str, str], problems: Problems
) -> None:
    at = level.tree.at("variables")
    groups = owned(level)
    if not groups:
        hint = None if space.groups is None else f"groups: {', '.join(space.groups)}"
        problems.add(at, "a level needs variables", hint)
    for i, group in enumerate(groups):
        tree = at.at(i)
        if space.groups is not None and group not in space.groups:
            hint = did_you_mean(group, space.groups)
            problems.add(tree, f"no parameter group {group!r}", hint)
        elif group in owner:
            problems.add(tree, f"level {owner[group]!r} owns {group!r} already")
        owner.setdefault(group, level.name)


def _level(recipe: RecipeParts, level: LevelSpec, problems: Problems) -> None:
    at = level.tree
    if recipe.objectives is not None and level.objective not in recipe.objectives:
        hint = did_you_mean(level.objective, recipe.objectives)
        problems.add(at.at("objective"), f"no objective is called {level.objective!r}", hint)
    named(registry.optimizer, level.optimizer, problems)
    named(registry.hypergradient, level.hypergradient, problems)
    named(registry.schedule, level.schedule, problems)
    if level.curvature is not None:
        named(registry.curvature, level.curvature, problems)
    for strength in sorted(strengths_of_level(level)):
        assert level.augment is not None
        check_strength(recipe, strength, level.augment.tree, problems)
        check_amount(recipe, strength, problems)


STEPS_KNOWN = ("adam", "adamw", "sgd")


def _place(level: LevelSpec, below: Sequence[LevelSpec], problems: Problems) -> None:
    """Whether its hypergradient and curvature are possible in its place of the chain."""
    if level.hypergradient.name not in registry.hypergradient:
        return  # complained of
    signature = registry.hypergradient.signature(level.hypergradient.name)
    sees = signature.below if isinstance(signature, HypergradientSignature) else True
    at = level.tree
    if sees and not below:
        message = f"{level.hypergradient.name} needs a level below, and {level.name!r} is innermost"
        problems.add(at.at("hypergradient"), message, "leave it out: first_order")
        return
    if level.curvature is None:
        if sees and len(below) > 1:
            names = ", ".join(one.name for one in below[:-1])
            message = f"missing key 'curvature': how {names} respond below {below[-1].name!r}"
            hint = "frozen (constants), unrolled (they take steps), resolved (they stay minimal)"
            problems.add(at, message, hint)
    elif not sees:
        message = f"{level.hypergradient.name} holds everything below fixed"
        problems.add(at.at("curvature"), message, "leave curvature out")
    elif len(below) < 2:
        message = "there is no level further below whose response it could name"
        problems.add(at.at("curvature"), message, "leave curvature out")
    elif level.curvature.name in registry.curvature:
        for one in below[:-1]:
            _steps_known(registry.curvature, level.curvature, one, problems)
    if sees:
        _steps_known(registry.hypergradient, level.hypergradient, below[-1], problems)


def _steps_known(
    names: registry.Registry, method: NamedSpec, lower: LevelSpec, problems: Problems
) -> None:
    """Gradients go through the lower optimizer's steps only where these are known as a function."""
    signature = names.signature(method.name)
    if not isinstance(signature, HypergradientSignature) or not signature.steps_through:
        return
    given = named(names, method, Problems()) or {}
    if given.get("optimizer") == "level" and lower.optimizer.name not in STEPS_KNOWN:
        message = f"{method.name} cannot go through steps of {lower.optimizer.name!r}"
        hint = f"optimizer: sgd, or a level {lower.name!r} with {', '.join(STEPS_KNOWN)}"
        problems.add(method.tree, message, hint)


def _level_times(phase: PhaseSpec, level: LevelSpec, problems: Problems) -> None:
    """What is in epochs, or without them in shares of the run, must lie within the phase.

    Epochs of a schedule may lie beyond its end: a shorter run never comes to them.
    """
    end, unit = (1.0, "") if phase.epochs is None else (phase.epochs, " epochs")
    if level.start >= end:
        message = f"the level starts after the end: {level.start:g} of {end:g}{unit}"
        problems.add(level.tree.at("start"), message)
    if level.end is not None and not level.start < level.end <= end:
        message = (
            f"the level ends at {level.end:g}: expected after its start, {level.start:g}, and "
        )
        problems.add(level.tree.at("end"), f"{message}by the end, {end:g}{unit}")
    known = level.schedule.name in registry.schedule
    given = (named(registry.schedule, level.schedule, Problems()) if known else None) or {}
    after = list(given.get("after", ()))
    most = end if phase.epochs is None else float("inf")
    if after != sorted(after) or any(x > most for x in after):
        tree = level.schedule.params["after"]
        found = ", ".join(f"{x:g}" for x in after)
        problems.add(tree, f"expected {_rising(phase)}, got {found}")


def _idle(
    phase_name: str, phase: PhaseSpec, levels: Sequence[LevelSpec], problems: Problems
) -> None:
    """Some level works at any time: where none does, the run goes on and nothing is learned."""
    end, unit = (1.0, "of the run") if phase.epochs is None else (phase.epochs, "epochs")
    idle, last = 0.0, None
    for level in sorted(levels, key=lambda level: level.start):
        if level.start > idle:
            message = f"no level works from {idle:g} to {level.start:g} {unit}"
            hint = f"start: {idle:g}, or let another level work until then"
            problems.add(level.tree.at("start"), message, hint)
        if level.end is None or level.end >= end:
            return
        if level.end > idle:
            idle, last = level.end, level
    if last is None:
        return
    message = f"no level works from {idle:g} to {end:g} {unit}, the end"
    shorter = "" if phase.epochs is None else f", or {phase_name}.epochs: {idle:g}"
    problems.add(last.tree.at("end"), message, f"end: null for {last.name!r}{shorter}")


def _rising(phase: PhaseSpec) -> str:
    return "rising numbers up to 1, shares of the run" if phase.epochs is None else "rising epochs"
