"""Writes of several repositories, all of them or none."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from quill_models.dynamodb.backoff import Backoff
from quill_models.dynamodb.table import Table
from quill_models.models import Agent, Increment, Interaction, Metric, WebhookEvent
from quill_models.repositories import event_queue
from quill_models.repositories.add_once import AddOnce
from quill_models.repositories.put_latest import PutLatest
from quill_models.repositories.record_once import RecordEvent, RecordFact
from quill_models.telemetry.operations import operation
from quill_models.values.errors import InvalidValue
from quill_models.values.keys import Key
from quill_models.writes.actions import (
    TRANSACTION_ACTIONS,
    Action,
    Add,
    TransactionPlan,
    check_action,
)
from quill_models.writes.driver import contended
from quill_models.writes.results import Outcome, TransactionRefused, WriteResult
from quill_models.writes.write import Write

__all__ = ["Transaction"]

Written = Agent | Interaction | Metric | Increment | WebhookEvent
Gather = Callable[[Write[Any]], None]


class Transaction:
    """Gathers writes inside its ``with`` block and does all or none of them at its end.

    An exception in the block leaves everything as it was. What is stored already with the same
    content (``duplicate``, ``unchanged``), and what is older than what is stored (``stale``), does
    not stand in the way of the rest. One request where nothing stands in the way, at twice the
    write units; one more for each time that something does.

    Attributes:
        agents: ``put``, as `Agents.put`.
        interactions: ``record`` and ``put``, as those of `Interactions`.
        metrics: ``put`` and ``add``, as those of `Metrics`.
        webhook_events: ``record``, ``complete`` and ``fail``, as those of `WebhookEvents`.
        results: what each write did, in order, once the block has been left; ``complete`` and
            ``fail`` are ``updated``.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._writes: list[Write[Any]] = []
        # None before its block.
        self._is_open: bool | None = None
        self.results: list[WriteResult[Written]] = []
        self.agents = _Agents(table, self._gather)
        self.interactions = _Interactions(table, self._gather)
        self.metrics = _Metrics(table, self._gather)
        self.webhook_events = _WebhookEvents(table, self._gather)

    def __enter__(self) -> Self:
        if self._is_open is not None:
            raise InvalidValue(
                "this transaction has had its block; for other writes begin another one"
            )
        self._is_open = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_open = False
        if kind is None:
            self.results = self._commit()

    def _gather(self, write: Write[Any]) -> None:
        if not self._is_open:
            # Nobody would ever send it.
            raise InvalidValue("a write can be put into a transaction only inside its with block")
        for action in write.actions():
            check_action(action)
        # Found out now, and not when all work is done.
        self._plan({**dict(enumerate(self._writes)), len(self._writes): write})
        self._writes.append(write)

    def _plan(self, writes: dict[int, Write[Any]]) -> TransactionPlan:
        repeated = _repeated(action for write in writes.values() for action in write.actions())
        if repeated is not None:
            raise InvalidValue(
                f"{repeated.pk} / {repeated.sk} is in this transaction already, which may write "
                "to an item once; nothing was written"
            )
        plan = TransactionPlan()
        for at, write in writes.items():
            if not plan.takes(at, write.actions()):
                raise InvalidValue(
                    f"a transaction holds up to {TRANSACTION_ACTIONS} actions and 4 MB, and this "
                    f"one is full with {len(writes) - 1} writes; nothing was written"
                )
        return plan

    @operation("transaction.commit")
    def _commit(self) -> list[Any]:
        waiting = dict(enumerate(self._writes))
        results: dict[int, WriteResult[Written]] = {}
        backoff = Backoff(self._table.settings.deadline)
        told = False
        while waiting:
            plan = self._plan(waiting)
            not_done = plan.send(self._table)
            if not_done is None:
                results |= {at: _result(write.done()) for at, write in waiting.items()}
                break
            moved = False
            for at, write in list(waiting.items()):
                refusals = plan.refusals_of(at, not_done)
                if any(refusals):
                    moved = True
                    result = write.refused(refusals)
                    if result is not None:
                        results[at] = _not_in_the_way(_result(result))
                        del waiting[at]
            if moved and not told:
                told = True
            elif not backoff.wait("Contention"):
                raise contended(next(iter(waiting.values())), self._table.settings.deadline)
        return [results[at] for at in sorted(results)]


def _repeated(actions: Iterable[Action]) -> Key | None:
    """A key that two actions write to. Additions to one item are one action."""
    added: set[Key] = set()
    written: set[Key] = set()
    for action in actions:
        is_addition = isinstance(action, Add)
        if action.key in written or (action.key in added and not is_addition):
            return action.key
        (added if is_addition else written).add(action.key)
    return None


def _result(done: WriteResult[Written] | WebhookEvent) -> WriteResult[Written]:
    # Work on the queue gives the event as it is now.
    return done if isinstance(done, WriteResult) else WriteResult(Outcome.UPDATED, done)


def _not_in_the_way(result: WriteResult[Written]) -> WriteResult[Written]:
    if result.outcome is Outcome.CONFLICT:
        raise TransactionRefused(
            f"{result.item!r} is stored with other content; nothing of the transaction was "
            "written.",
            result=result,
        )
    return result


class _Part:
    """What one repository can put into a transaction."""

    def __init__(self, table: Table, gather: Gather) -> None:
        self._table = table
        self._gather = gather


class _Agents(_Part):
    def put(self, agent: Agent) -> None:
        """As `Agents.put`."""
        self._gather(PutLatest(self._table, agent))


class _Interactions(_Part):
    def record(self, interaction: Interaction) -> None:
        """As `Interactions.record`."""
        self._gather(RecordFact(self._table, interaction))

    def put(self, interaction: Interaction) -> None:
        """As `Interactions.put`."""
        self._gather(PutLatest(self._table, interaction))


class _Metrics(_Part):
    def put(self, metric: Metric) -> None:
        """As `Metrics.put`."""
        self._gather(PutLatest(self._table, metric))

    def add(self, increment: Increment) -> None:
        """As `Metrics.add`."""
        self._gather(AddOnce(self._table, increment))


class _WebhookEvents(_Part):
    def record(self, event: WebhookEvent) -> None:
        """As `WebhookEvents.record`."""
        self._gather(RecordEvent(self._table, event))

    def complete(self, event: WebhookEvent) -> None:
        """As `WebhookEvents.complete`: where it raises `LeaseLost`, nothing is written."""
        self._gather(event_queue.Change(self._table, event, event_queue.complete))

    def fail(
        self, event: WebhookEvent, error: BaseException | str, retry_in: timedelta | None = None
    ) -> None:
        """As `WebhookEvents.fail`."""
        self._gather(event_queue.failing(self._table, event, error, retry_in))
