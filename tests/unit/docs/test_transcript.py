"""When an output is the one that a page shows."""

from __future__ import annotations

import pytest

from tests.docs.transcript import difference


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("a|b", "a|b"),
        ("a|b", "a  |b||"),
        ("a|…|d", "a|b|c|d"),
        ("a|…|d", "a|d"),
        ("…|d", "a|d|d"),
        ("a|…", "a"),
        ("  …|c", "a|b|c"),
        ("…|b|…|d|…", "a|b|c|b|d|e"),
        ("in … s, … items", "in 0.3 s, 7 items"),
        ("quill-demo-…", "quill-demo-"),
        ("a.c (x)", "a.c (x)"),
        ("[ 2026-…   ] x", "[ 2026-11-25 ] x"),
        # What a terminal cuts off ends so, too.
        ("METRIC#ada…", "METRIC#ada…"),
    ],
)
def test_output_that_agrees(shown: str, printed: str) -> None:
    assert difference(shown.split("|"), printed.split("|")) == ""


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
def test_output_that_differs(shown: str, printed: str) -> None:
    assert difference(shown.split("|"), printed.split("|"))


def test_lines_that_may_be_any_are_no_difference() -> None:
    printed = [*"abcdefgh", "2 files"]
    assert difference(["…", "3 files"], printed).splitlines()[2:] == [
        "@@ -7,3 +7,3 @@",
        " g",
        " h",
        "-3 files",
        "+2 files",
    ]
    assert difference(["a", "…", "f", "…"], ["x", *printed[1:]]).splitlines()[2:] == [
        "@@ -1,3 +1,3 @@",
        "-a",
        "+x",
        " b",
        " c",
    ]


def test_difference_is_read_at_a_glance() -> None:
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
