"""Whether a command printed what the page shows."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence

__all__ = ["ANY", "difference"]

# On a line of its own any lines, none included; inside a line any characters, and the spaces after
# it are of no account, so that a table keeps its shape.
ANY = "…"


def difference(shown: Sequence[str], printed: Sequence[str]) -> str:
    """Nothing where the two agree, else what differs, as ``diff -u`` shows it."""
    printed = [line.rstrip() for line in printed]
    while printed and not printed[-1]:
        printed.pop()
    if _agree(shown, printed):
        return ""
    # A line that the page shows with `…` in it stands for itself, so that it does not differ.
    patterns = [line for line in shown if not _is_any(line)]
    alike = [
        next((each for each in patterns if _line_agrees(each, line)), line) for line in printed
    ]
    found = difflib.unified_diff(
        list(_filled(shown, alike)), alike, "shown", "printed", lineterm="", n=2
    )
    return "\n".join(found)


def _filled(shown: Sequence[str], printed: Sequence[str]) -> Iterator[str]:
    """What is shown, with the lines that a `…` most likely stands for in its place."""
    at = 0
    for number, line in enumerate(shown, 1):
        if not _is_any(line):
            yield line
            at += 1
            continue
        rest = shown[number:]
        # Up to the line below it, else as many as leave one for each line that is still shown.
        end = next(
            (
                here
                for here in range(at, len(printed))
                if rest and _line_agrees(rest[0], printed[here])
            ),
            len(printed) - len(rest),
        )
        yield from printed[at:end]
        at = max(at, end)


def _agree(shown: Sequence[str], printed: Sequence[str]) -> bool:
    # The numbers of printed lines that what is shown so far may have taken.
    taken = {0}
    for line in shown:
        if _is_any(line):
            taken = set(range(min(taken), len(printed) + 1))
        else:
            taken = {
                number + 1
                for number in taken
                if number < len(printed) and _line_agrees(line, printed[number])
            }
        if not taken:
            return False
    return len(printed) in taken


def _is_any(line: str) -> bool:
    return line.strip() == ANY


def _line_agrees(shown: str, printed: str) -> bool:
    pattern = ".*".join(re.escape(part) for part in re.split(f"{ANY} *", shown))
    return re.fullmatch(pattern, printed) is not None
