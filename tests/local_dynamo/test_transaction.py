"""Writes of several repositories: all of them or none."""

from contextlib import suppress
from datetime import timedelta

import pytest

from quill_models import (
    Agent,
    EventStatus,
    Increment,
    LeaseLost,
    Metric,
    Outcome,
    Quill,
    TransactionRefused,
    WebhookEvent,
)
from quill_models.errors import InvalidPayload, InvalidValue
from quill_models.testing import FrozenClock
from tests.local_dynamo.proxy import Proxy
from tests.local_dynamo.support import (
    DAY,
    MINUTE,
    NOON,
    event,
    interaction,
    on_the_wire,
)

pytestmark = pytest.mark.usefixtures("quill_clock")

CREATED, DUPLICATE = Outcome.CREATED, Outcome.DUPLICATE


def one(event_key: str = "1") -> Increment:
    return Increment("global", "events", "day", NOON, 1, event_key)


def total(quill: Quill) -> int:
    metric = quill.metrics.series("global", "events", "day").first()
    return 0 if metric is None else int(metric.value)


@pytest.fixture
def held(quill: Quill) -> WebhookEvent:
    quill.webhook_events.record(event("1", received_at=NOON - 3650 * DAY))
    (held,) = quill.webhook_events.claim("hubspot", lease=MINUTE)
    return held


class TestAll:
    def test_commit_all_writes_in_one_request(self, quill: Quill, held: WebhookEvent) -> None:
        with on_the_wire(quill) as sent, quill.transaction() as tx:
            tx.interactions.record(interaction("i1", source="crm", external_id="7"))
            tx.metrics.add(one())
            tx.metrics.add(Increment("global", "events", "day", NOON, 5, "2"))
            tx.agents.put(Agent(agent_id="ada"))
            tx.webhook_events.record(event("next"))
            tx.webhook_events.complete(held)
            assert sent == []
        assert sent == ["TransactWriteItems"]
        assert held.status is EventStatus.PROCESSED
        assert quill.interactions.get_by_external_id("crm", "7") is not None
        assert quill.agents.get("ada") is not None
        assert total(quill) == 6
        outcomes = [result.outcome for result in tx.results]
        assert outcomes == [CREATED] * 5 + [Outcome.UPDATED]
        assert tx.results[5].item == held

    def test_commit_empty_block_sends_nothing(self, quill: Quill) -> None:
        with on_the_wire(quill) as sent, quill.transaction() as tx:
            pass
        assert (sent, tx.results) == ([], [])

    def test_commit_repeated_writes_do_not_prevent_the_others(
        self, quill: Quill, held: WebhookEvent
    ) -> None:
        quill.interactions.record(interaction("i1"))
        quill.metrics.add(one())
        quill.agents.put(Agent(agent_id="ada", name="Ada", source_updated_at=NOON))
        with quill.transaction() as tx:
            tx.interactions.record(interaction("i1"))
            tx.metrics.add(one())
            tx.agents.put(Agent(agent_id="ada", name="A.", source_updated_at=NOON - DAY))
            tx.webhook_events.complete(held)
        assert [result.outcome for result in tx.results[:3]] == [
            DUPLICATE,
            DUPLICATE,
            Outcome.STALE,
        ]
        assert total(quill) == 1
        stored = quill.webhook_events.get("hubspot", "1")
        assert stored is not None
        assert stored.status is EventStatus.PROCESSED

    def test_commit_changed_item_is_replaced(self, quill: Quill) -> None:
        quill.agents.put(Agent(agent_id="ada", name="A", external_ids={"crm": "1"}))
        with quill.transaction() as tx:
            tx.agents.put(Agent(agent_id="ada", name="Ada", external_ids={"crm": "2"}))
            tx.metrics.put(
                Metric(
                    scope="global",
                    name="agents",
                    grain="day",
                    bucket_start=NOON - NOON.hour * timedelta(hours=1),
                    value=1,
                )
            )
        assert [result.outcome for result in tx.results] == [Outcome.UPDATED, CREATED]
        assert quill.agents.get_by_external_id("crm", "1") is None
        assert quill.agents.get_by_external_id("crm", "2") is not None

    def test_commit_lost_response_returns_the_first_outcomes(
        self, quill: Quill, behind_proxy: Quill, proxy: Proxy
    ) -> None:
        quill.webhook_events.record(event("1", received_at=NOON - 3650 * DAY))
        (held,) = behind_proxy.webhook_events.claim("hubspot")
        proxy.lose("TransactWriteItems", times=2)
        with behind_proxy.transaction() as tx:
            tx.metrics.add(one())
            tx.webhook_events.complete(held)
        assert tx.results[0].created
        assert total(quill) == 1


