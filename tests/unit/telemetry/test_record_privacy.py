"""Log records contain no user data and no credentials."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from botocore import exceptions as boto
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quill_models import (
    Agent,
    Increment,
    Interaction,
    Key,
    Quill,
    QuillError,
    Settings,
    WebhookEvent,
    connect,
)
from tests.unit.telemetry.support import captured_records, respond_with
from tests.unit.wire import Response, Wire, error_response, response

NOON = datetime(2031, 5, 17, 12, 0, tzinfo=UTC)
SETTINGS = Settings(table="mine")
KEY = Key("a", "b")

pytestmark = pytest.mark.usefixtures("isolated", "delays")

# A text that occurs nowhere else.
secrets = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1).map(
    lambda text: f"§{text}§"
)


def an_event(secret: str) -> WebhookEvent:
    return WebhookEvent(
        source="hubspot",
        event_key="e1",
        event_type="t",
        object_type="contact",
        object_id=secret,
        occurred_at=NOON,
        received_at=NOON,
        payload={secret: [secret]},
    )


def an_interaction(secret: str) -> Interaction:
    return Interaction(
        interaction_id=secret,
        source="hubspot",
        external_id=secret,
        agent_id=secret,
        contact_id=secret,
        channel="call",
        started_at=NOON,
        subject=secret,
        attributes={"note": secret},
    )


def an_agent(secret: str) -> Agent:
    return Agent(
        agent_id=secret, name=secret, email=f"{secret}@b.c", external_ids={"hubspot": secret}
    )


def an_increment(secret: str) -> Increment:
    return Increment(
        scope=f"agent:{secret}", name=secret, grain="day", at=NOON, amount=1, event_key=secret
    )


def in_a_run(quill: Quill, secret: str) -> None:
    with quill.job_runs.start("job", "w") as run:
        run.stats[secret] = secret
        run.save_checkpoint({"at": secret})
        raise ValueError(secret)


CALLS: list[Callable[[Quill, str], object]] = [
    lambda quill, secret: quill.store.put(Key(secret, secret), {"x": secret, secret: 1}),
    lambda quill, secret: quill.store.put(Key(secret, "b"), {"x": secret}, if_not_exists=True),
    lambda quill, secret: quill.store.get(Key(secret, secret)),
    lambda quill, secret: list(quill.store.query(secret, secret)),
    lambda quill, secret: quill.store.delete(Key(secret, secret)),
    lambda quill, secret: quill.store.check_and_mark(Key(secret, secret), timedelta(hours=1)),
    lambda quill, secret: quill.webhook_events.record(an_event(secret)),
    lambda quill, secret: quill.webhook_events.record_many([an_event(secret)]),
    lambda quill, secret: quill.webhook_events.record_many([an_event(secret)], prefer="cost"),
    lambda quill, secret: quill.webhook_events.list_by_object("hubspot", "c", secret).first(),
    lambda quill, secret: quill.interactions.record(an_interaction(secret)),
    lambda quill, secret: quill.interactions.put(an_interaction(secret)),
    lambda quill, secret: quill.interactions.list_by_contact(secret).page(),
    lambda quill, secret: quill.agents.put(an_agent(secret)),
    lambda quill, secret: list(quill.agents.iter_put_many([an_agent(secret)])),
    lambda quill, secret: quill.agents.get_by_external_id("hubspot", secret),
    lambda quill, secret: quill.metrics.add(an_increment(secret)),
    in_a_run,
]


def replies(secret: str) -> list[Response]:
    """Responses of a server, or of a proxy in front of it, with the secret."""
    raw = {"pk": {"S": secret}, "sk": {"S": secret}, "payload": {"S": secret}}
    reason = {"Code": "ConditionalCheckFailed", "Message": secret, "Item": raw}
    return [
        response({"Item": raw, "Items": [raw], "Count": 1, "ScannedCount": 1}),
        response({"Items": [], "Count": 0, "Responses": {"mine": [raw]}}),
        response({}),
        error_response("ConditionalCheckFailedException", Item=raw),
        error_response("TransactionCanceledException", CancellationReasons=[reason]),
        error_response("ValidationException", Message=secret, message=secret),
        error_response("ThrottlingException", message=secret),
        error_response("InternalServerError", 500, message=secret),
        response(f"<html>{secret}</html>".encode(), 503),
        response(f'{{"Item": {{"x": "{secret}'.encode(), 200),
        boto.ConnectionClosedError(endpoint_url="http://localhost", request=secret),
        boto.HTTPClientError(error=secret),
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(
    secret=secrets,
    call=st.sampled_from(CALLS),
    indexes=st.lists(st.integers(0, 11), min_size=1, max_size=8),
)
def test_log_records_contain_no_user_data(
    delays: list[float],
    secret: str,
    call: Callable[[Quill, str], object],
    indexes: list[int],
) -> None:
    quill = connect(replace(SETTINGS, deadline=timedelta(0)))
    given_replies = replies(secret)
    left = [given_replies[at] for at in indexes]
    # Always the same response at the end, so that a call does not run indefinitely.
    wire = Wire(quill.table.client, lambda _n, _b: left.pop(0) if left else given_replies[5])
    with captured_records() as found:
        # An invalid response may raise any of these errors.
        with suppress(QuillError, ValueError, KeyError, TypeError, AttributeError, StopIteration):
            call(quill, secret)
    assert len([each for each in found if each.name == "quill_models.requests"]) == len(wire.sent)
    for record in found:
        text = f"{record.getMessage()} {vars(record)!r}"
        assert secret not in text
        assert repr(secret)[1:-1] not in text
        assert record.exc_info is None
        assert record.exc_text is None


def test_log_records_contain_no_credentials(
    monkeypatch: pytest.MonkeyPatch, records: list[logging.LogRecord]
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDSECRET")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "shh-secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token-secret")
    quill = connect(Settings.load(environ={"DATA_BACKEND": "aws", "AWS_REGION": "eu-west-1"}))
    respond_with(quill, error_response("ExpiredTokenException"))
    with pytest.raises(QuillError):
        quill.store.get(KEY)
    assert records
    text = repr([vars(record) for record in records])
    assert "SECRET" not in text
    assert "-secret" not in text
