"""Genotypes as plain facts: what JSON holds and what is printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nasrestore.cli.describe import SIZE, Facts
from nasrestore.cli.output import count, print_table, say, title
from nasrestore.errors import NasRestoreError
from nasrestore.graph.cost import Cost, graph_cost
from nasrestore.graph.derive import derive
from nasrestore.graph.genotype import Genotype, digest_compared, fit
from nasrestore.graph.ir import SearchGraph

Strengths = Mapping[str, Mapping[str, float]]


def genotype_facts(genotype: Genotype, graph: SearchGraph) -> Facts:
    """Decisions and cost of a genotype, and under ``notes`` what is to be said aloud.

    Decisions that change nothing, since a link or a cell that they are within is dropped, are left out.

    Raises:
        SpecError: it does not fit the space.
    """
    stated = genotype.digest
    compared = digest_compared(genotype, graph)
    genotype, notes = fit(genotype, graph)
    cost = cost_of(genotype, graph)
    decisions = graph.relevant(genotype.decisions)
    return {
        "space": genotype.space,
        "description": genotype.description,
        "decisions": {name: list(names) for name, names in decisions.items()},
        "strengths": {name: dict(weights) for name, weights in genotype.strengths.items()},
        "parameters": None if cost is None else cost.parameters,
        "macs": None if cost is None else int(cost.macs),
        "size": list(SIZE),
        "digest": stated,
        "digest_fits": True if compared else None,  # any other would have been refused
        "source": dict(genotype.source),
        "notes": list(notes),
    }


def cost_of(genotype: Genotype, graph: SearchGraph) -> Cost | None:
    try:
        return graph_cost(derive(graph, genotype), SIZE)
    except NasRestoreError:  # an operation whose signature does not tell its cost
        return None


def print_genotype(facts: Facts) -> None:
    description = f": {facts['description']}" if facts["description"] else ""
    title(f"genotype of space {facts['space']}{description}")
    height, width = facts["size"]
    print_table(
        [
            ["parameters", count(facts["parameters"])],
            [f"multiply-adds at {height}x{width}", count(facts["macs"])],
            ["digest", _digest_text(facts)],
        ]
    )
    say()
    print_decisions(facts["decisions"], facts["strengths"])


def _digest_text(facts: Facts) -> str:
    if facts["digest"] is None:
        return "not stated"
    return f"{facts['digest']}, {'fits the space' if facts['digest_fits'] else 'not compared'}"


def print_decisions(decisions: Mapping[str, Sequence[str]], strengths: Strengths) -> None:
    """What was decided for each choice, with its strength where that is known."""
    if not decisions:
        say("  nothing was left to decide")
    rows = []
    for choice, names in decisions.items():
        for number, name in enumerate(names):
            strength = strengths.get(choice, {}).get(name)
            shown = " " if strength is None else f"{strength:.3f}"
            rows.append(["" if number else choice, name, shown])
    print_table(rows)
