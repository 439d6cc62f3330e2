"""Checks of the set-up. Each finding is ok or names the fix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice

from quill_models.migrations import State
from quill_models.quill import Quill
from quill_models.schema import SchemaDiff
from quill_models.settings import Settings
from quill_models.values.errors import QuillError

__all__ = ["Finding", "examine"]

# A response has its time in full seconds and arrives later.
_TOLERATED_SKEW = timedelta(seconds=3)
_MAX_RUNS = 5
_TABLE_CHECKS = ("table", "TTL", "stale leases", "migrations")

# The fields ``ok``, ``says`` and ``advice`` of a finding.
_Result = tuple[bool | None, str, str]


@dataclass(frozen=True)
class Finding:
    """The result of one check. A skipped check has None as ``ok``."""

    about: str
    ok: bool | None
    says: str
    advice: str = ""


def examine(quill: Quill) -> Iterator[Finding]:
    """Check settings, credentials, server, clock, table, leases and migrations. Writes nothing.

    A `QuillError` becomes a finding and is not raised.

    Cost:
        Two requests for the table (up to four on AWS), one for the leases, one for the migrations.
    """
    yield Finding("settings", *_settings(quill.settings))
    yield _check("credentials", _credentials, quill)
    try:
        found = quill.schema.diff()
    except QuillError as error:
        yield Finding("endpoint", ok=False, says="not usable", advice=str(error))
        yield from _skipped("clock", *_TABLE_CHECKS, reason="the endpoint is not usable")
        return
    yield Finding("endpoint", ok=True, says="DynamoDB responds")
    yield Finding("clock", *_clock(quill))
    yield Finding("table", *_table(found, quill.settings.table))
    if any(each.what == "table" for each in found.differences):
        yield from _skipped(*_TABLE_CHECKS[1:], reason="the table does not exist")
        return
    yield Finding("TTL", *_ttl(found))
    yield _check("stale leases", _stale, quill)
    if any(each.harmful for each in found.differences):
        yield from _skipped("migrations", reason="fix the table first")
    else:
        yield _check("migrations", _migrations, quill)


def _skipped(*abouts: str, reason: str) -> Iterator[Finding]:
    return (Finding(about, ok=None, says=f"skipped: {reason}") for about in abouts)


def _check(about: str, check: Callable[[Quill], _Result], quill: Quill) -> Finding:
    try:
        return Finding(about, *check(quill))
    except QuillError as error:
        return Finding(about, ok=False, says="the check failed", advice=str(error))


def _settings(settings: Settings) -> _Result:
    protected = "protected" if settings.protected else "not protected"
    region = settings.region or "from the AWS profile"
    retentions = (
        f"webhook events {_retention(settings.webhook_retention)}",
        f"job runs {_retention(settings.job_retention)}",
        f"increments {_retention(settings.increment_retention)}",
    )
    deadline = settings.deadline.total_seconds()
    lines = [
        f"DATA_BACKEND {settings.backend.value}, at {settings.endpoint or 'AWS'}, region {region}",
        f"table {settings.table}, {protected}; retention: {', '.join(retentions)}",
        f"deadline {deadline:g} s; an event is dead after {settings.max_attempts} attempts",
    ]
    return True, "\n".join(lines), ""


def _retention(retention: timedelta | None) -> str:
    return "unlimited" if retention is None else f"{retention.days} days"


def _credentials(quill: Quill) -> _Result:
    source = quill.schema.client.credentials_source()
    if source is not None:
        return True, f"from: {source}", ""
    advice = (
        "Set credentials in the standard AWS chain: environment, profile, container or instance "
        "role. DATA_BACKEND=dynamodb-local needs none."
    )
    return False, "none", advice


def _table(found: SchemaDiff, name: str) -> _Result:
    others = [each for each in found.differences if each.what != "TTL"]
    if others:
        advice = others[0].remedy if len(others) == 1 else "Run quill schema diff for the fixes."
        return False, "; ".join(f"{e.what}: {e.live}" for e in others), advice
    missing = f"; this server does not support {', '.join(found.missing)}" if found.missing else ""
    return True, f"{name} matches the models{missing}", ""


def _ttl(found: SchemaDiff) -> _Result:
    for each in found.differences:
        if each.what == "TTL":
            return False, each.live, each.remedy
    return True, "on; expired items are deleted within days", ""


def _clock(quill: Quill) -> _Result:
    skew = quill.schema.client.clock_skew
    if skew is None:
        return None, "the server does not send its time", ""
    if abs(skew) <= _TOLERATED_SKEW:
        return True, "within a few seconds of the server's", ""
    seconds = skew.total_seconds()
    advice = (
        "Synchronise it by NTP. Leases and expiry use it, and AWS rejects requests that are more "
        "than five minutes off."
    )
    direction = "ahead of" if seconds > 0 else "behind"
    return False, f"{abs(seconds):.0f} s {direction} the server's", advice


def _stale(quill: Quill) -> _Result:
    found = list(islice(quill.job_runs.stale(), _MAX_RUNS + 1))
    if not found:
        return True, "none", ""
    names = ", ".join(f"{run.job_name} / {run.window}" for run in found[:_MAX_RUNS])
    more = " and more" if len(found) > _MAX_RUNS else ""
    advice = (
        "Start the window again, which takes over, or run quill jobs cancel. quill jobs shows all "
        "stale runs."
    )
    return False, f"{names}{more}", advice


def _migrations(quill: Quill) -> _Result:
    migrations = quill.migrations.status()
    invalid = [
        f"{each.name} is {each.state.value}"
        for each in migrations
        if each.state not in {State.APPLIED, State.PENDING}
    ]
    if invalid:
        return False, ", ".join(invalid), "Run quill migrate plan for the fix."
    pending = [each.name for each in migrations if each.state is State.PENDING]
    if pending:
        advice = "When no writer uses an older version, run quill migrate up."
        return False, f"pending: {', '.join(pending)}", advice
    return True, f"all {len(migrations)} are applied", ""
