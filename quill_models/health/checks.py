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

# All of a finding but what it is about.
_Found = tuple[bool | None, str, str]


@dataclass(frozen=True)
class Finding:
    """What one look has found; ``ok`` is None if it could not be looked at."""

    about: str
    ok: bool | None
    says: str
    advice: str = ""


def examine(quill: Quill) -> Iterator[Finding]:
    """Look at settings, server, table, clock and leases, one after the other. Writes nothing.

    Two requests for the table, up to four on AWS, one for the leases and one for the history of
    the migrations. Never raises a `QuillError`: an error is a finding.
    """
    yield Finding("settings", *_settings(quill.settings))
    yield _looked("credentials", _credentials, quill)
    try:
        found = quill.schema.diff()
    except QuillError as error:
        yield Finding("endpoint", ok=False, says="of no use as it is", advice=str(error))
        yield from _not_looked_at("clock", *_OF_THE_TABLE, why="see the endpoint")
        return
    yield Finding("endpoint", ok=True, says="DynamoDB answers")
    yield Finding("clock", *_clock(quill))
    yield Finding("table", *_table(found, quill.settings.table))
    if any(each.what == "table" for each in found.differences):
        yield from _not_looked_at(*_OF_THE_TABLE[1:], why="there is no table")
        return
    yield Finding("TTL", *_ttl(found))
    yield _looked("stale leases", _stale, quill)
    if any(each.harmful for each in found.differences):
        yield from _not_looked_at("migrations", why="first the table")
    else:
        yield _looked("migrations", _migrations, quill)


def _not_looked_at(*abouts: str, why: str) -> Iterator[Finding]:
    return (Finding(about, ok=None, says=f"not looked at: {why}") for about in abouts)


def _looked(about: str, look: Callable[[Quill], _Found], quill: Quill) -> Finding:
    try:
        return Finding(about, *look(quill))
    except QuillError as error:
        return Finding(about, ok=False, says="could not be looked at", advice=str(error))


def _settings(settings: Settings) -> _Found:
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
    return True, "\n".join(said), ""


def _kept(retention: timedelta | None) -> str:
    return "for ever" if retention is None else f"{retention.days} days"


def _credentials(quill: Quill) -> _Found:
    source = quill.schema.client.credentials_source()
    if source is not None:
        return True, f"from: {source}", ""
    advice = (
        "Give some by the standard AWS chain: environment, profile, container or instance role. "
        "DATA_BACKEND=dynamodb-local needs none."
    )
    return False, "none", advice


def _table(found: SchemaDiff, name: str) -> _Found:
    others = [each for each in found.differences if each.what != "TTL"]
    if others:
        advice = others[0].remedy if len(others) == 1 else "quill schema diff shows what to do."
        return False, "; ".join(f"{e.what}: {e.live}" for e in others), advice
    lacks = f"; this server has no {', no '.join(found.missing)}" if found.missing else ""
    return True, f"{name!r} is what the models declare{lacks}", ""


def _ttl(found: SchemaDiff) -> _Found:
    for each in found.differences:
        if each.what == "TTL":
            return False, each.live, each.remedy
    return True, "on; what has expired is deleted within days", ""


def _clock(quill: Quill) -> _Found:
    skew = quill.schema.client.clock_skew
    if skew is None:
        return None, "the server does not say what time it has", ""
    if abs(skew) <= _TOLERATED_SKEW:
        return True, "as the server's, to a few seconds", ""
    seconds = skew.total_seconds()
    advice = (
        "Set it right, by NTP: leases and expiry go by it, and AWS refuses requests that are more "
        "than five minutes off."
    )
    direction = "ahead of" if seconds > 0 else "behind"
    return False, f"{abs(seconds):.0f} s {direction} the server's", advice


def _stale(quill: Quill) -> _Found:
    found = list(islice(quill.job_runs.stale(), _NAMED + 1))
    if not found:
        return True, "none: no run's holder has died", ""
    named = ", ".join(f"{run.job_name} / {run.window}" for run in found[:_NAMED])
    more = " and more" if len(found) > _NAMED else ""
    advice = (
        "Their holders gave no sign of life. The next start of the window takes over; quill jobs "
        "shows them, quill jobs cancel ends one."
    )
    return False, f"{named}{more}", advice


def _migrations(quill: Quill) -> _Found:
    standings = quill.migrations.status()
    wrong = [
        f"{each.name} is {each.state.value}"
        for each in standings
        if each.state not in {State.APPLIED, State.PENDING}
    ]
    if wrong:
        return False, ", ".join(wrong), "quill migrate plan says what to do."
    pending = [each.name for each in standings if each.state is State.PENDING]
    if pending:
        advice = "When no writer of an older version is left, run quill migrate up."
        return False, f"pending: {', '.join(pending)}", advice
    return True, f"all {len(standings)} are applied", ""
