"""HubSpot's request signature, version 3.

https://developers.hubspot.com/docs/api/webhooks/validating-requests
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from datetime import datetime, timedelta

from quill_models.values.clock import EPOCH, aware_utc, system_clock
from quill_models.values.errors import ConfigurationError, InvalidSignature

__all__ = ["MAX_AGE", "verify_signature"]

MAX_AGE = timedelta(minutes=5)
"""How old a request may be. HubSpot's own limit."""

_TIMESTAMP = re.compile(r"[0-9]{1,15}")
# HubSpot signs the URI with these decoded and everything else as it was sent.
_DECODED = re.compile(r"%(3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)", re.IGNORECASE)


def verify_signature(
    secret: str,
    *,
    method: str,
    uri: str,
    body: bytes | str,
    timestamp: str | int | None,
    signature: str | None,
    now: datetime | None = None,
) -> None:
    """Return if the request was signed with the app's secret, within the last five minutes.

    The signature is the base64 of HMAC-SHA256, keyed with the secret, over method, URI, body and
    timestamp, with ``%3A %2F %3F %40 %21 %24 %27 %28 %29 %2A %2C %3B`` decoded in the URI and
    nothing else. It is compared in constant time. A request from the future is refused however
    little it is ahead: keep the clock of the receiving machine set by NTP.

    Args:
        secret: the app's client secret.
        method: of the request, ``POST``.
        uri: all of it as HubSpot called it, with scheme, host and query: behind a proxy the public
            one, not the one the proxy calls.
        body: as it came, before any parsing.
        timestamp: of the header ``X-HubSpot-Request-Timestamp``, in milliseconds since 1970;
            ``None`` where the header is missing.
        signature: of the header ``X-HubSpot-Signature-v3``; ``None`` where it is missing.
        now: the current time, aware; the system clock's, where it is not given.

    Raises:
        InvalidSignature: a header is missing, the timestamp is no number, too old or in the
            future, or the signature is not the request's.
        ConfigurationError: the secret is empty.
        InvalidValue: ``now`` has no time zone.
    """
    if not secret:
        raise ConfigurationError("the app secret is empty; anyone could sign with an empty secret")
    stamp = "" if timestamp is None else str(timestamp)
    _check_time(stamp, system_clock() if now is None else aware_utc(now, "now"))
    if not signature:
        raise InvalidSignature("the header X-HubSpot-Signature-v3 is missing or empty")
    decoded = _DECODED.sub(lambda found: chr(int(found[1], 16)), uri)
    try:
        content = body.encode() if isinstance(body, str) else body
        source = (method.upper() + decoded).encode() + content + stamp.encode()
    except UnicodeEncodeError:
        raise InvalidSignature("the request is no valid Unicode text") from None
    expected = base64.b64encode(hmac.digest(secret.encode(), source, hashlib.sha256))
    # As bytes: compare_digest refuses text beyond ASCII. No base64 has the "?" of "replace".
    if not hmac.compare_digest(expected, signature.encode("utf-8", "replace")):
        raise InvalidSignature(
            "the signature is not that of this request: check the app secret, the public URI that "
            "HubSpot calls, and that the body is the raw one"
        )


def _check_time(stamp: str, now: datetime) -> None:
    if not _TIMESTAMP.fullmatch(stamp):
        raise InvalidSignature(
            "the header X-HubSpot-Request-Timestamp must be a number of milliseconds since 1970, "
            f"not {stamp[:40]!r}"
        )
    try:
        sent = EPOCH + timedelta(milliseconds=int(stamp))
    except OverflowError:
        raise InvalidSignature(f"the timestamp {stamp} is beyond the year 9999") from None
    if now - sent > MAX_AGE:
        raise InvalidSignature(
            f"the request is of {sent.isoformat()}, more than {MAX_AGE} before {now.isoformat()}"
        )
    if sent > now:
        raise InvalidSignature(
            f"the request is of {sent.isoformat()}, after this machine's {now.isoformat()}: "
            "check that its clock is right"
        )
