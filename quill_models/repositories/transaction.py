"""Writes of several repositories in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, Generic, Self, TypeVar

from quill_models.dynamodb.items import RawItem, new_token
from quill_models.dynamodb.table import Table
from quill_models.models import Agent, Increment, Interaction, Metric, WebhookEvent
from quill_models.models.base import QuillModel, name_of
from quill_models.repositories import event_queue
from quill_models.repositories.add_once import AddOnce
from quill_models.repositories.put_latest import PutLatest
from quill_models.repositories.record_once import RecordOnce
from quill_models.telemetry.operations import operation
from quill_models.values.errors import InvalidValue
from quill_models.values.keys import Key
from quill_models.writes.actions import (
    TRANSACTION_ACTIONS,
    Action,
    Add,
    Refusal,
    TransactionPlan,
    check_action,
)
from quill_models.writes.driver import send
from quill_models.writes.results import Outcome, TransactionRefused, WriteResult
from quill_models.writes.write import Write

__all__ = ["Transaction"]

M = TypeVar("M", bound=QuillModel)
Written = Agent | Interaction | Metric | Increment | WebhookEvent
Gather = Callable[[Write[Any]], None]


class Transaction:
    """Collects writes inside its ``with`` block and commits all or none of them at its end.

    An exception in the block writes nothing. Items that are stored with the same content
    (``duplicate``, ``unchanged``) or newer (``stale``) do not prevent the other writes. Cost: one
    request at twice the write units, and one more each time a condition fails.

    Attributes:
        agents: ``put``, see `Agents.put`.
        interactions: ``record`` and ``put``, see `Interactions`.
        metrics: ``put`` and ``add``, see `Metrics`.
        webhook_events: ``record``, ``complete`` and ``fail``, see `WebhookEvents`.
        results: The result of each write, in order, after the block. ``complete`` and ``fail``
            are ``updated``.
    """

    OPERATIONS = "transaction"

    def __init__(self, table: Table) -> None:
        self._table = table
        self._parts = _AllOrNone()
        # None before its block.
        self._is_open: bool | None = None
        self.results: list[WriteResult[Written]] = []
        self.agents = _AgentWrites(table, self._gather)
        self.interactions = _InteractionWrites(table, self._gather)
        self.metrics = _MetricWrites(table, self._gather)
        self.webhook_events = _WebhookEventWrites(table, self._gather)

    def __enter__(self) -> Self:
        if self._is_open is not None:
            raise InvalidValue(
                "The block of this transaction has ended. Call quill.transaction() again."
            )
        self._is_open = True
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._is_open = False
        if kind is None:
            self.results = self._commit()

    def _gather(self, write: Write[Any]) -> None:
        if not self._is_open:
            raise InvalidValue("Add writes to a transaction only inside its with block.")
        for action in write.actions:
            check_action(action)
        self._parts.add(write)

    @operation
    def _commit(self) -> list[WriteResult[Written]]:
        return send(self._table, self._parts) if self._parts.writes else []


class _AllOrNone(Write[list[WriteResult[Written]]]):
    """The writes of a transaction as one write.

    A settled part is left out of the next round. Each part gets the refusals of its own actions.

    Attributes:
        writes: The parts, in order.
    """

    def __init__(self) -> None:
        self.token = new_token()
        self.writes: list[Write[Any]] = []
        self._results: dict[int, WriteResult[Written]] = {}
        self._plan_again()

    def _plan_again(self) -> None:
        self._plan = TransactionPlan()
        self.actions = self._plan.actions

    def add(self, write: Write[Any]) -> None:
        """Add a part.

        Raises:
            InvalidValue: It writes to an item of another part, or the transaction is full.
        """
        self._take(len(self.writes), write)
        self.writes.append(write)

    def _take(self, at: int, write: Write[Any]) -> None:
        repeated = _repeated([*self._plan.actions, *write.actions])
        if repeated is not None:
            raise InvalidValue(
                f"The item {repeated.pk} / {repeated.sk} is already in this transaction. Write "
                "it in another one. Nothing was written."
            )
        if not self._plan.takes(at, write.actions):
            raise InvalidValue(
                f"The transaction is full with {len(self._plan.writes)} writes: the maximum is "
                f"{TRANSACTION_ACTIONS} actions and 4 MB. Split it. Nothing was written."
            )

    def done(self, stored: RawItem | None = None) -> list[WriteResult[Written]]:  # noqa: ARG002
        for at in self._plan.writes:
            self._results[at] = _result(self.writes[at].done())
        return [self._results[at] for at in sorted(self._results)]

    def settle(self, refusals: Sequence[Refusal | None]) -> list[WriteResult[Written]] | None:
        # Each part recognises its own token.
        return self.refused(refusals)

    def refused(self, refusals: Sequence[Refusal | None]) -> list[WriteResult[Written]] | None:
        plan = self._plan
        self._plan_again()
        for at in plan.writes:
            own = plan.refusals_of(at, refusals)
            result = self.writes[at].settle(own) if any(own) else None
            if result is None:
                self._take(at, self.writes[at])
            else:
                self._results[at] = _checked(_result(result))
        return None if self._plan.writes else self.done()


def _repeated(actions: Iterable[Action]) -> Key | None:
    """Return a key that two actions write to. Additions to one item are one action."""
    added: set[Key] = set()
    written: set[Key] = set()
    for action in actions:
        is_addition = isinstance(action, Add)
        if action.key in written or (action.key in added and not is_addition):
            return action.key
        (added if is_addition else written).add(action.key)
    return None


def _result(done: WriteResult[Written] | WebhookEvent) -> WriteResult[Written]:
    # Writes of the queue return the event.
    return done if isinstance(done, WriteResult) else WriteResult(Outcome.UPDATED, done)


def _checked(result: WriteResult[Written]) -> WriteResult[Written]:
    if result.outcome is Outcome.CONFLICT:
        raise TransactionRefused(
            f"{name_of(result.item)} is stored with other content. The transaction wrote nothing. "
            "Compare your item with error.result.item, the stored one.",
            result=result,
        )
    return result


class _RepositoryWrites:
    """The writes of one repository in a transaction."""

    def __init__(self, table: Table, gather: Gather) -> None:
        self._table = table
        self._gather = gather


class _PutWrites(_RepositoryWrites, Generic[M]):
    def put(self, item: M) -> None:
        """See `Agents.put`."""
        self._gather(PutLatest(self._table, item))


class _RecordWrites(_RepositoryWrites, Generic[M]):
    def record(self, item: M) -> None:
        """See `WebhookEvents.record`."""
        self._gather(RecordOnce(self._table, item))


class _AgentWrites(_PutWrites[Agent]):
    pass


class _InteractionWrites(_PutWrites[Interaction], _RecordWrites[Interaction]):
    pass


class _MetricWrites(_PutWrites[Metric]):
    def add(self, increment: Increment) -> None:
        """See `Metrics.add`."""
        self._gather(AddOnce(self._table, increment))


class _WebhookEventWrites(_RecordWrites[WebhookEvent]):
    def complete(self, event: WebhookEvent) -> None:
        """See `WebhookEvents.complete`. If it raises `LeaseLost`, nothing is written."""
        self._gather(event_queue.HolderUpdate(self._table, event, event_queue.complete))

    def fail(
        self, event: WebhookEvent, error: BaseException | str, retry_in: timedelta | None = None
    ) -> None:
        """See `WebhookEvents.fail`."""
        self._gather(event_queue.failing(self._table, event, error, retry_in))
