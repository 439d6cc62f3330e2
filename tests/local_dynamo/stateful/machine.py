"""The base of the state machines: several clients, lost responses and concurrent calls."""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ClassVar

from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from quill_models import PartialWriteError, Quill
from quill_models.errors import AnswerLost
from quill_models.writes.actions import TRANSACTION_ACTIONS
from tests.local_dynamo.stateful.calls import Call, apply, models_of, result_of, rows_of, send
from tests.local_dynamo.stateful.environment import SHARDS, Environment
from tests.local_dynamo.stateful.histories import History, Results, interleaved, repeated
from tests.local_dynamo.stateful.model import Row, TableModel
from tests.local_dynamo.stateful.reads import Listing, Paging, Read
from tests.local_dynamo.stateful.strategies import CLOCK_STEPS, LOSSES, MICROSECOND
from tests.local_dynamo.support import MINUTE, SECOND

__all__ = ["TableMachine", "run"]

_MOST_SHARDS = 4
# A reader sees new shards after one minute, and writers use them after two.
_GROWTH = 2 * MINUTE


def _attribute(name: str) -> Callable[[Any], Any]:
    return lambda machine: getattr(machine, name)


class TableMachine(RuleBasedStateMachine):
    """One example: several clients work on a table that is empty at first."""

    environment: ClassVar[Environment]
    calls: ClassVar[st.SearchStrategy[Call]]
    single_calls: ClassVar[st.SearchStrategy[Call]]
    reads: ClassVar[st.SearchStrategy[Read]]
    listings: ClassVar[st.SearchStrategy[Listing] | None] = None
    # Checked at the end of each example.
    final_reads: ClassVar[Sequence[Read]]

    def __init__(self) -> None:
        super().__init__()
        self.environment.restart()
        self.table = self.empty()
        self.shards = SHARDS
        self.grown_at = self.environment.clock() - _GROWTH
        self.sent: list[Call] = []
        self.pagings: list[Paging] = []

    @abstractmethod
    def empty(self) -> TableModel:
        """Return the model of an empty table."""

    @initialize(size=st.sampled_from([2, TRANSACTION_ACTIONS]))
    def begin(self, size: int) -> None:
        """Choose the chunk size of bulk calls: with two items, a short call has several chunks."""
        self.environment.set_chunk_size(size)

    # Writes.

    @rule(call=st.runner().flatmap(_attribute("calls")))
    def call(self, call: Call) -> None:
        self._call(self.environment.direct, call)

    @precondition(lambda self: self.sent)
    @rule(ago=st.integers(0, 5), lost=LOSSES)
    def repeat_call_by_another_client(self, ago: int, lost: list[bool]) -> None:
        call = self.sent[-1 - ago % len(self.sent)]
        note(f"repeated: {call}")
        self.call_with_lost_responses(call, lost)

    @rule(call=st.runner().flatmap(_attribute("calls")), lost=LOSSES)
    def call_with_lost_responses(self, call: Call, lost: list[bool]) -> None:
        self.environment.proxy.script(lost)
        self._call(self.environment.retrying, call)
        self.environment.proxy.reset()

    @rule(
        calls=st.runner().flatmap(lambda self: self.calls.flatmap(self.with_another)),
        lost=LOSSES.map(lambda lost: [True, *lost]) | LOSSES,
        before=st.sampled_from([2, 2, 3, 4]),
    )
    def call_with_concurrent_call(
        self, calls: tuple[Call, Call], lost: list[bool], before: int
    ) -> None:
        """Run another client's call between two requests of one call, or after it."""
        call, other = calls
        other_results: list[Results] = []
        errors: list[BaseException] = []

        def act() -> None:
            # This runs in a thread of the proxy, which would swallow an error.
            try:
                other_results.append(send(self.environment.direct, other))
            except BaseException as error:  # noqa: BLE001
                errors.append(error)

        self.environment.proxy.script(lost, before, act)
        results = send(self.environment.retrying, call)
        self.environment.proxy.reset()
        if errors:
            raise errors[0]
        if not other_results:
            act()
        histories = interleaved(self.table, call, other, self.environment.clock())
        self._settle(results, other_results[0], list(histories))

    @rule(call=st.runner().flatmap(_attribute("calls")), lost=LOSSES.filter(any))
    def call_without_retry_then_repeat(self, call: Call, lost: list[bool]) -> None:
        """Let a client stop at the first lost response, and repeat what is pending."""
        models = models_of(call)
        pending: list[int] = []
        results: Results = []
        self.environment.proxy.script(lost)
        try:
            results = send(self.environment.no_retry, call, models)
        except PartialWriteError as error:
            pending = [
                at
                for at, model in enumerate(models)
                if any(model is each for each in error.pending)
            ]
            results = [result_of(result) for result in error.results]
        except AnswerLost:
            pending = [0]
        self.environment.proxy.reset()
        if pending:
            results += send(self.environment.direct, call, [models[at] for at in pending])
        histories = repeated(self.table, call, pending, self.environment.clock())
        self._settle(results, [], list(histories))

    # Time and the table.

    @rule(by=CLOCK_STEPS)
    def advance_clock(self, by: timedelta) -> None:
        self.environment.clock.tick(by)

    @precondition(lambda self: self._next_expiries())
    @rule(
        by=st.sampled_from([-SECOND, -MICROSECOND, timedelta(0), MICROSECOND]),
        reads=st.runner().flatmap(lambda self: st.lists(self.reads, max_size=4)),
    )
    def advance_clock_to_expiry(self, by: timedelta, reads: list[Read]) -> None:
        """Advance to the next expiry, or to just before or after it."""
        clock = self.environment.clock
        clock.move_to(max(clock(), self._next_expiries()[0] + by))
        for read in reads:
            read.check(self.environment.direct, self.table, clock())

    @precondition(
        lambda self: any(end <= self.environment.clock() for end in self.table.expiries())
    )
    @rule()
    def delete_expired(self) -> None:
        """Delete expired items as the server does, which no read can notice."""
        self.environment.delete_expired()
        self.table.delete_expired(self.environment.clock())

    @precondition(lambda self: self.shards < _MOST_SHARDS)
    @precondition(lambda self: self.environment.clock() >= self.grown_at + _GROWTH)
    @rule()
    def grow_shards(self) -> None:
        self.shards += 1
        self.grown_at = self.environment.clock()
        self.environment.direct.schema.grow_shards(self.shards)

    # Reads.

    @rule(
        read=st.runner().flatmap(_attribute("reads")),
        client=st.sampled_from(["direct", "retrying"]),
        limit=st.integers(1, 3),
    )
    def read(self, read: Read, client: str, limit: int) -> None:
        now = self.environment.clock()
        quill = self.environment.clients[client]
        if isinstance(read, Listing):
            read.check_each_way(quill, self.table, now, limit)
        else:
            read.check(quill, self.table, now)

    @precondition(lambda self: self.listings is not None and len(self.pagings) < 2)
    @rule(listing=st.runner().flatmap(_attribute("listings")))
    def begin_paging(self, listing: Listing) -> None:
        rows = listing.expect(self.table, self.environment.clock())
        self.pagings.append(Paging(listing, rows))

    @precondition(lambda self: self.pagings)
    @rule(limit=st.integers(1, 3), client=st.sampled_from(["direct", "retrying"]))
    def read_next_page(self, limit: int, client: str) -> None:
        paging = self.pagings[0]
        paging.read_page(self.environment.clients[client], limit)
        if paging.ended:
            self.pagings.remove(paging)
            paging.check()

    @invariant()
    def note_changed_rows(self) -> None:
        """Note the rows that a page may show twice or not at all."""
        for paging in self.pagings:
            paging.note_rows(paging.listing.expect(self.table, self.environment.clock()))

    def teardown(self) -> None:
        """Check all reads, unless a step failed."""
        if sys.exception() is not None:
            return
        assert self.environment.state() == self._state(self.table)
        now = self.environment.clock()
        for read in self.final_reads:
            read.check(self.environment.direct, self.table, now)

    def _next_expiries(self) -> list[datetime]:
        now = self.environment.clock()
        return sorted(end for end in self.table.expiries() if end > now)

    def with_another(self, call: Call) -> st.SearchStrategy[tuple[Call, Call]]:
        """Combine a call with another one, of the same item if possible."""
        others = self.single_calls
        if call.items:
            same = replace(call, items=call.items[:1], bulk=False, options={})
            of_same_item = others.filter(lambda other: other.repository == call.repository).map(
                partial(self._retarget, call.items[0])
            )
            others = st.just(same) | of_same_item | of_same_item | others
        return st.tuples(st.just(call), others)

    def _retarget(self, item: Row, other: Call) -> Call:
        """Return the other call with the identity of this item."""
        (given,) = other.items
        identity = self.table[other.repository].kind.identity
        names = {*identity, "event_key"}.intersection(given, item)
        return replace(other, items=({**given, **{name: item[name] for name in names}},))

    def _call(self, quill: Quill, call: Call) -> None:
        self.sent.append(call)
        expected = apply(self.table, call, rows_of(call), self.environment.clock())
        assert send(quill, call) == expected

    def _settle(self, results: Results, other_results: Results, histories: list[History]) -> None:
        """Continue with the history that explains the results and the stored items."""
        state = self.environment.state()
        for history in histories:
            if history.explains(results, other_results) and state == self._state(history.table):
                self.table = history.table
                return
        note(f"results: {results}\nof the other call: {other_results}\nstored: {state}")
        for each in histories:
            note(f"possible: {each.results}, {each.other_results}: {self._state(each.table)}")
        raise AssertionError("no possible history explains the results and the stored items")

    def _state(self, table: TableModel) -> dict[str, dict[tuple[Any, ...], Row]]:
        return table.state(self.environment.clock())


def run(
    machine: type[TableMachine], environment: Environment, *, examples: int, steps: int
) -> None:
    """Let hypothesis search for an example that fails."""
    machine.environment = environment
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=[*HealthCheck],  # pyright: ignore[reportArgumentType]
        ),
    )
