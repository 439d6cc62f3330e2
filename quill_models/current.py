"""Which table PynamoDB's own calls (``Agent.query``, ``agent.save()``) go to.

The table of the `Quill` whose ``with`` block is open here; else of the only one that is open in
this process (another thread's, say); else the one that the settings name. Where several are open
elsewhere and none here, nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock

from quill_models.errors import QuillError
from quill_models.settings import Settings
from quill_models.table import Table

__all__ = ["current_table", "entered", "known_shards"]

_here: ContextVar[Table | None] = ContextVar("quill_table", default=None)
_open: list[Table] = []
_defaults: dict[Settings, Table] = {}
_lock = Lock()


@contextmanager
def entered(table: Table) -> Iterator[None]:
    """Make a table the current one for the block."""
    token = _here.set(table)
    with _lock:
        _open.append(table)
    try:
        yield
    finally:
        with _lock:
            _open.remove(table)
        _here.reset(token)


def current_table() -> Table:
    """The table that PynamoDB's own calls go to.

    Raises:
        QuillError: several are open in other threads, and none in this one.
    """
    table = _open_table()
    if table is not None:
        return table
    # Read each time, so that a changed environment is a changed table; one connection for each.
    settings = Settings.load()
    with _lock:
        return _defaults.setdefault(settings, Table(settings))


def known_shards() -> int:
    """The current table's number of shards, as far as it is known without a request."""
    return current_table().known_shards


def _open_table() -> Table | None:
    table = _here.get()
    if table is not None:
        return table
    with _lock:
        tables = {id(table): table for table in _open}
    if len(tables) > 1:
        raise QuillError(
            f"{len(tables)} Quill connections are open and none of them in this thread, so that "
            "a PynamoDB call cannot tell which table is meant. Use 'with connect(...)' in this "
            "thread, or the repositories of one Quill."
        )
    return next(iter(tables.values()), None)
