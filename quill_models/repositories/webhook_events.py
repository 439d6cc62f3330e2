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

    An event whose identity is stored with another digest is a ``conflict``. Lists go from ``since``
    (inclusive) to ``until`` (exclusive), aware times, either of which may be left out;
    ``newest_first`` reverses them.
    """

    MODEL = WebhookEvent
    OPERATIONS = "webhook_events"

    def __init__(self, table: Table) -> None:
        super().__init__(table)
        # Of which the log knows already that they cannot be read.
        self._told: set[str] = set()

    # Work.

    @operation
    def claim(
        self, source: str, limit: int = 10, lease: timedelta = queue.LEASE
    ) -> list[WebhookEvent]:
        """Take events of a source that are due, the longest due first, to work on them.

        Due are new events, failed ones after their pause, and those whose worker gave no sign of
        life until its lease ended. Nobody else gets them before the lease ends. One request for
        each shard, which is all where nothing is due, and a transaction; a few more where several
        workers ask at the same moment.

        One that cannot be read, written by hand or by a newer version, stays where it is: the log
        tells of it once, at WARNING, and the others are taken. Past a hundred of those it does not
        look.

        Args:
            source: whose events.
            limit: at most so many; fewer where fewer are due, or others were faster.
            lease: how long they are held. Longer than the work on all of them takes, or `renew`
                them.

        Returns:
            The events, ``processing``, with ``attempts`` counted up.

        Raises:
            InvalidValue: some are due, and none that can be read; or a limit or lease of nothing.
        """
        return queue.claim(self._table, source, limit, lease, self._told)

    @operation
    def renew(self, event: WebhookEvent, lease: timedelta = queue.LEASE) -> WebhookEvent:
        """Hold an event for longer: ``lease`` from now. One request.

        Raises:
            LeaseLost: another worker has claimed it; nothing was written.
        """
        check_lease(lease)
        due_at = self._table.clock() + lease
        return self._change(event, lambda each: setattr(each, "due_at", due_at))

    @operation
    def complete(self, event: WebhookEvent) -> WebhookEvent:
        """Mark an event that is held as processed. One request; ``event`` is changed too.

        Raises:
            LeaseLost: the event is not held, or no longer; nothing was written.
        """
        return self._change(event, queue.complete)

    @operation
    def fail(
        self,
        event: WebhookEvent,
        error: BaseException | str,
        retry_in: timedelta | None = None,
    ) -> WebhookEvent:
        """Mark an event that is held as failed. One request; ``event`` is changed too.

        Args:
            event: the event, as it was claimed.
            error: what went wrong; kept as ``last_error``, its first 1,000 characters.
            retry_in: how long it rests; by default about ten seconds, and twice as long after each
                attempt, up to an hour.

        Returns:
            The event, ``failed``, or ``dead`` after as many attempts as the settings allow.

        Raises:
            LeaseLost: the event is not held, or no longer; nothing was written.
        """
        return send(self._table, queue.failing(self._table, event, error, retry_in))

    @operation
    def release(self, event: WebhookEvent) -> WebhookEvent:
        """Give an event that is held back, as if it had never been claimed. One request.

        Raises:
            LeaseLost: the event is not held, or no longer; nothing was written.
        """
        return self._change(event, queue.release)

    @operation
    def replay(self, event: WebhookEvent) -> WebhookEvent:
        """Let a failed or dead event be claimed again, at once, from its first attempt.

        One request, or two where the event has changed since it was read.

        Raises:
            InvalidValue: it is neither failed nor dead, or no longer there.
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
        """Work on the events of a source: claim, handle, complete or fail, and again.

        Any number of processes may do so at once. Leases are renewed in the background, so that a
        handler may take its time. SIGTERM ends it: events that are held are still handled, no
        others are claimed. An interrupt (Ctrl-C) ends it at once and gives back what is held.

        Args:
            source: whose events.
            handler: gets each event. When it returns, the event is completed, unless it did so
                itself, in a transaction with its results; when it raises, the event has failed.
            limit: how many events are claimed at a time.
            lease: after how long without a sign of life others get them.
            poll: how long to wait where nothing is due.
            until_empty: return where nothing is due, instead of waiting.
            stop: ends it when set, as SIGTERM does, which is heard in the main thread only.
            report: called after each event with the counts so far.

        Returns:
            The counts.

        Raises:
            InvalidValue: nothing is left but events that cannot be read, with ``until_empty``;
                or more of those than a claim goes past.
            QuillError: the table stopped answering. Events that were held come back to others.
        """
        check_lease(lease)
        stop = threading.Event() if stop is None else stop
        worker = Worker(self, handler, lease, report)
        with stopped_by_signal(stop):
            worker.run(source, limit, poll, stop, until_empty=until_empty)
        return worker.processed

    def _change(self, event: WebhookEvent, change: Callable[[WebhookEvent], None]) -> WebhookEvent:
        return send(self._table, queue.HolderUpdate(self._table, event, change))

    # Reads.

    @operation
    def get(self, source: str, event_key: str) -> WebhookEvent | None:
        """W1: the event, or ``None``. One strongly consistent request, a read unit per 4 KB."""
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
        """W2 and W3: the events of a source in a status. One request for each shard.

        Pending and processing events by the time they are due, failed, dead and processed ones by
        the time they occurred; ``since`` and ``until`` are of that time.

        Raises:
            InvalidValue: a naive time, or there is no such status.
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
        """W4: the events about one object by the time they occurred. One request a page."""
        partition = key_schema.events_of_object(source, object_type, object_id)
        return self._list("list_by_object", partition, index="gsi1", newest_first=newest_first)
