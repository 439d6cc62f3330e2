from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator
from hypothesis import given, settings
from hypothesis import strategies as st

from quill_models import Agent, Grain, Interaction, Metric, Settings, WebhookEvent
from quill_models.current import entered
from quill_models.errors import InvalidValue
from quill_models.models import INDEXES, QuillModel
from quill_models.shards import DEFAULT_SHARDS
from quill_models.table import Table

from .examples import EXAMPLES, MIDNIGHT, NOON, agent, interaction, job_run, metric, webhook_event
from .strategies import MODELS, instants, texts
from .wire import Wire, always

# Of each of five kinds.
FEW = settings(max_examples=25)
KINDS = pytest.mark.parametrize("kind", EXAMPLES)
COMPOSED = ("pk", "sk", *(f"{index}{part}" for index in INDEXES for part in ("pk", "sk")))


def table(clock: datetime = NOON, **given_settings: Any) -> Table:
    return Table(Settings(**given_settings), lambda: clock)


# Constructors.


@KINDS
def test_constructors_take_only_names(kind: str) -> None:
    model = type(EXAMPLES[kind]())
    parameters = list(inspect.signature(model.__init__).parameters.values())[1:]
    assert {parameter.kind for parameter in parameters} == {inspect.Parameter.KEYWORD_ONLY}
    assert all(parameter.annotation is not parameter.empty for parameter in parameters)
    with pytest.raises(TypeError, match="positional"):
        model("7")  # type: ignore[call-arg]


@KINDS
@pytest.mark.parametrize(
    "name", ["nonsense", "kind", "created_at", "ttl", "write_token", *COMPOSED]
)
def test_constructors_take_nothing_unknown_nor_what_is_not_the_callers(
    kind: str, name: str
) -> None:
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
        EXAMPLES[kind](**{name: "x"})


@KINDS
def test_each_needed_field_is_named_where_it_is_none(kind: str) -> None:
    model = type(EXAMPLES[kind]())
    needed = [
        name
        for name, parameter in inspect.signature(model.__init__).parameters.items()
        if name != "self" and parameter.default is parameter.empty
    ]
    assert set(model.IDENTITY) <= {*needed, "window"}
    for name in needed:
        with pytest.raises(InvalidValue, match=name):
            EXAMPLES[kind](**{name: None})


def test_what_an_interaction_may_not_say() -> None:
    with pytest.raises(InvalidValue, match="'call-1' has an external_id and no source"):
        interaction(source=None)
    with pytest.raises(InvalidValue, match="'call-1' ends before it starts"):
        interaction(ended_at=NOON - timedelta(microseconds=1))
    assert interaction(ended_at=NOON).ended_at == NOON


@pytest.mark.parametrize(
    "scope", ["agent", "agent:", "team:", ":7", "Global", "GLOBAL", "global:", "squad:7", " global"]
)
def test_another_scope_is_refused_and_the_allowed_ones_are_named(scope: str) -> None:
    with pytest.raises(InvalidValue, match="'agent:<id>', 'team:<name>' and 'global'"):
        metric(scope=scope)


@given(st.sampled_from(("agent", "team")), texts())
def test_a_scope_takes_every_identity(kind: str, identity: str) -> None:
    assert metric(scope=f"{kind}:{identity}").scope == f"{kind}:{identity}"


# Buckets.

_LENGTHS = {
    Grain.HOUR: timedelta(hours=1),
    Grain.DAY: timedelta(days=1),
    Grain.WEEK: timedelta(days=7),
}


def _next(grain: Grain, start: datetime) -> datetime:
    if grain is Grain.MONTH:
        return (start + timedelta(days=32)).replace(day=1)
    return start + _LENGTHS[grain]


@pytest.mark.parametrize("grain", Grain)
@given(instants())
def test_a_time_falls_in_the_bucket_that_starts_at_its_floor(
    grain: Grain, instant: datetime
) -> None:
    utc = instant.astimezone(UTC)
    start = grain.floor(utc)
    assert start <= utc < _next(grain, start)
    assert grain.floor(start) == start
    assert grain.floor(_next(grain, start)) == _next(grain, start)
    assert grain.floor(_next(grain, start) - timedelta(microseconds=1)) == start


