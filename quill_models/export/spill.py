"""Rows put in order on disk, so that memory holds a few thousand of them, however many there are.

A scan comes in no order. Rows are gathered until they fill a buffer, which is sorted and written
as a run; the runs are merged at the end. So there is one open file for each run and none for each
day, and the files that come of it do not depend on the order in which the items came.
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

__all__ = ["Spill", "identity_of"]

_BUFFER_BYTES = 16 * 1024 * 1024
# Of each run so much is in memory while it is merged.
_BLOCK_BYTES = 8 * 1024
# So many runs are merged at once: two gigabytes before any row is written a second time.
_RUNS = 128
# What Python needs for a row beside its bytes.
_OVERHEAD = 200
_LENGTH_BYTES = 4

# Where a row belongs (its table, its time, its key), and the row.
_Entry = tuple[str, bytes]

_RANKS = {table.name: str(rank) for rank, table in enumerate(TABLES)}
# A position is the rank of the table, a time or as many spaces, and the identity.
_TABLE_AND_DAY, _DAY, _IDENTITY = slice(0, 11), slice(1, 11), slice(28, None)
# What is given back at once.
_BATCH_ROWS, _BATCH_BYTES = 1_000, 1024 * 1024


class Spill:
    """Takes rows in any order, and gives them back table by table, day by day, by time.

    Runs are written into ``folder``, which has to be there, when ``buffer_bytes`` are in memory.
    """

    def __init__(self, folder: Path, *, buffer_bytes: int = _BUFFER_BYTES) -> None:
        self._folder = folder
        self._buffer_bytes = buffer_bytes
        self._buffer: list[_Entry] = []
        self._size = 0
        self._runs_made = 0
        # Those of a level are merged into one of the next.
        self._levels: defaultdict[int, list[Path]] = defaultdict(list)

    def add(self, table: StarTable, item: RawItem) -> None:
        """Take the row of an item; `InvalidValue`, if the item cannot be a row."""
        stored = marshal.dumps(table.row(item))
        position = f"{_RANKS[table.name]}{table.time(item):27}{identity_of(item)}"
        self._buffer.append((position, stored))
        self._size += len(position) + len(stored) + _OVERHEAD
        if self._size >= self._buffer_bytes:
            self._write_buffer()

    def days(
        self, latest: dict[str, str] | None = None
    ) -> Iterator[tuple[StarTable, str, Iterator[list[Row]]]]:
        """For each table and day, in order, batches of its rows by time, each identity once.

        Use up the batches of a day before the next one. The day is empty where the table is one
        file. Of rows with one time and identity the one that was updated last counts.

        Args:
            latest: for identities (see `identity_of`) when they were updated last; rows that say
                less are left out. For the few that may have moved to another day meanwhile.
        """
        if self._runs_made:
            # From here on what reads the rows has the memory.
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
        """Write entries that are in order; then merge the runs of the level, if they are many."""
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
    """What `Spill.days` knows an item by."""
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
    for position, same in groupby(entries, key=itemgetter(0)):
        stored = [each for _, each in same]
        row: Row = max(map(marshal.loads, stored), key=updated)
        if latest and updated(row) < latest.get(position[_IDENTITY], ""):
            continue
        batch.append(row)
        size += len(stored[0])
        if len(batch) == _BATCH_ROWS or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _write_block(file: BinaryIO, block: list[_Entry]) -> None:
    # With its length: `marshal.load` reads a file byte by byte.
    content = marshal.dumps(block)
    file.write(len(content).to_bytes(_LENGTH_BYTES, "big") + content)


def _read(run: Path) -> Iterator[_Entry]:
    with run.open("rb") as file:
        while length := file.read(_LENGTH_BYTES):
            content = file.read(int.from_bytes(length, "big"))
            yield from marshal.loads(content)  # noqa: S302 -- written by this process
