"""Webhook events."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from quill_models.dynamodb.table import Table
from quill_models.models import EventStatus, WebhookEvent, key_schema
from quill_models.reads.query import Query
from quill_models.repositories import event_queue as queue
from quill_models.repositories.lease import check_lease
from quill_models.repositories.repository import Records
from quill_models.repositories.worker import Handler, Processed, Worker, stopped_by_signal
from quill_models.telemetry.operations import operation
from quill_models.values.conversion import choice
from quill_models.writes.driver import send

__all__ = ["WebhookEvents"]


class WebhookEvents(Records[WebhookEvent]):
    """The webhook events of the table.

    An event whose identity is stored with another digest is a ``conflict``. Lists cover ``since``
    (inclusive) to ``until`` (exclusive), aware times, both optional. ``newest_first`` reverses
    the order.
    """

    MODEL = WebhookEvent
    OPERATIONS = "webhook_events"

    def __init__(self, table: Table) -> None:
        super().__init__(table)
        # Sort keys of unreadable events that the log has named.
        self._logged: set[str] = set()

    @operation
    def claim(
        self, source: str, limit: int = 10, lease: timedelta = queue.LEASE
    ) -> list[WebhookEvent]:
        """Claim due events of a source, the longest due first.

        An event is due if it is new, if its backoff has passed, or if its lease expired. Until the
        lease expires, no other worker can claim the returned events. An unreadable event is
        skipped, and the log names it once at WARNING. At most 100 of those are skipped.

        Args:
            source: Source name, such as ``hubspot``.
            limit: Maximum number of events, at least 1.
            lease: How long the events stay leased. Choose more than the processing time of all
                returned events, or call `renew`.

        Returns:
            The events, ``processing``, with ``attempts`` incremented. Fewer than ``limit`` if
            fewer are due or other workers were faster.

        Raises:
            InvalidValue: Events are due, but none of them can be read. Or ``limit`` or ``lease``
                is not positive.

        Cost:
            One query for each shard, and one transaction if any event is due. A few more requests
            if several workers claim at the same moment.
        """
        return queue.claim(self._table, source, limit, lease, self._logged)

    @operation
    def renew(self, event: WebhookEvent, lease: timedelta = queue.LEASE) -> WebhookEvent:
        """Extend the lease of a claimed event to ``lease`` from now. Cost: one request.

        Raises:
            LeaseLost: Another worker has claimed the event. Nothing was written.
        """
        check_lease(lease)
        due_at = self._table.clock() + lease
        return self._change(event, lambda each: setattr(each, "due_at", due_at))

    @operation
    def complete(self, event: WebhookEvent) -> WebhookEvent:
        """Mark a claimed event as processed, in the table and in ``event``. Cost: one request.

        Raises:
            LeaseLost: The event is not leased, or its lease was lost. Nothing was written.
        """
        return self._change(event, queue.complete)

    @operation
    def fail(
        self,
        event: WebhookEvent,
        error: BaseException | str,
        retry_in: timedelta | None = None,
    ) -> WebhookEvent:
        """Mark a claimed event as failed, in the table and in ``event``. Cost: one request.

        Args:
            event: The event that `claim` returned.
            error: The reason. Its first 1,000 characters are stored as ``last_error``.
            retry_in: The backoff. By default about ten seconds, doubled by each attempt, up to an
                hour.

        Returns:
            The event, ``failed``, or ``dead`` after the maximum attempts of the settings.

        Raises:
            LeaseLost: The event is not leased, or its lease was lost. Nothing was written.
        """
        return send(self._table, queue.failing(self._table, event, error, retry_in))

    @operation
    def release(self, event: WebhookEvent) -> WebhookEvent:
        """Return a claimed event to ``pending`` and undo its attempt. Cost: one request.

        Raises:
            LeaseLost: The event is not leased, or its lease was lost. Nothing was written.
        """
        return self._change(event, queue.release)

    @operation
    def replay(self, event: WebhookEvent) -> WebhookEvent:
        """Make a failed or dead event due immediately, with its attempts reset.

        Raises:
            InvalidValue: The event is neither failed nor dead, or does not exist.

        Cost:
            One request, or two if the event has changed since it was read.
        """
        return send(self._table, queue.Replay(self._table, event))

    def process(
        self,
        source: str,
        handler: Handler,
        *,
        limit: int = 10,
        lease: timedelta = queue.LEASE,
        poll: timedelta = timedelta(seconds=5),
        until_empty: bool = False,
        stop: threading.Event | None = None,
        report: Callable[[Processed], object] | None = None,
    ) -> Processed:
        """Process the events of a source in a loop: claim, handle, complete or fail.

        Any number of processes can do so at once. Leases are renewed in the background, so a
        handler can run longer than a lease. After SIGTERM, claimed events are still handled, and
        no others are claimed. An interrupt (Ctrl-C) stops at once and releases claimed events.

        Args:
            source: Source name.
            handler: Called with each event. If it returns, the event is completed, unless the
                handler did so in a transaction with its results. If it raises, the event fails.
            limit: Maximum number of events claimed at a time.
            lease: Time without a renewal after which other workers can claim an event.
            poll: Time to wait if no event is due.
            until_empty: Return if no event is due, instead of waiting.
            stop: Stops the loop when set, as SIGTERM does. Signals arrive in the main thread only.
            report: Called after each event with the counts so far.

        Returns:
            The counts.

        Raises:
            InvalidValue: With ``until_empty``, only unreadable events are left. Or more of them
                are due than a claim skips.
            QuillError: The table stopped responding. Leases expire, then others can claim.

        Cost:
            The requests of `claim`, and of `complete` or `fail` for each event. Renewals are one
            request for each event and third of a lease.
        """
        check_lease(lease)
        stop = threading.Event() if stop is None else stop
        worker = Worker(self, handler, lease, report)
        with stopped_by_signal(stop):
            worker.run(source, limit, poll, stop, until_empty=until_empty)
        return worker.processed

    def _change(self, event: WebhookEvent, change: Callable[[WebhookEvent], None]) -> WebhookEvent:
        return send(self._table, queue.HolderUpdate(self._table, event, change))

    @operation
    def get(self, source: str, event_key: str) -> WebhookEvent | None:
        """Return an event, or ``None`` (W1). Cost: one consistent read, a read unit per 4 KB."""
        return self._read(key_schema.webhook_event(source, event_key))

    def list_by_status(
        self,
        source: str,
        status: EventStatus | str,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        newest_first: bool = False,
    ) -> Query[WebhookEvent]:
        """List the events of a source in a status (W2, W3). Cost: one query for each shard.

        Pending and processing events are ordered by ``due_at``, the others by ``occurred_at``.
        ``since`` and ``until`` refer to the same time.

        Raises:
            InvalidValue: A time is naive, or the status does not exist.
        """
        status = choice(EventStatus, status, "status")
        whole = since is None and until is None
        return self._list(
            "list_by_status",
            lambda shard: key_schema.events_of_status(source, status, shard),
            index="gsi3",
            between=None if whole else key_schema.events_between(since, until),
            newest_first=newest_first,
        )

    def list_by_object(
        self, source: str, object_type: str, object_id: str, *, newest_first: bool = False
    ) -> Query[WebhookEvent]:
        """List the events of an object by ``occurred_at`` (W4). Cost: one query a page."""
        partition = key_schema.events_of_object(source, object_type, object_id)
        return self._list("list_by_object", partition, index="gsi1", newest_first=newest_first)
