"""`quill doctor`: check the set-up and show how to fix problems."""

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
    """Check settings, server, table, clock, leases and migrations. Writes nothing.

    Each line is ok or names the fix. The exit status is 0 if all checks are ok, else 1.
    Credentials are never printed, only their origin.

    \b
    Examples:
      quill doctor
      quill doctor --json
    """  # noqa: D301 -- click's mark for "keep these lines"
    with connect() as quill:
        found = list(examine(quill))
    is_ok = all(each.ok is not False for each in found)
    report({"ok": is_ok, "findings": [asdict(each) for each in found]}, _grid(found))
    sys.exit(0 if is_ok else 1)


def _grid(found: list[Finding]) -> Table:
    columns = (Column(no_wrap=True), Column(no_wrap=True), Column(overflow="fold"))
    grid = Table.grid(*columns, padding=(0, 2))
    marks = {True: ("ok", "green"), False: ("problem", "bold red"), None: ("?", "dim")}
    for each in found:
        advice = (f"\n{each.advice}", "bold") if each.advice else ""
        grid.add_row(Text(*marks[each.ok]), each.about, Text.assemble(each.says, advice))
    return grid
