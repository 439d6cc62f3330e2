"""What of a page is run, and what is refused."""

from __future__ import annotations

import pytest

from tests.docs.page import Command, PageError, Step, read_page


def page(*lines: str) -> list[Step]:
    return read_page("\n".join(lines), "docs/page.md")


def test_only_the_last_command_of_a_block_may_be_meant_to_fail() -> None:
    steps = page("<!-- exits: 2 -->", "```console", "$ one", "$ two", "no", "```")
    assert steps == [Command(3, "one", None, exits=0), Command(4, "two", ("no",), exits=2)]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (("```sh", "ls", "```"), r":1: nothing runs a block of sh"),
        (("", "```", "ls", "```"), r":2: nothing runs a block of no language"),
        (("```{code-block} python", "x", "```"), r":1: nothing runs a block of {code-block}"),
        (("```console", "ls", "```"), r":2: a console block begins with '\$ '"),
        (("```console", "```"), r":2: a console block begins with '\$ '"),
        (("- a", "", "  ```python", "  x", "  ```"), r":3: a block inside a list"),
        (("> ```python", "> x", "> ```"), r":1: a block inside a list or a quote"),
        (("a", "", "    x = 1"), r":3: an indented block"),
        (("<!-- not run: later -->", "```console", "$ a", "```"), r":1: not run because 'later'"),
        (("<!-- notrun: AWS -->", "```console", "$ a", "```"), r":1: .* says nothing of the block"),
        (("<!-- file: -->", "```json", "{}", "```"), r":1: .* says nothing of the block"),
        (("<!-- file: ../a -->", "```json", "{}", "```"), r":1: '../a' is outside"),
        (("<!-- file: /a -->", "```json", "{}", "```"), r":1: '/a' is outside"),
        (("<!-- exits: one -->", "```console", "$ a", "```"), r":1: 'one' is no exit status"),
        (("<!-- exits: 1 -->", "```python", "x", "```"), r":1: only a console block"),
        (("<!-- exits: 1 -->", "", "```console", "$ a", "```"), r":1: .* does not stand on the"),
        (("<!-- exits: 1 -->", "", "text"), r":1: .* does not stand on the line before"),
        (("<!-- file: a -->", "", "<!-- x -->", ""), r":1: .* does not stand on the line before"),
    ],
)
def test_what_cannot_be_run_is_refused(lines: tuple[str, ...], problem: str) -> None:
    with pytest.raises(PageError, match=f"^docs/page.md{problem}"):
        page(*lines)
