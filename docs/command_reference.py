"""The reference of the command as Markdown, generated from click's declarations."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click

from quill_models.command.cli import quill

__all__ = ["as_markdown"]

_SPECIAL = re.compile(r"([\\`*_<>|\[\]])")


def as_markdown() -> str:
    """Return a section for each command, in the order of declaration."""
    return "\n\n".join(_sections(quill, click.Context(quill, info_name="quill"), 2)) + "\n"


def _sections(command: click.Command, context: click.Context, depth: int) -> Iterator[str]:
    yield f"{'#' * depth} {context.command_path}"
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield f"```text\n{usage}\n```"
    for text in (command.help, command.epilog):
        yield from _paragraphs(text or "")
    records = [each.get_help_record(context) for each in command.params]
    rows = [f"| {_code(each[0])} | {_plain(each[1])} |" for each in records if each and each[1]]
    if rows:
        yield "\n".join(["| option | meaning |", "| --- | --- |", *rows])
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            if not each.hidden:
                within = click.Context(each, info_name=name, parent=context)
                yield from _sections(each, within, depth + 1)


def _paragraphs(text: str) -> Iterator[str]:
    r"""Yield the paragraphs of a help text. A paragraph after click's ``\b`` keeps its lines."""
    for paragraph in inspect.cleandoc(text.partition("\f")[0]).split("\n\n"):
        if paragraph.startswith("\b\n"):
            yield f"```text\n{inspect.cleandoc(paragraph[2:])}\n```"
        else:
            yield _plain(paragraph)


def _plain(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)


def _code(text: str) -> str:
    escaped = text.replace("|", r"\|")
    return f"`{escaped}`"
