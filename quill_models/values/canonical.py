"""Stored digests, short, so that a usual webhook event stays within one write unit."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import simplejson

from quill_models.values.errors import InvalidValue

__all__ = ["canonical_json", "content_digest", "identity_digest"]

_CONTENT_BYTES = 16


def identity_digest(text: str) -> str:
    """Return the SHA-256 of an identity in URL-safe base64, 43 characters."""
    return _text(hashlib.sha256(text.encode()).digest())


def content_digest(text: str) -> str:
    """Return 128 bits of the SHA-256 of a content, 22 characters."""
    return _text(hashlib.sha256(text.encode()).digest()[:_CONTENT_BYTES])


def _text(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def canonical_json(document: Any, what: str = "document") -> str:
    """Return a document as JSON text with sorted names, without spaces, with exact numbers.

    Raises:
        InvalidValue: A number is not finite, a name is not text, or JSON does not have a type.
    """
    try:
        _check_names(document, what)
        text = _ENCODER.encode(document)
        try:
            text.encode()
        except UnicodeEncodeError:
            # Unpaired surrogates are valid JSON escapes, but not valid UTF-8.
            text = _ASCII_ENCODER.encode(document)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValue(f"{what} cannot be written as JSON: {error}") from error
    return text


def _plain(value: Any) -> Any:
    """Convert mappings other than dictionaries, which simplejson does not support."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"JSON does not have {type(value).__name__}")


_FORM: dict[str, Any] = {
    "use_decimal": True,
    "allow_nan": False,
    "encoding": None,  # Bytes are not text.
    "default": _plain,
    "sort_keys": True,
    "separators": (",", ":"),
}
# Created once, because that takes longer than encoding a usual document.
_ENCODER = simplejson.JSONEncoder(**_FORM, ensure_ascii=False)
_ASCII_ENCODER = simplejson.JSONEncoder(**_FORM, ensure_ascii=True)
_LEAVES = frozenset({str, int, float, bool, type(None)})


def _check_names(document: Any, what: str) -> None:
    # simplejson converts numbers and None to names, so {1: …} would be read as {"1": …}. It also
    # accepts decimals that are not finite.
    if type(document) in _LEAVES:
        return
    if isinstance(document, Mapping):
        for name, value in document.items():
            if not isinstance(name, str):
                raise InvalidValue(f"{what} has a name that is not text: {name}")
            _check_names(value, what)
    elif isinstance(document, (list, tuple)):
        for value in document:
            _check_names(value, what)
    elif isinstance(document, Decimal) and not document.is_finite():
        raise InvalidValue(f"{what} has a number that is not finite: {document}")
