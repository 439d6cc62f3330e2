"""The composition root: from settings to connected repositories."""

from __future__ import annotations

from functools import cached_property
from typing import Self

# Each of these packages loads its modules when they are first used. So a function that only
# records events does not import migrations.
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
    """The connection to one table, as a context manager. Thread-safe.

    It sends no request before its first use. Several connections to other endpoints or tables are
    independent. Inside the ``with`` block, PynamoDB's own calls (``Agent.query``,
    ``agent.save()``) use its table.

    Any request can raise `TableNotFound`, `AccessDenied` or `RequestRejected`, and after retries
    until the deadline `ServerUnreachable`, `Throttled` or `AnswerLost`; see `quill_models.errors`.
    In addition to the cost of each call, the number of shards costs one read unit a minute.

    Attributes:
        settings: The settings of the connection.
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
        """Create the table, compare it with the models, and update it."""

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
        """People who handle interactions."""
        return repositories.Agents(self._table)

    @cached_property
    def interactions(self) -> repositories.Interactions:
        """Calls, emails, chats and the like between an agent and a contact."""
        return repositories.Interactions(self._table)

    @cached_property
    def metrics(self) -> repositories.Metrics:
        """Numbers by scope, name and time bucket."""
        return repositories.Metrics(self._table)

    @cached_property
    def job_runs(self) -> repositories.JobRuns:
        """Job runs with leases, checkpoints and watermarks."""
        return repositories.JobRuns(self._table)

    @cached_property
    def webhook_events(self) -> repositories.WebhookEvents:
        """Events of sources, recorded once, and the queue of due events."""
        return repositories.WebhookEvents(self._table)

    @cached_property
    def migrations(self) -> _migrations.Migrations:
        """Migrations of a table of an older version."""
        return _migrations.Migrations(self._table, self.job_runs)

    @property
    def table(self) -> Table:
        """The table with its requests, for exports and migrations."""
        return self._table

    def transaction(self) -> repositories.Transaction:
        """Return a `Transaction`: writes of several repositories, all or none.

        Cost: no request before the end of its block.

        .. code-block:: python

            with quill.transaction() as tx:
                tx.interactions.record(interaction)
                tx.metrics.add(increment)
                tx.webhook_events.complete(event)
        """
        return repositories.Transaction(self._table)

    def close(self) -> None:
        """Close the connections. A later call opens new ones. Cost: no request."""
        self._table.close()

    def __enter__(self) -> Self:
        enter(self._table)
        return self

    def __exit__(self, *_: object) -> None:
        if leave(self._table):
            self.close()


def connect(
    settings: Settings | None = None,
    *,
    clock: Clock = system_clock,
    telemetry: Telemetry | None = None,
) -> Quill:
    """Return a `Quill` for one table. It opens no connection before its first use.

    Args:
        settings: The settings. By default those of the environment and ``.env``.
        clock: Returns the time for expiry, leases and stamps, as an aware UTC ``datetime``.
        telemetry: Gets each operation and request. Pass `quill_models.telemetry.OpenTelemetry`
            for OpenTelemetry.

    Raises:
        ConfigurationError: A setting is wrong.

    Cost:
        No request.
    """
    return Quill(settings if settings is not None else Settings.load(), clock, telemetry)
