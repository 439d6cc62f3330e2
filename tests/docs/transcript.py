"""Comparison of the output of a command with the page."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence

__all__ = ["ANY", "difference"]

# Alone on a line it matches any number of lines. Inside a line it matches any characters, and the
# spaces after it are ignored, so that a table can keep its columns.
ANY = "…"


def difference(shown: Sequence[str], printed: Sequence[str]) -> str:
    """Return the difference in the format of ``diff -u``; an empty text if both are equal."""
    printed = [line.rstrip() for line in printed]
    while printed and not printed[-1]:
        printed.pop()
    if _matches(shown, printed):
        return ""
    # A printed line that matches a line with `…` is replaced by it, so that it does not differ.
    patterns = [line for line in shown if not _is_any(line)]
    alike = [
        next((each for each in patterns if _line_matches(each, line)), line) for line in printed
    ]
    found = difflib.unified_diff(
        list(_with_matches(shown, alike)), alike, "shown", "printed", lineterm="", n=2
    )
    return "\n".join(found)


def _with_matches(shown: Sequence[str], printed: Sequence[str]) -> Iterator[str]:
    """Yield the shown lines, and for each `…` the printed lines that it most likely matches."""
    at = 0
    for number, line in enumerate(shown, 1):
        if not _is_any(line):
            yield line
            at += 1
            continue
        rest = shown[number:]
        # Up to the next shown line, or up to the last lines, one for each remaining shown line.
        end = next(
            (
                here
                for here in range(at, len(printed))
                if rest and _line_matches(rest[0], printed[here])
            ),
            len(printed) - len(rest),
        )
        yield from printed[at:end]
        at = max(at, end)


def _matches(shown: Sequence[str], printed: Sequence[str]) -> bool:
    # The possible numbers of printed lines that match the shown lines so far.
    matched = {0}
    for line in shown:
        if _is_any(line):
            matched = set(range(min(matched), len(printed) + 1))
        else:
            matched = {
                number + 1
                for number in matched
                if number < len(printed) and _line_matches(line, printed[number])
            }
        if not matched:
            return False
    return len(printed) in matched


def _is_any(line: str) -> bool:
    return line.strip() == ANY


def _line_matches(shown: str, printed: str) -> bool:
    pattern = ".*".join(re.escape(part) for part in re.split(f"{ANY} *", shown))
    return re.fullmatch(pattern, printed) is not None
