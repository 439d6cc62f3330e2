"""`quill events` warns of work that nobody does."""

from datetime import UTC, datetime, timedelta

import pytest

from quill_models import Quill, connect
from quill_models.testing import FrozenClock
from tests.local_dynamo import tables, test_command
from tests.local_dynamo.support import DAY, event
from tests.local_dynamo.test_command import Run, document, succeeded

quill = tables.emptied
on_the_table = test_command.on_the_table
run = test_command.run


@pytest.mark.parametrize(("waited", "warns"), [(10 * DAY, False), (25 * DAY, True)])
def test_events_unclaimed_event_warns_before_expiry(
    quill: Quill, run: Run, waited: timedelta, warns: bool
) -> None:
    came = datetime.now(UTC) - waited
    with connect(quill.settings, clock=FrozenClock(came)) as then:
        expires = then.webhook_events.record(event("old", received_at=came)).item.ttl
    quill.webhook_events.record(event("new", received_at=datetime.now(UTC)))
    assert expires is not None
    shown = document(run("events", "--json"))
    assert datetime.fromisoformat(shown["expires_first"]) == expires
    assert ("Pending events expire, the first one in" in succeeded(run("events"))) is warns
