"""From what a space file says of a node to operations and candidates. Collects errors, raises none."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import nasrestore.graph.catalog  # noqa: F401  declares the built-in operations
from nasrestore import registry
from nasrestore.errors import NasRestoreError
from nasrestore.graph.ir import Operation, Shape
from nasrestore.graph.signature import OperationSignature, SignatureError
from nasrestore.graph.values import Environment, Problems, parameters
from nasrestore.registry import did_you_mean
from nasrestore.spec.source import Tree, tree_of
from nasrestore.spec.space import CandidateSpec, ChoiceSpec, LinkSpec, NodeSpec

__all__ = ["Candidate", "Problems", "candidates", "plain_operation", "signature_of"]

MOST_CANDIDATES = 100
NONE = "none"


@dataclass(frozen=True)
class Candidate:
    """An operation, and where the file says it.

    Attributes:
        at: where its name stands.
        params: the parameters given to it.
    """

    operation: Operation
    at: Tree
    params: Mapping[str, Tree]

    def place(self, error: SignatureError) -> Tree:
        """Where an error belongs: at the parameter, if it was given, or else at the name."""
        return self.params.get(error.parameter or "", self.at)


def signature_of(name: str) -> OperationSignature:
    signature = registry.operation.signature(name)
    assert isinstance(signature, OperationSignature)
    return signature


def output_of(operation: Operation, shape: Shape) -> Shape:
    """What an operation puts out. One on images takes the frames of a clip one by one.

    Raises:
        SignatureError: the input does not fit.
    """
    signature = signature_of(operation.kind)
    frames: int | None = shape.frames
    if signature.clip is None:
        channels = signature.channels(shape.channels, operation.params)
    elif shape.frames is None:
        raise SignatureError("it reads a clip, and the input is one image")
    else:
        frames, channels = signature.clip(shape.frames, shape.channels, operation.params)
    return Shape(channels, shape.scale * signature.scale(operation.params), frames)


def operation(
    name: str,
    at: Tree,
    params: Mapping[str, Tree],
    env: Environment,
    problems: Problems,
    label: str | None = None,
) -> Candidate | None:
    """An operation with checked parameters; ``None`` after an error."""
    try:
        signature = signature_of(name)
    except NasRestoreError as error:
        problems.add(at, error.message, error.hint)
        return None
    values = parameters(f"operation {name!r}", signature.parameters, params, env, problems)
    if values is None:
        return None
    try:
        read = signature.resolve(signature.read(values), int(env.values.get("index", 1)))
    except SignatureError as error:
        problems.add(
            params.get(error.parameter or "", at), f"operation {name!r}: {error}", error.hint
        )
        return None
    return Candidate(Operation(name, dict(read), label or name), at, params)


def plain_operation(
    spec: str | CandidateSpec,
    at: Tree,
    env: Environment,
    problems: Problems,
    defaults: Mapping[str, Any] | None = None,
) -> Candidate | None:
    """An operation that stands by itself: ``between`` or ``adapter``.

    ``defaults`` fills parameters that the operation takes and the file does not give.
    """
    name: str = spec if isinstance(spec, str) else spec.op
    params: Mapping[str, Tree] = {} if isinstance(spec, str) else spec.params
    if defaults and name in registry.operation:
        takes = signature_of(name).parameters
        given = {k: tree_of(v, at.location) for k, v in defaults.items() if k in takes}
        params = {**given, **params}
    return operation(name, at if isinstance(spec, str) else at.at("op"), params, env, problems)


Declared = NodeSpec | LinkSpec  # what has operations


def candidates(
    node: Declared, env: Environment, problems: Problems
) -> tuple[Candidate, ...] | None:
    """The operations of a node, one where nothing is to be decided; ``None`` after an error."""
    assert node.op is not None, "a cell is no operation"
    before = problems.found
    at = node.tree.at("op")
    found: list[tuple[Candidate, str] | None] = []
    if isinstance(node.op, ChoiceSpec):
        listed = at.at("choice")
        if not node.op.choice:
            problems.add(listed, "an empty choice", "name at least one operation")
        _unused_parameters(node, node.op.choice, problems)
        for i, spec in enumerate(node.op.choice):
            found += _expanded(node, spec, listed.at(i), env, problems)
            if len(found) > MOST_CANDIDATES:
                break
    else:
        found += _expanded(node, node.op, at, env, problems)
    if len(found) > MOST_CANDIDATES:
        problems.add(at, f"more than {MOST_CANDIDATES} candidates", "list fewer values")
    made = [pair for pair in found if pair is not None]
    labelled = _labelled(made, problems)
    _check_none(labelled, at, problems)
    if problems.found > before or len(made) < len(found):
        return None
    return labelled


def _unused_parameters(
    node: Declared, specs: Sequence[str | CandidateSpec], problems: Problems
) -> None:
    """A parameter of the node that none of its candidates takes."""
    names = [s if isinstance(s, str) else s.op for s in specs]
    if not all(n in registry.operation for n in names):
        return  # an unknown one is complained of, and might have taken it
    known = set(itertools.chain.from_iterable(signature_of(n).parameters for n in names))
    for key, tree in node.params.items():
        if names and key not in known:
            hint = did_you_mean(key, known) if known else "they take none"
            problems.add(tree, f"no candidate has a parameter {key!r}", hint, key=True)


def _expanded(
    node: Declared, spec: str | CandidateSpec, at: Tree, env: Environment, problems: Problems
) -> Iterator[tuple[Candidate, str] | None]:
    """One candidate; several where a parameter is itself a choice. With the label that tells them."""
    name: str = spec if isinstance(spec, str) else spec.op
    own: Mapping[str, Tree] = {} if isinstance(spec, str) else spec.params
    shared: Mapping[str, Tree] = node.params
    if isinstance(node.op, ChoiceSpec) and name in registry.operation:
        takes = signature_of(name).parameters
        shared = {k: v for k, v in shared.items() if k in takes}
    params = {**shared, **own}
    options = _options(params, problems)
    if options is None:
        yield None
        return
    given = None if isinstance(spec, str) else spec.name
    where = at if isinstance(spec, str) else at.at("op")
    for combination in itertools.product(*options):
        chosen = dict(combination)
        made = operation(name, where, {**params, **chosen}, env, problems)
        if made is None:
            yield None
            return
        telling = {**own, **chosen} if given is None else chosen
        text = ",".join(f"{k}={_text(made.operation.params[k])}" for k in telling)
        full = f"{given or name}({text})" if text else given or name
        label = full if chosen else given or name
        yield replace(made, operation=replace(made.operation, label=label)), full


def _text(value: Any) -> str:
    """A parameter's value in a label: ``3``, or ``1-2-3`` of a list."""
    return "-".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _options(params: Mapping[str, Tree], problems: Problems) -> list[list[tuple[str, Tree]]] | None:
    """The values of every parameter that is a choice; ``None`` after an error."""
    found = []
    for key, tree in params.items():
        if tree.kind != "mapping" or "choice" not in tree.value:
            continue
        values = tree.value["choice"]
        if len(tree.value) > 1:
            other = next(child for name, child in tree.value.items() if name != "choice")
            problems.add(other, "a parameter's choice has no other keys", "remove it", key=True)
            return None
        if values.kind != "sequence" or not values.value:
            problems.add(values, "an empty choice", "list at least one value, such as [3, 5]")
            return None
        found.append([(key, value) for value in values.value])
    if math.prod(map(len, found)) > MOST_CANDIDATES:
        at = next(tree for tree in params.values() if tree.kind == "mapping")
        problems.add(at, f"more than {MOST_CANDIDATES} candidates", "list fewer values")
        return None
    return found


def _labelled(found: Sequence[tuple[Candidate, str]], problems: Problems) -> tuple[Candidate, ...]:
    """The candidates, those that would share a label with the parameters that tell them apart."""
    labels = [made.operation.label for made, _ in found]
    result = tuple(
        replace(made, operation=replace(made.operation, label=full))
        if labels.count(made.operation.label) > 1
        else made
        for made, full in found
    )
    seen: set[str] = set()
    for made in result:
        label = made.operation.label
        if label in seen:
            problems.add(made.at, f"two candidates are both called {label!r}", "give one a name")
        seen.add(label)
    return result


def _check_none(found: Sequence[Candidate], at: Tree, problems: Problems) -> None:
    """``none`` is called so, it alone, and is never the only candidate."""
    for made in found:
        if (made.operation.kind == NONE) != (made.operation.label == NONE):
            message = f"candidate {made.operation.label!r} is operation {made.operation.kind!r}"
            problems.add(made.at, f"{message}: 'none' and nothing else is called 'none'")
    if found and all(made.operation.kind == NONE for made in found):
        problems.add(at, "'none' cannot be the only operation", "name another candidate")
