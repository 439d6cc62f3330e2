"""The pictures in ``reference/export-files.md``, drawn from the declaration of the columns.

``python docs/star_picture.py`` draws them anew; a test sees to it that they are what is declared.
"""

from __future__ import annotations

import re
from pathlib import Path

from quill_models.export import TABLES, StarTable

PAGE = Path(__file__).parent / "reference" / "export-files.md"
BEGIN, END = "<!-- drawn by docs/star_picture.py -->\n", "<!-- end of the drawing -->\n"


def star() -> list[str]:
    """Which facts stand around which dimension, one to many."""
    lines = []
    for dimension, key in (("dim_agent", "agent_id"), ("dim_date", "date")):
        facts = [
            table.name
            for table in TABLES
            if table.partition and any(column.name == key for column in table.columns)
        ]
        lines.append(f"{dimension}[{key}]")
        lines += [f"  1 {'└' if fact == facts[-1] else '├'}──* {fact}[{key}]" for fact in facts]
        lines.append("")
    return lines


def columns(table: StarTable) -> list[str]:
    """The columns of a table with their types."""
    each = "one file" if table.partition is None else f"one file a day, by {table.partition}"
    lines = [f"{table.name:<26}{each}"]
    lines += [f"  {column.name:<24}{column.type}" for column in table.columns]
    return [*lines, ""]


def drawn() -> str:
    """The pictures, as the page holds them."""
    lines = [*star(), *(line for table in TABLES for line in columns(table))]
    return BEGIN + "\n```text\n" + "\n".join(lines[:-1]) + "\n```\n\n" + END


def redrawn(page: str) -> str:
    """The page with the pictures in it."""
    return re.sub(
        re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: drawn(), page, flags=re.DOTALL
    )


if __name__ == "__main__":
    PAGE.write_text(redrawn(PAGE.read_text()))
