"""The composition root: settings in, connected repositories out."""

from __future__ import annotations

from functools import cached_property
from types import TracebackType
from typing import Self

# Each of these folders loads a module when it is first used: a function that records events and
# nothing else does not wait for migrations to be imported.
from quill_models import migrations as _migrations
from quill_models import repositories
from quill_models import schema as _schema
from quill_models.dynamodb.current_table import enter, leave
from quill_models.dynamodb.table import Table
from quill_models.settings import Settings
from quill_models.telemetry.operations import Telemetry
from quill_models.values.clock import Clock, system_clock

__all__ = ["Quill", "connect"]


class Quill:
    """One table, and everything that is done with it. A context manager.

    Makes no request before its first use. Thread-safe. Two of them, on other endpoints or
    tables, do not disturb each other. Inside its ``with`` block PynamoDB's own calls on the
    models (``Agent.query``, ``agent.save()``) go to its table.

    What any request may raise, and no call says again: `TableNotFound`, `AccessDenied`,
    `RequestRejected`, and when it was sent again until the deadline of the settings in vain,
    `ServerUnreachable`, `Throttled` or `AnswerLost`; see `quill_models.errors`. Beside the requests
    that a call names, one read unit a minute tells the number of shards.

    Attributes:
        settings: what it was made from.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock = system_clock,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.settings = settings
        self._table = Table(settings, clock, telemetry)

    @cached_property
    def schema(self) -> _schema.Schema:
        """Makes the table, compares it with what the models declare, brings it up to date."""

        def created() -> None:
            # A new table needs no migration.
            self.migrations.record_created()

        return _schema.Schema(self._table, created=created)

    @cached_property
    def store(self) -> repositories.DynamoDataStore:
        """Plain items under plain keys."""
        return repositories.DynamoDataStore(self._table)

    @cached_property
    def agents(self) -> repositories.Agents:
        """Those who handle interactions."""
        return repositories.Agents(self._table)

    @cached_property
    def interactions(self) -> repositories.Interactions:
        """Calls, emails, chats … between an agent and a contact."""
        return repositories.Interactions(self._table)

    @cached_property
    def metrics(self) -> repositories.Metrics:
        """Numbers by scope, name and bucket of time."""
        return repositories.Metrics(self._table)

    @cached_property
    def job_runs(self) -> repositories.JobRuns:
        """Runs of jobs, their leases, and how far they have come."""
        return repositories.JobRuns(self._table)

    @cached_property
    def webhook_events(self) -> repositories.WebhookEvents:
        """Events of sources, remembered once, and the queue of those to work on."""
        return repositories.WebhookEvents(self._table)

    @cached_property
    def migrations(self) -> _migrations.Migrations:
        """Bring a table that an older version made up to date."""
        return _migrations.Migrations(self._table, self.job_runs)

    @property
    def table(self) -> Table:
        """The requests under all of it, for what reads the table as a whole."""
        return self._table

    def transaction(self) -> repositories.Transaction:
        """Writes of several repositories that are done all or not at all; see `Transaction`.

        No request before the end of its block.

        .. code-block:: python

            with quill.transaction() as tx:
                tx.interactions.record(interaction)
                tx.metrics.add(increment)
                tx.webhook_events.complete(event)
        """
        return repositories.Transaction(self._table)

    def close(self) -> None:
        """Close the connections. A later call opens new ones. No request."""
        self._table.close()

    def __enter__(self) -> Self:
        enter(self._table)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if leave(self._table):
            self.close()


def connect(
    settings: Settings | None = None,
    *,
    clock: Clock = system_clock,
    telemetry: Telemetry | None = None,
) -> Quill:
    """A `Quill` for the settings; by default those of the environment and ``.env``. No request.

    Args:
        settings: see `Settings`.
        clock: what tells the time for expiry, leases and stamps, as an aware UTC ``datetime``.
        telemetry: is told of each operation and each request; for OpenTelemetry an
            `quill_models.telemetry.OpenTelemetry`.

    Returns:
        The connection, which opens nothing before its first use.

    Raises:
        ConfigurationError: a setting is wrong.
    """
    return Quill(settings if settings is not None else Settings.load(), clock, telemetry)
