"""Tables, messages and JSON documents on standard output and standard error."""

from __future__ import annotations

import io
import json
import re
import sys

import pytest

from quill_models.command.output import print_json, show, show_error, table
from quill_models.errors import InvalidPayload


def test_print_json_special_characters_round_trips(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"text": "ü🦜\u2028", "unpaired": "\ud800", "null": None}
    print_json(document)
    assert json.loads(capsys.readouterr().out) == document


def test_show_error_prints_markup_literally(capsys: pytest.CaptureFixture[str]) -> None:
    show_error(InvalidPayload("[bold]no markup[/]", source="[a].json", position="line 1"))
    assert capsys.readouterr().err == "Error: [a].json: line 1: [bold]no markup[/]\n"


def test_table_cell_prints_markup_literally(capsys: pytest.CaptureFixture[str]) -> None:
    show(table(("name", "n"), [("[red]Ada[/]", None), ({"a": 1}, 7)]))
    shown = capsys.readouterr().out
    assert "[red]Ada[/]" in shown
    assert "a: 1" in shown
    assert not re.search(r"\x1b", shown)


def test_show_table_strips_trailing_spaces(capsys: pytest.CaptureFixture[str]) -> None:
    show(table(("name",), [("Ada",)], title="Names"))
    title, *_ = capsys.readouterr().out.splitlines()
    assert title == "Names"


def test_show_closed_stdout_does_not_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    show(table(("name",), [("Ada",)]))
    print_json({"name": "Ada"})


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_print_json_ascii_locale_escapes(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding=encoding))
    document = {"text": "ü🦜"}
    print_json(document)
    sys.stdout.flush()
    assert json.loads(out.getvalue().decode(encoding)) == document
