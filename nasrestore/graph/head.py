"""What a space file says besides nodes and links: recursion, outputs, limits. Collects errors."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nasrestore.graph.ir import Limits, Output, Recursion
from nasrestore.graph.links import Names
from nasrestore.graph.values import Environment, Problems, evaluate_integer
from nasrestore.registry import did_you_mean
from nasrestore.spec.leaf import Value
from nasrestore.spec.parts import SpaceParts
from nasrestore.spec.source import Tree
from nasrestore.spec.space import MacsLimitSpec, OutputSpec

MOST_STAGES = 100


def check_names(space: SpaceParts, problems: Problems) -> bool:
    """Inputs, nodes and links share their names; every space has inputs, nodes and outputs.

    Gives whether all names are distinct.
    """
    before = problems.found
    seen: dict[str, str] = {}
    for section, names in (
        ("inputs", space.inputs),
        ("nodes", space.nodes),
        ("links", space.links),
    ):
        for name in names:
            if name in seen:
                message = f"{name!r} is the name of one of the {seen[name]} already"
                at = space.tree.at(section, name)
                problems.add(at, message, "choose another name", key=True)
            seen.setdefault(name, section)
    recursion = space.recursion
    if recursion is not None and recursion.state in seen:
        problems.add(
            recursion.tree.at("state"),
            f"the state {recursion.state!r} is the name of one of the {seen[recursion.state]}",
            "the state has the name of an output",
        )
    distinct = problems.found == before
    for section, given in (
        ("inputs", space.inputs), ("nodes", space.nodes), ("outputs", space.outputs)
    ):  # fmt: skip
        tree = space.tree.child(section)
        if not given and tree is not None and tree.kind == "mapping":
            problems.add(tree, f"a space needs at least one {section[:-1]}", "name one")
    return distinct


def recursion_of(space: SpaceParts, env: Environment, problems: Problems) -> Recursion | None:
    """The recursion; its names are checked, and kept although they are wrong."""
    spec = space.recursion
    if spec is None:
        return None
    at = spec.tree
    stages = evaluate_integer(
        spec.stages, at.at("stages"), env, problems, least=1, most=MOST_STAGES
    )
    for key, name, kind, known in (
        ("state", spec.state, "output", space.outputs),
        ("start", spec.start, "input", space.inputs),
    ):
        if name not in known and space.complete:
            problems.add(at.at(key), f"no {kind} is called {name!r}", did_you_mean(name, known))
    return Recursion(stages or 1, spec.state, spec.start, spec.weights, spec.norm)


def outputs_of(
    space: SpaceParts, names: Names, sources: Sequence[str], problems: Problems
) -> list[Output]:
    """The named outputs, those in error left out."""
    result = []
    for name, spec in space.outputs.items():
        if spec is None:
            continue
        at = space.tree.at("outputs", name)
        text, node_at, add = spec, at, None
        if isinstance(spec, OutputSpec):
            text, node_at, add = spec.source, at.at("from"), spec.add
        assert isinstance(text, str)
        nodes = names.find(text, node_at, problems, sources=False)
        if "-" in text and nodes is not None and len(nodes) > 1:
            message = f"an output comes from one node, {text!r} names {len(nodes)}"
            problems.add(node_at, message, f"write {nodes[-1]}")
            nodes = None
        if add is not None and add not in sources and space.complete:
            problems.add(at.at("add"), f"no input is called {add!r}", did_you_mean(add, sources))
            nodes = None
        if nodes:
            result.append(Output(name, nodes[-1], add))
    return result


def limits_of(space: SpaceParts, env: Environment, problems: Problems) -> Limits:
    """The limits; those in error are left out."""
    spec = space.limits
    if spec is None:
        return Limits()
    at = spec.tree

    def whole(value: Value | None, tree: Tree) -> int | None:
        if value is None:
            return None
        return evaluate_integer(value, tree, env, problems, least=1)

    parameters = whole(spec.parameters, at.at("parameters"))
    if not isinstance(spec.macs, MacsLimitSpec):
        return Limits(parameters, whole(spec.macs, at.at("macs")))
    macs = whole(spec.macs.most, at.at("macs", "most"))
    size = parse_size(spec.macs.at)
    if size is None:
        message = f"expected HEIGHTxWIDTH such as 128x128, got {spec.macs.at[:60]!r}"
        problems.add(at.at("macs", "at"), message)
    return Limits(parameters, macs, size or (128, 128))


def parse_size(text: str) -> tuple[int, int] | None:
    """(height, width) from ``128x128``; ``None`` where it is something else."""
    match = re.fullmatch(r"([0-9]{1,6})[xX]([0-9]{1,6})", text)
    if match is None or 0 in (height := int(match[1]), width := int(match[2])):
        return None
    return height, width
