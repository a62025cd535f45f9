"""Expressions: Python's arithmetic, columns in errors, and nothing that runs away."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nasrestore.spec.expression import Expression, ExpressionError, is_expression, parse_expression

VALUES = {"width": 16, "index": 3, "rate": 0.25}


def evaluated(text: str) -> int | float:
    return parse_expression(text).evaluate(VALUES)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("$width * 2 ** $index", 128), ("2 ** 3 ** 2", 512), ("(2 ** 3) ** 2", 64),
        ("-2 ** 2", -4), ("(-2) ** 2", 4), ("2 ** -1", 0.5), ("10 - 4 - 3", 3),
        ("7 // 2", 3), ("-7 // 2", -4), ("7 // 2 * 2", 6), ("2 * (3 + 4)", 14), ("--1", 1),
        ("1 - -1", 2), ("$rate * 1e1", 2.5), (".5 + 1.", 1.5), ("1e-3", 1e-3), ("0 ** 0", 1),
        ("1 ** 999999999999", 1), ("(-1) ** 999999999999", -1), ("10 ** 15", 10**15),
        ("\t$width\n+ 1 ", 17), ("007", 7), ("10 ** -400", 0.0),
    ],
)  # fmt: skip
def test_values(text: str, result: float) -> None:
    found = evaluated(text)
    assert found == result
    assert type(found) is type(result)


def test_the_names_that_an_expression_uses() -> None:
    expression = parse_expression("$width * 2 ** $index - $width")
    assert expression.names == {"width", "index"}
    assert expression.text == "$width * 2 ** $index - $width"
    assert expression == parse_expression(expression.text) != parse_expression("$width")
    assert hash(expression) == hash(parse_expression(expression.text))
    assert parse_expression("2 + 3").names == frozenset()


def test_what_is_meant_as_an_expression() -> None:
    assert is_expression("$width") and is_expression("2 * $")
    assert not any(map(is_expression, ("2 * 3", 3, None, ["$width"])))


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("$width / 2", 8, "use '//'"), ("$width ++", 9, "expected a number"),
        ("", 1, "at the end"), ("2 *", 4, "at the end"), ("(2", 3, "expected ')' at the end"),
        ("(2 3", 4, "expected ')', found '3'"), ("2 3", 3, "expected an operator, found '3'"),
        ("2)", 2, "expected an operator, found ')'"), ("width * 2", 1, "write $width"),
        ("2 * $", 5, "a name follows $"), ("$2", 1, "a name follows $"),
        ("2 % 3", 3, "unexpected '%'"), ("+1", 1, "expected a number"), ("()", 2, "expected"),
        ("__import__('os')", 1, "a name begins with $"), ("2e5x", 4, "write $x"),
        ("$größe", 4, "unexpected 'ö'"), ("1" * 201, 200, "at most 200 characters"),
        ("(" * 60, 51, "nested more than 50 deep"), ("-" * 60 + "1", 51, "nested more"),
        ("2**" * 60 + "1", 151, "nested more"),
    ],
)  # fmt: skip
def test_errors_of_form_have_their_column(text: str, column: int, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_expression(text)
    assert caught.value.column == column
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("2 * $widdth", 5, "unknown name $widdth; did you mean '$width'?"),
        ("1 // ($index - 3)", 3, "division by zero"), ("0 ** -1", 3, "division by zero"),
        ("(-8) ** .5", 6, "not a real number"), ("9 ** 9 ** 9", 3, "larger than 1e15"),
        ("9 ** 9 ** 9 * 0", 3, "larger than 1e15"), ("2.5 ** 1e4", 5, "larger than 1e15"),
        ("1e14 * 11", 6, "larger than 1e15"), ("1e999", 1, "larger than 1e15"),
        ("$word", 1, "is not a number"), ("$flag", 1, "is not a number"),
        ("$nan", 1, "larger than"), ("1" * 100, 1, "larger than 1e15"),
    ],
)  # fmt: skip
def test_errors_of_value_have_their_column(text: str, column: int, message: str) -> None:
    expression = parse_expression(text)
    with pytest.raises(ExpressionError) as caught:
        expression.evaluate({**VALUES, "word": "a", "flag": True, "nan": float("nan")})
    assert caught.value.column == column
    assert message in str(caught.value)


SMALL = st.integers(0, 12).map(str) | st.sampled_from(["0.5", "1.5", "2e-1", "$width", "$index"])
TREES = st.recursive(
    SMALL,
    lambda inner: (
        st.builds("{} {} {}".format, inner, st.sampled_from(["+", "-", "*", "//", "**"]), inner)
        | inner.map("({})".format)
        | inner.map("-{}".format)
    ),
    max_leaves=10,
)


@settings(max_examples=400, deadline=None)
@given(TREES)
def test_they_agree_with_python(text: str) -> None:
    assume(len(text) <= 200)
    expression = parse_expression(text)
    assert expression.names == {name for name in VALUES if f"${name}" in text}
    try:
        found = expression.evaluate(VALUES)
    except ExpressionError as error:
        assert re.search("division by zero|not a real|larger than 1e15", str(error))
        return
    python = text.replace("$width", "16").replace("$index", "3")
    expected = eval(python, {"__builtins__": {}})
    assert found == expected
    assert type(found) is type(expected)


@settings(max_examples=400, deadline=None)
@given(st.text("$ab 0123.e+-*/()_\n\xb2\u0661", max_size=30) | st.text(max_size=210))
def test_random_text_raises_nothing_but_expression_errors(text: str) -> None:
    try:
        expression = parse_expression(text)
    except ExpressionError as error:
        assert 1 <= error.column <= len(text) + 1
        return
    assert isinstance(expression, Expression)
    try:
        assert abs(expression.evaluate(dict.fromkeys(expression.names, 7))) <= 1e15
    except ExpressionError as error:
        assert 1 <= error.column <= len(text)
