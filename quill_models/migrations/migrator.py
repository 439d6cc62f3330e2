"""The migrator: what is pending, and bringing it about, as the only one."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from types import ModuleType

from quill_models.dynamodb.rate_limit import RateLimit
from quill_models.dynamodb.table import Table
from quill_models.migrations import versions
from quill_models.migrations.catalog import Migration, find
from quill_models.migrations.history import Applied, History
from quill_models.migrations.step import Listener, Step
from quill_models.models import JobRun
from quill_models.repositories import JobRuns, Run
from quill_models.repositories.job_attempts import AlreadyRunning
from quill_models.telemetry.operations import operation
from quill_models.values.errors import InvalidValue, LeaseLost, MigrationFailed, MigrationMismatch

__all__ = ["Migrations", "Standing", "State"]

_log = logging.getLogger("quill_models.migrations")

JOB, WINDOW = "quill-migrate", "table"
# Short, so that the lock of a dead migrator passes on soon.
LEASE = timedelta(seconds=30)
_LOOK_SECONDS = 1.0
_CHECKSUM_SHOWN = 12


class State(StrEnum):
    """Where a migration stands."""

    APPLIED = "applied"
    PENDING = "pending"
    CHANGED = "changed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Standing:
    """One migration, as its file and the table have it.

    Attributes:
        number: of the file; where there is none, of the history.
        name: likewise.
        description: likewise.
        state: ``applied``; ``pending``; ``changed`` if the file is not the one that was applied;
            ``unknown`` if there is no such file.
        checksum: of the file.
        applied: what the table knows of it.
    """

    number: int
    name: str
    description: str
    state: State
    checksum: str | None
    applied: Applied | None


class Migrations:
    """The migrations of one table.

    Args:
        table: the table.
        job_runs: whose lease is the lock.
        package: which has the numbered modules; by default those that came with this one.
    """

    OPERATIONS = "migrations"

    def __init__(self, table: Table, job_runs: JobRuns, package: ModuleType = versions) -> None:
        self._table = table
        self._job_runs = job_runs
        self._package = package
        self._history = History(table)

    @operation
    def status(self) -> list[Standing]:
        """Where each migration stands, by number. One request; writes nothing.

        Without a table all are pending.

        Raises:
            InvalidMigrations: the files are not in order.
        """
        return _standings(find(self._package), self._history.applied() or {})

    @operation
    def plan(self, to: int | None = None) -> list[Migration]:
        """What `up` would do, in order. One request; writes nothing.

        Args:
            to: the last number; by default the last there is.

        Raises:
            InvalidMigrations: the files are not in order.
            MigrationMismatch: a file was changed after it was applied, or is missing.
            InvalidValue: there is no migration ``to``.
        """
        return self._pending(to, self._history.applied() or {})

    @operation
    def up(
        self,
        *,
        to: int | None = None,
        wait: bool = True,
        write_units: float | None = None,
        listener: Listener | None = None,
    ) -> list[Applied]:
        """Apply what is pending, in order of number, while nobody else does.

        The lock is the lease of a job run (``quill-migrate`` for ``table``). It is renewed in the
        background; that of a dead migrator passes on when it ends, within half a minute. Each
        migration is recorded when it is done, on the condition that the lock is still held.

        One request where nothing is pending; else some for the lock, a transaction for each
        migration, and what the migrations themselves cost, see `Step`.

        Args:
            to: the last number; by default the last there is.
            wait: for another migrator to end; else `AlreadyRunning` is raised.
            write_units: the most that a backfill may write in a second, whatever it asks for.
            listener: is told what is done.

        Returns:
            What this call applied; nothing, without a write, where nothing was pending.

        Raises:
            InvalidMigrations, MigrationMismatch, InvalidValue: as `plan`; nothing was done.
            AlreadyRunning: another migrator is at work, and ``wait`` is false; ``.run`` says who.
            MigrationFailed: one raised an error. It stays pending, and so do those after it.
            LeaseLost: another migrator took over in between.
        """
        listener = listener or Listener()
        RateLimit(write_units)  # Raises before anything is done, if it is not a limit.
        applied = self._history.applied()
        pending = self._pending(to, applied or {})
        if not pending:
            return []
        if applied is None:
            # Without a table there is no lock. Creating it is done once, whoever tries.
            _run(pending[0], Step(self._table, pending[0].identity, None, listener))
        holder: JobRun | None = None
        # Another migrator may apply it while this one waits.
        while self.plan(to):
            try:
                lock = self._job_runs.start(JOB, WINDOW, LEASE, force=True)
            except AlreadyRunning as error:
                if not wait:
                    raise
                if holder is None or holder.run_id != error.run.run_id:
                    holder = error.run
                    _log.info("Waiting for the migrator %s", holder.owner)
                    listener.report(_waits_for(error.run))
                time.sleep(_LOOK_SECONDS)
                continue
            with lock as run:
                done: list[Applied] = []
                for migration in self.plan(to):
                    done.append(self._apply(migration, run, write_units, listener))
                    run.stats["applied"] = [each.name for each in done]
                return done
        return []

    def record_created(self) -> None:
        """Record all, in one transaction, for a table just created with what they bring."""
        now, owner = self._table.clock(), f"{socket.gethostname()}:{os.getpid()}"
        created = [Applied(*_facts(each), now, Decimal(0), owner) for each in find(self._package)]
        self._history.record_created(created)

    def _pending(self, to: int | None, applied: Mapping[int, Applied]) -> list[Migration]:
        files = find(self._package)
        if to is not None and not 1 <= to <= len(files):
            raise InvalidValue(f"there is no migration {to}; the last one is {files[-1].name}")
        standings = _standings(files, applied)
        wrong = [
            _mismatch(each, each.applied)
            for each in standings
            if each.applied is not None and each.state is not State.APPLIED
        ]
        if wrong:
            raise MigrationMismatch("\n".join([*wrong, "Nothing was applied."]))
        return [each for each in files[:to] if each.number not in applied]

    def _apply(
        self, migration: Migration, run: Run, write_units: float | None, listener: Listener
    ) -> Applied:
        extra = {"quill_table": self._table.name, "quill_migration": migration.name}
        _log.info("Migration %s begins", migration.name, extra=extra)
        listener.report(f"{migration.name}: {migration.description}")
        started = time.monotonic()
        step = Step(self._table, migration.identity, run, listener, write_units)
        _run(migration, step)
        seconds = Decimal(f"{time.monotonic() - started:.3f}")
        counts = (step.seen, step.changed)
        now = self._table.clock()
        applied = Applied(*_facts(migration), now, seconds, run.owner, run.fencing_token, *counts)
        self._history.record(applied, run)
        message = "Migration %s is applied: %s s, %d items seen, %d changed"
        _log.info(message, migration.name, seconds, *counts, extra=extra)
        run.save_checkpoint({})  # The positions of its backfills are no longer needed.
        return applied


def _waits_for(holder: JobRun) -> str:
    return (
        f"waiting for another migrator: {holder.owner}, at work since "
        f"{holder.started_at:%Y-%m-%d %H:%M:%S} UTC, whose lease ends at "
        f"{holder.lease_expires_at:%H:%M:%S} unless renewed"
    )


def _run(migration: Migration, step: Step) -> None:
    try:
        migration.up(step)
    except LeaseLost:
        raise
    # One that exits has not done what it shall, whatever status it names.
    except (Exception, SystemExit) as error:
        raise MigrationFailed(
            f"The migration {migration.name} failed and stays pending: {type(error).__name__}: "
            f"{error}\nThose before it are applied. Mend the cause and run quill migrate up again; "
            "a backfill goes on where it was.",
            migration=migration.name,
        ) from error


def _facts(migration: Migration) -> tuple[int, str, str, str]:
    return migration.number, migration.name, migration.description, migration.checksum


def _standings(files: list[Migration], applied: Mapping[int, Applied]) -> list[Standing]:
    by_number = {each.number: each for each in files}

    def standing(number: int) -> Standing:
        file, record = by_number.get(number), applied.get(number)
        known, checksum = file or applied[number], None if file is None else file.checksum
        if file is None:
            state = State.UNKNOWN
        elif record is None:
            state = State.PENDING
        else:
            state = State.APPLIED if record.checksum == checksum else State.CHANGED
        return Standing(number, known.name, known.description, state, checksum, record)

    return [standing(number) for number in sorted({*by_number, *applied})]


def _mismatch(standing: Standing, applied: Applied) -> str:
    was = f"was applied on {applied.applied_at:%Y-%m-%d %H:%M:%S} UTC"
    if standing.checksum is None:
        return (
            f"The migration {applied.name} {was} and is not among the files: this package is older "
            "than the table. Install the one that migrated it, or a later one."
        )
    before, now = (each[:_CHECKSUM_SHOWN] for each in (applied.checksum, standing.checksum))
    return (
        f"The migration {standing.name} {was} and its file was changed since: its checksum was "
        f"{before}… and is {now}…. Bring the file back, and put the change into a new migration."
    )
