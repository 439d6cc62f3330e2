"""The command `quill`."""

from __future__ import annotations

import sys
from io import TextIOWrapper

__all__ = ["main"]


def main() -> None:
    """Run the command and exit. ``quill --help`` lists the exit statuses."""
    try:
        # Imported here to keep the import of the entry point fast.
        from quill_models.command.cli import quill  # noqa: PLC0415
    except KeyboardInterrupt:
        sys.exit(130)
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        # Escape characters that the locale cannot encode instead of failing.
        sys.stdout.reconfigure(errors="backslashreplace")
    quill()
