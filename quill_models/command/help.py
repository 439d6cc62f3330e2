"""`quill help`: the pages of the documentation."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path

import click
from click.shell_completion import CompletionItem

__all__ = ["help_pages"]

_PACKAGE = Path(__file__).parents[1]
_SECTIONS = {"how-to": "How-to guides", "explanation": "Explanation", "reference": "Reference"}
_COMMENT_LINES = re.compile(r"^<!--.*?-->\n", re.MULTILINE | re.DOTALL)


def _pages(*sections: str) -> dict[str, Path]:
    """Return the pages of sections by topic. A checkout has them beside the package."""
    shipped = _PACKAGE / "docs"
    docs = shipped if shipped.is_dir() else _PACKAGE.parent / "docs"
    pages = [page for section in sections for page in sorted((docs / section).glob("*.md"))]
    return {page.stem: page for page in pages if page.stem != "index"}


def _complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(topic) for topic in _pages(*_SECTIONS) if topic.startswith(incomplete)]


@click.command("help")
@click.argument("topic", required=False, shell_complete=_complete)
@click.pass_context
def help_pages(context: click.Context, *, topic: str | None) -> None:
    """Show a page of the documentation, or list the topics.

    \b
    Examples:
      quill help
      quill help power-bi
    """  # noqa: D301 -- click's mark for "keep these lines"
    if topic is None:
        formatter = context.make_formatter()
        for section, heading in _SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl([(name, _title(page)) for name, page in _pages(section).items()])
        click.echo(formatter.getvalue(), nl=False)
        return
    pages = _pages(*_SECTIONS)
    if topic not in pages:
        closest = ", ".join(get_close_matches(topic, pages, cutoff=0.4))
        hint = f"Closest topics: {closest}." if closest else "List the topics with quill help."
        raise click.UsageError(f"{topic} is not a topic. {hint} For a command, use --help.")
    click.echo_via_pager(_COMMENT_LINES.sub("", pages[topic].read_text(encoding="utf-8").rstrip()))


def _title(page: Path) -> str:
    return page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
