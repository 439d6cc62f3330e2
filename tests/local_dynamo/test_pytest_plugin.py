"""The fixtures of the pytest plugin, in this session."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from freezegun import freeze_time

from quill_models import Agent, Key, Quill, Settings, connect, hubspot
from quill_models.schema.live import described
from quill_models.testing import Connect, FrozenClock
from tests.local_dynamo.local.servers import eventually
from tests.local_dynamo.support import (
    DAY,
    HOUR,
    NOON,
    SECOND,
    botocore_of,
    event,
    on_the_wire,
)

MARK = Key("mark", "1")
# Before DynamoDB existed.
LONG_AGO = datetime(1999, 12, 31, 23, 59, tzinfo=UTC)
COMMAND = "from quill_models.command import main; main()"
ADA = Agent(agent_id="ada", name="Ada")


@pytest.fixture(scope="module")
def seen() -> dict[str, list[Quill]]:
    """The connections of earlier tests."""
    return defaultdict(list)


class TestTable:
    def test_quill_table_is_new_and_ready(self, quill: Quill) -> None:
        assert quill.schema.apply(stream=False, ttl=False) == []
        assert [each.what for each in quill.schema.diff().differences] == ["stream", "TTL"]
        assert botocore_of(quill).scan(TableName=quill.settings.table)["Count"] > 0
        assert quill.migrations.plan() == []

    def test_quill_table_keeps_expired_items(self, quill: Quill) -> None:
        found = botocore_of(quill).describe_time_to_live(TableName=quill.settings.table)
        assert found["TimeToLiveDescription"]["TimeToLiveStatus"] == "DISABLED"

    def test_quill_table_costs_few_requests(self, quill_settings: Settings) -> None:
        with connect(quill_settings) as quill:
            with on_the_wire(quill) as sent:
                quill.schema.apply(stream=False, ttl=False)
            assert sent.count("CreateTable") == 1
            assert len(sent) <= 8
            assert "UpdateTimeToLive" not in sent

    @pytest.mark.parametrize("before", [0, 1])
    def test_quill_table_is_different_for_each_test(
        self, quill: Quill, seen: dict[str, list[Quill]], before: int
    ) -> None:
        assert quill.agents.put(ADA).created
        # The table of the earlier test is deleted.
        assert [described(each.table) for each in seen["own"]] == [None] * before
        seen["own"].append(quill)

    @pytest.mark.parametrize("before", [0, 1])
    def test_quill_settings_created_table_is_deleted(
        self, quill_settings: Settings, seen: dict[str, list[Quill]], before: int
    ) -> None:
        with connect(quill_settings) as quill:
            assert described(quill.table) is None
            quill.schema.apply()
        assert [described(each.table) for each in seen["made"]] == [None] * before
        seen["made"].append(quill)

    def test_quill_environ_connects_code_without_settings(
        self, quill: Quill, quill_environ: dict[str, str]
    ) -> None:
        assert quill_environ["QUILL_TABLE"] == quill.settings.table
        with connect() as other:
            other.agents.put(ADA)
        assert quill.agents.get("ada") == ADA
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, "list", "agents", "--json"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert '"agent_id": "ada"' in done.stdout


class TestConnect:
    def test_quill_connect_two_workers_share_a_table(self, quill_connect: Connect) -> None:
        one, other = quill_connect(), quill_connect()
        assert one is not other
        assert one.agents.put(ADA).created
        assert not other.agents.put(ADA).created

    def test_quill_connect_has_its_own_clock(
        self, quill: Quill, quill_clock: FrozenClock, quill_connect: Connect
    ) -> None:
        fast = FrozenClock(NOON + HOUR)
        ahead, beside = quill_connect(clock=fast), quill_connect()
        assert ahead.agents.put(ADA).item.created_at == NOON + HOUR
        assert beside.agents.put(replaced("bea")).item.created_at == quill_clock() == NOON
        quill_clock.tick()
        assert quill.agents.put(replaced("cy")).item.created_at == NOON + SECOND

    @pytest.mark.usefixtures("quill_clock")
    def test_quill_connect_has_its_own_settings(self, quill: Quill, quill_connect: Connect) -> None:
        once = quill_connect(replace(quill.settings, max_attempts=1))
        quill.webhook_events.record(event())
        (held,) = once.webhook_events.claim("hubspot")
        assert once.webhook_events.fail(held, "no").status == "dead"


class TestClock:
    def test_quill_clock_sets_all_times(self, quill: Quill, quill_clock: FrozenClock) -> None:
        stored = quill.webhook_events.record(event()).item
        assert (stored.created_at, stored.updated_at) == (NOON, NOON)
        assert stored.ttl == NOON + 30 * DAY
        assert quill.store.check_and_mark(MARK, HOUR)
        assert quill.job_runs.start("job").window.startswith("2031-05-17T12:00:00.000000Z-")

        quill_clock.tick(HOUR - SECOND)
        assert not quill.store.check_and_mark(MARK, HOUR)
        quill_clock.tick(SECOND)
        assert quill.store.check_and_mark(MARK, HOUR)
        quill_clock.move_to(NOON + 30 * DAY)
        assert quill.webhook_events.get("hubspot", "e1") is None

    def test_quill_clock_can_be_in_the_past(self, quill: Quill, quill_clock: FrozenClock) -> None:
        quill_clock.move_to(LONG_AGO)
        assert quill.store.check_and_mark(MARK, HOUR)
        assert not quill.store.check_and_mark(MARK, HOUR)
        quill_clock.tick(HOUR)
        assert quill.store.check_and_mark(MARK, HOUR)

    def test_quill_without_clock_uses_real_time(self, quill: Quill) -> None:
        before = datetime.now(UTC)
        stored = quill.agents.put(ADA).item
        assert stored.created_at is not None
        assert before <= stored.created_at <= datetime.now(UTC)

    @pytest.fixture
    def day_later(self, quill_clock: FrozenClock) -> FrozenClock:
        quill_clock.tick(DAY)
        return quill_clock

    @pytest.mark.usefixtures("day_later")
    def test_quill_clock_in_a_fixture_is_used(self, quill: Quill) -> None:
        assert quill.agents.put(ADA).item.created_at == NOON + DAY


class TestLeases:
    def test_lease_renewal_uses_real_time_to_clock_time(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
        with quill.job_runs.start("job", "w", lease=SECOND):
            quill_clock.tick(HOUR)

            def is_renewed() -> bool:
                found = quill.job_runs.get("job", "w")
                return found is not None and found.lease_expires_at == NOON + HOUR + SECOND

            assert eventually(is_renewed, within=30)


class TestFreezegun:
    @freeze_time("2035-01-01 06:00:00")
    def test_freezegun_sets_the_time_of_quill(self, quill: Quill) -> None:
        assert quill.agents.put(ADA).item.created_at == datetime(2035, 1, 1, 6, tzinfo=UTC)

    @freeze_time("2035-01-01 06:00:00")
    def test_quill_clock_precedes_freezegun(self, quill: Quill, quill_clock: FrozenClock) -> None:
        # The time of Python, not of a connection.
        (delivered,) = hubspot.parse(
            b'[{"eventId": 1, "subscriptionType": "a.b", "objectId": 7,'
            b'"occurredAt": 1765043528476}]'
        )
        assert delivered.received_at == datetime(2035, 1, 1, 6, tzinfo=UTC)
        assert quill.webhook_events.record(delivered).item.created_at == quill_clock() == NOON

    @pytest.fixture
    def frozen_around(self) -> Iterator[None]:
        with freeze_time("2035-01-01"):
            yield

    @pytest.mark.usefixtures("frozen_around", "quill")
    def test_freezegun_frozen_before_set_up_works(self, quill: Quill) -> None:
        assert quill.agents.put(ADA).item.created_at == datetime(2035, 1, 1, tzinfo=UTC)


def replaced(agent_id: str) -> Agent:
    return Agent(agent_id=agent_id, name="Ada")
