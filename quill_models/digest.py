"""The digests that are stored, short, so that a usual webhook event stays one write unit."""

from __future__ import annotations

import base64
import hashlib

__all__ = ["content_digest", "identity_digest"]

_CONTENT_BYTES = 16


def identity_digest(text: str) -> str:
    """The SHA-256 of a text in URL-safe base64, 43 characters: tells any two identities apart."""
    return _text(hashlib.sha256(text.encode()).digest())


def content_digest(text: str) -> str:
    """The first 128 bits of it, 22 characters: tells two contents of one identity apart."""
    return _text(hashlib.sha256(text.encode()).digest()[:_CONTENT_BYTES])


def _text(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
