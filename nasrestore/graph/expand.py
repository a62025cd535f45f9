"""From what a space file says to numbers, operations and candidates. Collects errors, raises none."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import nasrestore.graph.catalog  # noqa: F401  declares the built-in operations
from nasrestore import registry
from nasrestore.errors import NasRestoreError, SpecError
from nasrestore.graph.ir import Operation
from nasrestore.graph.signature import OperationSignature, SignatureError
from nasrestore.registry import did_you_mean
from nasrestore.spec.expression import Expression, ExpressionError, is_expression, parse_expression
from nasrestore.spec.source import Tree
from nasrestore.spec.space import CandidateSpec, ChoiceSpec, NodeSpec

Number = int | float
Environment = Mapping[str, Number]


class Problems:
    """The errors found so far."""

    def __init__(self) -> None:
        self.errors: list[SpecError] = []

    def add(self, tree: Tree, message: str, hint: str | None = None, *, key: bool = False) -> None:
        error = tree.error(message, hint, key=key)
        known = {(e.location, e.message) for e in self.errors}
        if (error.location, error.message) not in known:  # each copy of a node finds it again
            self.errors.append(error)


def signature_of(name: str) -> OperationSignature:
    signature = registry.operation.signature(name)
    assert isinstance(signature, OperationSignature)
    return signature


def evaluate(
    value: Number | Expression, tree: Tree, env: Environment, problems: Problems
) -> Number | None:
    """The number that a value stands for; ``None`` after an error."""
    if not isinstance(value, Expression):
        return value
    try:
        return _whole(value.evaluate(env))
    except ExpressionError as error:
        problems.add(tree, str(error))
        return None


def evaluate_integer(
    value: Number | Expression,
    tree: Tree,
    env: Environment,
    problems: Problems,
    *,
    least: int,
    most: int | None = None,
) -> int | None:
    """An integer in a range; ``None`` after an error."""
    number = evaluate(value, tree, env, problems)
    if number is None:
        return None
    number = _whole(number)
    if not isinstance(number, int) or number < least:
        problems.add(tree, f"expected an integer >= {least}, got {number!r}{_origin(value)}")
        return None
    if most is not None and number > most:
        problems.add(tree, f"expected at most {most}, got {number}{_origin(value)}")
        return None
    return number


def _origin(value: Number | Expression) -> str:
    return f" from {value.text!r}" if isinstance(value, Expression) else ""


def _whole(number: Number) -> Number:
    return int(number) if isinstance(number, float) and number.is_integer() else number


def constants(trees: Mapping[str, Tree], values: Mapping[str, Any], problems: Problems) -> Environment:
    """All constants, each of which may use those declared before it."""
    env: dict[str, Number] = {}
    for name, value in values.items():
        if name == "index":
            problems.add(trees[name], "'index' is the number of a copy", "choose another name", key=True)
            continue
        number = evaluate(value, trees[name], env, problems)
        env[name] = 1 if number is None else number  # 1 lets the rest be checked
    return env


def parameter(tree: Tree, env: Environment, numeric: bool) -> Any:
    """The plain value of a parameter, expressions evaluated.

    Raises:
        ExpressionError: an expression that cannot be read or evaluated.
    """
    if tree.kind == "sequence":
        return [parameter(item, env, numeric) for item in tree.value]
    if tree.kind == "mapping":
        return tree.plain()
    if isinstance(tree.value, str) and (numeric or is_expression(tree.value)):
        return _whole(parse_expression(tree.value).evaluate(env))
    return tree.value


def operation(
    name: str,
    at: Tree,
    params: Mapping[str, Tree],
    env: Environment,
    problems: Problems,
    label: str | None = None,
) -> Operation | None:
    """An operation with checked parameters; ``None`` after an error."""
    try:
        signature = signature_of(name)
    except NasRestoreError as error:
        problems.add(at, error.message, error.hint)
        return None
    values: dict[str, Any] = {}
    before = len(problems.errors)
    for key, tree in params.items():
        spec = signature.parameters.get(key)
        if spec is None:
            hint = did_you_mean(key, signature.parameters)
            problems.add(tree, f"operation {name!r} has no parameter {key!r}", hint, key=True)
            continue
        try:
            numeric = spec.type in ("int", "float", "ints", "floats")
            values[key] = spec.read(key, parameter(tree, env, numeric))
        except (SignatureError, ExpressionError) as error:
            problems.add(tree, str(error), getattr(error, "hint", None))
    if len(problems.errors) > before:
        return None
    try:
        read = signature.resolve(signature.read(values), int(env.get("index", 1)))
    except SignatureError as error:
        problems.add(at, f"operation {name!r}: {error}", error.hint)
        return None
    return Operation(name, dict(read), label or name)


def plain_operation(
    spec: str | CandidateSpec,
    at: Tree,
    env: Environment,
    problems: Problems,
    defaults: Mapping[str, Any] | None = None,
) -> Operation | None:
    """An operation that stands by itself: ``between`` or ``adapter``.

    ``defaults`` fills parameters that the operation takes and the file does not give.
    """
    name, params = (spec, {}) if isinstance(spec, str) else (spec.op, spec.params)
    if defaults and name in registry.operation:
        takes = signature_of(name).parameters
        location = at.location
        from nasrestore.spec.source import tree_of

        given = {k: tree_of(v, location) for k, v in defaults.items() if k in takes}
        params = {**given, **params}
    return operation(name, at, params, env, problems)


def candidates(node: NodeSpec, env: Environment, problems: Problems) -> tuple[Operation, ...]:
    """The operations of a node; one where nothing is to be decided."""
    at = node.tree.at("op")
    if isinstance(node.op, ChoiceSpec):
        specs = node.op.choice
        trees = [at.at("choice", i) for i in range(len(specs))]
        if not specs:
            problems.add(at.at("choice"), "an empty choice", "name at least one operation")
        _unused_parameters(node, specs, problems)
    else:
        specs, trees = [node.op], [at]
    found: list[tuple[Operation, str]] = []
    for spec, tree in zip(specs, trees, strict=True):
        found += _expanded(node, spec, tree, env, problems)
    return _labelled(found, at, problems)


def _unused_parameters(
    node: NodeSpec, specs: Sequence[str | CandidateSpec], problems: Problems
) -> None:
    """A parameter of the node that none of its candidates takes."""
    names = [s if isinstance(s, str) else s.op for s in specs]
    taken = [signature_of(n).parameters for n in names if n in registry.operation]
    known = set(itertools.chain.from_iterable(taken))
    for key, tree in node.params.items():
        if taken and key not in known:
            hint = did_you_mean(key, known)
            problems.add(tree, f"no candidate has a parameter {key!r}", hint, key=True)


def _expanded(
    node: NodeSpec, spec: str | CandidateSpec, at: Tree, env: Environment, problems: Problems
) -> Iterable[tuple[Operation, str]]:
    """One candidate; several where a parameter is itself a choice. With the label that tells them."""
    name = spec if isinstance(spec, str) else spec.op
    own = {} if isinstance(spec, str) else spec.params
    shared: Mapping[str, Tree] = node.params
    if isinstance(node.op, ChoiceSpec) and name in registry.operation:
        takes = signature_of(name).parameters
        shared = {k: v for k, v in shared.items() if k in takes}
    params = {**shared, **own}
    varied = {k: t for k, t in params.items() if t.kind == "mapping" and set(t.value) == {"choice"}}
    options = []
    for key, tree in varied.items():
        values = tree.value["choice"]
        if values.kind != "sequence" or not values.value:
            problems.add(values, "an empty choice", "list at least one value")
            return
        options.append([(key, value) for value in values.value])
    given = None if isinstance(spec, str) else spec.name
    for combination in itertools.product(*options):
        chosen = dict(combination)
        made = operation(name, at, {**params, **chosen}, env, problems)
        if made is None:
            return
        telling = {**own, **chosen} if given is None else chosen
        text = ",".join(f"{k}={made.params[k]}" for k in telling)
        base = given or name
        label = f"{base}({text})" if chosen else base
        yield replace(made, label=label), f"{base}({text})" if text else base


def _labelled(
    found: Sequence[tuple[Operation, str]], at: Tree, problems: Problems
) -> tuple[Operation, ...]:
    labels = [op.label for op, _ in found]
    result = [
        replace(op, label=full) if labels.count(op.label) > 1 else op for op, full in found
    ]
    final = [op.label for op in result]
    for label in sorted({x for x in final if final.count(x) > 1}):
        problems.add(at, f"two candidates are both called {label!r}", "give one a name")
    return tuple(result)
