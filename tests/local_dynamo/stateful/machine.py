"""What all machines do: calls by several clients, with lost answers and others in between."""

from __future__ import annotations

import random
import sys
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import combinations, product
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
from tests.local_dynamo.stateful.bench import RETENTION, SHARDS, Bench
from tests.local_dynamo.stateful.calls import (
    Call,
    apply,
    models_of,
    rows_of,
    send,
    told_of,
)
from tests.local_dynamo.stateful.plain import Row, Rows, Told, World
from tests.local_dynamo.stateful.questions import Listing, Paging, Question
from tests.local_dynamo.support import DAY, MINUTE, SECOND

__all__ = ["NOTHING", "PREFER", "TableMachine", "many", "one", "rows", "run"]

_MOST_SHARDS = 4
# A reader knows of new shards after one minute, and writers use them after two.
_GROWTH = 2 * MINUTE

Answers = list["Told | None"]

NO_TIME, MICROSECOND = timedelta(0), timedelta(microseconds=1)
STEPS = st.sampled_from(
    [
        MICROSECOND,
        timedelta(seconds=0.4),
        SECOND,
        MINUTE,
        2 * MINUTE,
        RETENTION,
        DAY,
    ]
)
LOSSES = st.lists(st.booleans(), max_size=4).filter(lambda lost: lost.count(True) <= 3)


# What the bulk calls of models take beside them.
PREFER = st.fixed_dictionaries({}, optional={"prefer": st.sampled_from(["speed", "cost"])})
NOTHING: st.SearchStrategy[dict[str, str]] = st.just({})


def rows(
    identity: Mapping[str, Sequence[Any]], said: Sequence[Row], number: int = 12
) -> st.SearchStrategy[Row]:
    """Fields of items: each identity with some of what can be said of one.

    Some only, so that the same is often said twice. Few choices for each row also keep an example
    within the size that hypothesis allows.
    """
    identities = [
        dict(zip(identity, values, strict=True)) for values in product(*identity.values())
    ]
    few = random.Random(0).sample(said, min(len(said), number))  # noqa: S311
    return st.builds(
        lambda who, what: who | what, st.sampled_from(identities), st.sampled_from(few)
    )


def one(repository: str, verb: str, given: st.SearchStrategy[Row]) -> st.SearchStrategy[Call]:
    """Calls for one item."""
    return st.builds(Call, st.just(repository), st.just(verb), st.tuples(given))


def many(
    repository: str,
    verb: str,
    given: st.SearchStrategy[Row],
    options: st.SearchStrategy[dict[str, str]],
) -> st.SearchStrategy[Call]:
    """Calls for many items, some of them the same."""
    return st.builds(
        Call,
        st.just(repository),
        st.just(verb),
        st.lists(given, max_size=6).map(tuple),
        st.just(value=True),
        options,
    )


@dataclass(frozen=True)
class Possible:
    """One way in which calls can have gone, and what it leaves."""

    told: Answers
    told_other: Answers
    world: World


def _of(name: str) -> Callable[[Any], Any]:
    return lambda machine: getattr(machine, name)


