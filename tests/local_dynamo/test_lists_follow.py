"""A changed item is in the lists of its new fields only."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from quill_models import Agent, Interaction, JobRun, Metric, Quill, WebhookEvent
from quill_models.models import INDEXES, QuillModel
from tests.local_dynamo.support import DAY, HOUR, NOON, botocore_of, event

Keys = set[tuple[str, str, str]]


def agent() -> Agent:
    return Agent(agent_id="7", name="Ada", team="north", external_ids={"hubspot": "1"})


def interaction() -> Interaction:
    return Interaction(
        interaction_id="i",
        source="hubspot",
        external_id="1",
        agent_id="7",
        contact_id="9",
        started_at=NOON,
    )


def metric() -> Metric:
    return Metric(scope="global", name="calls", grain="day", bucket_start=NOON - HOUR * 12, value=1)


def job_run() -> JobRun:
    return JobRun(
        job_name="sync",
        window="w",
        run_id="0",
        owner="somewhere",
        started_at=NOON,
        lease_expires_at=NOON + HOUR,
    )


CHANGES: list[tuple[Callable[[], QuillModel], dict[str, Any]]] = [
    (agent, {"team": "south"}),
    (agent, {"team": None}),
    (agent, {"name": "Zoë"}),
    (agent, {"name": None}),
    (agent, {"status": "inactive"}),
    (agent, {"email": "ada@example.com"}),
    (interaction, {"agent_id": "8"}),
    (interaction, {"agent_id": None}),
    (interaction, {"contact_id": "10"}),
    (interaction, {"contact_id": None}),
    (interaction, {"started_at": NOON + timedelta(microseconds=1)}),
    (interaction, {"started_at": NOON + DAY}),
    (interaction, {"subject": "a question"}),
    (metric, {"value": 2}),
    (metric, {"unit": "calls"}),
    (job_run, {"status": "succeeded", "finished_at": NOON + HOUR}),
    (job_run, {"status": "failed", "finished_at": NOON + HOUR}),
    (job_run, {"status": "cancelled", "finished_at": NOON + HOUR}),
    (job_run, {"lease_expires_at": NOON + 2 * HOUR}),
    (job_run, {"started_at": NOON + HOUR}),
    *((event, {"status": status}) for status in ("processing", "processed", "failed", "dead")),
    (event, {"occurred_at": NOON + DAY}),
    (event, {"received_at": NOON + DAY}),
    (event, {"object_id": "78"}),
    (event, {"object_type": None}),
]


def write(quill: Quill, model: QuillModel) -> None:
    """Put a model with its repository, or save it with PynamoDB."""
    if isinstance(model, Agent):
        quill.agents.put(model)
    elif isinstance(model, Interaction):
        quill.interactions.put(model)
    elif isinstance(model, Metric):
        quill.metrics.put(model)
    else:
        assert isinstance(model, JobRun | WebhookEvent)
        with quill:
            model.save()


def lists_of(quill: Quill, model: QuillModel) -> Keys:
    shards = quill._table.shards
    return {(index, *keys) for index, keys in model.lists(shards).items()}


def found_in(quill: Quill, lists: Keys) -> Keys:
    """Return the index, partition key and sort key of each item in the lists."""
    found: Keys = set()
    for index, pk, _ in lists:
        response = botocore_of(quill).query(
            TableName=quill.settings.table,
            IndexName=index,
            KeyConditionExpression="#pk = :pk",
            ExpressionAttributeNames={"#pk": f"{index}pk"},
            ExpressionAttributeValues={":pk": {"S": pk}},
        )
        found |= {(index, pk, item[f"{index}sk"]["S"]) for item in response["Items"]}
    return found


@pytest.mark.parametrize(
    ("make", "change"),
    CHANGES,
    ids=[
        f"{make.__name__} {' '.join(change)} {number}"
        for number, (make, change) in enumerate(CHANGES)
    ],
)
def test_put_changed_item_moves_in_every_list(
    shared: Quill, make: Callable[[], QuillModel], change: dict[str, Any]
) -> None:
    before, after = make(), make()
    for name, value in change.items():
        setattr(after, name, value)
    assert before != after
    write(shared, before)
    assert found_in(shared, lists_of(shared, before)) == lists_of(shared, before)
    write(shared, after)
    everywhere = lists_of(shared, before) | lists_of(shared, after)
    assert found_in(shared, everywhere) == lists_of(shared, after)
    shared.schema.client.request(
        "delete_item",
        TableName=shared.settings.table,
        Key={"pk": {"S": after.key().pk}, "sk": {"S": after.key().sk}},
    )


def test_changes_cover_every_list_of_every_kind() -> None:
    changed: dict[str, set[str]] = {}
    for make, change in CHANGES:
        before, after = make(), make()
        for name, value in change.items():
            setattr(after, name, value)
        moved = {
            index for index in INDEXES if before.lists(4).get(index) != after.lists(4).get(index)
        }
        changed.setdefault(before.KIND, set()).update(moved)
    # A metric is listed by its identity, which never changes.
    assert changed == {
        "agent": {"gsi2", "gsi3"},
        "interaction": set(INDEXES),
        "metric": set(),
        "job_run": set(INDEXES),
        "webhook_event": set(INDEXES),
    }
