"""The digest of a text, as it is stored."""

from __future__ import annotations

import base64
import hashlib

__all__ = ["digest_of"]


def digest_of(text: str) -> str:
    """The SHA-256 of a text in URL-safe base64: 43 characters, where hexadecimal takes 64.

    A webhook event carries several. What they save keeps a usual one below the kilobyte that is
    one write unit.
    """
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
