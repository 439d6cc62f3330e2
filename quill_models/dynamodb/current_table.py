"""The table of PynamoDB's own calls (``Agent.query``, ``agent.save()``).

It is the table of the `Quill` whose ``with`` block is open in this context. Otherwise it is the
only open one of the process, for example in another thread, or else the one of the settings. If
several are open elsewhere and none here, the call raises.
"""

from __future__ import annotations

from contextvars import ContextVar
from threading import Lock

from quill_models.dynamodb.table import Table
from quill_models.settings import Settings
from quill_models.values.errors import QuillError

__all__ = ["current_table", "enter", "known_shards", "leave"]

# The tables of the blocks entered in this context, innermost last, including blocks left since.
_here: ContextVar[tuple[Table, ...]] = ContextVar("quill_tables", default=())
# The tables of all open blocks of the process, once for each block.
_open: list[Table] = []
_defaults: dict[Settings, Table] = {}
_lock = Lock()


def enter(table: Table) -> None:
    """Make a table the current one of this context, until `leave`."""
    _here.set((*_here.get(), table))
    with _lock:
        _open.append(table)


def leave(table: Table) -> bool:
    """End the last block of a table, and return whether none of its blocks is open.

    Blocks can be left in any order and in any thread.
    """
    here = _here.get()
    if table in here:
        at = len(here) - 1 - here[::-1].index(table)
        _here.set(here[:at] + here[at + 1 :])
    with _lock:
        _open.remove(table)
        return table not in _open


def current_table() -> Table:
    """Return the table of PynamoDB's own calls.

    Raises:
        QuillError: Several tables are open in other threads, and none in this one.
    """
    with _lock:
        for table in reversed(_here.get()):
            if table in _open:
                return table
        tables = set(_open)
    if len(tables) > 1:
        raise QuillError(
            f"{len(tables)} Quill connections are open, but none in this thread, so the table of "
            "this PynamoDB call is ambiguous. Use 'with connect(...)' in this thread, or the "
            "repositories of one Quill."
        )
    if tables:
        return tables.pop()
    # Read each time, because the environment may change. One connection for each table.
    settings = Settings.load()
    with _lock:
        return _defaults.setdefault(settings, Table(settings))


def known_shards() -> int:
    """Return the last known number of shards of the current table. Cost: no request."""
    return current_table().known_shards
