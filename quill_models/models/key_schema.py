"""The key schema: the keys of all items in the table and in each index.

No other module composes keys; ``quill help data-model`` shows them as a table. The first component
names the item collection. Only an agent and its interactions share one.

Lists of a day, a status or due events are spread over shards. The number of shards is stored in the
table.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from quill_models.dynamodb.shards import TABLE_SETTINGS
from quill_models.values.clock import aware_utc
from quill_models.values.errors import InvalidValue
from quill_models.values.keys import (
    PARTITION_KEY_BYTES,
    SORT_KEY_BYTES,
    Key,
    compose,
    compose_order,
    prefix,
    prefix_end,
    sequence_text,
    shard_of,
    time_text,
)

AGENT_PROFILE = "PROFILE"
_MIGRATION = "MIGRATION"
_INTERACTION = "INTERACTION"
_BUCKET = "BUCKET"
_RUN = "RUN"
_EVENT = "EVENT"
_AGENT = "AGENT"
_METRIC = "METRIC"
_SCOPE = "SCOPE"
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def _key(pk: str, sk: str) -> Key:
    for name, text, limit in (("partition", pk, PARTITION_KEY_BYTES), ("sort", sk, SORT_KEY_BYTES)):
        # No character has more than four bytes in UTF-8.
        if 4 * len(text) > limit and (size := len(text.encode())) > limit:
            raise InvalidValue(
                f"The {name} key '{text[:60]}…' has {size} bytes; DynamoDB allows {limit}. Use a "
                "shorter identifier."
            )
    return Key(pk, sk)


def _partition(*components: str) -> str:
    return _key(compose(*components), "-").pk


def _shard(number: int) -> str:
    return f"{number:03d}"


# The table: one key per identity.


def agent(agent_id: str) -> Key:
    """A1: an agent."""
    return _key(compose("AGENT", agent_id), AGENT_PROFILE)


def agent_external_id(source: str, external_id: str) -> Key:
    """A2: the claim of one agent to an id in a source."""
    return _key(compose("AGENT_EXTERNAL_ID", source, external_id), "CLAIM")


def interaction(interaction_id: str) -> Key:
    """I1: an interaction."""
    return _key(compose("INTERACTION", interaction_id), _INTERACTION)


def interaction_external_id(source: str, external_id: str) -> Key:
    """I2: the claim of one interaction to an id in a source."""
    return _key(compose("INTERACTION_EXTERNAL_ID", source, external_id), "CLAIM")


def metric(scope: str, name: str, grain: str, bucket_start: datetime) -> Key:
    """One bucket of a series."""
    return _key(metric_series(scope, name, grain), compose(_BUCKET, time_text(bucket_start)))


def increment(event_key: str, scope: str, name: str, grain: str, bucket_start: datetime) -> Key:
    """The increment of one event in one bucket, under the event, since a bucket has many."""
    return _key(
        compose("INCREMENT", event_key), compose(scope, name, grain, time_text(bucket_start))
    )


def metric_series(scope: str, name: str, grain: str) -> str:
    """M1: the partition of one series, its buckets sorted by time."""
    return _partition("METRIC", scope, name, grain)


def job_run(job_name: str, window: str) -> Key:
    """J1: a job run."""
    return _key(compose("JOB", job_name), compose(_RUN, window))


def job_attempt(job_name: str, window: str, attempt: int) -> Key:
    """An earlier attempt at a window, directly after the run itself."""
    return _key(compose("JOB", job_name), compose(_RUN, window, sequence_text(attempt)))


def attempts_of(job_name: str, window: str) -> tuple[str, tuple[str, str]]:
    """The partition of a run and of its earlier attempts, and their sort keys."""
    key = job_run(job_name, window)
    return key.pk, (key.sk, prefix_end(_RUN, window))


def watermark(job_name: str, source: str) -> Key:
    """J6: a watermark."""
    return _key(compose("JOB", job_name), compose("WATERMARK", source))


def webhook_event(source: str, event_key: str) -> Key:
    """W1: a webhook event."""
    return _key(compose("WEBHOOK", source, event_key), _EVENT)


def applied_migration(number: int) -> Key:
    """The record of an applied migration."""
    return _key(TABLE_SETTINGS.pk, compose(_MIGRATION, f"{number:04d}"))


def applied_migrations() -> tuple[str, tuple[str, str]]:
    """The partition of the applied migrations, and their sort keys by number."""
    return TABLE_SETTINGS.pk, (prefix(_MIGRATION), prefix_end(_MIGRATION))


# gsi1: the items of one parent.


def agent_collection(agent_id: str) -> str:
    """I3 and X1: an agent (its profile sorts last) and its interactions by time."""
    return _partition("AGENT", agent_id)


def metrics_of_bucket(name: str, grain: str, bucket_start: datetime, shard: int) -> str:
    """M2: every scope's value in one bucket, by scope."""
    return _partition("METRIC_BUCKET", name, grain, time_text(bucket_start), _shard(shard))


def scope_order(scope: str) -> str:
    """By scope."""
    return compose_order(_SCOPE, scope)


def job_runs_of_job(job_name: str) -> str:
    """J2: the runs of a job by start."""
    return _partition("JOB_RUNS", job_name)


