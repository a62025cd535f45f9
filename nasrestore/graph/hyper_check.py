"""Checks of the scalars outside the network, and of who uses them. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from nasrestore.graph.values import Problems
from nasrestore.registry import did_you_mean
from nasrestore.spec.recipe import HyperSpec, LevelSpec, TermSpec
from nasrestore.spec.recipe_parts import RecipeParts
from nasrestore.spec.source import Tree

if TYPE_CHECKING:
    from nasrestore.graph.level_check import SpaceNames


def check_hyper(recipe: RecipeParts, space: SpaceNames, problems: Problems) -> SpaceNames:
    """Checks the recipe's scalars; gives the space's names with their groups."""
    groups = []
    used = set(_used(recipe))
    for name, scalar in (recipe.hyper or {}).items():
        _value(name, scalar, problems)
        groups.append(scalar.group)
        if space.groups is not None and scalar.group in space.groups:
            message = f"space {space.name!r} has a parameter group {scalar.group!r} already"
            problems.add(scalar.tree.at("group"), message, "give this one another name")
        if name not in used and recipe.objectives is not None:
            message = f"nothing uses the hyper-parameter {name!r}"
            hint = f"write ${name} for the weight of a loss, or for a level's augmentation"
            problems.add(scalar.tree, message, hint, key=True)
    if space.groups is None or recipe.hyper is None:
        return replace(space, groups=None)
    return replace(space, groups=list(dict.fromkeys([*space.groups, *groups])))


def check_strength(recipe: RecipeParts, name: str, at: Tree, problems: Problems) -> None:
    """Adds a problem where ``$name`` is no scalar of the recipe."""
    if recipe.hyper is not None and name not in recipe.hyper:
        hint = did_you_mean(name, recipe.hyper)
        if not recipe.hyper:
            hint = f"declare it: hyper: {{{name}: {{start: 0.1}}}}"
        problems.add(at, f"no hyper-parameter {name!r}", hint)


def check_amount(recipe: RecipeParts, name: str, problems: Problems) -> None:
    """Adds a problem where a scalar that is the strength of an augmentation may become negative."""
    scalar = (recipe.hyper or {}).get(name)
    if scalar is None or scalar.transform == "log":
        return
    least = scalar.range[0] if scalar.range else None
    if least is None or least < 0:
        at = scalar.tree if least is None else scalar.tree.at("range")
        may = "has no least value" if least is None else f"may come down to {least:g}"
        message = (
            f"{name} is the strength of an augmentation, which is never negative, and it {may}"
        )
        problems.add(at, message, "such as range: [0, 0.2], or transform: log", key=least is None)


def strengths_of_term(term: TermSpec) -> set[str]:
    """The scalars that a term names."""
    return {term.weight} if isinstance(term.weight, str) else set()


def strengths_of_level(level: LevelSpec) -> set[str]:
    """The scalars that a level's augmentation names."""
    augment = level.augment
    given = () if augment is None else (augment.noise, augment.degradation)
    return {one for one in given if isinstance(one, str)}


def _used(recipe: RecipeParts) -> Iterator[str]:
    for terms in (recipe.objectives or {}).values():
        for term in terms.values():
            yield from strengths_of_term(term)
    for levels in recipe.levels.values():
        for level in levels:
            yield from strengths_of_level(level)


def _value(name: str, scalar: HyperSpec, problems: Problems) -> None:
    at, limits = scalar.tree, scalar.range
    if limits is not None and (len(limits) != 2 or not limits[0] < limits[1]):
        problems.add(at.at("range"), "expected two rising numbers: [least, most]")
        return
    least, most = (None, None) if limits is None else limits
    start = at.at("start")
    if least is not None and most is not None and not least <= scalar.start <= most:
        message = f"{name} starts at {scalar.start:g}, outside its range {least:g} to {most:g}"
        problems.add(start, message)
    elif scalar.transform == "log" and least is not None and least <= 0:
        message = f"transform log keeps it above 0, and its least value is {least:g}"
        problems.add(at.at("range"), message, "such as 1e-6, or transform: none")
    elif scalar.transform == "log" and scalar.start <= 0:
        message = f"expected a number above 0 with transform log, got {scalar.start:g}"
        problems.add(start, message, "transform: none")
    elif scalar.transform == "logit":
        if least is None or most is None:
            problems.add(at.at("transform"), "logit needs a range", "range: [0, 1]")
        elif not least < scalar.start < most:
            message = f"{name} must start inside its range with transform logit"
            problems.add(start, message)
