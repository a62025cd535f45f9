"""A search space as YAML says it: what is fixed and what may vary. Nothing is resolved here.

Expressions stay expressions, node sets stay strings: ``graph/compile.py`` gives them a meaning.
Every instance carries the located tree that it was read from, so that later checks can say where.
"""

from __future__ import annotations

import os
import re
from typing import Literal

from nasrestore.errors import NasRestoreError
from nasrestore.spec.schema import Located, Value, entry, read, spec_class
from nasrestore.spec.source import Tree, parse_yaml, read_yaml
from nasrestore.spec.tree import shown

FORMAT = 1


@spec_class
class InputSpec(Located):
    """One named input of the network: an image, a clip, or the optical flow of a clip."""

    channels: Value | None = entry(None, doc="channels of the image, or of each frame", least=1)
    frames: Value | None = entry(None, doc="frames of a clip, an odd number", least=1)
    flow_of: str | None = entry(
        None, doc="a clip: this is its optical flow, from the centre frame to each"
    )

    def __post_init__(self) -> None:
        if self.flow_of is None and self.channels is None:
            raise NasRestoreError("missing key 'channels'")
        if self.flow_of is not None and (self.channels is not None or self.frames is not None):
            raise NasRestoreError(
                "a flow has 2 channels and the frames of its clip", hint="flow_of alone will do"
            )


_LABEL = re.compile(r"[a-z_][a-z0-9_]*", re.ASCII | re.IGNORECASE)


def _read_label(tree: Tree) -> str:
    if not isinstance(tree.value, str) or not _LABEL.fullmatch(tree.value):
        rule = "names are letters, digits and underscores"
        raise tree.error(f"expected a name, got {shown(tree)}", rule)
    return tree.value


