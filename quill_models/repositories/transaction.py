"""Writes of several repositories, all of them or none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from quill_models.dynamodb.items import RawItem, new_token
from quill_models.dynamodb.table import Table
from quill_models.models import Agent, Increment, Interaction, Metric, WebhookEvent
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
        for action in write.actions:
            check_action(action)
        self._parts.add(write)

    @operation
    def _commit(self) -> list[WriteResult[Written]]:
        return send(self._table, self._parts) if self._parts.writes else []


class _AllOrNone(Write[list[WriteResult[Written]]]):
    """The writes of a transaction as one: their actions are all done, or none of them.

    A part that is settled leaves; a refusal goes to the part it belongs to.

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
                f"{repeated.pk} / {repeated.sk} is in this transaction already, which may write "
                "to an item once; nothing was written"
            )
        if not self._plan.takes(at, write.actions):
            raise InvalidValue(
                f"a transaction holds up to {TRANSACTION_ACTIONS} actions and 4 MB, and this "
                f"one is full with {len(self._plan.writes)} writes; nothing was written"
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
                self._results[at] = _not_in_the_way(_result(result))
        return None if self._plan.writes else self.done()


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


class _RepositoryWrites:
    """What one repository can put into a transaction."""

    def __init__(self, table: Table, gather: Gather) -> None:
        self._table = table
        self._gather = gather


class _AgentWrites(_RepositoryWrites):
    def put(self, item: Agent) -> None:
        """As `Agents.put`."""
        self._gather(PutLatest(self._table, item))


class _InteractionWrites(_RepositoryWrites):
    def record(self, item: Interaction) -> None:
        """As `Interactions.record`."""
        self._gather(RecordOnce(self._table, item))

    def put(self, item: Interaction) -> None:
        """As `Interactions.put`."""
        self._gather(PutLatest(self._table, item))


class _MetricWrites(_RepositoryWrites):
    def put(self, item: Metric) -> None:
        """As `Metrics.put`."""
        self._gather(PutLatest(self._table, item))

    def add(self, increment: Increment) -> None:
        """As `Metrics.add`."""
        self._gather(AddOnce(self._table, increment))


class _WebhookEventWrites(_RepositoryWrites):
    def record(self, item: WebhookEvent) -> None:
        """As `WebhookEvents.record`."""
        self._gather(RecordOnce(self._table, item))

    def complete(self, event: WebhookEvent) -> None:
        """As `WebhookEvents.complete`: where it raises `LeaseLost`, nothing is written."""
        self._gather(event_queue.HolderUpdate(self._table, event, event_queue.complete))

    def fail(
        self, event: WebhookEvent, error: BaseException | str, retry_in: timedelta | None = None
    ) -> None:
        """As `WebhookEvents.fail`."""
        self._gather(event_queue.failing(self._table, event, error, retry_in))
