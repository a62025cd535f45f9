"""A genotype: the decisions of one architecture, as a small versioned YAML file. Torch-free."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nasrestore.errors import Location, SpecError, raise_all
from nasrestore.graph.ir import Choice, SearchGraph, digest_of
from nasrestore.registry import did_you_mean
from nasrestore.spec.schema import Located, entry, read, spec_class
from nasrestore.spec.source import Tree, dump_yaml, read_yaml, tree_of
from nasrestore.spec.space import check_format

FORMAT = 1


@spec_class
class GenotypeSpec(Located):
    """A genotype file."""

    format: int = entry(doc="version of the file format", least=1)
    space: str = entry(doc="name of the space that it decides")
    digest: str | None = entry(None, doc="hash of the space's choices")
    description: str | None = entry(None, doc="one line for listings")
    decisions: dict[str, str | list[str]] = entry(
        default_factory=dict, doc="for each choice, what was decided"
    )
    source: dict[str, Tree] = entry(default_factory=dict, doc="where it comes from, for the reader")
    strengths: dict[str, dict[str, float]] = entry(
        default_factory=dict, doc="mixing weight of every candidate at the end of the search"
    )


@dataclass(frozen=True)
class Genotype:
    """Decisions for every choice of a space.

    Attributes:
        digest: of the space that it was made for; ``None`` where the file does not say.
        strengths: for each choice, each candidate's mixing weight; may be empty.
    """

    space: str
    digest: str | None
    decisions: Mapping[str, tuple[str, ...]]
    strengths: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    source: Mapping[str, Any] = field(default_factory=dict)
    description: str | None = None
    tree: Tree | None = field(default=None, compare=False, repr=False)

    def dump(self) -> str:
        """The file's text."""
        data: dict[str, Any] = {"format": FORMAT, "space": self.space}
        if self.digest is not None:
            data["digest"] = self.digest
        if self.description is not None:
            data["description"] = self.description
        data["decisions"] = {
            name: names[0] if len(names) == 1 else list(names)
            for name, names in self.decisions.items()
        }
        if self.source:
            data["source"] = dict(self.source)
        if self.strengths:
            data["strengths"] = {
                choice: {name: round(float(w), 6) for name, w in weights.items()}
                for choice, weights in self.strengths.items()
            }
        return dump_yaml(data)


def genotype_of(
    graph: SearchGraph, decisions: Mapping[str, tuple[str, ...]], **more: Any
) -> Genotype:
    """Decisions for a graph, with its digest."""
    return Genotype(graph.name, graph.digest, dict(decisions), **more)


def read_genotype(tree: Tree) -> Genotype:
    """A genotype from its located tree; whether it fits a space is ``fit``'s question.

    Raises:
        SpecError: all errors of form at once.
    """
    check_format(tree, "genotype")
    spec = read(tree, GenotypeSpec)
    decisions = {
        name: (value,) if isinstance(value, str) else tuple(value)
        for name, value in spec.decisions.items()
    }
    source = {name: value.plain() for name, value in spec.source.items()}
    return Genotype(
        spec.space, spec.digest, decisions, spec.strengths, source, spec.description, tree
    )


def load_genotype(path: str | os.PathLike[str]) -> Genotype:
    """A genotype from a file."""
    return read_genotype(read_yaml(path))


def fit(genotype: Genotype, graph: SearchGraph) -> tuple[Genotype, list[str]]:
    """The genotype with exactly the decisions that the graph wants, and what is to be said aloud.

    Entries for a group that the space removed (``keep: 0``), and for what is no choice in it but fixed,
    are ignored, and said.

    Raises:
        SpecError: it is for another space, or decides something that the space does not have.
    """
    tree = genotype.tree or tree_of(_plain(genotype), _NOWHERE)
    errors = _unknown_choices(genotype, graph, tree)
    decisions: dict[str, tuple[str, ...]] = {}
    wanted = {choice.name: choice for choice in graph.choices}
    every = {name: genotype.decisions.get(name, ()) for name in wanted}
    idle = every.keys() - graph.relevant(every).keys()
    for name, choice in wanted.items():
        decided = genotype.decisions.get(name)
        if decided is None and name in idle:
            decisions[name] = choice.decidable[: choice.keep]  # nothing hangs on it
            continue
        if decided is None:
            message = f"no decision for {name!r} of space {graph.name!r}"
            hint = f"name {choice.keep} of its {len(choice.decidable)} candidates"
            errors.append(tree.at("decisions").error(message, hint))
            continue
        errors += _check_decision(choice, decided, tree.at("decisions", name))
        decisions[name] = tuple(c for c in choice.candidates if c in decided)
    if errors and genotype.space != graph.name:
        raise _of_another_space(genotype, graph, tree, errors[0])
    if not errors and digest_compared(genotype, graph) and not _digest_fits(genotype, graph):
        errors.append(
            tree.at("digest").error(
                f"the genotype is for another space: digest {genotype.digest}, "
                f"but the choices of {graph.name!r} have {graph.digest}",
                "a candidate, its name or keep has changed since; derive again, or leave the "
                "digest out if you are sure",
            )
        )
    raise_all(errors)
    fitted = replace(genotype, space=graph.name, digest=graph.digest, decisions=decisions)
    return fitted, _ignored(genotype, graph)


