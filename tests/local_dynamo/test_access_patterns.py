"""Every access pattern of ``docs/explanation/data-model.md``: its result, order and cost.

The table holds items of every kind, with similar identities and many unrelated items. The expected
results are computed in plain Python from all stored items.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from quill_models import Agent, Interaction, JobRun, Metric, Quill, WebhookEvent
from quill_models.models import QuillModel
from tests.local_dynamo.confusable_items import (
    CONFUSABLE,
    agents,
    events,
    interactions,
    job_runs,
    metrics,
)
from tests.local_dynamo.support import HOUR, MINUTE, NOON, botocore_of, on_the_wire


@pytest.fixture(scope="module")
def filled(shared: Quill) -> Quill:
    """The table with all items."""
    shared.agents.put_many(agents())
    shared.interactions.record_many(interactions())
    shared.metrics.put_many(metrics())
    shared.webhook_events.record_many(events())
    with shared, JobRun.batch_write() as batch:
        for each in job_runs():
            batch.save(each)
    for name in CONFUSABLE:
        with shared.job_runs.start(f"watermarks {name}", "w") as run:
            watermark = shared.job_runs.watermark(f"watermarks {name}", name)
            watermark.advance(f"up to {name}", run=run)
    return shared


@dataclass(frozen=True)
class Pattern:
    """An access pattern of the data model.

    Attributes:
        call: The call with one of the confusable names.
        expected: The expected items, in order, from all models.
        cost: ``GetItem``, ``Query``, or ``Query a shard``.
    """

    call: Callable[[Quill, str], Any]
    expected: Callable[[str], Iterable[Any]]
    cost: str


ALL_AGENTS, ALL_INTERACTIONS, ALL_METRICS = [*agents()], [*interactions()], [*metrics()]
ALL_RUNS, ALL_EVENTS = [*job_runs()], [*events()]
SINCE, UNTIL = NOON + MINUTE, NOON + 4 * MINUTE


def agent(name: str) -> list[Agent]:
    return [each for each in ALL_AGENTS if each.agent_id == name]


def calls_of(name: str, *, newest_first: bool = False) -> list[Interaction]:
    found = [each for each in ALL_INTERACTIONS if each.agent_id == name]
    return sorted(found, key=lambda each: each.started_at, reverse=newest_first)


def within(found: Iterable[Interaction]) -> list[Interaction]:
    return [each for each in found if SINCE <= each.started_at < UNTIL]


def runs(**fields: Any) -> list[JobRun]:
    found = [
        each
        for each in ALL_RUNS
        if all(getattr(each, name) == value for name, value in fields.items())
    ]
    return sorted(found, key=lambda each: each.started_at)


def events_in(name: str, status: str) -> list[WebhookEvent]:
    waits = status in {"pending", "processing"}
    return sorted(
        (each for each in ALL_EVENTS if each.source == name and each.status == status),
        key=lambda each: each.received_at if waits else each.occurred_at,
    )


def metrics_where(**fields: Any) -> list[Metric]:
    return [
        each
        for each in ALL_METRICS
        if all(getattr(each, name) == value for name, value in fields.items())
    ]


def as_list(value: Any) -> list[Any]:
    """Return the result of any call as a list."""
    if isinstance(value, tuple):
        one, many = value
        return [one, *many]
    return [value] if value is None or isinstance(value, QuillModel | str) else list(value)


PATTERNS = {
    "A1": Pattern(lambda q, n: q.agents.get(n), agent, "GetItem"),
    "A2": Pattern(
        lambda q, n: q.agents.get_by_external_id(f"source {n}", f"{n}0"), agent, "GetItem"
    ),
    "A3": Pattern(
        lambda q, n: q.agents.list_by_team(n),
        lambda n: sorted(
            (each for each in ALL_AGENTS if each.team == n), key=lambda each: each.name or ""
        ),
        "Query",
    ),
    "A4": Pattern(
        lambda q, _: q.agents.list_by_status("inactive"),
        lambda _: sorted(
            (each for each in ALL_AGENTS if each.status == "inactive"),
            key=lambda each: each.name or "",
        ),
        "Query",
    ),
    "I1": Pattern(
        lambda q, n: q.interactions.get(n),
        lambda n: [each for each in ALL_INTERACTIONS if each.interaction_id == n],
        "GetItem",
    ),
    "I2": Pattern(
        lambda q, n: q.interactions.get_by_external_id(f"source {n}", f"{n}3"),
        lambda n: [each for each in ALL_INTERACTIONS if each.interaction_id == f"{n}-3"],
        "GetItem",
    ),
    "I3": Pattern(
        lambda q, n: q.interactions.list_by_agent(n, SINCE, UNTIL),
        lambda n: within(calls_of(n)),
        "Query",
    ),
    "I3, newest first": Pattern(
        lambda q, n: q.interactions.list_by_agent(n, SINCE, UNTIL, newest_first=True),
        lambda n: within(calls_of(n, newest_first=True)),
        "Query",
    ),
    "I4": Pattern(
        lambda q, n: q.interactions.list_by_contact(n, SINCE, UNTIL),
        lambda n: within(calls_of(n)),
        "Query",
    ),
    "I4, newest first": Pattern(
        lambda q, n: q.interactions.list_by_contact(n, SINCE, UNTIL, newest_first=True),
        lambda n: within(calls_of(n, newest_first=True)),
        "Query",
    ),
    "M1": Pattern(
        lambda q, n: q.metrics.series(f"agent:{n}", n, "hour", NOON + HOUR, NOON + 3 * HOUR),
        lambda n: metrics_where(scope=f"agent:{n}", name=n)[1:3],
        "Query",
    ),
    "M2": Pattern(
        lambda q, n: q.metrics.across(n, "hour", NOON + HOUR),
        lambda n: metrics_where(name=n, grain="hour", bucket_start=NOON + HOUR),
        "Query a shard",
    ),
    "J1": Pattern(
        lambda q, n: q.job_runs.get(n, f"{n}2"),
        lambda n: runs(job_name=n, window=f"{n}2"),
        "GetItem",
    ),
    "J2": Pattern(
        lambda q, n: q.job_runs.list_by_job(n), lambda n: runs(job_name=n)[::-1], "Query"
    ),
    "J3": Pattern(
        lambda q, n: q.job_runs.last_success(n),
        lambda n: runs(job_name=n, status="succeeded")[-1:],
        "Query",
    ),
    "J4": Pattern(
        lambda q, _: q.job_runs.list_by_status("failed"),
        lambda _: runs(status="failed"),
        "Query a shard",
    ),
    "J5": Pattern(
        lambda q, _: q.job_runs.stale(),
        lambda _: sorted(runs(status="running"), key=lambda each: each.lease_expires_at),
        "Query",
    ),
    "J6": Pattern(
        lambda q, n: q.job_runs.watermark(f"watermarks {n}", n).value,
        lambda n: [f"up to {n}"],
        "GetItem",
    ),
    "W1": Pattern(
        lambda q, n: q.webhook_events.get(n, "dead1"),
        lambda n: [each for each in ALL_EVENTS if (each.source, each.event_key) == (n, "dead1")],
        "GetItem",
    ),
    **{
        row: Pattern(
            lambda q, n, status=status: q.webhook_events.list_by_status(n, status),  # type: ignore[misc]
            lambda n, status=status: events_in(n, status),  # type: ignore[misc]
            "Query a shard",
        )
        for row, status in (
            ("W2", "pending"),
            ("W3, failed", "failed"),
            ("W3, dead", "dead"),
            ("processing", "processing"),
        )
    },
    "W4": Pattern(
        lambda q, n: q.webhook_events.list_by_object(n, n, n),
        lambda n: sorted(
            (each for each in ALL_EVENTS if each.source == n), key=lambda each: each.occurred_at
        ),
        "Query",
    ),
    "X1": Pattern(
        lambda q, n: q.agents.get_with_interactions(n, 3),
        lambda n: [*agent(n), *calls_of(n, newest_first=True)[:3]],
        "Query",
    ),
}


@pytest.mark.parametrize("name", CONFUSABLE, ids=[name[:10] for name in CONFUSABLE])
@pytest.mark.parametrize("row", PATTERNS)
def test_access_pattern_returns_items_in_order_at_its_cost(
    filled: Quill, row: str, name: str
) -> None:
    pattern = PATTERNS[row]
    shards = len(filled._table.shards_to_read)
    assert shards > 1
    read: list[tuple[int, int]] = []

    def note(parsed: Any, **_: Any) -> None:
        read.append((parsed["ScannedCount"], parsed["Count"]))

    client = botocore_of(filled).meta.events
    client.register("after-call.dynamodb.Query", note)
    try:
        with on_the_wire(filled) as sent:
            found = as_list(pattern.call(filled, name))
    finally:
        client.unregister("after-call.dynamodb.Query", note)
    expected = list(pattern.expected(name))
    assert expected
    assert found == expected
    operation, _, each = pattern.cost.partition(" ")
    assert sent == [operation] * (shards if each else 1)
    # Exactly the items of the result were read.
    assert [scanned for scanned, _ in read] == [count for _, count in read]
    if read:
        assert sum(count for _, count in read) == len(expected)


def test_list_by_day_interactions_of_every_day(filled: Quill) -> None:
    """I5, with unrelated items on the next day."""
    expected = [each for each in ALL_INTERACTIONS if each.started_at.date() == NOON.date()]
    with on_the_wire(filled) as sent:
        found = list(filled.interactions.list_by_day(NOON.date()))
    assert sent == ["Query"] * len(filled._table.shards_to_read)
    assert [each.started_at for each in found] == sorted(each.started_at for each in expected)
    assert {each.interaction_id for each in found} == {each.interaction_id for each in expected}


def test_list_by_day_metrics_of_every_day(filled: Quill) -> None:
    """M3, with unrelated metrics on the next days."""
    expected = sorted(
        (each for each in ALL_METRICS if each.bucket_start.date() == NOON.date()),
        key=lambda each: (each.bucket_start, each.scope, each.name, each.grain),
    )
    assert 0 < len(expected) < len(ALL_METRICS)
    with on_the_wire(filled) as sent:
        found = list(filled.metrics.list_by_day(NOON.date()))
    assert sent == ["Query"] * len(filled._table.shards_to_read)
    assert found == expected
    assert list(filled.metrics.list_by_day(NOON.date(), newest_first=True)) == expected[::-1]


def test_access_patterns_cover_every_row_of_the_docs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "explanation" / "data-model.md").read_text()
    rows = {line.split("|")[1].strip() for line in page.splitlines() if line.count("|") == 5}
    documented = {row for row in rows if len(row) == 2 and row[1].isdigit()}
    tested = {row.partition(",")[0] for row in PATTERNS} | {"I5", "M3"}
    assert documented <= tested
    assert len(documented) == 23
