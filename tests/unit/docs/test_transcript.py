"""The comparison of an output with the page."""

from __future__ import annotations

import pytest

from tests.docs.transcript import difference


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("a|b", "a|c"),
        ("a|b", "a"),
        ("a", "a|b"),
        ("a|b", "b|a"),
        ("a", ""),
        ("a||b", "a|b"),
        ("a", "a|…"),
        ("a", " a"),
        ("a|…|d", "a|b|c"),
        ("a|…|c|…|b", "a|b|c"),
        ("…|d", "d|e"),
        ("in … s", "in 0.3 m"),
        ("a.c", "abc"),
        ("a…c", "a|c"),
        ("[ 2026-…   ] x", "[ 2025-11-25 ] x"),
    ],
)
def test_difference_other_output_is_not_empty(shown: str, printed: str) -> None:
    assert difference(shown.split("|"), printed.split("|"))


def test_difference_is_a_unified_diff() -> None:
    shown = ["one", "took … s", "two", "three"]
    assert difference(shown, ["one", "took 3 s", "2", "three"]).splitlines() == [
        "--- shown",
        "+++ printed",
        "@@ -1,4 +1,4 @@",
        " one",
        " took … s",
        "-two",
        "+2",
        " three",
    ]
