"""What of a page is run, and what is refused."""

from __future__ import annotations

import pytest

from tests.docs.page import Command, File, PageError, Script, Step, read_page


def page(*lines: str) -> list[Step]:
    return read_page("\n".join(lines), "docs/page.md")


def test_console_block_has_commands_and_what_they_print() -> None:
    steps = page(
        "Text.", "```console", "$ one", "1", "", "2", "", "$ two  # quietly", "$ three", "3", "```"
    )
    assert steps == [
        Command(3, "one", ("1", "", "2")),
        Command(8, "two  # quietly", None),
        Command(9, "three", ("3",)),
    ]


def test_command_goes_on_after_a_backslash() -> None:
    assert page("```console", "$ one \\", "    --two", "1", "```") == [
        Command(2, "one \\\n    --two", ("1",))
    ]


def test_only_the_last_command_of_a_block_may_be_meant_to_fail() -> None:
    steps = page("<!-- exits: 2 -->", "```console", "$ one", "$ two", "no", "```")
    assert steps == [Command(3, "one", None, exits=0), Command(4, "two", ("no",), exits=2)]


def test_python_is_a_script_or_a_test() -> None:
    steps = page("```python", "x = 1", "```", "", "```python", "def test_x():", "    pass", "```")
    assert steps == [Script(2, "x = 1\n"), Script(6, "def test_x():\n    pass\n")]
    assert [isinstance(step, Script) and step.is_test for step in steps] == [False, True]


@pytest.mark.parametrize("language", ["json", "python", "text", "ini"])
def test_block_under_a_file_comment_is_a_file(language: str) -> None:
    steps = page("<!-- file: in/a.txt -->", f"```{language}", "one", "", "two", "```")
    assert steps == [File(2, "in/a.txt", "one\n\ntwo\n")]


@pytest.mark.parametrize("language", ["text", "mermaid", "{toctree}", "{include} ../a.md"])
def test_pictures_and_directives_are_not_run(language: str) -> None:
    assert page(f"```{language}", "$ one", "```") == []


def test_what_no_test_can_run_is_not_run() -> None:
    assert page("<!-- not run: needs AWS -->", "```console", "$ aws", "```") == []


def test_other_comments_mean_nothing() -> None:
    assert page("<!-- drawn by hand -->", "", "```text", "x", "```", "<!-- end -->") == []


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
