"""The command `quill`."""

from __future__ import annotations

import sys
from io import TextIOWrapper

__all__ = ["main"]


def main() -> None:
    """Run the command, whose exit status its help lists."""
    try:
        # Imported here, so that importing the package for its entry point stays light.
        from quill_models.command.cli import quill  # noqa: PLC0415
    except KeyboardInterrupt:
        sys.exit(130)
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        # What the locale cannot show is no reason to fail.
        sys.stdout.reconfigure(errors="backslashreplace")
    quill()