@pytest.mark.parametrize(
    ("grain", "start"),
    [
        (Grain.HOUR, datetime(2031, 5, 17, 12, tzinfo=UTC)),
        (Grain.DAY, datetime(2031, 5, 17, tzinfo=UTC)),
        # A Monday.
        (Grain.WEEK, datetime(2031, 5, 12, tzinfo=UTC)),
        (Grain.MONTH, datetime(2031, 5, 1, tzinfo=UTC)),
    ],
)
def test_the_buckets_of_one_moment(grain: Grain, start: datetime) -> None:
    moment = NOON + timedelta(minutes=34, microseconds=5)
    assert grain.floor(moment) == start
    assert metric(grain=grain, bucket_start=start).bucket_start == start
    with pytest.raises(InvalidValue, match="that bucket starts at") as caught:
        metric(grain=grain, bucket_start=moment)
    assert str(caught.value).endswith(start.isoformat())


@pytest.mark.parametrize("grain", Grain)
@given(st.data())
def test_only_the_start_of_a_bucket_is_taken(grain: Grain, data: st.DataObject) -> None:
    instant = data.draw(instants()).astimezone(UTC)
    start = grain.floor(instant)
    assert metric(grain=grain, bucket_start=start).bucket_start == start
    with pytest.raises(InvalidValue, match="bucket_start"):
        metric(grain=grain, bucket_start=start + timedelta(microseconds=1))


# Stored and read back.


def _types(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _types(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_types(inner) for inner in value]
    return type(value)


@KINDS
@FEW
@given(st.data())
def test_what_is_stored_is_read_back(kind: str, data: st.DataObject) -> None:
    model = data.draw(MODELS[kind])
    item = model.to_item(DEFAULT_SHARDS)
    read = type(model).from_item(item)
    assert read == model
    assert _types(read.content()) == _types(model.content())
    assert read.to_item(DEFAULT_SHARDS) == item


@KINDS
@FEW
@given(st.data())
def test_a_stamped_model_is_read_back(kind: str, data: st.DataObject) -> None:
    model = data.draw(MODELS[kind])
    model.stamp(table())
    item = model.to_item(DEFAULT_SHARDS)
    read = type(model).from_item(item)
    assert (read.created_at, read.updated_at, read.ttl, read.write_token) == (
        NOON,
        NOON,
        model.ttl,
        model.write_token,
    )
    assert read.to_item(DEFAULT_SHARDS) == item


_PUT_ITEM = (
    botocore.session.Session().get_service_model("dynamodb").operation_model("PutItem").input_shape
)


@KINDS
@FEW
@given(st.data())
def test_a_stored_item_is_what_the_api_takes(kind: str, data: st.DataObject) -> None:
    item = data.draw(MODELS[kind]).to_item(DEFAULT_SHARDS)
    assert _PUT_ITEM is not None
    report = ParamValidator().validate({"TableName": "quill", "Item": item}, _PUT_ITEM)
    assert not report.has_errors(), report.generate_report()
    assert item["kind"] == {"S": kind}
    # Empty text is refused in the keys of a table and of an index.
    assert all(item[name]["S"] for name in COMPOSED if name in item)


@KINDS
@FEW
@given(st.data())
def test_attributes_of_a_newer_version_survive(kind: str, data: st.DataObject) -> None:
    model = data.draw(MODELS[kind])
    newer: dict[str, Any] = {
        f"x_{name}": value
        for name, value in data.draw(
            st.dictionaries(
                texts(max_size=5),
                st.sampled_from(
                    (
                        {"S": "new"},
                        {"N": "1.10"},
                        {"B": b"\x00"},
                        {"NULL": True},
                        {"M": {"a": {"L": [{"BOOL": False}]}}},
                        {"SS": ["a", "b"]},
                    )
                ),
                min_size=1,
                max_size=3,
            )
        ).items()
    }
    stored = {**model.to_item(DEFAULT_SHARDS), **newer}
    read = type(model).from_item(stored)
    assert read == model
    assert read.to_item(DEFAULT_SHARDS) == stored
    assert read.copy().to_item(DEFAULT_SHARDS) == stored


@KINDS
def test_an_item_of_another_kind_is_refused(kind: str) -> None:
    model = EXAMPLES[kind]()
    kinds: list[dict[str, Any]] = [{"S": "something_else"}, {"N": "1"}, {}]
    for stored in kinds:
        with pytest.raises(InvalidValue, match=f"not '{kind}'") as caught:
            type(model).from_item({**model.to_item(1), "kind": stored})
        assert model.key().pk in str(caught.value)
    with pytest.raises(InvalidValue, match=f"not '{kind}'"):
        type(model).from_item({})


@pytest.mark.parametrize(
    ("model", "field", "stored"),
    [
        (agent(), "status", {"S": "on_leave"}),
        (interaction(), "started_at", {"S": "yesterday"}),
        (interaction(), "attributes", {"S": "{"}),
        (metric(), "value", {"N": "many"}),
        (job_run(), "attempt", {"N": "many"}),
    ],
)
def test_a_stored_value_that_cannot_be_read_is_named(
    model: QuillModel, field: str, stored: dict[str, Any]
) -> None:
    # Written by hand, or by a newer version: the error is one of this package.
    with pytest.raises(InvalidValue, match=field):
        type(model).from_item({**model.to_item(1), field: stored})


@KINDS
def test_a_copy_is_equal_and_its_own(kind: str) -> None:
    model = EXAMPLES[kind]()
    model.unknown = {"x_new": {"S": "kept"}}
    copied = model.copy()
    assert copied == model
    copied.stamp(table())
    copied.unknown["x_new"] = {"S": "changed"}
    assert model.write_token is None
    assert model.unknown == {"x_new": {"S": "kept"}}


# Equality and text.


@KINDS
def test_models_are_equal_by_content(kind: str) -> None:
    one, same = EXAMPLES[kind](), EXAMPLES[kind]()
    assert one == same
    same.stamp(table())
    same.unknown = {"x_new": {"S": "of a newer version"}}
    assert one == same
    assert one != object()
    others = [make() for other, make in EXAMPLES.items() if other != kind]
    assert one not in others
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)


