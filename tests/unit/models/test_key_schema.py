from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from quill_models import Interaction
from quill_models.dynamodb.shards import TABLE_SETTINGS
from quill_models.errors import InvalidValue
from quill_models.models import QuillModel, key_schema
from quill_models.values.keys import Key, compose_order
from tests.unit.examples import (
    MIDNIGHT,
    NOON,
    agent,
    interaction,
    job_run,
    metric,
    webhook_event,
)
from tests.unit.strategies import texts

AT_NOON = "2031-05-17T12:00:00.000000Z"
AT_MIDNIGHT = "2031-05-17T00:00:00.000000Z"


def keys(**given_keys: tuple[str, str]) -> dict[str, str]:
    named: dict[str, str] = {}
    for index, (pk, sk) in given_keys.items():
        prefix = "" if index == "table" else index
        named |= {f"{prefix}pk": pk, f"{prefix}sk": sk}
    return named


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        pytest.param(
            agent(),
            keys(
                table=("AGENT#7", "PROFILE"),
                gsi1=("AGENT#7", "PROFILE"),
                gsi2=("TEAM#north", "AGENT#Ada#7"),
                gsi3=("AGENT_STATUS#active", "AGENT#Ada#7"),
            ),
            id="agent",
        ),
        pytest.param(
            agent(name=None, team=None, status="inactive"),
            keys(
                table=("AGENT#7", "PROFILE"),
                gsi1=("AGENT#7", "PROFILE"),
                gsi3=("AGENT_STATUS#inactive", "AGENT#7#7"),
            ),
            id="agent without name and team",
        ),
        pytest.param(
            interaction(),
            keys(
                table=("INTERACTION#call-1", "INTERACTION"),
                gsi1=("AGENT#7", f"INTERACTION#{AT_NOON}#call-1"),
                gsi2=("CONTACT#c9", f"INTERACTION#{AT_NOON}#call-1"),
                gsi3=("DAY#2031-05-17#000", f"INTERACTION#{AT_NOON}#call-1"),
            ),
            id="interaction",
        ),
        pytest.param(
            interaction(agent_id=None, contact_id=None),
            keys(
                table=("INTERACTION#call-1", "INTERACTION"),
                gsi3=("DAY#2031-05-17#000", f"INTERACTION#{AT_NOON}#call-1"),
            ),
            id="interaction of nobody",
        ),
        pytest.param(
            metric(),
            keys(
                table=("METRIC#agent:7#calls#day", f"BUCKET#{AT_MIDNIGHT}"),
                gsi1=(f"METRIC_BUCKET#calls#day#{AT_MIDNIGHT}#000", "SCOPE#agent:7"),
                gsi3=("METRIC_DAY#2031-05-17#000", f"METRIC#{AT_MIDNIGHT}#agent:7#calls#day"),
            ),
            id="metric",
        ),
        pytest.param(
            job_run(),
            keys(
                table=("JOB#sync", "RUN#2031-05-17T12"),
                gsi1=("JOB_RUNS#sync", f"RUN#{AT_NOON}#sync#2031-05-17T12"),
                gsi2=("JOB_LEASE", "RUN#2031-05-17T12:05:00.000000Z#sync#2031-05-17T12"),
                gsi3=("JOB_STATUS#running#000", f"RUN#{AT_NOON}#sync#2031-05-17T12"),
            ),
            id="running job run",
        ),
        pytest.param(
            job_run(status="succeeded", finished_at=NOON + timedelta(minutes=1)),
            keys(
                table=("JOB#sync", "RUN#2031-05-17T12"),
                gsi1=("JOB_RUNS#sync", f"RUN#{AT_NOON}#sync#2031-05-17T12"),
                gsi2=("JOB_SUCCEEDED#sync", "RUN#2031-05-17T12:01:00.000000Z#sync#2031-05-17T12"),
                gsi3=("JOB_STATUS#succeeded#000", f"RUN#{AT_NOON}#sync#2031-05-17T12"),
            ),
            id="succeeded job run",
        ),
        pytest.param(
            job_run(status="failed", finished_at=NOON),
            keys(
                table=("JOB#sync", "RUN#2031-05-17T12"),
                gsi1=("JOB_RUNS#sync", f"RUN#{AT_NOON}#sync#2031-05-17T12"),
                gsi3=("JOB_STATUS#failed#000", f"RUN#{AT_NOON}#sync#2031-05-17T12"),
            ),
            id="failed job run",
        ),
        pytest.param(
            webhook_event(),
            keys(
                table=("WEBHOOK#hubspot#e1", "EVENT"),
                gsi1=("OBJECT#hubspot#contact#123", AT_NOON),
                gsi2=("WORK#hubspot#000", "2031-05-17T12:00:01.000000Z"),
                gsi3=(
                    "EVENTS#hubspot#pending#000",
                    "2031-05-17T12:00:01.000000Z",
                ),
            ),
            id="pending webhook event",
        ),
        pytest.param(
            webhook_event(status="failed", object_id=None),
            keys(
                table=("WEBHOOK#hubspot#e1", "EVENT"),
                gsi2=("WORK#hubspot#000", "2031-05-17T12:00:01.000000Z"),
                gsi3=("EVENTS#hubspot#failed#000", AT_NOON),
            ),
            id="failed webhook event",
        ),
        pytest.param(
            webhook_event(status="processed", object_id=None),
            keys(
                table=("WEBHOOK#hubspot#e1", "EVENT"),
                gsi3=("EVENTS#hubspot#processed#000", AT_NOON),
            ),
            id="processed webhook event: off the work list",
        ),
    ],
)
def test_keys_of_each_kind(model: QuillModel, expected: dict[str, str]) -> None:
    assert model.composed_keys(1) == expected


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (agent(), [Key("AGENT_EXTERNAL_ID#hubspot#1184062", "CLAIM")]),
        (
            agent(external_ids={"b": "2", "a#": "1"}),
            [
                Key("AGENT_EXTERNAL_ID#a%23#1", "CLAIM"),
                Key("AGENT_EXTERNAL_ID#b#2", "CLAIM"),
            ],
        ),
        (agent(external_ids=None), []),
        (interaction(), [Key("INTERACTION_EXTERNAL_ID#hubspot#900", "CLAIM")]),
        (interaction(external_id=None), []),
    ],
)
def test_keys_of_external_id_claims(model: Any, expected: list[Key]) -> None:
    assert model.external_id_keys() == expected


