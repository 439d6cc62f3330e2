"""`quill doctor`: whether all is well, and what to do where it is not."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click
from rich.table import Column, Table
from rich.text import Text

from quill_models.command.failures import report
from quill_models.command.output import json_option
from quill_models.health.checks import Finding, examine
from quill_models.quill import connect

__all__ = ["doctor"]


@click.command()
@json_option
def doctor() -> None:
    """Look at settings, server, table, clock, leases and migrations. Writes nothing.

    Each line is ok, or says what to do. The exit status is 0 where all is ok, else 1.
    Credentials are shown by where they come from, never by what they are.

    \b
    Examples:
      quill doctor
      quill doctor --json
    """  # noqa: D301 -- click's mark for "keep these lines"
    with connect() as quill:
        found = list(examine(quill))
    fine = all(each.ok is not False for each in found)
    report({"ok": fine, "findings": [asdict(each) for each in found]}, _shown(found))
    sys.exit(0 if fine else 1)


def _shown(found: list[Finding]) -> Table:
    columns = (Column(no_wrap=True), Column(no_wrap=True), Column(overflow="fold"))
    shown = Table.grid(*columns, padding=(0, 2))
    marks = {True: ("ok", "green"), False: ("problem", "bold red"), None: ("?", "dim")}
    for each in found:
        advice = (f"\n{each.advice}", "bold") if each.advice else ""
        shown.add_row(Text(*marks[each.ok]), each.about, Text.assemble(each.says, advice))
    return shown
