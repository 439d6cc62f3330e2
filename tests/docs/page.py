"""The steps of a page: commands, scripts and files, from top to bottom.

========================================  =========================================================
block                                     meaning
========================================  =========================================================
``python``                                a script; a test if it has ``def test_``
``console``                               ``$ `` and a command, then its output
``text``, ``mermaid``, ``{directive}``    pictures and parts of the site, which are not run
any with ``<!-- file: NAME -->``          the content of that file
any with ``<!-- not run: REASON -->``     only for blocks that no test can run
========================================  =========================================================

A comment is on the line before its block. ``<!-- exits: 1 -->`` is the exit status of a
console block's last command; all others are 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from markdown_it import MarkdownIt
from markdown_it.token import Token

__all__ = ["Command", "File", "PageError", "Script", "Step", "read_page"]

PICTURES = frozenset({"text", "mermaid"})
DIRECTIVES = frozenset({"{toctree}", "{include}", "{eval-rst}"})
# A block that is not run proves nothing, so only a few reasons are valid.
REASONS = re.compile(r"\b(AWS|Docker|Power BI|another shell|installs|server|minutes?)\b")

_COMMENT = re.compile(r"<!-- *(.*?) *-->")
_INSTRUCTION = re.compile(r"(file|exits|not run): *(.+)")
_MARKDOWN = MarkdownIt("commonmark").enable("table")


class PageError(Exception):
    """A block that cannot be tested."""


@dataclass(frozen=True)
class Command:
    """A command and its output, which is ``None`` if the page does not show it."""

    line: int
    text: str
    shown: tuple[str, ...] | None
    exits: int = 0


@dataclass(frozen=True)
class Script:
    """A block of Python code."""

    line: int
    code: str

    @property
    def is_test(self) -> bool:
        return re.search(r"^ *def test_", self.code, re.MULTILINE) is not None


@dataclass(frozen=True)
class File:
    """A file that the reader creates."""

    line: int
    name: str
    content: str


Step = Command | Script | File


def read_page(text: str, name: str) -> list[Step]:
    """Return the steps of a page.

    Raises:
        PageError: A block is not a command, script, file or picture. The message has its line.
    """
    return list(_Reader(name).steps(_MARKDOWN.parse(text)))


class _Reader:
    def __init__(self, name: str) -> None:
        self._name = name

    def steps(self, tokens: list[Token]) -> Iterator[Step]:
        # The line after the last comment, and its text.
        above: tuple[int, str] | None = None
        for token in tokens:
            if token.map is None or token.type not in {"html_block", "fence", "code_block"}:
                continue
            first, end = token.map
            if token.type == "html_block":
                self._expect_no_instruction(above)
                above = (end, token.content.strip())
                continue
            if token.type == "code_block":
                raise self._error(first + 1, "an indented block; put it between fences")
            if token.level:
                raise self._error(first + 1, "a block inside a list or a quote; put it outside")
            comment = above[1] if above is not None and above[0] == first else None
            if comment is None:
                self._expect_no_instruction(above)
            above = None
            yield from self._block(token, first + 1, comment)
        self._expect_no_instruction(above)

    def _block(self, token: Token, line: int, comment: str | None) -> Iterator[Step]:
        language = token.info.strip()
        instruction, value = self._instruction(line, comment)
        if instruction == "not run":
            if REASONS.search(value) is None:
                raise self._error(line - 1, f"'{value}' is not a valid reason for 'not run'")
        elif instruction == "file":
            if PurePosixPath(value).is_absolute() or ".." in PurePosixPath(value).parts:
                raise self._error(line - 1, f"'{value}' is outside of the session's folder")
            yield File(line, value, token.content)
        elif language == "console":
            if instruction == "exits" and not re.fullmatch("[0-9]+", value):
                raise self._error(line - 1, f"'{value}' is not a valid exit status")
            yield from self._commands(token, line, exits=int(value or 0))
        elif instruction == "exits":
            raise self._error(line - 1, "only a console block has an exit status")
        elif language == "python":
            yield Script(line + 1, token.content)
        elif language not in PICTURES and language.split(" ")[0] not in DIRECTIVES:
            raise self._error(line, f"a block of {language or 'no language'} cannot be run")

    def _instruction(self, line: int, comment: str | None) -> tuple[str, str]:
        """Return the kind and the value of an instruction, or empty texts without a comment."""
        if comment is None:
            return "", ""
        comment_match = _COMMENT.fullmatch(comment)
        found = comment_match and _INSTRUCTION.fullmatch(comment_match[1])
        if not found:
            raise self._error(line - 1, f"{comment} is not a valid instruction")
        return found[1], found[2]

    def _commands(self, token: Token, line: int, *, exits: int) -> Iterator[Command]:
        lines = token.content.splitlines()
        starts = [number for number, each in enumerate(lines) if each.startswith("$ ")]
        if not starts or starts[0]:
            raise self._error(line + 1, "a console block must start with '$ ' and a command")
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
            last = start
            while lines[last].endswith("\\") and last + 1 < end:
                last += 1
            shown = [each.rstrip() for each in lines[last + 1 : end]]
            while shown and not shown[-1]:
                shown.pop()
            yield Command(
                line + 1 + start,
                "\n".join([lines[start][2:], *lines[start + 1 : last + 1]]),
                tuple(shown) or None,
                exits if end == len(lines) else 0,
            )

    def _expect_no_instruction(self, above: tuple[int, str] | None) -> None:
        if above is None:
            return
        end, comment = above
        comment_match = _COMMENT.fullmatch(comment)
        if comment_match and _INSTRUCTION.fullmatch(comment_match[1]):
            raise self._error(end, f"{comment} is not on the line before a block")

    def _error(self, line: int, problem: str) -> PageError:
        return PageError(f"{self._name}:{line}: {problem}")