@pytest.mark.parametrize(
    ("make", "changes"),
    [
        (agent, {"agent_id": "8"}),
        (agent, {"name": None}),
        (agent, {"external_ids": {}}),
        (agent, {"status": "inactive"}),
        (interaction, {"started_at": NOON - timedelta(microseconds=1)}),
        (interaction, {"duration_seconds": Decimal("180.1")}),
        (interaction, {"attributes": {"queue": "support"}}),
        (metric, {"value": 13}),
        (metric, {"dimensions": {}}),
        (job_run, {"attempt": 2}),
        (job_run, {"checkpoint": {"page": 4}}),
        (webhook_event, {"payload": {"objectId": "123"}}),
        (webhook_event, {"status": "dead"}),
    ],
)
def test_models_with_other_content_are_not_equal(
    make: Callable[..., QuillModel], changes: dict[str, Any]
) -> None:
    assert make(**changes) != make()


def test_numbers_and_times_are_equal_by_value() -> None:
    assert metric(value=12.0) == metric(value=Decimal("12.00")) == metric(value=12)


@pytest.mark.parametrize(("one", "other"), [(True, 1), (False, 0), (True, Decimal("1.0"))])
def test_true_is_not_one(one: Any, other: Any) -> None:
    # They are in JSON two things: an edit from one to the other is an edit.
    assert interaction(attributes={"vip": one}) != interaction(attributes={"vip": other})
    assert interaction(attributes={"in": [one]}) != interaction(attributes={"in": [other]})


SECRET = "hunter2"


@pytest.mark.parametrize(
    "model",
    [
        agent(email=f"{SECRET}@example.org"),
        interaction(attributes={"card": SECRET}, subject=SECRET),
        metric(dimensions={"by": SECRET}),
        job_run(checkpoint={"token": SECRET}, stats={"s": SECRET}, error={"message": SECRET}),
        webhook_event(payload={"email": SECRET}, last_error=SECRET),
    ],
)
def test_the_text_of_a_model_shows_who_it_is_and_no_payload(model: QuillModel) -> None:
    text = repr(model)
    assert SECRET not in text
    assert SECRET not in str(model)
    assert text.startswith(f"{type(model).__name__}({model.IDENTITY[0]}=")
    for name in model.IDENTITY:
        assert f"{name}={getattr(model, name)!r}" in text