def digest_compared(genotype: Genotype, graph: SearchGraph) -> bool:
    """Whether its digest can be held against the space's: not where choices of then are fixed now."""
    if genotype.digest is None:
        return False
    return genotype.digest == graph.digest or not any(
        _is_fixed(n, graph) for n in genotype.decisions
    )


def _is_fixed(name: str, graph: SearchGraph) -> bool:
    known = any(choice.name == name for choice in (*graph.choices, *graph.removed))
    return not known and (name in graph.fixed or name.partition("/")[0] in graph.idle)


def _unknown_choices(genotype: Genotype, graph: SearchGraph, tree: Tree) -> list[SpecError]:
    """Entries that name nothing in the space."""
    known = [choice.name for choice in (*graph.choices, *graph.removed)]
    errors = []
    for name in genotype.decisions:
        if name not in known and not _is_fixed(name, graph):
            hint = did_you_mean(name, known) if known else "it leaves nothing to decide"
            message = f"space {graph.name!r} has no choice {name!r}"
            errors.append(tree.at("decisions", name).error(message, hint, key=True))
    return errors


def _of_another_space(
    genotype: Genotype, graph: SearchGraph, tree: Tree, first: SpecError
) -> SpecError:
    """One cause, one error: all else that does not fit follows from it."""
    message = f"the genotype is for space {genotype.space!r}, not for {graph.name!r}"
    return tree.at("space").error(
        message, f"name a genotype of {graph.name!r}; of this one, {first.message}"
    )


def _ignored(genotype: Genotype, graph: SearchGraph) -> list[str]:
    """What is to be said of the entries that have no effect."""
    removed = {choice.name for choice in graph.removed}
    notes = []
    for name, decided in genotype.decisions.items():
        if name in removed:
            said = f"the space has removed {name!r} (keep: 0)"
            notes.append(f"{said}; the genotype's entry for it is ignored")
        elif _is_fixed(name, graph):
            notes.append(_fixed(name, decided, graph))
    if genotype.digest is not None and not digest_compared(genotype, graph):
        notes.append(
            "the genotype's digest is of the space with these choices, and is not compared"
        )
    return notes


def _fixed(name: str, decided: tuple[str, ...], graph: SearchGraph) -> str:
    if name not in graph.fixed:
        said = f"no node of the space is the cell {name.partition('/')[0]!r}"
        return f"{said}; the genotype's entry for {name!r} is ignored"
    fixed = graph.fixed[name]
    if not fixed:
        return f"the space has removed {name!r} (keep: 0); the genotype's entry for it is ignored"
    if set(fixed) == set(decided):
        return f"the space has fixed {name!r} to {_few(fixed)}, which the genotype decides, too"
    said = f"the space has fixed {name!r} to {_few(fixed)}"
    return f"{said}; the genotype's {_few(decided)} is ignored"


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"all of {len(names)} links"


def _check_decision(choice: Choice, decided: tuple[str, ...], at: Tree) -> list[SpecError]:
    errors = []
    for i, name in enumerate(decided):
        if name not in choice.candidates:
            hint = did_you_mean(name, choice.decidable)
            errors.append(at.at(i).error(f"{choice.name!r} has no candidate {name!r}", hint))
        elif name not in choice.decidable:
            hint = "it exists in the supernet only"
            errors.append(at.at(i).error(f"{name!r} cannot be decided for", hint))
        elif name in decided[:i]:
            errors.append(at.at(i).error(f"{name!r} is named twice", "name another one"))
    if len(decided) != choice.keep:
        message = f"{choice.name!r} keeps {choice.keep}, the genotype names {len(decided)}"
        errors.append(at.error(message))
    return errors


def _digest_fits(genotype: Genotype, graph: SearchGraph) -> bool:
    """A removed group counted with as many links as the genotype names, as before its removal."""
    given = [
        replace(choice, keep=len(genotype.decisions[choice.name]))
        for choice in graph.removed
        if choice.name in genotype.decisions
    ]
    return genotype.digest in (digest_of((*graph.choices, *given)), graph.digest)


def random_genotype(graph: SearchGraph, generator: random.Random) -> Genotype:
    """Uniformly random decisions, limits not regarded."""
    decisions = {}
    for choice in graph.choices:
        chosen = generator.sample(choice.decidable, choice.keep)
        decisions[choice.name] = tuple(c for c in choice.candidates if c in chosen)
    return genotype_of(graph, decisions, source={"rule": "random"})


def _plain(genotype: Genotype) -> dict[str, Any]:
    return {"decisions": {k: list(v) for k, v in genotype.decisions.items()}}


_NOWHERE = Location("genotype", 1, 1)