class TableMachine(RuleBasedStateMachine):
    """One example: a table that is empty at first, and what several clients do with it."""

    bench: ClassVar[Bench]
    calls: ClassVar[st.SearchStrategy[Call]]
    single_calls: ClassVar[st.SearchStrategy[Call]]
    questions: ClassVar[st.SearchStrategy[Question]]
    listings: ClassVar[st.SearchStrategy[Listing] | None] = None
    # What is asked at the end.
    everything: ClassVar[Sequence[Question]]

    def __init__(self) -> None:
        super().__init__()
        self.bench.restart()
        self.world = self.empty()
        self.shards = SHARDS
        self.grown_at = self.bench.clock() - _GROWTH
        self.sent: list[Call] = []
        self.pagings: list[Paging] = []

    @abstractmethod
    def empty(self) -> World:
        """The plain model of an empty table."""

    @initialize(chunk=st.sampled_from([2, TRANSACTION_ACTIONS]))
    def begin(self, chunk: int) -> None:
        """Bulk calls are sent in chunks; of two items, so that a few items are several of them."""
        self.bench.chunk(chunk)

    # What clients do.

    @rule(call=st.runner().flatmap(_of("calls")))
    def call(self, call: Call) -> None:
        """The usual: it arrives, and so does its answer."""
        self._call(self.bench.steady, call)

    @precondition(lambda self: self.sent)
    @rule(ago=st.integers(0, 5), lost=LOSSES)
    def send_again(self, ago: int, lost: list[bool]) -> None:
        """A call that was made before is made again, by another client."""
        call = self.sent[-1 - ago % len(self.sent)]
        note(f"again: {call}")
        self.bench.between.lose_requests(lost)
        self._call(self.bench.flaky, call)
        self.bench.between.calm()

    @rule(call=st.runner().flatmap(_of("calls")), lost=LOSSES)
    def call_and_lose_answers(self, call: Call, lost: list[bool]) -> None:
        """The server acts, the client does not hear of it and sends the request again."""
        self.bench.between.lose_requests(lost)
        self._call(self.bench.flaky, call)
        self.bench.between.calm()

    @rule(
        calls=st.runner().flatmap(lambda self: self.calls.flatmap(self.with_another)),
        lost=LOSSES.map(lambda lost: [True, *lost]) | LOSSES,
        before=st.sampled_from([2, 2, 3, 4]),
    )
    def call_with_another_in_between(
        self, calls: tuple[Call, Call], lost: list[bool], before: int
    ) -> None:
        """Another client's call comes between two requests of one call, or after it."""
        call, other = calls
        told_other: list[Answers] = []
        errors: list[BaseException] = []

        def act() -> None:
            # In a thread of the proxy, where an error would go unheard.
            try:
                told_other.append(send(self.bench.steady, other))
            except BaseException as error:  # noqa: BLE001
                errors.append(error)

        self.bench.between.lose_requests(lost, before, act)
        told = send(self.bench.flaky, call)
        self.bench.between.calm()
        if errors:
            raise errors[0]
        if not told_other:
            act()
        self._settle(told, told_other[0], list(self._interleaved(call, other)))

    @rule(call=st.runner().flatmap(_of("calls")), lost=LOSSES.filter(any))
    def give_up_and_send_again(self, call: Call, lost: list[bool]) -> None:
        """A client gives up, does not know what was done, and sends it again later."""
        models = models_of(call)
        pending: list[int] = []
        told: Answers = []
        self.bench.between.lose_requests(lost)
        try:
            told = send(self.bench.hasty, call, models)
        except PartialWriteError as error:
            pending = [
                at for at, model in enumerate(models) if any(model is one for one in error.pending)
            ]
            told = [told_of(result) for result in error.results]
        except AnswerLost:
            pending = [0]
        self.bench.between.calm()
        if pending:
            told += send(self.bench.steady, call, [models[at] for at in pending])
        self._settle(told, [], list(self._repeated(call, pending)))

    # What happens meanwhile.

    @rule(by=STEPS)
    def wait(self, by: timedelta) -> None:
        """Time passes, for all clients."""
        self.bench.clock.tick(by)

    @precondition(lambda self: self._ends())
    @rule(
        by=st.sampled_from([-SECOND, -MICROSECOND, NO_TIME, MICROSECOND]),
        questions=st.runner().flatmap(lambda self: st.lists(self.questions, max_size=4)),
    )
    def wait_for_an_end(self, by: timedelta, questions: list[Question]) -> None:
        """Time passes until something expires, or just before or after that."""
        self.bench.clock.move_to(max(self.bench.clock(), self._ends()[0] + by))
        for question in questions:
            question.check(self.bench.steady, self.world, self.bench.clock())

    @precondition(lambda self: any(end <= self.bench.clock() for end in self.world.ends()))
    @rule()
    def sweep(self) -> None:
        """The server deletes what has expired, which nobody can tell."""
        self.bench.sweep()
        self.world.sweep(self.bench.clock())

    @precondition(lambda self: self.shards < _MOST_SHARDS)
    @precondition(lambda self: self.bench.clock() >= self.grown_at + _GROWTH)
    @rule()
    def grow_shards(self) -> None:
        """The lists are spread over one more shard."""
        self.shards += 1
        self.grown_at = self.bench.clock()
        self.bench.steady.schema.grow_shards(self.shards)

    # What is read.

    @rule(
        question=st.runner().flatmap(_of("questions")),
        client=st.sampled_from(["steady", "flaky"]),
        limit=st.integers(1, 3),
    )
    def ask(self, question: Question, client: str, limit: int) -> None:
        """One question, by either client."""
        now = self.bench.clock()
        quill = self.bench.clients[client]
        if isinstance(question, Listing):
            question.check_each_way(quill, self.world, now, limit)
        else:
            question.check(quill, self.world, now)

    @precondition(lambda self: self.listings is not None and len(self.pagings) < 2)
    @rule(listing=st.runner().flatmap(_of("listings")))
    def open_list(self, listing: Listing) -> None:
        """Begin to read a list a page at a time."""
        self.pagings.append(Paging(listing, listing.expect(self.world, self.bench.clock())))

    @precondition(lambda self: self.pagings)
    @rule(limit=st.integers(1, 3), client=st.sampled_from(["steady", "flaky"]))
    def turn_page(self, limit: int, client: str) -> None:
        """Read the next page, whatever was written meanwhile."""
        paging = self.pagings[0]
        paging.turn(self.bench.clients[client], limit)
        if paging.ended:
            self.pagings.remove(paging)
            paging.check()

    # What always holds.

    @invariant()
    def note_what_changed(self) -> None:
        """What a page may show twice or not at all."""
        for paging in self.pagings:
            paging.touched(paging.listing.expect(self.world, self.bench.clock()))

    def teardown(self) -> None:
        """Ask everything, unless something went wrong before."""
        if sys.exception() is not None:
            return
        assert self.bench.state() == self._state(self.world)
        now = self.bench.clock()
        for question in self.everything:
            question.check(self.bench.steady, self.world, now)

    def _ends(self) -> list[datetime]:
        """When things will expire."""
        return sorted(end for end in self.world.ends() if end > self.bench.clock())

    def with_another(self, call: Call) -> st.SearchStrategy[tuple[Call, Call]]:
        """The call together with another, which is about the same item if anyhow possible."""
        others = self.single_calls
        if call.given:
            same = replace(call, given=call.given[:1], many=False, options={})
            about_the_same = others.filter(lambda other: other.repository == call.repository).map(
                partial(self._about, call.given[0])
            )
            others = st.just(same) | about_the_same | about_the_same | others
        return st.tuples(st.just(call), others)

    def _about(self, item: Row, other: Call) -> Call:
        """The other call, made to be about this item."""
        (given,) = other.given
        names = {*self.world[other.repository].kind.identity, "event_key"}.intersection(given, item)
        return replace(other, given=({**given, **{name: item[name] for name in names}},))

    def _call(self, quill: Quill, call: Call) -> None:
        self.sent.append(call)
        expected = apply(self.world, call, rows_of(call), self.bench.clock())
        assert send(quill, call) == expected

    # What can have happened.

    def _interleaved(self, call: Call, other: Call) -> Iterator[Possible]:
        """All orders in which a call can be done, one item after the other, with another between.

        What was done before the other may be done again after it, where its answer was lost;
        but what was created then must be said to be created.
        """
        rows = rows_of(call)
        now = self.bench.clock()
        for before in range(len(rows) + 1):
            for again_from in range(before + 1):
                world = self.world.copy()
                first = apply(world, call, rows[:before], now)
                told_other = apply(world, other, rows_of(other), now)
                last = apply(world, call, rows[again_from:], now)
                repeated = zip(first[again_from:], last, strict=False)
                if all(_created(later) for earlier, later in repeated if _created(earlier)):
                    yield Possible(first[:again_from] + last, told_other, world)

    def _repeated(self, call: Call, pending: Sequence[int]) -> Iterator[Possible]:
        """All ways in which what is pending can have been done or not, before it was sent again."""
        rows = rows_of(call)
        now = self.bench.clock()
        for number in range(len(pending) + 1):
            for done in combinations(pending, number):
                world = self.world.copy()
                known: Answers = []
                for at, row in enumerate(rows):
                    if at not in pending:
                        known += apply(world, call, [row], now)
                    elif at in done:
                        apply(world, call, [row], now)
                again = apply(world, call, [rows[at] for at in pending], now)
                yield Possible(known + again, [], world)

    def _settle(self, told: Answers, told_other: Answers, possible: list[Possible]) -> None:
        """Go on with what happened, which has to be one of what can have happened."""
        state = self.bench.state()
        for each in possible:
            if (
                _agree(told, each.told, each.world)
                and _agree(told_other, each.told_other, each.world)
                and state == self._state(each.world)
            ):
                self.world = each.world
                return
        note(f"told: {told}\ntold the other: {told_other}\nstored: {state}")
        for each in possible:
            note(f"possible: {each.told}, {each.told_other}: {self._state(each.world)}")
        raise AssertionError("nothing that can have happened explains this")

    def _state(self, world: World) -> dict[str, Rows]:
        return world.state(self.bench.clock())


def _created(told: Told | None) -> bool:
    return told is not None and told.outcome in {"created", True}


def _agree(told: Answers, expected: Answers, world: World) -> bool:
    """Whether the outcomes are those, with each item as it was then or as it is in the end."""
    return len(told) == len(expected) and all(
        said == meant
        or (
            said is not None
            and meant is not None
            and said.outcome == meant.outcome
            and said.row in world.rows()
        )
        for said, meant in zip(told, expected, strict=True)
    )


def run(machine: type[TableMachine], bench: Bench, *, examples: int, steps: int) -> None:
    """Let hypothesis look for an example that the machine fails on."""
    machine.bench = bench
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=[*HealthCheck],  # pyright: ignore[reportArgumentType]
        ),
    )
