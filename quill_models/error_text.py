"""What an error says, whoever wrote it."""

from __future__ import annotations

__all__ = ["message_of"]


def message_of(error: BaseException) -> str:
    """Its message. An error of a job's own may be unable to tell one; that must stop nothing."""
    try:
        return str(error)
    except Exception as also:  # noqa: BLE001
        return f"no message, as asking for it raised {type(also).__name__}"
