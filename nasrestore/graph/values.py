"""From what a space file says to plain numbers. Collects errors, raises none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nasrestore.errors import SpecError
from nasrestore.graph.signature import Parameter, SignatureError
from nasrestore.registry import did_you_mean
from nasrestore.spec.expression import Expression, ExpressionError, is_expression, parse_expression
from nasrestore.spec.leaf import Value
from nasrestore.spec.scalar import resolve_plain
from nasrestore.spec.source import Tree

Number = int | float


class Problems:
    """The errors found so far, each once.

    Attributes:
        found: how often something was wrong, an error that is known already included.
    """

    def __init__(self) -> None:
        self.errors: list[SpecError] = []
        self.found = 0
        self._known: set[tuple[object, str]] = set()

    def add(self, tree: Tree, message: str, hint: str | None = None, *, key: bool = False) -> None:
        """Adds an error at a value, or at its key."""
        self.found += 1
        error = tree.error(message, hint, key=key)
        if (error.location, error.message) not in self._known:  # each copy of a node finds it again
            self._known.add((error.location, error.message))
            self.errors.append(error)


@dataclass(frozen=True)
class Environment:
    """What ``$name`` stands for.

    Attributes:
        broken: names whose own value is wrong; what uses them is not complained of again.
        complete: whether all names are known; otherwise an unknown one counts as broken.
    """

    values: Mapping[str, Number]
    broken: frozenset[str] = frozenset()
    complete: bool = True

    def at(self, index: int) -> Environment:
        """The same for one copy of a node, whose number is ``$index``."""
        return Environment({**self.values, "index": index}, self.broken, self.complete)

    def value(self, expression: Expression) -> Number | None:
        """The value of an expression; ``None`` where it rests on something broken.

        Raises:
            ExpressionError: it cannot be evaluated.
        """
        unknown = expression.names - set(self.values)
        if unknown & self.broken or (unknown and not self.complete):
            return None
        try:
            return _whole(expression.evaluate(self.values))
        except ExpressionError as error:
            raise _placed(error, expression.text) from None


NO_CONSTANTS = Environment({})


def _placed(error: ExpressionError, text: str) -> ExpressionError:
    where = f"{error}, at character {error.column} of {text[:60]!r}"
    return ExpressionError(where, error.column)


def _whole(number: Number) -> Number:
    return int(number) if isinstance(number, float) and number.is_integer() else number


def constants(
    section: Tree,
    values: Mapping[str, Value | None],
    complete: bool,
    problems: Problems,
    around: Environment | None = None,
    given: Mapping[str, Number | None] | None = None,
) -> Environment:
    """All constants, each of which may use those declared before it, and those around.

    Args:
        around: constants of the space, for a cell.
        given: values that take the place of those declared; ``None`` for one in error.
    """
    env = Environment({}, complete=complete) if around is None else around
    complete = complete and env.complete
    for name, value in values.items():
        number: Number | None = None
        if given is not None and name in given:
            number = given[name]
        elif name == "index":
            message = "'index' is the number of a copy, no name for a constant"
            problems.add(section.at(name), message, "choose another name", key=True)
        elif isinstance(value, Expression) and (later := value.names & _after(name, values)):
            message = f"${min(later)} is not declared before {name!r}"
            problems.add(section.at(name), message, "move it up: constants are read in order")
        elif value is not None:
            number = evaluate(value, section.at(name), env, problems)
        if number is None:
            env = Environment(env.values, env.broken | {name}, complete)
        else:
            env = Environment({**env.values, name: number}, env.broken - {name}, complete)
    return env


def _after(name: str, names: Mapping[str, object]) -> set[str]:
    ordered = list(names)
    return set(ordered[ordered.index(name) :])


def evaluate(value: Value, tree: Tree, env: Environment, problems: Problems) -> Number | None:
    """The number that a value stands for; ``None`` after an error."""
    if not isinstance(value, Expression):
        return _whole(value)
    try:
        return env.value(value)
    except ExpressionError as error:
        problems.add(tree, str(error))
        return None


def evaluate_integer(
    value: Value,
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
    if not isinstance(number, int) or number < least or (most is not None and number > most):
        span = f">= {least}" if most is None else f"from {least} to {most}"
        origin = f" from {value.text!r}" if isinstance(value, Expression) else ""
        problems.add(tree, f"expected an integer {span}, got {number!r}{origin}")
        return None
    return number


_BROKEN: Any = object()


def given_constants(
    given: Mapping[str, Tree], env: Environment, problems: Problems
) -> dict[str, Number | None]:
    """Numbers that a use of a cell gives to its constants; ``None`` for one in error."""
    found: dict[str, Number | None] = {}
    for name, tree in given.items():
        number: Any = None
        try:
            plain = _plain(tree, env, numeric=True)
        except ExpressionError as error:
            problems.add(tree, str(error))
        else:
            if isinstance(plain, (int, float)) and not isinstance(plain, bool):
                number = plain
            elif plain is not _BROKEN:
                problems.add(tree, f"expected a number for the constant {name!r}")
        found[name] = number
    return found


def parameters(
    owner: str,
    declared: Mapping[str, Parameter],
    given: Mapping[str, Tree],
    env: Environment,
    problems: Problems,
) -> dict[str, Any] | None:
    """The checked values of the parameters given to ``owner``; ``None`` after an error."""
    before = problems.found
    values: dict[str, Any] = {}
    for key, tree in given.items():
        if key not in declared:
            hint = did_you_mean(key, declared) if declared else "it takes none"
            problems.add(tree, f"{owner} has no parameter {key!r}", hint, key=True)
            continue
        try:
            plain = _plain(tree, env, declared[key].numeric)
            values[key] = plain if plain is _BROKEN else declared[key].read(key, plain)
        except SignatureError as error:
            at = tree if error.item is None else tree.at(error.item)
            problems.add(at, str(error), error.hint)
        except ExpressionError as error:
            problems.add(tree, str(error))
    if problems.found > before or any(value is _BROKEN for value in values.values()):
        return None
    return values


def _plain(tree: Tree, env: Environment, numeric: bool) -> Any:
    """The plain value of a parameter, expressions evaluated; ``_BROKEN`` where one is.

    Raises:
        ExpressionError: an expression that cannot be read or evaluated.
    """
    if tree.kind == "sequence":
        items = [_plain(item, env, numeric) for item in tree.value]
        return _BROKEN if any(item is _BROKEN for item in items) else items
    if tree.kind == "mapping" or not isinstance(tree.value, str):
        return tree.plain()
    if numeric and (is_expression(tree.value) or _is_arithmetic(tree.value)):
        try:
            expression = parse_expression(tree.value)
        except ExpressionError as error:
            raise _placed(error, tree.value) from None
        number = env.value(expression)
        return _BROKEN if number is None else number
    return tree.value


def _is_arithmetic(text: str) -> bool:
    """Whether a text without a ``$`` is arithmetic all the same; a number in quotes is not."""
    try:
        parse_expression(text)
    except ExpressionError:
        return False
    try:
        return isinstance(resolve_plain(text.strip()), str)
    except ValueError:
        return False
