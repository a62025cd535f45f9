"""Spaces and recipes as plain facts: what JSON holds and what is printed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

from nasrestore.cli.output import count, print_table, say, title
from nasrestore.errors import NasRestoreError
from nasrestore.graph.cost import CostModel
from nasrestore.graph.groups import groups_with_parameters
from nasrestore.graph.ir import Choice, SearchGraph

if TYPE_CHECKING:
    from nasrestore.assemble.prepare import Prepared
    from nasrestore.spec.recipe import LevelSpec, PhaseSpec

SIZE = (128, 128)
MOST_COUNTED = 1000  # architectures whose costs are counted one by one

What = Literal["parameters", "macs"]
WHAT: tuple[What, ...] = ("parameters", "macs")

Facts = dict[str, Any]


# -- spaces ----------------------------------------------------------------------------------


def space_facts(graph: SearchGraph) -> Facts:
    """How large a space is, what it leaves open, and what its networks cost."""
    cost = cost_range(graph)
    limits = graph.limits
    limited = limits.parameters is not None or limits.macs is not None
    return {
        "space": graph.name,
        "architectures": graph.architectures,
        "choices": [_choice_facts(choice) for choice in graph.choices],
        "nodes": len(graph.nodes),
        "links": len(graph.edges),
        "multiple": graph.multiple,
        "stages": graph.stages,
        "parameters": cost["parameters"],
        "macs": cost["macs"],
        "digest": graph.digest,
        "limits": {"parameters": limits.parameters, "macs": limits.macs, "size": list(limits.size)}
        if limited
        else None,
    }


def _choice_facts(choice: Choice) -> Facts:
    return {
        "name": choice.name,
        "candidates": len(choice.candidates),
        "keep": choice.keep,
        "kind": choice.kind,
        "measured_by": list(choice.measured_by),
        "names": list(choice.candidates),
    }


def cost_range(graph: SearchGraph) -> Facts:
    """The least and the most that an architecture costs; None where that is not cheap to tell.

    ``at_least`` is what none goes below, None where a signature does not tell its cost.
    """
    found: Facts = {w: {"least": None, "most": None, "at_least": None} for w in WHAT}
    found["macs"]["size"] = list(SIZE)
    try:
        model = CostModel(graph, SIZE)
        for what in WHAT:
            least: int | Fraction = getattr(model.least(), what)
            found[what]["at_least"] = math.ceil(least)
            if model.additive:
                found[what] |= {"least": int(least), "most": int(_most(model, what))}
        if not model.additive and math.prod(c.decisions for c in graph.choices) <= MOST_COUNTED:
            costs = [model.cost(decisions) for decisions in _all_decisions(graph)]
            for what in WHAT:
                values = [int(getattr(cost, what)) for cost in costs]
                found[what] |= {"least": min(values), "most": max(values), "at_least": min(values)}
    except NasRestoreError:  # an operation whose signature does not tell its cost
        pass
    return found


def _most(model: CostModel, what: What) -> int | Fraction:
    most: int | Fraction = getattr(model.base, what)
    for choice in model.graph.choices:
        shares = sorted(getattr(model.share(choice.name, c), what) for c in choice.decidable)
        most += sum(shares[-choice.keep :])
    return most


def _all_decisions(graph: SearchGraph) -> Iterator[dict[str, tuple[str, ...]]]:
    names = [choice.name for choice in graph.choices]
    each = (itertools.combinations(choice.decidable, choice.keep) for choice in graph.choices)
    return (dict(zip(names, decided, strict=True)) for decided in itertools.product(*each))


def print_space(facts: Facts, description: str | None = None) -> None:
    title(f"space {facts['space']}" + (f": {description}" if description else ""))
    rows = [
        ["architectures", count(facts["architectures"])],
        ["parameters", _range(facts["parameters"])],
        [f"multiply-adds at {SIZE[0]}x{SIZE[1]}", _range(facts["macs"])],
        ["nodes, links", f"{facts['nodes']}, {facts['links']}"],
        ["stages", str(facts["stages"])],
        ["sizes", f"multiples of {facts['multiple']} (others are padded)"],
        ["digest", facts["digest"]],
    ]
    if facts["limits"] is not None:
        rows.append(["limits", _limits_text(facts["limits"])])
    print_table([[name, text or " "] for name, text in rows])
    for choice in facts["choices"]:
        say()
        title(f"{choice['name']}: keep {choice['keep']} of {choice['candidates']} {_noun(choice)}")
        if choice["measured_by"]:
            say("  each as strong as the strongest operation on it")
        for name in choice["names"]:
            say(f"  {name}")


def _range(limits: Facts) -> str:
    if limits["least"] is None:
        least = limits["at_least"]
        return "depend on the decisions" + (f", at least {count(least)}" if least else "")
    if limits["least"] == limits["most"]:
        return count(limits["least"])
    return f"{count(limits['least'])} to {count(limits['most'])}"


def _limits_text(limits: Facts) -> str:
    parts = []
    if limits["parameters"] is not None:
        parts.append(f"{count(limits['parameters'])} parameters")
    if limits["macs"] is not None:
        height, width = limits["size"]
        parts.append(f"{count(limits['macs'])} multiply-adds at {height}x{width}")
    return ", ".join(parts)


def _noun(choice: Facts) -> str:
    noun = {"operation": "operations", "links": "links", "cells": "cells"}[choice["kind"]]
    return noun if choice["candidates"] > 1 else noun.removesuffix("s")


# -- recipes ---------------------------------------------------------------------------------


def recipe_facts(prepared: Prepared) -> Facts:
    """A recipe's name and phases: which level owns what, and what stays as it is."""
    recipe = prepared.recipe
    scalars = [scalar.group for scalar in recipe.hyper.values()]
    groups = [*groups_with_parameters(prepared.graph), *dict.fromkeys(scalars)]
    trained = [group for group in groups if group not in prepared.graph.deciding]
    return {
        "recipe": recipe.recipe,
        "description": recipe.description,
        "search": _phase_facts(recipe.search, groups, prepared.graph.deciding),
        "train": _phase_facts(recipe.train, trained),
    }


