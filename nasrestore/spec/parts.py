"""Files as far as their form is right, so that what else is wrong can be told in the same breath.

A part whose form is wrong is ``None``, or lacks the keys that are ``damaged``; whoever reads parts
must not complain of what follows from that.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from nasrestore.errors import SpecError
from nasrestore.spec.data import DataSpec
from nasrestore.spec.evaluate import EvaluateSpec
from nasrestore.spec.expression import ExpressionError, is_expression, parse_expression
from nasrestore.spec.recipe import (
    HyperSpec,
    LevelSpec,
    NamedSpec,
    PhaseSpec,
    RecipeSpec,
    SearchSpec,
    TermSpec,
    TrainSpec,
    read_named,
    read_term,
)
from nasrestore.spec.schema import Value, read
from nasrestore.spec.space import (
    CellSpec,
    InputSpec,
    LimitsSpec,
    LinkSpec,
    NodeSpec,
    OutputSpec,
    RecursionSpec,
    SpaceSpec,
)
from nasrestore.spec.tree import Tree, child_path

T = TypeVar("T")
Damage = Mapping[str, frozenset[str]]


@dataclass(frozen=True, kw_only=True)
class Body:
    """Nodes and links that are declared together; ``None`` stands for one that cannot be read.

    Attributes:
        damaged: for nodes and links, the keys that were left out since their form is wrong.
        complete: whether every name that is declared here could be read.
    """

    tree: Tree
    constants: Mapping[str, Value | None]
    nodes: Mapping[str, NodeSpec | None]
    links: Mapping[str, LinkSpec | None]
    damaged: Damage = field(default_factory=dict)
    complete: bool = True

    def is_damaged(self, name: str, *keys: str) -> bool:
        """Whether one of the keys of a node or link is missing since its form is wrong."""
        return not self.damaged.get(name, frozenset()).isdisjoint(keys)


@dataclass(frozen=True, kw_only=True)
class CellParts(Body):
    """A cell; ``inputs`` and ``output`` are ``None`` where their form is wrong."""

    inputs: Sequence[str] | None
    output: Sequence[str] | None


@dataclass(frozen=True, kw_only=True)
class SpaceParts(Body):
    """A space; ``None`` stands for an item that cannot be read."""

    name: str
    inputs: Mapping[str, InputSpec | None]
    recursion: RecursionSpec | None
    outputs: Mapping[str, str | OutputSpec | None]
    limits: LimitsSpec | None
    drops_unused: bool = False
    cells: Mapping[str, CellParts] = field(default_factory=dict)


@dataclass(frozen=True)
class Part(Generic[T]):
    """What could be read, and the keys that had to be left out for it."""

    value: T | None
    damaged: frozenset[str] = frozenset()


@dataclass(frozen=True)
class RecipeParts:
    """A recipe; levels and terms that cannot be read are left out.

    Attributes:
        objectives: by name; ``None`` where there may be others.
        levels: of each phase.
        relaxation: of the search.
        hyper: by name; ``None`` where there may be others.
    """

    tree: Tree
    data: Part[DataSpec]
    objectives: Mapping[str, Mapping[str, TermSpec]] | None
    search: Part[SearchSpec]
    train: Part[TrainSpec]
    levels: Mapping[str, list[LevelSpec]]
    relaxation: NamedSpec | None
    evaluate: Part[EvaluateSpec]
    hyper: Mapping[str, HyperSpec] | None = None

    def phases(self) -> Iterator[tuple[str, Part[PhaseSpec]]]:
        """Search and training, with their names."""
        yield "search", Part(self.search.value, self.search.damaged)
        yield "train", Part(self.train.value, self.train.damaged)


def parts_of(spec: SpaceSpec) -> SpaceParts:
    """The parts of a space whose form is right."""
    return SpaceParts(
        tree=spec.tree,
        name=spec.space,
        inputs=spec.inputs,
        constants=spec.constants,
        recursion=spec.recursion,
        nodes=spec.nodes,
        links=spec.links,
        outputs={name: output for name, output in spec.outputs.items() if output is not None},
        limits=spec.limits,
        drops_unused=spec.unused == "dropped",
        cells={name: _cell_of(cell) for name, cell in spec.cells.items()},
    )


def _cell_of(spec: CellSpec) -> CellParts:
    return CellParts(
        tree=spec.tree,
        inputs=spec.inputs,
        constants=spec.constants,
        nodes=spec.nodes,
        links=spec.links,
        output=_names_of_output(spec.output, spec.nodes),
    )


def _names_of_output(
    output: str | list[str] | None, nodes: Mapping[str, NodeSpec | None]
) -> list[str]:
    if output is None:
        return list(nodes)[-1:]
    return [output] if isinstance(output, str) else output


def recipe_parts_of(spec: RecipeSpec) -> RecipeParts:
    """The parts of a recipe whose form is right."""
    return RecipeParts(
        spec.tree,
        Part(spec.data),
        spec.objectives,
        Part(spec.search),
        Part(spec.train),
        {"search": spec.search.levels, "train": spec.train.levels},
        spec.search.relaxation,
        Part(spec.evaluate),
        spec.hyper,
    )


def read_parts(tree: Tree) -> SpaceParts:
    """What can be read of a space whose form is wrong; ``read_space`` says what is wrong with it."""
    body = _read_body(tree)
    recursion = _leniently(tree.child("recursion"), RecursionSpec).value
    needed = all(tree.at(key).kind == "mapping" for key in ("inputs", "outputs"))
    cells = tree.child("cells")
    return SpaceParts(
        tree=tree,
        name=str(tree.at("space").value),
        inputs={name: _leniently(item, InputSpec).value for name, item in _items(tree, "inputs")},
        constants=body.constants,
        recursion=recursion,
        nodes=body.nodes,
        links=body.links,
        outputs={
            name: _output(item)
            for name, item in _items(tree, "outputs")
            if not (item.kind == "scalar" and item.value is None)
        },
        drops_unused=tree.at("unused").value == "dropped",
        limits=_leniently(tree.child("limits"), LimitsSpec).value,
        cells={name: _read_cell(item) for name, item in _items(tree, "cells")},
        damaged=body.damaged,
        complete=body.complete
        and {"inputs", "outputs"} <= set(tree.value)
        and needed
        and (cells is None or cells.kind == "mapping")
        and (recursion is not None or "recursion" not in tree.value),
    )


def _read_body(tree: Tree) -> Body:
    """What can be read of the nodes and links of a space or a cell."""
    nodes = {name: _leniently(item, NodeSpec) for name, item in _items(tree, "nodes")}
    links = {name: _leniently(item, LinkSpec) for name, item in _items(tree, "links")}
    optional = [tree.child("constants"), tree.child("links")]
    damaged = {name: part.damaged for name, part in nodes.items()}
    damaged |= {name: part.damaged for name, part in links.items()}
    return Body(
        tree=tree,
        constants={name: _constant(item) for name, item in _items(tree, "constants")},
        nodes={name: part.value for name, part in nodes.items()},
        links={name: part.value for name, part in links.items()},
        damaged=damaged,
        complete=tree.at("nodes").kind == "mapping"
        and tree.child("nodes") is not None
        and all(section is None or section.kind == "mapping" for section in optional),
    )


def _read_cell(tree: Tree) -> CellParts:
    body = _read_body(tree)
    heads = _leniently(tree, CellSpec).value
    inputs = _texts(tree.child("inputs"), ["x"]) if heads is None else heads.inputs
    output = _texts(tree.child("output"), list(body.nodes)[-1:])
    return CellParts(
        tree=tree,
        constants=body.constants,
        nodes=body.nodes,
        links=body.links,
        damaged=body.damaged,
        complete=body.complete and inputs is not None,
        inputs=inputs,
        output=output,
    )


def _texts(tree: Tree | None, default: list[str]) -> list[str] | None:
    """A text or a list of texts; ``None`` where it is something else."""
    if tree is None:
        return default
    items = tree.value if tree.kind == "sequence" else [tree]
    found = [item.value for item in items]
    return found if all(isinstance(text, str) for text in found) else None


def read_recipe_parts(tree: Tree) -> RecipeParts:
    """What can be read of a recipe whose form is wrong; ``read_recipe`` says what is wrong."""
    objectives = {
        name: {key: t for key, item in _items(terms) if (t := _term(item, key)) is not None}
        for name, terms in _items(tree, "objectives")
    }
    hyper = {name: _leniently(item, HyperSpec) for name, item in _items(tree, "hyper")}
    scalars = {name: part.value for name, part in hyper.items() if part.value is not None}
    whole = "hyper" not in tree.value or tree.at("hyper").kind == "mapping"
    return RecipeParts(
        tree,
        _leniently(tree.child("data"), DataSpec),
        objectives if tree.at("objectives").kind == "mapping" and objectives else None,
        _leniently(tree.child("search"), SearchSpec, without=("levels", "relaxation")),
        _leniently(tree.child("train"), TrainSpec, without=("levels",)),
        {"search": _levels(tree, "search"), "train": _levels(tree, "train")},
        _named(tree.at("search").child("relaxation")),
        _leniently(tree.child("evaluate"), EvaluateSpec),
        scalars if whole and len(scalars) == len(hyper) else None,
    )


def _items(tree: Tree, *keys: str) -> list[tuple[str, Tree]]:
    section: Tree | None = tree
    for key in keys:
        section = None if section is None else section.child(key)
    return [] if section is None or section.kind != "mapping" else list(section.value.items())


def _leniently(tree: Tree | None, cls: type[T], without: tuple[str, ...] = ()) -> Part[T]:
    """An instance without the keys whose form is wrong, where it can do without them."""
    if tree is None or tree.kind != "mapping":
        return Part(None)
    dropped = set(without)
    for _ in range(2):
        children = {key: child for key, child in tree.value.items() if key not in dropped}
        kept = Tree("mapping", children, tree.location, tree.path, tree.key_location)
        try:
            return Part(read(kept, cls), frozenset(dropped))
        except SpecError as error:
            for one in getattr(error, "errors", [error]):
                dropped |= {key for key in children if _is_inside(one.path, tree.path, key)}
    return Part(None, frozenset(dropped))


def _is_inside(path: str, parent: str, key: str) -> bool:
    child = child_path(parent, key)
    return path == child or path.startswith((child + ".", child + "["))


def _levels(tree: Tree, phase: str) -> list[LevelSpec]:
    levels = tree.at(phase).child("levels")
    items = levels.value if levels is not None and levels.kind == "sequence" else []
    found = [_leniently(item, LevelSpec).value for item in items]
    return [level for level in found if level is not None]


def _named(tree: Tree | None) -> NamedSpec | None:
    try:
        return None if tree is None else read_named(tree)
    except SpecError:
        return None


def _term(tree: Tree, name: str) -> TermSpec | None:
    try:
        return read_term(tree, name)
    except SpecError:
        return None


def _output(tree: Tree) -> str | OutputSpec | None:
    return tree.value if isinstance(tree.value, str) else _leniently(tree, OutputSpec).value


def _constant(tree: Tree) -> Value | None:
    value = tree.value
    if is_expression(value):
        try:
            return parse_expression(value)
        except ExpressionError:
            return None
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if number and math.isfinite(value) else None
