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
"""Maximum age of a request, as HubSpot defines it."""

_TIMESTAMP = re.compile(r"[0-9]{1,15}")
# HubSpot decodes these characters of the URI before it signs, and no others.
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
    """Check that a request was signed with the app's secret within the last five minutes.

    The signature is the base64 of HMAC-SHA256, keyed with the secret, over method, URI, body and
    timestamp. In the URI only ``%3A %2F %3F %40 %21 %24 %27 %28 %29 %2A %2C %3B`` are decoded. The
    comparison takes constant time. Timestamps in the future are rejected, so set the clock of the
    receiving machine by NTP.

    Args:
        secret: Client secret of the app.
        method: Method of the request, ``POST``.
        uri: Complete URI that HubSpot called, with scheme, host and query. Behind a proxy, the
            public one.
        body: Raw body of the request.
        timestamp: Header ``X-HubSpot-Request-Timestamp`` in milliseconds since 1970. ``None`` if
            it is missing.
        signature: Header ``X-HubSpot-Signature-v3``. ``None`` if it is missing.
        now: Aware current time. Default: the system clock.

    Raises:
        InvalidSignature: A header is missing, the timestamp is invalid, too old or in the future,
            or the signature does not match.
        ConfigurationError: The secret is empty.
        InvalidValue: ``now`` has no time zone.
    """
    if not secret:
        raise ConfigurationError("the app secret is empty; set the client secret of the app")
    stamp = "" if timestamp is None else str(timestamp)
    _check_time(stamp, system_clock() if now is None else aware_utc(now, "now"))
    if not signature:
        raise InvalidSignature("the header X-HubSpot-Signature-v3 is missing or empty")
    decoded = _DECODED.sub(lambda found: chr(int(found[1], 16)), uri)
    try:
        content = body.encode() if isinstance(body, str) else body
        source = (method.upper() + decoded).encode() + content + stamp.encode()
    except UnicodeEncodeError:
        raise InvalidSignature("the request is not valid Unicode") from None
    expected = base64.b64encode(hmac.digest(secret.encode(), source, hashlib.sha256))
    # `compare_digest` accepts only ASCII as text. Base64 never contains the "?" of "replace".
    if not hmac.compare_digest(expected, signature.encode("utf-8", "replace")):
        raise InvalidSignature(
            "the signature does not match the request; check the app secret, the public URI that "
            "HubSpot calls, and that the body is unchanged"
        )


def _check_time(stamp: str, now: datetime) -> None:
    if not _TIMESTAMP.fullmatch(stamp):
        raise InvalidSignature(
            "the header X-HubSpot-Request-Timestamp must be a number of milliseconds since 1970, "
            f"got {stamp[:40]!r}"
        )
    try:
        sent = EPOCH + timedelta(milliseconds=int(stamp))
    except OverflowError:
        raise InvalidSignature(f"the timestamp {stamp} is beyond the year 9999") from None
    if now - sent > MAX_AGE:
        raise InvalidSignature(
            f"the request was sent at {sent.isoformat()}, more than {MAX_AGE} before "
            f"{now.isoformat()}"
        )
    if sent > now:
        raise InvalidSignature(
            f"the request was sent at {sent.isoformat()}, later than {now.isoformat()} on this "
            "machine; set its clock by NTP"
        )