def events_of_object(source: str, object_type: str, object_id: str) -> str:
    """W4: the events about one object by the time they occurred."""
    return _partition("OBJECT", source, object_type, object_id)


# gsi2: the second list of each kind.


def agents_of_team(team: str) -> str:
    """A3: the agents of a team by name."""
    return _partition("TEAM", team)


def interactions_of_contact(contact_id: str) -> str:
    """I4: the interactions of a contact by time."""
    return _partition("CONTACT", contact_id)


def job_runs_leased() -> str:
    """J5: running runs by the end of their lease."""
    return _partition("JOB_LEASE")


def job_runs_succeeded(job_name: str) -> str:
    """J3: the successes of a job by their end."""
    return _partition("JOB_SUCCEEDED", job_name)


def events_to_work_on(source: str, shard: int) -> str:
    """The unfinished events of a source by due time, which a claim reads."""
    return _partition("WORK", source, _shard(shard))


# gsi3: the items of a status or a day.


def agents_of_status(status: str) -> str:
    """A4: the agents in a status by name."""
    return _partition("AGENT_STATUS", status)


def interactions_of_day(day: date, shard: int) -> str:
    """I5: all interactions of one UTC day by time."""
    return _partition("DAY", day.isoformat(), _shard(shard))


def metrics_of_day(day: date, shard: int) -> str:
    """M3: all metrics whose bucket starts on one UTC day by time."""
    return _partition("METRIC_DAY", day.isoformat(), _shard(shard))


def job_runs_of_status(status: str, shard: int) -> str:
    """J4: the runs of every job in a status by start."""
    return _partition("JOB_STATUS", status, _shard(shard))


def events_of_status(source: str, status: str, shard: int) -> str:
    """W2 and W3: the events of a source in a status, by due time or by the time they occurred."""
    return _partition("EVENTS", source, status, _shard(shard))


# The order of the lists.


def agents_order(name: str, agent_id: str) -> str:
    """By name, then id."""
    return compose_order(_AGENT, name, agent_id)


def interaction_order(started_at: datetime, interaction_id: str) -> str:
    """By time, then id."""
    return compose_order(_INTERACTION, time_text(started_at), interaction_id)


def metric_order(bucket_start: datetime, scope: str, name: str, grain: str) -> str:
    """By time, then identity."""
    return compose_order(_METRIC, time_text(bucket_start), scope, name, grain)


def run_order(instant: datetime, job_name: str, window: str) -> str:
    """By time, then identity."""
    return compose_order(_RUN, time_text(instant), job_name, window)


def event_order(instant: datetime) -> str:
    """By time, without the event key, which would add 80 bytes to each index entry."""
    return time_text(instant)


def interactions_between(since: datetime | None, until: datetime | None) -> tuple[str, str]:
    """The sort keys of `interaction_order` from ``since`` (inclusive) to ``until`` (exclusive).

    The range excludes the agent itself from the list of its interactions. ``BETWEEN`` includes both
    ends, but no sort key equals the upper one, because each continues after its time.
    """
    return _from_time(_INTERACTION, since), _from_time(_INTERACTION, until, prefix_end)


def events_until(until: datetime) -> tuple[str, str]:
    """The sort keys of `event_order` up to a time, inclusive."""
    return time_text(_FIRST), time_text(until)


def events_between(since: datetime | None, until: datetime | None) -> tuple[str, str]:
    """The sort keys of `event_order` from ``since`` (inclusive) to ``until`` (exclusive)."""
    lower = time_text(_FIRST if since is None else since)
    # The key is its time, in whole microseconds.
    if until is None:
        return lower, time_text(_LAST)
    if aware_utc(until, "until") == _FIRST:
        return lower, ""
    return lower, time_text(until - timedelta(microseconds=1))


def runs_between(since: datetime | None, until: datetime | None) -> tuple[str, str]:
    """The sort keys of `run_order` from ``since`` (inclusive) to ``until`` (exclusive).

    No sort key equals the upper one, because each continues after its time.
    """
    return _from_time(_RUN, since), _from_time(_RUN, until, prefix_end)


def runs_until(until: datetime) -> tuple[str, str]:
    """The sort keys of `run_order` up to a time, inclusive."""
    return prefix(_RUN), prefix_end(_RUN, time_text(until))


def buckets_between(since: datetime | None, until: datetime | None) -> tuple[str, str]:
    """The sort keys of `metric` from ``since`` (inclusive) to ``until`` (exclusive)."""
    lower = _from_time(_BUCKET, since)
    if until is None:
        return lower, prefix_end(_BUCKET)
    # The key ends with its time, in whole microseconds.
    if aware_utc(until, "until") == _FIRST:
        return lower, prefix(_BUCKET)
    return lower, compose(_BUCKET, time_text(until - timedelta(microseconds=1)))


def _from_time(
    component: str, instant: datetime | None, default: Callable[[str], str] = prefix
) -> str:
    return default(component) if instant is None else compose(component, time_text(instant))


def shard(identity: Key, shards: int) -> int:
    """The shard of an item in sharded lists."""
    return shard_of(compose(*identity), shards)
