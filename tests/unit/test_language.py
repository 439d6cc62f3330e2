"""The English of the repository follows the rules of ``tests/language.py``."""

from __future__ import annotations

import pytest

from tests.language import (
    LONGEST_AVERAGE,
    Text,
    averages,
    everything,
    findings_of,
    page_texts,
    python_texts,
    texts,
)

# Each entry is a place where a banned pattern is right, with the reason.
ALLOWED: dict[tuple[str, str], str] = {
    ("quill_models/local/server.py", "answering"): "a value of `quill local status --json`",
    ("quill_models/local/server.py", "answered"): "a value of `quill local status --json`",
}


@pytest.fixture(scope="module")
def prose() -> list[Text]:
    return list(texts(everything()))


def test_language_repository_has_no_banned_pattern(prose: list[Text]) -> None:
    found = {
        (finding.text.path, finding.found): str(finding)
        for text in prose
        for finding in findings_of(text)
    }
    assert sorted(found[each] for each in found.keys() - ALLOWED.keys()) == []
    assert ALLOWED.keys() <= found.keys(), "remove the entry that is no longer needed"
    assert len(ALLOWED) <= 20


def test_language_average_sentence_of_each_page_is_short(prose: list[Text]) -> None:
    assert {path: n for path, n in averages(prose).items() if n > LONGEST_AVERAGE} == {}


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ("It hears `duplicate`.", ["hears"]),
        ("`it hears`, and more", []),
        ("```console\n$ quill hears\n```", []),
        ("- a run, where there is one\n- fine", [", where there", "where there is"]),
        ("| a | it goes on |\n|---|---|\n| b | whoever |", ["goes on", "whoever"]),
        ("What it does costs nothing.", ["What it does costs nothing. …"]),
        ("What does it cost?", []),
        ("word " * 36, [f"{'word ' * 10} …"]),
    ],
)
def test_findings_of_page_returns_what_is_banned(page: str, found: list[str]) -> None:
    assert [each.found for text in page_texts("p", page) for each in findings_of(text)] == found


def test_python_texts_returns_docstrings_messages_comments_and_test_names() -> None:
    source = (
        '"""Docstring."""\n'
        "# A comment\n# of two lines\n"
        "def test_it_works():\n"
        "    raise ValueError(f'{n} is not a number')\n"
    )
    found = [(text.kind, text.words) for text in python_texts("p", source, literals=True)]
    assert found == [
        ("docstring", "Docstring."),
        ("literal", "CODE is not a number"),
        ("test name", "It works"),
        ("comment", "A comment of two lines"),
    ]