def test_keys_of_table_settings_are_apart_from_all_kinds() -> None:
    assert Key("QUILL", "SETTINGS") == TABLE_SETTINGS


# No two identities share a key.

_names = st.one_of(
    st.text("01#%2:a", max_size=4), texts(min_size=0), st.sampled_from(("x" * 300, "ü" * 300))
)
_times = st.sampled_from((NOON, NOON + timedelta(microseconds=1), MIDNIGHT))
_grains = st.sampled_from(("hour", "day"))
_shards = st.integers(0, 3)
_days = st.sampled_from((date(2031, 5, 17), date(2031, 5, 18)))

_TABLE: dict[str, tuple[Callable[..., Key], tuple[st.SearchStrategy[Any], ...]]] = {
    "agent": (key_schema.agent, (_names,)),
    "agent's external id": (key_schema.agent_external_id, (_names, _names)),
    "interaction": (key_schema.interaction, (_names,)),
    "interaction's external id": (key_schema.interaction_external_id, (_names, _names)),
    "metric": (key_schema.metric, (_names, _names, _grains, _times)),
    "job run": (key_schema.job_run, (_names, _names)),
    "webhook event": (key_schema.webhook_event, (_names, _names)),
    "watermark": (key_schema.watermark, (_names, _names)),
    "table settings": (lambda: TABLE_SETTINGS, ()),
}

