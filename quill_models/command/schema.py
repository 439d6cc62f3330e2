"""`quill schema`: the table."""

from __future__ import annotations

import click

from quill_models.command.output import console, json_option, print_json
from quill_models.quill import connect

__all__ = ["schema"]


@click.group()
def schema() -> None:
    """Create and check the table."""


@schema.command()
@json_option
def apply(*, as_json: bool) -> None:
    """Create the table with its indexes, TTL and stream. Safe to repeat."""
    with connect() as quill:
        done = quill.schema.apply()
        table, endpoint = quill.settings.table, quill.settings.endpoint or "AWS"
    if as_json:
        print_json({"table": table, "endpoint": endpoint, "done": done})
        return
    out = console()
    out.print(f"Table [bold]{table}[/] at {endpoint}:")
    for step in done or ["all is there already, nothing was changed"]:
        out.print(f"  {step}", markup=False)
