"""The steps of a page, and the errors of invalid pages."""

from __future__ import annotations

import pytest

from tests.docs.page import Command, PageError, Step, read_page


def page(*lines: str) -> list[Step]:
    return read_page("\n".join(lines), "docs/page.md")


def test_read_page_exit_status_applies_to_last_command() -> None:
    steps = page("<!-- exits: 2 -->", "```console", "$ one", "$ two", "no", "```")
    assert steps == [Command(3, "one", None, exits=0), Command(4, "two", ("no",), exits=2)]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (("```sh", "ls", "```"), r":1: a block of sh cannot be run"),
        (("", "```", "ls", "```"), r":2: a block of no language cannot be run"),
        (("```{code-block} python", "x", "```"), r":1: a block of {code-block} python cannot"),
        (("```console", "ls", "```"), r":2: a console block must start with '\$ '"),
        (("```console", "```"), r":2: a console block must start with '\$ '"),
        (("- a", "", "  ```python", "  x", "  ```"), r":3: a block inside a list"),
        (("> ```python", "> x", "> ```"), r":1: a block inside a list or a quote"),
        (("a", "", "    x = 1"), r":3: an indented block"),
        (
            ("<!-- not run: later -->", "```console", "$ a", "```"),
            r":1: 'later' is not a valid reason",
        ),
        (
            ("<!-- notrun: AWS -->", "```console", "$ a", "```"),
            r":1: .* is not a valid instruction",
        ),
        (("<!-- file: -->", "```json", "{}", "```"), r":1: .* is not a valid instruction"),
        (("<!-- file: ../a -->", "```json", "{}", "```"), r":1: '../a' is outside"),
        (("<!-- file: /a -->", "```json", "{}", "```"), r":1: '/a' is outside"),
        (
            ("<!-- exits: one -->", "```console", "$ a", "```"),
            r":1: 'one' is not a valid exit status",
        ),
        (("<!-- exits: 1 -->", "```python", "x", "```"), r":1: only a console block"),
        (("<!-- exits: 1 -->", "", "```console", "$ a", "```"), r":1: .* is not on the"),
        (("<!-- exits: 1 -->", "", "text"), r":1: .* is not on the line before"),
        (("<!-- file: a -->", "", "<!-- x -->", ""), r":1: .* is not on the line before"),
    ],
)
def test_read_page_invalid_block_raises_page_error(lines: tuple[str, ...], problem: str) -> None:
    with pytest.raises(PageError, match=f"^docs/page.md{problem}"):
        page(*lines)