Partitions = dict[str, tuple[Callable[..., str], tuple[st.SearchStrategy[Any], ...]]]

_GSI1: Partitions = {
    "agent": (key_schema.agent_collection, (_names,)),
    "bucket": (key_schema.metrics_of_bucket, (_names, _grains, _times, _shards)),
    "job": (key_schema.job_runs_of_job, (_names,)),
    "object": (key_schema.events_of_object, (_names, _names, _names)),
}
_GSI2: Partitions = {
    "team": (key_schema.agents_of_team, (_names,)),
    "contact": (key_schema.interactions_of_contact, (_names,)),
    "leased": (key_schema.job_runs_leased, ()),
    "succeeded": (key_schema.job_runs_succeeded, (_names,)),
    "work": (key_schema.events_to_work_on, (_names, _shards)),
}
_GSI3: Partitions = {
    "agent status": (key_schema.agents_of_status, (_names,)),
    "day": (key_schema.interactions_of_day, (_days, _shards)),
    "day of metrics": (key_schema.metrics_of_day, (_days, _shards)),
    "job status": (key_schema.job_runs_of_status, (_names, _shards)),
    "event status": (key_schema.events_of_status, (_names, _names, _shards)),
}


def _identities(kinds: dict[str, Any]) -> st.SearchStrategy[list[tuple[str, tuple[Any, ...]]]]:
    one = st.one_of(
        *(st.tuples(st.just(kind), st.tuples(*arguments)) for kind, (_, arguments) in kinds.items())
    )
    return st.lists(one, min_size=2, max_size=12, unique=True)


@given(_identities(_TABLE))
@example([("agent", ("1",)), ("agent", ("1#PROFILE",)), ("interaction", ("1",))])
@example([("webhook event", ("a#b", "c")), ("webhook event", ("a", "b#c"))])
@example([("webhook event", ("a%23b", "c")), ("webhook event", ("a#b", "c"))])
def test_keys_distinct_identities_have_distinct_keys(
    identities: list[tuple[str, tuple[Any, ...]]],
) -> None:
    composed = [_TABLE[kind][0](*arguments) for kind, arguments in identities]
    assert len(set(composed)) == len(identities)


@pytest.mark.parametrize("partitions", [_GSI1, _GSI2, _GSI3], ids=["gsi1", "gsi2", "gsi3"])
@given(st.data())
def test_lists_distinct_lists_have_distinct_partitions(
    partitions: Partitions, data: st.DataObject
) -> None:
    lists = data.draw(_identities(partitions))
    composed = [partitions[kind][0](*arguments) for kind, arguments in lists]
    assert len(set(composed)) == len(lists)


def test_lists_agent_and_its_interactions_share_a_partition() -> None:
    assert agent().composed_keys(1)["gsi1pk"] == interaction().composed_keys(1)["gsi1pk"]


# Ranges. Times lie close together, so that both ends are met.

_near = st.integers(-3, 3).map(lambda micro: NOON + timedelta(microseconds=micro))
_ends = st.one_of(st.none(), _near)


def _inside(instant: datetime, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or since <= instant) and (until is None or instant < until)


@given(_near, _names, _ends, _ends)
@example(NOON, "", NOON, NOON + timedelta(microseconds=1))
@example(NOON, "", None, NOON)
def test_interactions_between_includes_start_excludes_end(
    started_at: datetime, interaction_id: str, since: datetime | None, until: datetime | None
) -> None:
    lower, upper = key_schema.interactions_between(since, until)
    order = key_schema.interaction_order(started_at, interaction_id)
    assert (lower <= order <= upper) == _inside(started_at, since, until)


@given(_ends, _ends)
def test_interactions_between_excludes_the_agent(
    since: datetime | None, until: datetime | None
) -> None:
    lower, upper = key_schema.interactions_between(since, until)
    assert not lower <= key_schema.AGENT_PROFILE <= upper


