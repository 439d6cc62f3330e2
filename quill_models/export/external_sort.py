"""An external merge sort of rows, with constant memory for any number of rows.

A scan returns items in no order. Rows fill a buffer, which is sorted and written to a temporary
file, a run. The runs are merged at the end. So one file per run is open instead of one per day, and
the exported files do not depend on the order of the items.
"""

from __future__ import annotations

import heapq
import marshal
from collections import defaultdict
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO

from quill_models.dynamodb.items import RawItem, key_of
from quill_models.models.star_schema import TABLES, Row, StarTable

__all__ = ["ExternalSort", "identity_of"]

_BUFFER_BYTES = 16 * 1024 * 1024
# Memory of each run while it is merged.
_BLOCK_BYTES = 8 * 1024
# Runs merged at once. Only more than two gigabytes of rows are written a second time.
_RUNS = 128
# Python's own memory per row.
_OVERHEAD = 200
_LENGTH_BYTES = 4

# The sort key of a row, and its bytes.
_Entry = tuple[str, bytes]

_RANKS = {table.name: str(rank) for rank, table in enumerate(TABLES)}
# A sort key is the rank of the table, a time or as many spaces, and the identity.
_TABLE_AND_DAY, _DAY, _IDENTITY = slice(0, 11), slice(1, 11), slice(28, None)
_BATCH_ROWS, _BATCH_BYTES = 1_000, 1024 * 1024


class ExternalSort:
    """Sorts rows by table, day and time.

    Args:
        folder: An existing folder for the runs.
        buffer_bytes: Memory to fill before a run is written.
    """

    def __init__(self, folder: Path, *, buffer_bytes: int = _BUFFER_BYTES) -> None:
        self._folder = folder
        self._buffer_bytes = buffer_bytes
        self._buffer: list[_Entry] = []
        self._size = 0
        self._runs_made = 0
        # All runs of a level are merged into one run of the next level.
        self._levels: defaultdict[int, list[Path]] = defaultdict(list)

    def add(self, table: StarTable, item: RawItem) -> None:
        """Add the row of an item. Raises `InvalidValue` if the item cannot be a row."""
        stored = marshal.dumps(table.row(item))
        sort_key = f"{_RANKS[table.name]}{table.time(item):27}{identity_of(item)}"
        self._buffer.append((sort_key, stored))
        self._size += len(sort_key) + len(stored) + _OVERHEAD
        if self._size >= self._buffer_bytes:
            self._write_buffer()

    def days(
        self, latest: dict[str, str] | None = None
    ) -> Iterator[tuple[StarTable, str, Iterator[list[Row]]]]:
        """Yield each table and day with batches of its rows by time, each identity once.

        Consume the batches of a day before the next day. The day is empty if the table is one
        file. If several rows have one time and identity, the one that was updated last is kept.

        Args:
            latest: The last update of items that may have moved to another day meanwhile, by
                `identity_of`. Older rows of these items are omitted.
        """
        if self._runs_made:
            self._write_buffer()
        self._buffer.sort()
        runs = [_read(run) for level in self._levels.values() for run in level]
        merged = heapq.merge(*runs) if runs else iter(self._buffer)
        for start, entries in groupby(merged, key=lambda entry: entry[0][_TABLE_AND_DAY]):
            table = TABLES[int(start[0])]
            yield table, start[_DAY].strip(), _batches(table, entries, latest or {})

    def _write_buffer(self) -> None:
        self._buffer.sort()
        self._write_run(0, iter(self._buffer))
        self._buffer.clear()
        self._size = 0

    def _write_run(self, level: int, entries: Iterator[_Entry]) -> None:
        """Write sorted entries as a run. If the level has `_RUNS` runs then, merge them."""
        path = self._folder / f"run-{self._runs_made}"
        self._runs_made += 1
        block: list[_Entry] = []
        size = 0
        with path.open("wb") as file:
            for entry in entries:
                block.append(entry)
                size += len(entry[0]) + len(entry[1])
                if size >= _BLOCK_BYTES:
                    _write_block(file, block)
                    block, size = [], 0
            _write_block(file, block)
        runs = self._levels[level]
        runs.append(path)
        if len(runs) == _RUNS:
            self._write_run(level + 1, heapq.merge(*map(_read, runs)))
            for run in runs:
                run.unlink()
            runs.clear()


def identity_of(item: RawItem) -> str:
    """Return the identity of an item for `ExternalSort.days`."""
    pk, sk = key_of(item)
    return f"{pk}#{sk}"


def _batches(
    table: StarTable, entries: Iterator[_Entry], latest: dict[str, str]
) -> Iterator[list[Row]]:
    updated_at = table.position("updated_at")

    def updated(row: Row) -> str:
        return str(row[updated_at] or "")

    batch: list[Row] = []
    size = 0
    for sort_key, same in groupby(entries, key=itemgetter(0)):
        stored = [each for _, each in same]
        row: Row = max(map(marshal.loads, stored), key=updated)
        if latest and updated(row) < latest.get(sort_key[_IDENTITY], ""):
            continue
        batch.append(row)
        size += len(stored[0])
        if len(batch) == _BATCH_ROWS or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _write_block(file: BinaryIO, block: list[_Entry]) -> None:
    # The length allows one read per block: `marshal.load` reads a file byte by byte.
    content = marshal.dumps(block)
    file.write(len(content).to_bytes(_LENGTH_BYTES, "big") + content)


def _read(run: Path) -> Iterator[_Entry]:
    with run.open("rb") as file:
        while length := file.read(_LENGTH_BYTES):
            content = file.read(int.from_bytes(length, "big"))
            yield from marshal.loads(content)  # noqa: S302 -- written by this process
