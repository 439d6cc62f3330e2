"""The command `quill`."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command: exit status 0 done, 1 failed with a message, 2 wrong usage."""
    # Imported here, so that importing the package for its entry point stays light.
    from quill_models.command.cli import quill  # noqa: PLC0415
    from quill_models.command.output import show_error  # noqa: PLC0415
    from quill_models.errors import QuillError  # noqa: PLC0415

    try:
        quill()
    except QuillError as error:
        show_error(error)
        sys.exit(1)