@given(_near, _ends, _ends)
@example(NOON, NOON, NOON + timedelta(microseconds=1))
@example(NOON, None, NOON)
def test_buckets_between_includes_start_excludes_end(
    bucket_start: datetime, since: datetime | None, until: datetime | None
) -> None:
    lower, upper = key_schema.buckets_between(since, until)
    key = key_schema.metric("global", "calls", "hour", bucket_start)
    assert (lower <= key.sk <= upper) == _inside(bucket_start, since, until)


@given(_near, _names, _names, _near)
def test_runs_until_includes_end(
    ends: datetime, job_name: str, window: str, until: datetime
) -> None:
    lower, upper = key_schema.runs_until(until)
    assert (lower <= key_schema.run_order(ends, job_name, window) <= upper) == (ends <= until)


@given(_near, _names, _names, _ends, _ends)
@example(NOON, "sync", "1", NOON, NOON)
@example(NOON, "sync", "1", None, NOON)
def test_runs_and_events_between_include_start_exclude_end(
    at: datetime, job_name: str, window: str, since: datetime | None, until: datetime | None
) -> None:
    lower, upper = key_schema.runs_between(since, until)
    order = key_schema.run_order(at, job_name, window)
    assert (lower <= order <= upper) == _inside(at, since, until)
    lower, upper = key_schema.events_between(since, until)
    assert (lower <= key_schema.event_order(at) <= upper) == _inside(at, since, until)


@pytest.mark.parametrize("until", [datetime.min.replace(tzinfo=UTC)])
def test_between_ending_at_first_instant_is_empty(until: datetime) -> None:
    lower, upper = key_schema.buckets_between(None, until)
    assert upper < key_schema.metric("global", "calls", "hour", until).sk
    assert not lower <= key_schema.metric("global", "calls", "hour", until).sk <= upper
    lower, upper = key_schema.events_between(None, until)
    assert not lower <= key_schema.event_order(until) <= upper


@pytest.mark.parametrize(
    "between",
    [
        key_schema.interactions_between,
        key_schema.buckets_between,
        key_schema.runs_between,
        key_schema.events_between,
    ],
    ids=lambda f: f.__name__,
)
@pytest.mark.parametrize("end", ["since", "until"])
def test_between_naive_time_raises(between: Callable[..., tuple[str, str]], end: str) -> None:
    ends = {"since": NOON, "until": NOON, end: NOON.replace(tzinfo=None)}
    with pytest.raises(InvalidValue, match="no time zone"):
        between(**ends)


# The order of the lists.


@given(texts(), texts(), texts(), texts())
def test_agents_order_is_by_name_then_id(
    name: str, agent_id: str, other_name: str, other_id: str
) -> None:
    one = key_schema.agents_order(name, agent_id)
    other = key_schema.agents_order(other_name, other_id)
    assert (one < other) == ((name, agent_id) < (other_name, other_id))


@given(_near, texts(), _near, texts())
def test_other_orders_are_by_time(
    one: datetime, one_id: str, other: datetime, other_id: str
) -> None:
    ordered = (one, one_id) < (other, other_id)
    interactions = key_schema.interaction_order
    assert (interactions(one, one_id) < interactions(other, other_id)) == ordered
    events = key_schema.event_order
    assert (events(one) < events(other)) == (one < other)
    metrics = key_schema.metric_order
    assert (metrics(one, one_id, "n", "day") < metrics(other, other_id, "n", "day")) == ordered
    runs = key_schema.run_order
    assert (runs(one, one_id, "w") < runs(other, other_id, "w")) == ordered


def test_order_of_longest_name_fits() -> None:
    assert agent(name="n" * 5000).composed_keys(1)["gsi3sk"] == compose_order("AGENT", "n" * 5000)


# Shards.


