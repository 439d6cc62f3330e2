"""Writes over a faulty connection are stored once, and exactly one writer gets ``created``."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from quill_models import Agent, Increment, Key, Outcome, Prefer, Quill, WebhookEvent
from tests.local_dynamo.faults import Fault, Faults
from tests.local_dynamo.proxy import Proxy
from tests.local_dynamo.support import HOUR, NOON, event, interaction, scanned

CREATED, DUPLICATE = Outcome.CREATED, Outcome.DUPLICATE
THREADS = 4
# With this seed, faults occur early, because a small run sends few requests.
SEED = 7


@pytest.fixture
def size(soak: bool) -> int:
    return 1000 if soak else 20


@pytest.fixture
def few(soak: bool) -> int:
    """The number of items that take longer to write than events."""
    return 300 if soak else 12


@pytest.fixture(params=[{"lost": 1 / 4}, {"disturbed": 1 / 3}], ids=["lost", "disturbed"])
def faulty(request: pytest.FixtureRequest, proxy: Proxy, behind_proxy: Quill) -> Iterator[Quill]:
    """A `Quill` behind the proxy. Checks afterwards that enough faults occurred."""
    proxy.faults = Faults(SEED, **request.param)
    yield behind_proxy
    done = proxy.faults.done
    expected = {Fault.LOST} if "lost" in request.param else set(Fault) - {Fault.LOST}
    assert set(done) == expected if done.total() > 100 else set(done) <= expected
    (part,) = request.param.values()
    assert done.total() >= part / 2 * proxy.faults.seen


def events_of(size: int) -> list[WebhookEvent]:
    return [event(str(number), object_id=str(number % 7)) for number in range(size)]


def outcomes(results: Iterable[Any]) -> list[Outcome]:
    return [result.outcome for result in results]


def assert_stored(quill: Quill, kind: str, name: str, size: int) -> None:
    keys = sorted(int(item[name]["S"]) for item in scanned(quill, kind))
    assert keys == list(range(size))


def assert_bulk(write_many: Callable[[Any], list[Any]], items: Sequence[Any]) -> None:
    """Write half of the items in small calls with duplicates, then all of them twice."""
    half = len(items) // 2
    for start in range(0, half, 2):
        known = min(start, 1)
        results = write_many(items[start - known : start + 2])
        assert outcomes(results) == [DUPLICATE] * known + [CREATED] * 2
    assert outcomes(write_many(items)) == [DUPLICATE] * half + [CREATED] * (len(items) - half)
    assert outcomes(write_many(items)) == [DUPLICATE] * len(items)


@pytest.mark.soak
class TestOneWriter:
    def test_record_disturbed_writer_stores_each_event_once(
        self, quill: Quill, faulty: Quill, size: int
    ) -> None:
        for expected in (CREATED, DUPLICATE):
            results = [faulty.webhook_events.record(each) for each in events_of(size)]
            assert outcomes(results) == [expected] * size
        assert_stored(quill, "webhook_event", "event_key", size)
        # A truncated response to a read is retried, too.
        for each in events_of(size)[::4]:
            assert faulty.webhook_events.get("hubspot", each.event_key) == each
        assert faulty.webhook_events.list_by_status("hubspot", "pending").count() == size

    @pytest.mark.parametrize("prefer", Prefer)
    def test_record_many_disturbed_writer_stores_each_event_once(
        self, quill: Quill, faulty: Quill, size: int, prefer: Prefer
    ) -> None:
        events = faulty.webhook_events
        assert_bulk(lambda some: events.record_many(some, prefer=prefer), events_of(size))
        assert_stored(quill, "webhook_event", "event_key", size)

    def test_record_external_ids_disturbed_writer_stores_each_once(
        self, quill: Quill, faulty: Quill, few: int
    ) -> None:
        calls = [interaction(str(n), source="hubspot", external_id=f"h{n}") for n in range(few)]
        assert_bulk(faulty.interactions.record_many, calls)
        for kind in ("interaction", "interaction_external_id"):
            assert_stored(quill, kind, "interaction_id", few)

    def test_put_disturbed_writer_stores_each_agent(
        self, quill: Quill, faulty: Quill, few: int
    ) -> None:
        def agents(name: str) -> list[Agent]:
            return [
                Agent(
                    agent_id=str(number),
                    name=name,
                    # Agents with external ids are written in transactions.
                    external_ids={"hubspot": str(number)} if number % 2 else {},
                )
                for number in range(few)
            ]

        for name, expected in (
            ("Ada", Outcome.CREATED),
            ("Ada", Outcome.UNCHANGED),
            ("Bo", Outcome.UPDATED),
        ):
            results = [faulty.agents.put(each) for each in agents(name)]
            assert outcomes(results) == [expected] * few
        assert_stored(quill, "agent", "agent_id", few)
        assert len(scanned(quill, "agent_external_id")) == few // 2

    def test_check_and_mark_disturbed_caller_gets_the_right_result(
        self, quill: Quill, faulty: Quill, few: int
    ) -> None:
        for expected in (True, False):
            marked = [faulty.store.check_and_mark(Key("mark", str(n)), HOUR) for n in range(few)]
            assert marked == [expected] * few
        assert len(list(quill.store.query("mark"))) == few


def increments(size: int) -> list[Increment]:
    return [
        Increment("agent:ada", "calls", "hour", NOON + n % 3 * HOUR, n, str(n)) for n in range(size)
    ]


def assert_counted_once(quill: Quill, given: Iterable[Increment]) -> None:
    expected: Counter[Any] = Counter()
    for each in given:
        expected[each.bucket_start] += each.amount  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]
    found = quill.metrics.series("agent:ada", "calls", "hour")
    assert {metric.bucket_start: metric.value for metric in found} == expected


@pytest.mark.soak
class TestMetrics:
    def test_add_disturbed_writer_counts_each_event_once(
        self, quill: Quill, faulty: Quill, few: int
    ) -> None:
        for expected in (CREATED, DUPLICATE):
            results = [faulty.metrics.add(each) for each in increments(few)]
            assert outcomes(results) == [expected] * few
            assert_counted_once(quill, increments(few))

    def test_add_many_disturbed_writer_counts_each_event_once(
        self, quill: Quill, faulty: Quill, size: int
    ) -> None:
        assert_bulk(faulty.metrics.add_many, increments(size))
        assert_counted_once(quill, increments(size))


def in_threads(
    works: Sequence[Callable[[list[Any]], list[Any]]], items: Sequence[Any]
) -> list[Any]:
    """Return the results of each thread in the order of the items. All start at once."""
    begin = Barrier(len(works))

    def run(number: int) -> list[Any]:
        order = list(range(len(items)))
        random.Random(number).shuffle(order)  # noqa: S311
        begin.wait()
        results = works[number]([items[at] for at in order])
        by_item = dict(zip(order, results, strict=True))
        return [by_item[at] for at in range(len(items))]

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, range(len(works))))


def singly(write: Callable[[Any], Any]) -> Callable[[list[Any]], list[Any]]:
    return lambda items: [write(each) for each in items]


@pytest.mark.soak
class TestSeveralWriters:
    def test_record_several_disturbed_writers_one_creator_each(
        self, quill: Quill, faulty: Quill, size: int
    ) -> None:
        events = faulty.webhook_events
        by_thread = in_threads(
            [
                singly(events.record),
                singly(events.record),
                lambda some: events.record_many(some, prefer="speed"),
                lambda some: events.record_many(some, prefer="cost"),
            ],
            events_of(size),
        )
        for results in zip(*by_thread, strict=True):
            assert sorted(outcomes(results)) == [CREATED, *[DUPLICATE] * (THREADS - 1)]
        assert_stored(quill, "webhook_event", "event_key", size)

    def test_add_several_disturbed_writers_count_once(
        self, quill: Quill, faulty: Quill, size: int
    ) -> None:
        metrics = faulty.metrics
        by_thread = in_threads([singly(metrics.add), *[metrics.add_many] * 3], increments(size))
        for results in zip(*by_thread, strict=True):
            assert sorted(outcomes(results)) == [CREATED, *[DUPLICATE] * (THREADS - 1)]
        assert_counted_once(quill, increments(size))


class TestTruncatedResponse:
    """Botocore treats a truncated response as a complete one without content."""

    KEY = Key("truncated", "response")

    @pytest.fixture(autouse=True)
    def item(self, quill: Quill) -> dict[str, Any]:
        quill.store.put(self.KEY, {"text": "complete"})
        return {"text": "complete"}

    def test_get_truncated_response_is_retried(
        self, item: Any, behind_proxy: Quill, proxy: Proxy
    ) -> None:
        proxy.disturb("GetItem", Fault.CUT_MIDWAY, times=2)
        assert behind_proxy.store.get(self.KEY) == item

    def test_query_truncated_response_is_retried(
        self, item: Any, behind_proxy: Quill, proxy: Proxy
    ) -> None:
        proxy.disturb("Query", Fault.CUT_MIDWAY, times=2)
        assert list(behind_proxy.store.query(self.KEY.pk)) == [item]

    def test_put_truncated_error_response_is_retried(
        self, behind_proxy: Quill, proxy: Proxy
    ) -> None:
        proxy.disturb("PutItem", Fault.CUT_MIDWAY, times=2)
        assert behind_proxy.store.check_and_mark(self.KEY, HOUR) is False

    @pytest.mark.parametrize(
        ("operation", "prefer"),
        [
            ("TransactWriteItems", Prefer.SPEED),
            ("BatchExecuteStatement", Prefer.COST),
            ("BatchGetItem", Prefer.COST),
        ],
    )
    def test_record_many_truncated_response_is_retried(
        self, quill: Quill, behind_proxy: Quill, proxy: Proxy, operation: str, prefer: Prefer
    ) -> None:
        quill.webhook_events.record_many(events_of(5))
        proxy.disturb(operation, Fault.CUT_MIDWAY, times=2)
        results = behind_proxy.webhook_events.record_many(events_of(10), prefer=prefer)
        assert outcomes(results) == [DUPLICATE] * 5 + [CREATED] * 5
        assert proxy.passed[operation] >= 3