@spec_class
class CandidateSpec(Located):
    """An operation with its parameters."""

    op: str = entry(doc="name of an operation")
    params: dict[str, Tree] = entry(
        key="with", default_factory=dict, doc="parameters of the operation"
    )
    name: str | None = entry(
        None,
        read=_read_label,
        schema={"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
        doc="how genotypes call this candidate",
    )


@spec_class
class ChoiceSpec(Located):
    """Operations of which one is decided for."""

    choice: list[str | CandidateSpec] = entry(doc="the candidates")
    group: str = entry("architecture", doc="group of its architecture parameters, for a level")


@spec_class
class CellChoiceSpec(Located):
    """Cells of which one is decided for."""

    choice: list[str] = entry(doc="names of cells")
    group: str = entry("architecture", doc="group of its architecture parameters, for a level")


Span = Literal["cell", "node", "copy"]


@spec_class
class NodeSpec(Located):
    """A node, or a chain of copies of it: an operation or a cell."""

    op: str | ChoiceSpec | None = entry(None, doc="an operation, or a choice between some")
    cell: str | CellChoiceSpec | None = entry(None, doc="a cell, or a choice between some")
    params: dict[str, Tree] = entry(
        key="with",
        default_factory=dict,
        doc="parameters; of a choice, for all that take them; of a cell, values of its constants",
    )
    reads: str | list[str] | dict[str, str | list[str]] | None = entry(
        None,
        doc="what the first copy reads (several are concatenated; a cell's inputs by name); "
        "default: the node before; []: links alone, which are added up",
    )
    repeat: Value | None = entry(None, least=1, doc="number of copies, each reading the one before")
    between: str | CandidateSpec | None = entry(None, doc="an operation between the copies only")
    group: str = entry("weights", doc="parameter group that a level can own")
    decisions: Span | None = entry(
        None,
        doc="what decides alike: all uses of the cell, the copies of this node, or each copy for "
        "itself; default: cell, of operations copy; which cell it is, copies decide alike with node",
    )
    weights: Span = entry(
        "copy", doc="what has the same weights: each copy its own, the copies of this node, or all"
    )

    def __post_init__(self) -> None:
        if self.op is None and self.cell is None:
            raise NasRestoreError("missing key 'op'", hint="an operation, or cell: a cell")
        if self.op is not None and self.cell is not None:
            raise NasRestoreError("a node is an operation or a cell", hint="remove one of the two")


@spec_class
class KeepSpec(Located):
    """How many candidates of a link group stay."""

    per: Literal["group", "node"] = entry("group", doc="k of the whole group, or k into each node")
    k: Value = entry(doc="number of links that stay", least=0)


@spec_class
class LinkSpec(Located):
    """Links from every node of one set to every node of another, in one direction."""

    source: str | list[str] = entry(
        key="from", doc="nodes, such as encoder, encoder.3, encoder.1-4"
    )
    target: str | list[str] = entry(key="to", doc="nodes that the links lead to")
    direction: Literal["same", "up", "down", "any"] = entry(
        "any", doc="up leads to a higher resolution, down to a lower one"
    )
    join: Literal["add", "concat"] = entry(
        "add", doc="add to the node's main input, or append to its channels"
    )
    op: str | ChoiceSpec | None = entry(
        None, doc="operation that each link carries, or a choice between some"
    )
    params: dict[str, Tree] = entry(
        key="with", default_factory=dict, doc="parameters of the operations that links carry"
    )
    adapter: str | CandidateSpec | None = entry(
        None, doc="operation that fits the channels; default: conv_1x1 where they differ"
    )
    keep: Value | KeepSpec | None = entry(
        None, least=0, doc="how many stay; default: all, with nothing to decide; 0: none"
    )
    group: str = entry("weights", doc="parameter group of adapters and operations")
    decides: str = entry(
        "architecture", doc="group of the architecture parameters of a group that keeps some"
    )


@spec_class
class CellSpec(Located):
    """Nodes and links under one name, to be used as a node, any number of times."""

    inputs: list[str] = entry(default_factory=lambda: ["x"], doc="names of what it reads")
    constants: dict[str, Value] = entry(
        default_factory=dict, doc="values that $name stands for; a use may give others", names=True
    )
    nodes: dict[str, NodeSpec] = entry(doc="nodes, in order", names=True)
    links: dict[str, LinkSpec] = entry(default_factory=dict, doc="link groups", names=True)
    output: str | list[str] | None = entry(
        None, doc="the node that it puts out, several concatenated; default: the last"
    )


@spec_class
class RecursionSpec(Located):
    """The network applied several times, each stage reading what the one before put out."""

    stages: Value = entry(doc="number of stages", least=1)
    state: str = entry(doc="the output that the next stage reads under the same name")
    start: str = entry(doc="the input that the first stage reads in its place")
    weights: Literal["shared", "own"] = entry("shared", doc="one set of weights, or one a stage")
    norm: Literal["shared", "per_stage"] = entry(
        "shared", doc="batch normalisation of shared weights: one, or one a stage"
    )


@spec_class
class OutputSpec(Located):
    """A named output."""

    source: str = entry(key="from", doc="the node that computes it")
    add: str | None = entry(
        None, doc="an input, the state or a node that is added to it (a residual)"
    )


@spec_class
class MacsLimitSpec(Located):
    """A limit on multiply-adds, at a size."""

    most: Value = entry(doc="multiply-adds", least=1)
    at: str = entry("128x128", doc="HEIGHTxWIDTH")


@spec_class
class LimitsSpec(Located):
    """What a derived network may cost at most."""

    parameters: Value | None = entry(None, doc="number of parameters", least=1)
    macs: Value | MacsLimitSpec | None = entry(
        None, doc="multiply-adds of convolutions, at 128x128 unless told", least=1
    )


@spec_class
class SpaceSpec(Located):
    """A whole space file."""

    format: int = entry(doc="version of the file format", least=1)
    space: str = entry(doc="name of the space")
    description: str | None = entry(None, doc="one line for listings")
    inputs: dict[str, InputSpec] = entry(doc="the named inputs", names=True)
    constants: dict[str, Value] = entry(
        default_factory=dict, doc="values that $name stands for", names=True
    )
    recursion: RecursionSpec | None = entry(None, doc="stages with a carried state")
    cells: dict[str, CellSpec] = entry(
        default_factory=dict, doc="cells that nodes may be", names=True
    )
    nodes: dict[str, NodeSpec] = entry(doc="nodes, in order", names=True)
    links: dict[str, LinkSpec] = entry(default_factory=dict, doc="link groups", names=True)
    outputs: dict[str, str | OutputSpec | None] = entry(
        doc="the named outputs; null takes out one of an extended space", names=True
    )
    unused: Literal["refused", "dropped"] = entry(
        "refused", doc="nodes and inputs that no output depends on: an error, or left out"
    )
    limits: LimitsSpec | None = entry(None, doc="hard limits of a derived network")


def read_space(tree: Tree) -> SpaceSpec:
    """A space from its located tree.

    Raises:
        SpecError: all errors of form at once, each with its place.
    """
    check_format(tree, "space")
    return read(tree, SpaceSpec)


def load_space_spec(path: str | os.PathLike[str]) -> SpaceSpec:
    """A space from a file."""
    return read_space(read_yaml(path))


def parse_space(text: str, name: str = "<space>") -> SpaceSpec:
    """A space from YAML text."""
    return read_space(parse_yaml(text, name))


def kind_of(tree: Tree) -> str | None:
    """What a file looks like by its keys: a recipe, a space or a genotype; ``None``: like neither."""
    keys = tree.value if tree.kind == "mapping" else {}
    if "decisions" in keys:
        return "genotype"
    if "recipe" in keys or "extends" in keys:
        return "recipe"
    if "nodes" in keys or "outputs" in keys:
        return "space"
    return "recipe" if {"objectives", "search", "train"} & set(keys) else None


_INSTEAD = {
    "recipe": "a recipe names its space under 'space'",
    "space": "name the recipe that searches it",
    "genotype": "a genotype goes with a recipe: --genotype FILE",
}


def check_format(tree: Tree, kind: str) -> None:
    """Refuses a file of another version, or of another kind, before its keys are complained of.

    Raises:
        SpecError: it is not a mapping, or its ``format`` is not this version's.
    """
    if tree.kind != "mapping":
        raise tree.error(f"expected a {kind} (a mapping of keys), got {shown(tree)}")
    found = kind_of(tree)
    if found is not None and found != kind:
        raise tree.error(f"this is a {found}, not a {kind}", _INSTEAD[found])
    version = tree.value.get("format")
    number = None if version is None else version.value
    if type(number) is int and number != FORMAT:
        raise version.error(
            f"format {number} is not known, this version reads format {FORMAT}",
            "the file was written for another version of nasrestore",
        )
