"""Arithmetic on constants, such as ``$width * 2 ** $index``; never ``eval``.

An expression is parsed once, by recursive descent of bounded depth, into postfix instructions::

    sum:     product (("+" | "-") product)*
    product: unary (("*" | "//") unary)*
    unary:   "-" unary | power
    power:   atom ["**" unary]
    atom:    NUMBER | $NAME | "(" sum ")"
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from nasrestore.registry import did_you_mean

Number: TypeAlias = int | float

MAX_LENGTH = 200
MAX_DEPTH = 50
MAX_SIZE = 10**15
_MAX_BITS = 64

_TOKEN = re.compile(
    r"(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)"
    r"|(?P<name>\$[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<sign>\*\*|//|[-+*/()])"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]*)"
)
_BLANK = re.compile(r"[ \t\r\n]*")


class ExpressionError(ValueError):
    """What is wrong with an expression; ``column`` counts its characters from 1."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(message)
        self.column = column


class _Step(NamedTuple):
    """One postfix instruction: a number or name to push, or an operator to apply."""

    kind: str
    column: int
    number: Number = 0
    text: str = ""


@dataclass(frozen=True)
class Expression:
    """Parsed arithmetic; two are equal when their texts are.

    Args:
        text: as the user wrote it.
        names: what it refers to, without the ``$``.
    """

    text: str
    names: frozenset[str]
    program: tuple[_Step, ...] = field(repr=False, compare=False)

    def evaluate(self, values: Mapping[str, Number]) -> Number:
        """The result; integers stay integers, as in Python.

        Raises:
            ExpressionError: an unknown name, a division by zero, a complex number, or a value
                beyond 1e15 on the way.
        """
        stack: list[Number] = []
        for step in self.program:
            if step.kind == "number":
                result = step.number
            elif step.kind == "name":
                result = _lookup(step, values)
            elif step.kind == "negate":
                result = -stack.pop()
            else:
                right = stack.pop()
                result = _apply(step, stack.pop(), right)
            if not abs(result) <= MAX_SIZE:  # nan is refused too
                raise ExpressionError("the result is larger than 1e15", step.column)
            stack.append(result)
        return stack.pop()


def is_expression(value: object) -> bool:
    """Whether a YAML value is meant as an expression: a string with a ``$``."""
    return isinstance(value, str) and "$" in value


def parse_expression(text: str) -> Expression:
    """Reads an expression of at most 200 characters.

    Raises:
        ExpressionError: it is no expression; ``column`` says where.
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"an expression is at most {MAX_LENGTH} characters long", MAX_LENGTH)
    program = _Parser(_tokens(text), len(text) + 1).parse()
    names = frozenset(step.text for step in program if step.kind == "name")
    return Expression(text, names, tuple(program))


class _Token(NamedTuple):
    kind: str
    text: str
    column: int


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = _end_of_blank(text, 0)
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ExpressionError(_unexpected(text[at]), at + 1)
        token = _Token(found.lastgroup or "", found.group(), at + 1)
        if token.kind == "word":
            raise ExpressionError(f"a name begins with $: write ${token.text}", token.column)
        if token.text == "/":
            raise ExpressionError("'/' is not known: use '//', which rounds down", token.column)
        tokens.append(token)
        at = _end_of_blank(text, found.end())
    return tokens


def _end_of_blank(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    return at if blank is None else blank.end()


def _unexpected(character: str) -> str:
    if character == "$":
        return "a name follows $, such as $width"
    return f"unexpected {character!r}: numbers, $names, + - * // ** and parentheses are known"


class _Parser:
    """Recursive descent; every method appends the instructions of what it read."""

    def __init__(self, tokens: list[_Token], end: int) -> None:
        self.tokens = tokens
        self.end = end
        self.at = 0
        self.depth = 0
        self.program: list[_Step] = []

    def parse(self) -> list[_Step]:
        self.sum()
        if self.at < len(self.tokens):
            token = self.tokens[self.at]
            raise ExpressionError(f"expected an operator, found {token.text!r}", token.column)
        return self.program

    def take(self, *texts: str) -> _Token | None:
        if self.at < len(self.tokens) and self.tokens[self.at].text in texts:
            self.at += 1
            return self.tokens[self.at - 1]
        return None

    def sum(self) -> None:
        self.chain(self.product, "+", "-")

    def product(self) -> None:
        self.chain(self.unary, "*", "//")

    def chain(self, part: Callable[[], None], *signs: str) -> None:
        part()
        while sign := self.take(*signs):
            part()
            self.program.append(_Step(sign.text, sign.column))

    def unary(self) -> None:
        self.depth += 1  # every way to recurse leads through here
        if self.depth > MAX_DEPTH:
            column = self.tokens[self.at].column if self.at < len(self.tokens) else self.end
            raise ExpressionError(f"nested more than {MAX_DEPTH} deep", column)
        if sign := self.take("-"):
            self.unary()
            self.program.append(_Step("negate", sign.column))
        else:
            self.power()
        self.depth -= 1

    def power(self) -> None:
        self.atom()
        if sign := self.take("**"):
            self.unary()
            self.program.append(_Step(sign.text, sign.column))

    def atom(self) -> None:
        if self.take("("):
            self.sum()
            if not self.take(")"):
                raise self.expected("')'")
            return
        if self.at == len(self.tokens) or self.tokens[self.at].kind == "sign":
            raise self.expected("a number, a $name or '('")
        token = self.tokens[self.at]
        self.at += 1
        if token.kind == "name":
            self.program.append(_Step("name", token.column, text=token.text[1:]))
        else:
            number = int(token.text) if token.text.isdigit() else float(token.text)
            self.program.append(_Step("number", token.column, number=number))

    def expected(self, what: str) -> ExpressionError:
        if self.at < len(self.tokens):
            token = self.tokens[self.at]
            return ExpressionError(f"expected {what}, found {token.text!r}", token.column)
        return ExpressionError(f"expected {what} at the end", self.end)


def _lookup(step: _Step, values: Mapping[str, Number]) -> Number:
    if step.text not in values:
        hint = did_you_mean(f"${step.text}", [f"${name}" for name in values])
        raise ExpressionError(f"unknown name ${step.text}; {hint}", step.column)
    value = values[step.text]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ExpressionError(f"${step.text} is not a number", step.column)
    return value


_OPERATORS: dict[str, Callable[[Number, Number], Number]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": operator.floordiv,
}


def _apply(step: _Step, left: Number, right: Number) -> Number:
    try:
        if step.kind == "**":
            return _power(step, left, right)
        return _OPERATORS[step.kind](left, right)
    except ZeroDivisionError:
        raise ExpressionError("division by zero", step.column) from None
    except OverflowError:
        raise ExpressionError("the result is larger than 1e15", step.column) from None


def _power(step: _Step, base: Number, exponent: Number) -> Number:
    if isinstance(base, int) and isinstance(exponent, int) and abs(base) > 1:
        # computed only when it is sure to be small: 9 ** 9 ** 9 would take the memory
        bits = (abs(base).bit_length() - 1) * exponent
        if bits > _MAX_BITS:
            raise ExpressionError("the result is larger than 1e15", step.column)
    result: Number | complex = base**exponent
    if isinstance(result, complex):
        raise ExpressionError("the result is not a real number", step.column)
    return result
