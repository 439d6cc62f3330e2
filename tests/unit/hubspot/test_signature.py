"""`hubspot.verify_signature`."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from freezegun import freeze_time
from hypothesis import given, settings
from hypothesis import strategies as st

from quill_models.errors import ConfigurationError, InvalidSignature, InvalidValue
from quill_models.hubspot import verify_signature

from .events import sample

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOW = datetime(2027, 3, 1, 8, 30, 0, 250_000, tzinfo=UTC)
STAMP = str((NOW - EPOCH) // timedelta(milliseconds=1))
SECRET = "s3cret"
# The test vector of HubSpot's own client:
# https://github.com/HubSpot/hubspot-api-python/blob/master/tests/spec/utils/test_signature.py
HUBSPOT = {
    "secret": "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy",
    "method": "POST",
    "uri": "https://www.example.com/webhook_uri",
    "body": "{'example_field':'example_value'}",
    "timestamp": "15000000",
    "signature": "HPW73RUtKmcYoEDADG0s6MmGFWUzWJKAW07r8RDgcQw=",
}
HUBSPOT_TIME = datetime(1970, 1, 1, 4, 10, tzinfo=UTC)


def signed(
    *,
    secret: str = SECRET,
    method: str = "POST",
    uri: str = "https://example.com/hubspot",
    body: bytes = b"[]",
    timestamp: str = STAMP,
) -> dict[str, Any]:
    """Return a signed request whose URI needs no decoding."""
    source = method.encode() + uri.encode() + body + timestamp.encode()
    digest = hmac.new(secret.encode(), source, hashlib.sha256).digest()
    return {
        "secret": secret,
        "method": method,
        "uri": uri,
        "body": body,
        "timestamp": timestamp,
        "signature": base64.b64encode(digest).decode(),
    }


def error_of(request: dict[str, Any], now: datetime = NOW) -> str:
    with pytest.raises(InvalidSignature) as caught:
        verify_signature(**request, now=now)
    return str(caught.value)


def test_verify_vector_of_hubspot_client_is_accepted() -> None:
    verify_signature(**HUBSPOT, now=HUBSPOT_TIME)

    assert "does not match the request" in error_of(HUBSPOT | {"body": "{}"}, HUBSPOT_TIME)


def test_verify_vector_of_openssl_is_accepted() -> None:
    # printf '%s' 'POSThttps://example.com/hooks?next=/a:b&n=1%20[]1803889800250' |
    #     openssl dgst -sha256 -hmac s3cret -binary | base64
    verify_signature(
        "s3cret",
        method="POST",
        uri="https://example.com/hooks?next=%2Fa%3ab&n=1%20",
        body=b"[]",
        timestamp=STAMP,
        signature="oLohLORG0ZSP4XkkMTYKHxDCqwVucDsJzlizVzE/RAk=",
        now=NOW,
    )


@pytest.mark.parametrize("name", ["property_changes.json", "mixed_objects.json"])
def test_verify_body_as_bytes_or_text_is_accepted(name: str) -> None:
    request = signed(body=sample(name))

    verify_signature(**request, now=NOW)
    verify_signature(**request | {"body": sample(name).decode()}, now=NOW)


DECODED = {
    "3A": ":", "2F": "/", "3F": "?", "40": "@", "21": "!", "24": "$",
    "27": "'", "28": "(", "29": ")", "2A": "*", "2C": ",", "3B": ";",
}  # fmt: skip


@pytest.mark.parametrize("number", range(256))
def test_verify_uri_decodes_only_listed_characters(number: int) -> None:
    code = f"{number:02X}"
    sent = f"https://example.com/a?b=%{code}%{code.lower()}c"
    as_signed = sent
    if code in DECODED:
        as_signed = f"https://example.com/a?b={DECODED[code] * 2}c"

    verify_signature(**signed(uri=as_signed) | {"uri": sent}, now=NOW)


def test_verify_method_ignores_case() -> None:
    verify_signature(**signed(method="POST") | {"method": "post"}, now=NOW)


def test_verify_uri_is_decoded_once() -> None:
    request = signed(uri="https://example.com/%253A%2540")

    verify_signature(**request, now=NOW)
    assert error_of(request | {"uri": "https://example.com/%3A%40"})


# Time.


@freeze_time("2027-03-01 08:30:00.25")
def test_verify_now_defaults_to_system_clock() -> None:
    verify_signature(**signed())

    late = str(int(STAMP) + 1)
    with pytest.raises(InvalidSignature, match="set its clock by NTP"):
        verify_signature(**signed(timestamp=late))


def test_verify_older_than_five_minutes_raises() -> None:
    request = signed()
    limit = NOW + timedelta(minutes=5)

    verify_signature(**request, now=limit)
    message = error_of(request, limit + timedelta(microseconds=1))
    assert message == (
        "the request was sent at 2027-03-01T08:30:00.250000+00:00, more than 0:05:00 before "
        "2027-03-01T08:35:00.250001+00:00"
    )


def test_verify_future_timestamp_raises() -> None:
    message = error_of(signed(), NOW - timedelta(microseconds=1))

    assert message.startswith(
        "the request was sent at 2027-03-01T08:30:00.250000+00:00, later than "
        "2027-03-01T08:30:00.249999+00:00"
    )


def test_verify_timestamp_as_int_is_accepted() -> None:
    given: dict[str, Any] = {**signed(), "timestamp": int(STAMP)}
    verify_signature(**given, now=NOW)


@pytest.mark.parametrize(
    "stamp",
    [
        "",
        " ",
        "now",
        "-1",
        "+1",
        "1.5",
        "1e3",
        f" {STAMP}",
        f"{STAMP}\n",
        "٣",
        "²",
        "9" * 16,
        "9" * 5000,
        True,
        None,
    ],
)
def test_verify_invalid_timestamp_raises(stamp: Any) -> None:
    message = error_of(signed(timestamp=str(stamp)) | {"timestamp": stamp})

    assert message.startswith("the header X-HubSpot-Request-Timestamp must be a number of mill")
    assert len(message) < 160


def test_verify_timestamp_beyond_year_9999_raises() -> None:
    assert (
        error_of(signed(timestamp="9" * 15)) == f"the timestamp {'9' * 15} is beyond the year 9999"
    )


def test_verify_naive_now_raises() -> None:
    with pytest.raises(InvalidValue, match="now has no time zone"):
        verify_signature(**signed(), now=datetime(2027, 3, 1))  # noqa: DTZ001


# Signatures.


@pytest.mark.parametrize("signature", ["", None])
def test_verify_missing_signature_raises(signature: str | None) -> None:
    assert error_of(signed() | {"signature": signature}).startswith(
        "the header X-HubSpot-Signature"
    )


@pytest.mark.parametrize("signature", ["é", "\ud800", "=", "?" * 44, "a" * 44, "\x00" * 44])
def test_verify_odd_signature_raises(signature: str) -> None:
    assert "does not match the request" in error_of(signed() | {"signature": signature})


@pytest.mark.parametrize("part", ["body", "uri", "method"])
def test_verify_invalid_unicode_raises(part: str) -> None:
    assert error_of(signed() | {part: "\ud800"}) == "the request is not valid Unicode"


def test_verify_empty_secret_raises() -> None:
    with pytest.raises(ConfigurationError, match="the app secret is empty"):
        verify_signature(**signed(secret=""), now=NOW)


def test_verify_error_hides_signature_and_secret() -> None:
    request = signed()
    message = error_of(request | {"signature": "wrong"})

    assert request["signature"] not in message
    assert request["secret"] not in message


TEXT = st.text(min_size=1)
# Includes escapes that HubSpot does not decode.
URIS = st.text("xyz/?=&%25é", min_size=1)


@settings(deadline=None)
@given(TEXT, URIS, st.binary(), st.integers(0, 300_000))
def test_verify_signed_request_is_accepted(secret: str, uri: str, body: bytes, age: int) -> None:
    now = NOW + timedelta(milliseconds=age)

    verify_signature(**signed(secret=secret, uri=uri, body=body), now=now)


@settings(deadline=None)
@given(TEXT, URIS, st.binary(min_size=1), st.data())
def test_verify_any_change_raises(secret: str, uri: str, body: bytes, data: st.DataObject) -> None:
    request = signed(secret=secret, uri=uri, body=body)
    part = data.draw(st.sampled_from(["secret", "uri", "body", "method", "timestamp", "signature"]))
    old = request[part]
    at = data.draw(st.integers(0, len(old) - 1))
    if part == "body":
        byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != body[at]))
        other = body[:at] + bytes([byte]) + body[at + 1 :]
    else:
        # These letters create no escape that HubSpot decodes, and no other case of the method.
        letters = "0123456789" if part == "timestamp" else "XYZ-_.0123456789"
        letter = data.draw(st.sampled_from(sorted(set(letters) - {old[at]})))
        other = old[:at] + letter + old[at + 1 :]

    assert error_of(request | {part: other})


@settings(deadline=None)
@given(st.binary(min_size=1), st.data())
def test_verify_truncated_or_extended_body_raises(body: bytes, data: st.DataObject) -> None:
    request = signed(body=body)
    at = data.draw(st.integers(0, len(body) - 1))

    assert error_of(request | {"body": body[:at]})
    assert error_of(request | {"body": body + b" "})
