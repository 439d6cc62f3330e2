"""The digests that are stored, short, so that a usual webhook event stays one write unit."""

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
    """The SHA-256 of a text in URL-safe base64, 43 characters: tells any two identities apart."""
    return _text(hashlib.sha256(text.encode()).digest())


def content_digest(text: str) -> str:
    """The first 128 bits of it, 22 characters: tells two contents of one identity apart."""
    return _text(hashlib.sha256(text.encode()).digest()[:_CONTENT_BYTES])


def _text(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def canonical_json(document: Any, what: str = "document") -> str:
    """The document as JSON text, with sorted names, no spaces, and numbers as they are written.

    Raises:
        InvalidValue: NaN, an infinity, a name that is no text, or a type JSON does not have.
    """
    try:
        _check_names(document, what)
        text = _ENCODER.encode(document)
        try:
            text.encode()
        except UnicodeEncodeError:
            # Unpaired surrogates are valid JSON escapes, but no valid UTF-8.
            text = _ASCII_ENCODER.encode(document)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValue(f"{what} cannot be written as JSON: {error}") from error
    return text


def _plain(value: Any) -> Any:
    """What simplejson does not know: other mappings than dictionaries."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


_FORM: dict[str, Any] = {
    "use_decimal": True,
    "allow_nan": False,
    "encoding": None,  # Bytes are no text.
    "default": _plain,
    "sort_keys": True,
    "separators": (",", ":"),
}
# Made once: making one takes longer than writing a usual document.
_ENCODER = simplejson.JSONEncoder(**_FORM, ensure_ascii=False)
_ASCII_ENCODER = simplejson.JSONEncoder(**_FORM, ensure_ascii=True)
_LEAVES = frozenset({str, int, float, bool, type(None)})


def _check_names(document: Any, what: str) -> None:
    # simplejson turns numbers and None into names, so that {1: …} would come back as {"1": …}.
    # It also takes decimals that are not finite.
    if type(document) in _LEAVES:
        return
    if isinstance(document, Mapping):
        for name, value in document.items():
            if not isinstance(name, str):
                raise InvalidValue(f"{what} has a name that is no text: {name!r}")
            _check_names(value, what)
    elif isinstance(document, (list, tuple)):
        for value in document:
            _check_names(value, what)
    elif isinstance(document, Decimal) and not document.is_finite():
        raise InvalidValue(f"{what} has a number that is not finite: {document}")
