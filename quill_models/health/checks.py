"""Whether all is well: each finding is fine, or says what to do."""

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

# An answer carries its time in whole seconds, and is on its way for a while.
_TOLERATED_SKEW = timedelta(seconds=3)
_NAMED = 5
_OF_THE_TABLE = ("table", "TTL", "stale leases", "migrations")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one look has found.

    Attributes:
        about: what was looked at.
        ok: whether it is fine; ``None`` where it could not be looked at.
        says: what there is, in words.
        advice: what to do; empty where it is fine.
    """

    about: str
    ok: bool | None
    says: str
    advice: str = ""


def examine(quill: Quill) -> Iterator[Finding]:
    """Look at settings, server, table, clock and leases, one after the other. Writes nothing.

    Two requests for the table, up to four on AWS, one for the leases and one for the history of
    the migrations. Never raises a `QuillError`: an error is a finding.
    """
    yield _settings(quill.settings)
    yield _looked("credentials", lambda: _credentials(quill))
    try:
        found = quill.schema.diff()
    except QuillError as error:
        yield Finding(about="endpoint", ok=False, says="of no use as it is", advice=str(error))
        yield from _not_looked_at("clock", *_OF_THE_TABLE, why="see the endpoint")
        return
    yield Finding(about="endpoint", ok=True, says="DynamoDB answers")
    yield _clock(quill)
    yield _table(found, quill.settings.table)
    if any(each.what == "table" for each in found.differences):
        yield from _not_looked_at(*_OF_THE_TABLE[1:], why="there is no table")
        return
    yield _ttl(found)
    yield _looked("stale leases", lambda: _stale(quill))
    if any(each.harmful for each in found.differences):
        yield from _not_looked_at("migrations", why="first the table")
    else:
        yield _looked("migrations", lambda: _migrations(quill))


def _not_looked_at(*abouts: str, why: str) -> Iterator[Finding]:
    return (Finding(about=about, ok=None, says=f"not looked at: {why}") for about in abouts)


def _looked(about: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except QuillError as error:
        return Finding(about=about, ok=False, says="could not be looked at", advice=str(error))


def _settings(settings: Settings) -> Finding:
    protected = "protected" if settings.protected else "not protected"
    region = settings.region or "from the AWS profile"
    kept = (
        f"webhook events {_kept(settings.webhook_retention)}",
        f"job runs {_kept(settings.job_retention)}",
        f"increments {_kept(settings.increment_retention)}",
    )
    deadline = settings.deadline.total_seconds()
    said = [
        f"DATA_BACKEND {settings.backend.value}, at {settings.endpoint or 'AWS'}, region {region}",
        f"table {settings.table!r}, {protected}; kept: {', '.join(kept)}",
        f"deadline {deadline:g} s; an event is dead after {settings.max_attempts} attempts",
    ]
    return Finding(about="settings", ok=True, says="\n".join(said))


def _kept(retention: timedelta | None) -> str:
    return "for ever" if retention is None else f"{retention.days} days"


def _credentials(quill: Quill) -> Finding:
    source = quill.schema.client.credentials_source()
    if source is None:
        return Finding(
            about="credentials",
            ok=False,
            says="none",
            advice="Give some by the standard AWS chain: environment, profile, container or "
            "instance role. DATA_BACKEND=dynamodb-local needs none.",
        )
    return Finding(about="credentials", ok=True, says=f"from: {source}")


def _table(found: SchemaDiff, name: str) -> Finding:
    others = [each for each in found.differences if each.what != "TTL"]
    if others:
        return Finding(
            about="table",
            ok=False,
            says="; ".join(f"{each.what}: {each.live}" for each in others),
            advice=others[0].remedy if len(others) == 1 else "quill schema diff shows what to do.",
        )
    lacks = f"; this server has no {', no '.join(found.missing)}" if found.missing else ""
    return Finding(about="table", ok=True, says=f"{name!r} is what the models declare{lacks}")


def _ttl(found: SchemaDiff) -> Finding:
    for each in found.differences:
        if each.what == "TTL":
            return Finding(about="TTL", ok=False, says=each.live, advice=each.remedy)
    return Finding(about="TTL", ok=True, says="on; what has expired is deleted within days")


def _clock(quill: Quill) -> Finding:
    skew = quill.schema.client.clock_skew
    if skew is None:
        return Finding(about="clock", ok=None, says="the server does not say what time it has")
    seconds = skew.total_seconds()
    if abs(skew) <= _TOLERATED_SKEW:
        return Finding(about="clock", ok=True, says="as the server's, to a few seconds")
    return Finding(
        about="clock",
        ok=False,
        says=f"{abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} the server's",
        advice="Set it right, by NTP: leases and expiry go by it, and AWS refuses requests that "
        "are more than five minutes off.",
    )


def _stale(quill: Quill) -> Finding:
    found = list(islice(quill.job_runs.stale(), _NAMED + 1))
    if not found:
        return Finding(about="stale leases", ok=True, says="none: no run's holder has died")
    named = ", ".join(f"{run.job_name} / {run.window}" for run in found[:_NAMED])
    more = " and more" if len(found) > _NAMED else ""
    return Finding(
        about="stale leases",
        ok=False,
        says=f"{named}{more}",
        advice="Their holders gave no sign of life. The next start of the window takes over; "
        "quill jobs shows them, quill jobs cancel ends one.",
    )


def _migrations(quill: Quill) -> Finding:
    standings = quill.migrations.status()
    wrong = [each for each in standings if each.state not in {State.APPLIED, State.PENDING}]
    pending = [each.name for each in standings if each.state is State.PENDING]
    if wrong:
        return Finding(
            about="migrations",
            ok=False,
            says=", ".join(f"{each.name} is {each.state.value}" for each in wrong),
            advice="quill migrate plan says what to do.",
        )
    if pending:
        return Finding(
            about="migrations",
            ok=False,
            says=f"pending: {', '.join(pending)}",
            advice="When no writer of an older version is left, run quill migrate up.",
        )
    return Finding(about="migrations", ok=True, says=f"all {len(standings)} are applied")
