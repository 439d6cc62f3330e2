"""Hypothesis strategies of all values and models that the package can store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from quill_models import (
    Agent,
    AgentStatus,
    Channel,
    Direction,
    EventStatus,
    Grain,
    Interaction,
    JobRun,
    JobStatus,
    Metric,
    WebhookEvent,
)
from quill_models.models import QuillModel

AWKWARD = (
    "1",
    "10",
    "1#",
    "#",
    "##",
    "%",
    "a#b",
    "a%23b",
    "%2523",
    "ü",
    "ﬀ",
    "🦜",
    "🦜🏽",
    "\x00",
    "\t\n\x1f",
    "\x7f\x80",
    " ",
    "$",
    "&",
    "~",
    "\ufffd\uffff",
    "\U0010ffff",
    "None",
    "agent:7",
)


def texts(*, min_size: int = 1, max_size: int = 40) -> st.SearchStrategy[str]:
    """Generate text that UTF-8 can encode."""
    awkward = [text for text in AWKWARD if min_size <= len(text) <= max_size]
    return st.one_of(
        st.sampled_from(awkward),
        st.text(
            st.characters(exclude_categories=["Cs"]),
            min_size=min_size,
            max_size=max_size,
        ),
    )


def components() -> st.SearchStrategy[str]:
    """Generate key components, also empty ones, of few characters, so that many are similar."""
    return st.one_of(
        st.just(""),
        st.text("01#%23aB\x00\t ü🦜", max_size=5),
        texts(min_size=0),
        st.sampled_from(("x" * 300, "ü" * 300, "#" * 300)),
    )


def zones() -> st.SearchStrategy[timezone]:
    """Generate fixed offsets from UTC, including seconds."""
    day = timedelta(hours=23, minutes=59, seconds=59)
    return st.one_of(
        st.just(UTC),
        st.timedeltas(min_value=-day, max_value=day).map(timezone),
    )


def instants() -> st.SearchStrategy[datetime]:
    """Generate aware times in any zone, in the years 2 to 9998."""
    return st.datetimes(
        min_value=datetime(2, 1, 1),  # noqa: DTZ001 -- hypothesis adds the zone
        max_value=datetime(9998, 12, 31),  # noqa: DTZ001
        timezones=zones(),
    )


@st.composite
def numbers(draw: st.DrawFn) -> Decimal:
    """Generate numbers that DynamoDB stores exactly: up to 38 digits, 1E-130 to 9.9…E+125."""
    digits = draw(st.integers(1, 10**38 - 1))
    length = len(str(digits))
    exponent = draw(st.integers(-130, 125)) - (length - 1)
    # By text, because arithmetic would round to 28 digits.
    return Decimal(f"{draw(st.sampled_from((0, 1, -1))) * digits}E{exponent}")


def json_values() -> st.SearchStrategy[Any]:
    """Generate JSON values, including unpaired surrogates and more than 38 digits."""
    leaves = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.decimals(allow_nan=False, allow_infinity=False),
        st.text(),
        st.sampled_from(("\ud800", "a\udfffb", "\u2028", "10" * 30)),
        st.just(10**60 + 1),
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
        ),
        max_leaves=8,
    )


def documents() -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.one_of(st.text(max_size=8), st.just("")), json_values(), max_size=4)


def _optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), strategy)


def agents() -> st.SearchStrategy[Agent]:
    return st.builds(
        Agent,
        agent_id=texts(),
        name=_optional(texts()),
        email=_optional(texts()),
        team=_optional(texts()),
        status=st.sampled_from(AgentStatus),
        external_ids=st.dictionaries(texts(), texts(), max_size=3),
        source_updated_at=_optional(instants()),
    )


@st.composite
def interactions(draw: st.DrawFn) -> Interaction:
    started_at = draw(instants())
    lasted = draw(_optional(st.timedeltas(timedelta(0), timedelta(days=300))))
    source = draw(_optional(texts()))
    return Interaction(
        interaction_id=draw(texts()),
        source=source,
        external_id=None if source is None else draw(_optional(texts())),
        agent_id=draw(_optional(texts())),
        contact_id=draw(_optional(texts())),
        channel=draw(st.sampled_from(Channel)),
        direction=draw(_optional(st.sampled_from(Direction))),
        started_at=started_at,
        ended_at=None if lasted is None else started_at + lasted,
        duration_seconds=draw(_optional(numbers())),
        outcome=draw(_optional(texts())),
        subject=draw(_optional(texts())),
        attributes=draw(documents()),
        source_updated_at=draw(_optional(instants())),
    )


def scopes() -> st.SearchStrategy[str]:
    return st.one_of(
        st.just("global"),
        st.builds("{}:{}".format, st.sampled_from(("agent", "team")), texts()),
    )


@st.composite
def metrics(draw: st.DrawFn) -> Metric:
    grain = draw(st.sampled_from(Grain))
    return Metric(
        scope=draw(scopes()),
        name=draw(texts()),
        grain=grain,
        bucket_start=grain.floor(draw(instants()).astimezone(UTC)),
        value=draw(numbers()),
        unit=draw(_optional(texts())),
        dimensions=draw(documents()),
        computed_at=draw(_optional(instants())),
    )


def job_runs() -> st.SearchStrategy[JobRun]:
    return st.builds(
        JobRun,
        job_name=texts(),
        window=texts(),
        run_id=texts(),
        owner=texts(),
        started_at=instants(),
        lease_expires_at=instants(),
        status=st.sampled_from(JobStatus),
        attempt=st.integers(1, 10**9),
        fencing_token=st.integers(1, 10**9),
        heartbeat_at=_optional(instants()),
        finished_at=_optional(instants()),
        checkpoint=documents(),
        stats=documents(),
        error=_optional(documents()),
    )


def webhook_events() -> st.SearchStrategy[WebhookEvent]:
    return st.builds(
        WebhookEvent,
        source=texts(),
        event_key=texts(),
        event_type=texts(),
        object_type=_optional(texts()),
        object_id=_optional(texts()),
        occurred_at=instants(),
        received_at=instants(),
        payload=documents(),
        digest=_optional(texts()),
        status=st.sampled_from(EventStatus),
        attempts=st.integers(0, 100),
        last_error=_optional(texts()),
    )


MODELS: dict[str, st.SearchStrategy[QuillModel]] = {
    "agent": agents(),
    "interaction": interactions(),
    "metric": metrics(),
    "job_run": job_runs(),
    "webhook_event": webhook_events(),
}


def models() -> st.SearchStrategy[QuillModel]:
    return st.one_of(*MODELS.values())