# Composed keys.


@KINDS
@pytest.mark.parametrize("name", COMPOSED)
def test_composed_keys_cannot_be_set_by_hand(kind: str, name: str) -> None:
    with pytest.raises(InvalidValue, match=f"{name} is composed from the fields"):
        setattr(EXAMPLES[kind](), name, "by hand")


@pytest.mark.usefixtures("isolated")
@KINDS
def test_composed_keys_are_read_like_any_attribute(kind: str) -> None:
    model = EXAMPLES[kind]()
    with entered(table()):
        shown = {name: getattr(model, name) for name in COMPOSED}
    composed = model.composed_keys(DEFAULT_SHARDS)
    assert shown == {name: composed.get(name) for name in COMPOSED}


def test_composed_keys_follow_a_changed_field() -> None:
    one = agent()
    one.team = "south"
    one.name = "Grace"
    one.status = "inactive"
    assert one.composed_keys(1) == agent(
        team="south", name="Grace", status="inactive"
    ).composed_keys(1)
    one.team = None
    assert "gsi2pk" not in one.to_item(1)

    call = interaction()
    call.started_at = NOON + timedelta(days=1)
    call.ended_at = None
    call.agent_id = "8"
    assert call.to_item(1)["gsi1pk"] == {"S": "AGENT#8"}
    assert call.to_item(1)["gsi1sk"] == {"S": "INTERACTION#2031-05-18T12:00:00.000000Z#call-1"}
    assert call.to_item(1)["gsi3pk"] == {"S": "DAY#2031-05-18#000"}

    event = webhook_event()
    event.status = "processed"
    assert "gsi2pk" not in event.to_item(1)


def test_stale_keys_of_a_stored_item_are_not_taken_over() -> None:
    item = agent(team="north").to_item(1)
    read = Agent.from_item({**item, "gsi2pk": {"S": "TEAM#gone"}})
    assert read.to_item(1)["gsi2pk"] == {"S": "TEAM#north"}
    without_team = agent(team=None).to_item(1)
    read = Agent.from_item({**without_team, "gsi2pk": {"S": "TEAM#gone"}})
    assert "gsi2pk" not in read.to_item(1)


# Expiry.


def _ttl(model: QuillModel, now: datetime, **retention: Any) -> int | None:
    model.stamp(table(now, **retention))
    stored = model.to_item(1).get("ttl")
    return None if stored is None else int(stored["N"])


def _epoch(instant: datetime) -> int:
    return int(instant.timestamp())


def test_a_webhook_event_expires_so_long_after_it_was_written() -> None:
    assert _ttl(webhook_event(), NOON) == _epoch(NOON + timedelta(days=30))
    week = timedelta(days=7)
    assert _ttl(webhook_event(), NOON, webhook_retention=week) == _epoch(NOON + week)


def test_expiry_is_rounded_up_to_whole_seconds() -> None:
    late = NOON + timedelta(microseconds=1)
    event = webhook_event()
    assert _ttl(event, late) == _epoch(NOON + timedelta(days=30)) + 1
    assert event.ttl == NOON + timedelta(days=30, seconds=1)


def test_a_job_run_expires_so_long_after_its_lease() -> None:
    lease_end = NOON + timedelta(minutes=5)
    ninety_days = timedelta(days=90)
    assert _ttl(job_run(), NOON) == _epoch(lease_end + ninety_days)
    # Written when the lease has ended.
    much_later = lease_end + timedelta(days=1)
    assert _ttl(job_run(), much_later) == _epoch(much_later + ninety_days)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 400))
def test_no_live_run_ever_expires(lease: int, now: int, days: int) -> None:
    run = job_run(lease_expires_at=NOON + timedelta(seconds=lease))
    expires = _ttl(run, NOON + timedelta(seconds=now), job_retention=timedelta(days=days))
    assert expires is not None
    assert expires > _epoch(run.lease_expires_at)


@pytest.mark.parametrize(
    ("model", "retention"),
    [
        (webhook_event(), {"webhook_retention": None}),
        (job_run(), {"job_retention": None}),
        (agent(), {}),
        (interaction(), {}),
        (metric(), {}),
    ],
)
def test_what_is_kept_for_ever_has_no_ttl(model: QuillModel, retention: dict[str, Any]) -> None:
    assert _ttl(model, NOON, **retention) is None