class TestNone:
    def is_untouched(self, quill: Quill) -> bool:
        stored = quill.webhook_events.get("hubspot", "1")
        assert stored is not None
        return (
            stored.status is EventStatus.PROCESSING
            and total(quill) == 0
            and quill.interactions.get("i1") is None
        )

    def test_error_in_block_writes_nothing(self, quill: Quill, held: WebhookEvent) -> None:
        with pytest.raises(ZeroDivisionError), quill.transaction() as tx:
            tx.interactions.record(interaction("i1"))
            tx.metrics.add(one())
            tx.webhook_events.complete(held)
            _ = 1 / 0
        assert self.is_untouched(quill)

    def test_lost_lease_writes_nothing(
        self, quill: Quill, quill_clock: FrozenClock, held: WebhookEvent
    ) -> None:
        quill_clock.tick(MINUTE)
        (now_held,) = quill.webhook_events.claim("hubspot")
        with pytest.raises(LeaseLost), quill.transaction() as tx:
            tx.interactions.record(interaction("i1"))
            tx.metrics.add(one())
            tx.webhook_events.complete(held)
        assert self.is_untouched(quill)
        assert held.status is EventStatus.PROCESSING
        quill.webhook_events.complete(now_held)

    def test_conflict_writes_nothing_and_raises(self, quill: Quill, held: WebhookEvent) -> None:
        quill.interactions.record(interaction("i2", subject="other"))
        with (
            pytest.raises(TransactionRefused, match="is stored with other content") as refused,
            quill.transaction() as tx,
        ):
            tx.interactions.record(interaction("i1"))
            tx.interactions.record(interaction("i2"))
            tx.metrics.add(one())
            tx.webhook_events.complete(held)
        assert refused.value.result.item.subject == "other"
        assert self.is_untouched(quill)

    def test_more_than_100_actions_raises_and_writes_nothing(
        self, quill: Quill, held: WebhookEvent
    ) -> None:
        with pytest.raises(InvalidValue, match="maximum is 100 actions"), quill.transaction() as tx:
            tx.webhook_events.complete(held)
            for number in range(100):
                tx.interactions.record(interaction(f"i{number}"))
        assert self.is_untouched(quill)

    def test_more_than_4_mb_raises_and_writes_nothing(self, quill: Quill) -> None:
        large = "x" * 390 * 1024
        with pytest.raises(InvalidValue, match="4 MB"), quill.transaction() as tx:
            for number in range(11):
                tx.webhook_events.record(event(str(number), payload={"value": large}))
        with pytest.raises(InvalidPayload), quill.transaction() as tx:
            tx.webhook_events.record(event("1", payload={"value": large + large}))

    def test_repeated_item_raises_and_writes_nothing(self, quill: Quill) -> None:
        with pytest.raises(InvalidValue, match="already in this transaction"):
            with quill.transaction() as tx:
                tx.interactions.record(interaction("i1"))
                tx.interactions.put(interaction("i1"))

    def test_bucket_put_and_added_raises_and_writes_nothing(self, quill: Quill) -> None:
        bucket = one().metric()
        for first, second in (("put", "add"), ("add", "put")):
            given = {"put": bucket, "add": one()}
            with pytest.raises(InvalidValue, match="already in this transaction"):
                with quill.transaction() as tx:
                    getattr(tx.metrics, first)(given[first])
                    getattr(tx.metrics, second)(given[second])
        assert total(quill) == 0

    def test_external_id_released_and_claimed_raises(self, quill: Quill) -> None:
        before = [Agent(agent_id="a", external_ids={"crm": "1"}), Agent(agent_id="b")]
        quill.agents.put_many(before)
        with pytest.raises(InvalidValue, match="already in this transaction"):
            with quill.transaction() as tx:
                tx.agents.put(Agent(agent_id="a"))
                tx.agents.put(Agent(agent_id="b", external_ids={"crm": "1"}))
        assert [quill.agents.get(each.agent_id) for each in before] == before

    def test_caught_error_in_block_commits_the_others(self, quill: Quill) -> None:
        with quill.transaction() as tx:
            tx.interactions.record(interaction("i1"))
            with pytest.raises(InvalidValue):
                tx.interactions.record(interaction("i1"))
        assert quill.interactions.get("i1") is not None


class TestItsBlock:
    """A write outside the block would never be sent."""

    def test_write_before_the_block_raises(self, quill: Quill) -> None:
        with pytest.raises(InvalidValue, match="inside its with block"):
            quill.transaction().metrics.add(one())

    @pytest.mark.parametrize("error", [None, ZeroDivisionError])
    def test_write_after_the_block_raises(
        self, quill: Quill, error: type[Exception] | None
    ) -> None:
        tx = quill.transaction()
        with suppress(ZeroDivisionError), tx:
            tx.metrics.add(one())
            if error is not None:
                raise error
        with pytest.raises(InvalidValue, match="inside its with block"):
            tx.metrics.add(one("2"))
        with pytest.raises(InvalidValue, match="has ended"), tx:
            pass
        assert total(quill) == (error is None)