def _phase_facts(phase: PhaseSpec, groups: Sequence[str], deciding: Sequence[str] = ()) -> Facts:
    levels = [_level_facts(level) for level in phase.levels]
    owned = {group for level in levels for group in level["variables"]}
    return {
        "epochs": phase.epochs,
        "steps": phase.steps,
        "budget": phase.budget,
        "levels": levels,
        "frozen": [group for group in groups if group not in owned],
        "undecided": [group for group in groups if group in deciding and group not in owned],
    }


def _level_facts(level: LevelSpec) -> Facts:
    owned = [level.variables] if isinstance(level.variables, str) else list(level.variables)
    return {
        "name": level.name,
        "variables": owned,
        "objective": level.objective,
        "data": level.data,
        "optimizer": level.optimizer.name,
        "hypergradient": level.hypergradient.name,
        "curvature": None if level.curvature is None else level.curvature.name,
        "steps": level.steps,
    }


def print_recipe(facts: Facts) -> None:
    description = f": {facts['description']}" if facts["description"] else ""
    title(f"recipe {facts['recipe']}{description}")
    for name in ("search", "train"):
        phase = facts[name]
        length = f"{phase['steps']:,} turns" if phase["steps"] else f"{phase['epochs']:g} epochs"
        within = f", within {phase['budget']}" if phase["budget"] else ""
        say(f"  {name}: {length}{within}")
        for level in phase["levels"]:
            say(f"    {level_sentence(level)}")
        for line in frozen_lines(phase) if phase["frozen"] else ():
            say(f"    {line}")


def frozen_lines(phase: Facts) -> list[str]:
    """What no level owns; of choices that is a warning, since nobody decides them."""
    rest = [group for group in phase["frozen"] if group not in phase["undecided"]]
    lines = [
        f"warning: frozen: {group} — no level owns it, its decisions stay at the start"
        for group in phase["undecided"]
    ]
    return [*lines, f"frozen: {', '.join(rest) or 'nothing'}"] if rest or not lines else lines


def level_sentence(level: Facts) -> str:
    """Which parameters a level owns, and by what it moves them."""
    owned = ", ".join(level["variables"])
    steps = "" if level["steps"] == 1 else f", {level['steps']} steps a turn"
    method = "" if level["hypergradient"] == "first_order" else f", {level['hypergradient']}"
    if level["curvature"] is not None:
        method += f" ({level['curvature']} further below)"
    return (
        f"level {level['name']} owns {owned}: {level['objective']} on {level['data']} data, "
        f"{level['optimizer']}{steps}{method}"
    )
