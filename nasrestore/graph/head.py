"""What a space file says besides nodes and links: recursion, outputs, limits. Collects errors."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nasrestore.graph.catalog import MOST_CHANNELS
from nasrestore.graph.ir import Limits, Output, Recursion, Shape
from nasrestore.graph.scope import Names
from nasrestore.graph.values import Environment, Problems, evaluate_integer
from nasrestore.registry import did_you_mean
from nasrestore.spec.leaf import Value
from nasrestore.spec.source import Tree
from nasrestore.spec.space import MacsLimitSpec, OutputSpec
from nasrestore.spec.space_parts import SpaceParts

MOST_STAGES = 100
MOST_FRAMES = 101


def check_names(space: SpaceParts, problems: Problems) -> bool:
    """Inputs, nodes, links and cells share their names; every space has inputs, nodes and outputs.

    Gives whether all names are distinct.
    """
    before = problems.found
    seen: dict[str, str] = {}
    for section, names in (
        ("inputs", space.inputs),
        ("nodes", space.nodes),
        ("links", space.links),
        ("cells", space.cells),
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
    _check_taken_out(space, problems)
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
        added = None
        if add is not None and add in sources:
            added = add
        elif add is not None:
            found = names.find(add, at.at("add"), problems, sources=True)
            added = found[-1] if found else None
            nodes = nodes if found else None
        if nodes:
            result.append(Output(name, nodes[-1], added))
    return result


def _check_taken_out(space: SpaceParts, problems: Problems) -> None:
    """A null takes out an output of the space that is changed; one that is still here took none."""
    outputs = space.tree.at("outputs")
    items = outputs.value if outputs.kind == "mapping" else {}
    nothing = [n for n, item in items.items() if item.kind == "scalar" and item.value is None]
    there = [name for name in items if name not in nothing]
    for name in nothing:
        message = f"null takes an output out, and there is none called {name!r}"
        problems.add(outputs.at(name), message, did_you_mean(name, there), key=True)


def inputs_of(
    space: SpaceParts, env: Environment, problems: Problems
) -> tuple[dict[str, Shape], dict[str, str]]:
    """The shapes of the inputs, those in error left out; and for each flow its clip."""
    shapes: dict[str, Shape] = {}
    flows: dict[str, str] = {}
    for name, spec in space.inputs.items():
        if spec is None:
            continue
        at = spec.tree
        if spec.flow_of is not None:
            flows[name] = spec.flow_of
            continue
        assert spec.channels is not None
        channels = evaluate_integer(
            spec.channels, at.at("channels"), env, problems, least=1, most=MOST_CHANNELS
        )
        frames = None
        if spec.frames is not None:
            where = at.at("frames")
            frames = evaluate_integer(spec.frames, where, env, problems, least=1, most=MOST_FRAMES)
            if frames is not None and frames % 2 == 0:
                message = f"{frames} frames have no centre, which is the one that is restored"
                problems.add(where, message, "an odd number, such as 5")
                frames = None
        if channels is not None and (spec.frames is None or frames is not None):
            shapes[name] = Shape(channels, frames=frames)
    clips = [name for name, shape in shapes.items() if shape.frames is not None]
    for name, clip in flows.items():
        if clip in shapes and shapes[clip].frames is not None:
            shapes[name] = Shape(2, frames=shapes[clip].frames)
        elif space.complete and (clip not in space.inputs or clip in shapes):
            at = space.tree.at("inputs", name, "flow_of")
            hint = did_you_mean(clip, clips) if clips else "frames: 5 makes an input a clip"
            problems.add(at, f"no input that is a clip is called {clip!r}", hint)
    if len(clips) > 1:
        at = space.tree.at("inputs", clips[1])
        problems.add(at, f"a second clip beside {clips[0]!r}", "one input is a clip", key=True)
    return shapes, flows


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
