"""The wording that all messages share."""

from __future__ import annotations

from nasrestore.errors import few


def test_few_names_the_first_and_counts_the_rest() -> None:
    assert few([]) == ""
    assert few("abc") == "a, b, c"
    assert few("abcde") == "a, b, c and 2 more"
    assert few(range(9), most=8) == "0, 1, 2, 3, 4, 5, 6, 7 and 1 more"
    assert few("abcd", between="; ") == "a; b; c; and 1 more"
