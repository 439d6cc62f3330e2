"""The composition root: settings in, connected repositories out."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from quill_models.clock import Clock, system_clock
from quill_models.current import enter, leave
from quill_models.datastore import DynamoDataStore
from quill_models.migrations import Migrations
from quill_models.repositories import (
    Agents,
    Interactions,
    JobRuns,
    Metrics,
    Transaction,
    WebhookEvents,
)
from quill_models.schema import Schema
from quill_models.settings import Settings
from quill_models.table import Table

__all__ = ["Quill", "connect"]


class Quill:
    """One table, and everything that is done with it. A context manager.

    Makes no request before its first use. Thread-safe. Two of them, on other endpoints or
    tables, do not disturb each other. Inside its ``with`` block PynamoDB's own calls on the
    models (``Agent.query``, ``agent.save()``) go to its table.

    Attributes:
        settings: what it was made from.
        schema: makes and checks the table.
        store: plain items under plain keys.
        agents: the repository of agents.
        interactions: the repository of interactions.
        metrics: the repository of metrics.
        job_runs: the repository of job runs.
        webhook_events: the repository of webhook events.
        migrations: brings a table that older versions made up to date.
    """

    def __init__(self, settings: Settings, clock: Clock = system_clock) -> None:
        self.settings = settings
        self._table = Table(settings, clock)
        self.store = DynamoDataStore(self._table)
        self.agents = Agents(self._table)
        self.interactions = Interactions(self._table)
        self.metrics = Metrics(self._table)
        self.job_runs = JobRuns(self._table)
        self.webhook_events = WebhookEvents(self._table)
        self.migrations = Migrations(self._table, self.job_runs)
        # A new table needs none of them.
        self.schema = Schema(self._table, created=self.migrations.record_created)

    @property
    def table(self) -> Table:
        """The requests under all of it, for what reads the table as a whole."""
        return self._table

    def transaction(self) -> Transaction:
        """Writes of several repositories that are done all or not at all; see `Transaction`.

        .. code-block:: python

            with quill.transaction() as tx:
                tx.interactions.record(interaction)
                tx.metrics.add(increment)
                tx.webhook_events.complete(event)
        """
        return Transaction(self._table)

    def close(self) -> None:
        """Close the connections. A later call opens new ones."""
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


def connect(settings: Settings | None = None, *, clock: Clock = system_clock) -> Quill:
    """A `Quill` for the settings; by default those of the environment and ``.env``. No request.

    Args:
        settings: see `Settings`.
        clock: what tells the time for expiry, leases and stamps, as an aware UTC ``datetime``.

    Raises:
        ConfigurationError: a setting is wrong.
    """
    return Quill(settings if settings is not None else Settings.load(), clock)
