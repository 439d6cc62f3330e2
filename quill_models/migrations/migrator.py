"""The migrator, which applies pending migrations under a lock."""

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
# Short, so that the lock of a dead migrator is free soon.
LEASE = timedelta(seconds=30)
_POLL_SECONDS = 1.0
_CHECKSUM_SHOWN = 12


class State(StrEnum):
    """Status of a migration in a table."""

    APPLIED = "applied"
    PENDING = "pending"
    CHANGED = "changed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Standing:
    """Status of one migration, compared between its file and the table.

    Attributes:
        number: Number of the migration.
        name: Name from the file, or from the table if there is no file.
        description: Description from the file, or from the table if there is no file.
        state: ``applied``; ``pending``; ``changed`` if the file differs from the applied one;
            ``unknown`` if the migration was applied but has no file.
        checksum: Checksum of the file; ``None`` without a file.
        applied: The record in the table; ``None`` if the migration is pending.
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
        table: Table to migrate.
        job_runs: Job runs of the same table. The lease of a job run is the lock.
        package: Package of the numbered modules. The default is the one of quill_models.
    """

    OPERATIONS = "migrations"

    def __init__(self, table: Table, job_runs: JobRuns, package: ModuleType = versions) -> None:
        self._table = table
        self._job_runs = job_runs
        self._package = package
        self._history = History(table)

    @operation
    def status(self) -> list[Standing]:
        """Return the status of each migration, ordered by number; all pending without a table.

        Raises:
            InvalidMigrations: A number is missing or duplicate.

        Cost:
            One request. Writes nothing.
        """
        return _standings(find(self._package), self._history.applied() or {})

    @operation
    def plan(self, to: int | None = None) -> list[Migration]:
        """Return the pending migrations in the order in which `up` applies them.

        Args:
            to: Number of the last migration to include. The default is the last one.

        Raises:
            InvalidMigrations: A number is missing or duplicate.
            MigrationMismatch: A file was changed after it was applied, or is missing.
            InvalidValue: The migration ``to`` does not exist.

        Cost:
            One request. Writes nothing.
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
        """Apply the pending migrations in order, as the only migrator of the table.

        The lock is the lease of the job run ``quill-migrate``, window ``table``. If a migrator
        dies, it expires within half a minute. A transaction checks it and records the migration.

        Args:
            to: Number of the last migration to apply. The default is the last one.
            wait: Whether to wait for another migrator, or to raise `AlreadyRunning`.
            write_units: Maximum write units per second of a backfill. Overrides its own limit.
            listener: Callbacks for progress.

        Returns:
            The migrations that this call applied; empty if none was pending.

        Raises:
            InvalidMigrations, MigrationMismatch, InvalidValue: As for `plan`; nothing was applied.
            AlreadyRunning: Another migrator is running and ``wait`` is false; see ``.run``.
            MigrationFailed: A migration raised an error. It and all later ones stay pending.
            LeaseLost: Another migrator took over.

        Cost:
            One request if none is pending. Otherwise some for the lock, one transaction for each
            migration, and the requests of the migrations, see `Step`.
        """
        listener = listener or Listener()
        RateLimit(write_units)  # Raises for an invalid limit before any write.
        applied = self._history.applied()
        pending = self._pending(to, applied or {})
        if not pending:
            return []
        if applied is None:
            # The lock needs the table. Concurrent migrators still create it only once.
            _run(pending[0], Step(self._table, pending[0].identity, None, listener))
        holder: JobRun | None = None
        while self.plan(to):
            try:
                lock = self._job_runs.start(JOB, WINDOW, LEASE, force=True)
            except AlreadyRunning as error:
                if not wait:
                    raise
                if holder is None or holder.run_id != error.run.run_id:
                    holder = error.run
                    _log.info("Waiting for the migrator %s", holder.owner)
                    listener.report(_waiting_text(error.run))
                time.sleep(_POLL_SECONDS)
                continue
            with lock as run:
                done: list[Applied] = []
                for migration in self.plan(to):
                    done.append(self._apply(migration, run, write_units, listener))
                    run.stats["applied"] = [each.name for each in done]
                return done
        return []

    def record_created(self) -> None:
        """Record all migrations as applied to a table that was created with their changes.

        Cost:
            One transaction.
        """
        now, owner = self._table.clock(), f"{socket.gethostname()}:{os.getpid()}"
        created = [Applied(*_facts(each), now, Decimal(0), owner) for each in find(self._package)]
        self._history.record_created(created)

    def _pending(self, to: int | None, applied: Mapping[int, Applied]) -> list[Migration]:
        files = find(self._package)
        if to is not None and not 1 <= to <= len(files):
            raise InvalidValue(f"migration {to} does not exist; the last one is {files[-1].name}")
        standings = _standings(files, applied)
        mismatches = [
            _mismatch(each, each.applied)
            for each in standings
            if each.applied is not None and each.state is not State.APPLIED
        ]
        if mismatches:
            raise MigrationMismatch("\n".join([*mismatches, "Nothing was applied."]))
        return [each for each in files[:to] if each.number not in applied]

    def _apply(
        self, migration: Migration, run: Run, write_units: float | None, listener: Listener
    ) -> Applied:
        extra = {"quill_table": self._table.name, "quill_migration": migration.name}
        _log.info("Migration %s started", migration.name, extra=extra)
        listener.report(f"{migration.name}: {migration.description}")
        started = time.monotonic()
        step = Step(self._table, migration.identity, run, listener, write_units)
        _run(migration, step)
        seconds = Decimal(f"{time.monotonic() - started:.3f}")
        counts = (step.seen, step.changed)
        now = self._table.clock()
        applied = Applied(*_facts(migration), now, seconds, run.owner, run.fencing_token, *counts)
        self._history.record(applied, run)
        message = "Migration %s was applied: %s s, %d items seen, %d changed"
        _log.info(message, migration.name, seconds, *counts, extra=extra)
        run.save_checkpoint({})  # The positions of its backfills are no longer needed.
        return applied


def _waiting_text(holder: JobRun) -> str:
    return (
        f"waiting for another migrator: {holder.owner}, running since "
        f"{holder.started_at:%Y-%m-%d %H:%M:%S} UTC; its lease expires at "
        f"{holder.lease_expires_at:%H:%M:%S} unless it is renewed"
    )


def _run(migration: Migration, step: Step) -> None:
    try:
        migration.up(step)
    except LeaseLost:
        raise
    # A migration that exits was not applied, not even with status 0.
    except (Exception, SystemExit) as error:
        raise MigrationFailed(
            f"Migration {migration.name} failed and stays pending: {type(error).__name__}: "
            f"{error}\nEarlier migrations are applied. Fix the cause and run quill migrate up "
            "again; a backfill continues at its saved position.",
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
    was = f"was applied at {applied.applied_at:%Y-%m-%d %H:%M:%S} UTC"
    if standing.checksum is None:
        return (
            f"Migration {applied.name} {was}, but is not in this package, which is older than the "
            "table. Install the version that applied the migration, or a later one."
        )
    before, now = (each[:_CHECKSUM_SHOWN] for each in (applied.checksum, standing.checksum))
    return (
        f"Migration {standing.name} {was}, but its file was changed since: its checksum was "
        f"{before}… and is now {now}…. Restore the file, and move the change to a new migration."
    )