def test_an_expiry_that_is_no_time_is_refused_when_it_is_set() -> None:
    for value in (1_936_000_000, "tomorrow", NOON.replace(tzinfo=None)):
        with pytest.raises(InvalidValue, match="ttl"):
            agent().ttl = value  # type: ignore[assignment]


def test_an_expiry_at_the_end_of_time_is_refused_by_name() -> None:
    with pytest.raises(InvalidValue, match="ttl"):
        agent().ttl = datetime.max.replace(tzinfo=UTC)


# Stamps.


@KINDS
def test_a_stamp_is_the_time_of_the_clock_and_a_token_of_its_own(kind: str) -> None:
    model = EXAMPLES[kind]()
    later = NOON + timedelta(hours=1)
    model.stamp(table())
    first_token = model.write_token
    model.stamp(table(later), model.created_at)
    assert (model.created_at, model.updated_at) == (NOON, later)
    assert first_token
    assert model.write_token != first_token


# A PynamoDB user's habits, as far as they need no server.


@pytest.mark.usefixtures("isolated")
@KINDS
def test_raw_data_and_serialize_are_each_others_inverse(kind: str) -> None:
    model = EXAMPLES[kind]()
    with entered(table()):
        raw = model.serialize()
        assert raw == model.to_item(DEFAULT_SHARDS)
        assert type(model).from_raw_data(raw) == model
        assert model.to_dynamodb_dict() == raw


def test_the_models_are_pynamodb_models_of_one_table() -> None:
    assert Agent.Meta is Metric.Meta
    assert set(Agent.get_attributes()) >= {"pk", "sk", "agent_id", "kind", "ttl"}
    assert Agent._hash_keyname == "pk"
    assert Agent._range_keyname == "sk"


@pytest.mark.usefixtures("isolated")
def test_the_name_of_the_table_is_that_of_the_current_one() -> None:
    with entered(table(table="another")):
        assert Agent.Meta.table_name == "another"
        assert Interaction.Meta.table_name == "another"


@pytest.mark.usefixtures("isolated")
def test_save_puts_the_whole_item_with_its_keys_and_stamps() -> None:
    here = table(table="here")
    wire = Wire(here.client, always({}))
    event = webhook_event()
    with entered(here):
        event.save()
    names = [name for name, _ in wire.sent]
    # The number of shards, which stands in the keys, is read first.
    assert names == ["GetItem", "PutItem"]
    put = wire.sent[-1][1]
    assert put["TableName"] == "here"
    assert put["Item"] == event.to_item(DEFAULT_SHARDS)
    assert put["Item"]["created_at"] == {"S": "2031-05-17T12:00:00.000000Z"}
    assert put["Item"]["ttl"] == {"N": str(_epoch(NOON + timedelta(days=30)))}


@pytest.mark.usefixtures("isolated")
def test_an_update_that_would_leave_a_key_stale_is_refused() -> None:
    here = table(table="here")
    wire = Wire(here.client, always({}))
    with entered(here), pytest.raises(InvalidValue, match="repository's put"):
        agent().update(actions=[Agent.team.set("south")])
    assert wire.sent == []


@pytest.mark.usefixtures("isolated")
def test_a_query_reads_the_index_and_makes_models() -> None:
    here = table(table="here")
    stored = webhook_event().to_item(DEFAULT_SHARDS)
    wire = Wire(here.client, always({"Items": [stored], "Count": 1, "ScannedCount": 1}))
    with entered(here):
        found = list(WebhookEvent.gsi1.query("WEBHOOK_OBJECT#hubspot#contact#123"))
    assert found == [webhook_event()]
    ((name, request),) = wire.sent
    assert (name, request["TableName"], request["IndexName"]) == ("Query", "here", "gsi1")


def test_metrics_of_one_bucket_differ_by_scope_alone() -> None:
    one, other = metric(), metric(scope="global")
    assert one.composed_keys(1)["gsi1pk"] == other.composed_keys(1)["gsi1pk"]
    assert one.key() != other.key()
    assert one.bucket_start == MIDNIGHT
