"""Spaces as far as their form is right: what of nodes, links and cells could be read.

See :mod:`nasrestore.spec.parts`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nasrestore.spec.expression import ExpressionError, is_expression, parse_expression
from nasrestore.spec.parts import items_of, leniently
from nasrestore.spec.schema import Value
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
from nasrestore.spec.tree import Tree

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


def read_parts(tree: Tree) -> SpaceParts:
    """What can be read of a space whose form is wrong; ``read_space`` says what is wrong with it."""
    body = _read_body(tree)
    recursion = leniently(tree.child("recursion"), RecursionSpec).value
    needed = all(tree.at(key).kind == "mapping" for key in ("inputs", "outputs"))
    cells = tree.child("cells")
    return SpaceParts(
        tree=tree,
        name=str(tree.at("space").value),
        inputs={name: leniently(item, InputSpec).value for name, item in items_of(tree, "inputs")},
        constants=body.constants,
        recursion=recursion,
        nodes=body.nodes,
        links=body.links,
        outputs={
            name: _output(item)
            for name, item in items_of(tree, "outputs")
            if not (item.kind == "scalar" and item.value is None)
        },
        drops_unused=tree.at("unused").value == "dropped",
        limits=leniently(tree.child("limits"), LimitsSpec).value,
        cells={name: _read_cell(item) for name, item in items_of(tree, "cells")},
        damaged=body.damaged,
        complete=body.complete
        and {"inputs", "outputs"} <= set(tree.value)
        and needed
        and (cells is None or cells.kind == "mapping")
        and (recursion is not None or "recursion" not in tree.value),
    )


def _read_body(tree: Tree) -> Body:
    """What can be read of the nodes and links of a space or a cell."""
    nodes = {name: leniently(item, NodeSpec) for name, item in items_of(tree, "nodes")}
    links = {name: leniently(item, LinkSpec) for name, item in items_of(tree, "links")}
    optional = [tree.child("constants"), tree.child("links")]
    damaged = {name: part.damaged for name, part in nodes.items()}
    damaged |= {name: part.damaged for name, part in links.items()}
    return Body(
        tree=tree,
        constants={name: _constant(item) for name, item in items_of(tree, "constants")},
        nodes={name: part.value for name, part in nodes.items()},
        links={name: part.value for name, part in links.items()},
        damaged=damaged,
        complete=tree.at("nodes").kind == "mapping"
        and tree.child("nodes") is not None
        and all(section is None or section.kind == "mapping" for section in optional),
    )


def _read_cell(tree: Tree) -> CellParts:
    body = _read_body(tree)
    heads = leniently(tree, CellSpec).value
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


def _output(tree: Tree) -> str | OutputSpec | None:
    return tree.value if isinstance(tree.value, str) else leniently(tree, OutputSpec).value


def _constant(tree: Tree) -> Value | None:
    value = tree.value
    if is_expression(value):
        try:
            return parse_expression(value)
        except ExpressionError:
            return None
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if number and math.isfinite(value) else None
