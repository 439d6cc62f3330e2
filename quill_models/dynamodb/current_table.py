"""Which table PynamoDB's own calls (``Agent.query``, ``agent.save()``) go to.

The table of the `Quill` whose ``with`` block is open here; else of the only one that is open in
this process (another thread's, say); else the one that the settings name. Where several are open
elsewhere and none here, nothing is guessed.
"""

from __future__ import annotations

from contextvars import ContextVar
from threading import Lock

from quill_models.dynamodb.table import Table
from quill_models.settings import Settings
from quill_models.values.errors import QuillError

__all__ = ["current_table", "enter", "known_shards", "leave"]

# The tables whose blocks were entered here, the innermost last; those left meanwhile, too.
_here: ContextVar[tuple[Table, ...]] = ContextVar("quill_tables", default=())
# The tables whose blocks are open anywhere, once for each block.
_open: list[Table] = []
_defaults: dict[Settings, Table] = {}
_lock = Lock()


def enter(table: Table) -> None:
    """Make a table the current one here, until it is left."""
    _here.set((*_here.get(), table))
    with _lock:
        _open.append(table)


def leave(table: Table) -> bool:
    """End the last block of a table; whether none of its blocks is open any more.

    Blocks need not be left in the order in which they were entered, nor in the same thread.
    """
    here = _here.get()
    if table in here:
        at = len(here) - 1 - here[::-1].index(table)
        _here.set(here[:at] + here[at + 1 :])
    with _lock:
        _open.remove(table)
        return table not in _open


def current_table() -> Table:
    """The table that PynamoDB's own calls go to.

    Raises:
        QuillError: Several are open in other threads, and none in this one.
    """
    with _lock:
        for table in reversed(_here.get()):
            if table in _open:
                return table
        tables = set(_open)
    if len(tables) > 1:
        raise QuillError(
            f"{len(tables)} Quill connections are open and none of them in this thread, so that "
            "a PynamoDB call cannot tell which table is meant. Use 'with connect(...)' in this "
            "thread, or the repositories of one Quill."
        )
    if tables:
        return tables.pop()
    # Read each time, so that a changed environment is a changed table; one connection for each.
    settings = Settings.load()
    with _lock:
        return _defaults.setdefault(settings, Table(settings))


def known_shards() -> int:
    """The current table's number of shards, as far as it is known without a request."""
    return current_table().known_shards