@given(texts())
def test_shard_of_interaction_depends_on_identity_only(interaction_id: str) -> None:
    one = Interaction(interaction_id=interaction_id, started_at=NOON)
    other = interaction(interaction_id=interaction_id, started_at=MIDNIGHT, ended_at=None)
    one_shard, other_shard = (
        each.composed_keys(4)["gsi3pk"].rpartition("#")[2] for each in (one, other)
    )
    assert one_shard == other_shard
    assert int(one_shard) in range(4)


def test_sharded_lists_are_read_from_the_shards_written() -> None:
    shards = 4
    event = webhook_event(status="failed")
    event_keys = event.composed_keys(shards)
    assert event_keys["gsi2pk"] in {
        key_schema.events_to_work_on("hubspot", shard) for shard in range(shards)
    }
    assert event_keys["gsi3pk"] in {
        key_schema.events_of_status("hubspot", "failed", shard) for shard in range(shards)
    }
    assert interaction().composed_keys(shards)["gsi3pk"] in {
        key_schema.interactions_of_day(NOON.date(), shard) for shard in range(shards)
    }
    assert metric().composed_keys(shards)["gsi3pk"] in {
        key_schema.metrics_of_day(MIDNIGHT.date(), shard) for shard in range(shards)
    }
    assert job_run().composed_keys(shards)["gsi3pk"] in {
        key_schema.job_runs_of_status("running", shard) for shard in range(shards)
    }


# Invalid keys raise before any request.


@pytest.mark.parametrize(
    ("make", "limit"),
    [
        pytest.param(lambda: agent(agent_id="x" * 2100), 2048, id="agent_id"),
        pytest.param(lambda: agent(agent_id="ü" * 1030), 2048, id="agent_id in bytes"),
        pytest.param(lambda: agent(agent_id="#" * 700), 2048, id="agent_id escaped"),
        pytest.param(lambda: agent(team="x" * 2100), 2048, id="team"),
        pytest.param(lambda: agent(external_ids={"a": "x" * 2100}), 2048, id="agent's external id"),
        pytest.param(lambda: interaction(interaction_id="x" * 2100), 2048, id="interaction_id"),
        pytest.param(lambda: interaction(agent_id="x" * 2100), 2048, id="interaction's agent_id"),
        pytest.param(lambda: interaction(contact_id="x" * 2100), 2048, id="contact_id"),
        pytest.param(lambda: interaction(external_id="x" * 2100), 2048, id="external_id"),
        pytest.param(lambda: metric(name="x" * 2100), 2048, id="metric name"),
        pytest.param(lambda: metric(scope="team:" + "x" * 2100), 2048, id="scope"),
        pytest.param(lambda: job_run(job_name="x" * 2100), 2048, id="job_name"),
        pytest.param(lambda: job_run(window="x" * 1030), 1024, id="window"),
        pytest.param(lambda: webhook_event(event_key="x" * 2100), 2048, id="event_key"),
        pytest.param(lambda: webhook_event(object_id="x" * 2100), 2048, id="object_id"),
    ],
)
def test_key_too_long_identifier_raises_at_construction(
    make: Callable[[], QuillModel], limit: int
) -> None:
    with pytest.raises(InvalidValue, match=f"DynamoDB allows {limit}"):
        make()


def test_key_longest_identifiers_are_accepted() -> None:
    assert len(agent(agent_id="x" * (2048 - len("AGENT#"))).key().pk) == 2048
    assert len(job_run(window="x" * (1024 - len("RUN#"))).key().sk) == 1024


@pytest.mark.parametrize(
    "look_up",
    [
        key_schema.agent,
        lambda text: key_schema.webhook_event("hubspot", text),
        key_schema.agents_of_team,
        lambda text: key_schema.agents_order(text, "1"),
    ],
    ids=["table key", "table key of two", "partition", "order"],
)
def test_lookup_invalid_unicode_raises(
    look_up: Callable[[str], object],
) -> None:
    with pytest.raises(InvalidValue, match="Unicode"):
        look_up("\ud800")
