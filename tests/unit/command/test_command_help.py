"""The help of every command, its examples and summaries."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from quill_models import __version__
from quill_models.command.cli import quill
from quill_models.command.failures import INTERRUPTED

pytestmark = pytest.mark.usefixtures("isolated")


def commands(
    group: click.Group = quill, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        here = (*path, name)
        yield here, command
        if isinstance(command, click.Group):
            yield from commands(command, here)


COMMANDS = dict(commands())
IDS = [" ".join(path) for path in COMMANDS]


def test_command_tree_has_commands_of_contract() -> None:
    assert {path for path in COMMANDS if len(path) == 1} >= {
        ("demo",),
        ("local",),
        ("schema",),
        ("migrate",),
        ("ingest",),
        ("load",),
        ("list",),
        ("doctor",),
        ("export",),
    }
    assert {" ".join(path) for path in COMMANDS if len(path) == 2} >= {
        "local start",
        "local stop",
        "local status",
        "schema apply",
        "migrate status",
        "migrate plan",
        "migrate up",
        "migrate new",
        "schema diff",
        "schema export",
        "ingest hubspot",
        "list agents",
        "list interactions",
        "list metrics",
        "list job-runs",
        "list webhook-events",
    }


@pytest.mark.parametrize("flag", ["--help", "-h"])
@pytest.mark.parametrize("path", [(), *COMMANDS], ids=["quill", *IDS])
def test_command_help_flag_prints_usage(path: tuple[str, ...], flag: str) -> None:
    result = CliRunner().invoke(quill, [*path, flag])
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: quill")
    assert result.stderr == ""


@pytest.mark.parametrize("path", COMMANDS, ids=IDS)
def test_command_and_its_options_have_help(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


LEAVES = [path for path, command in COMMANDS.items() if not isinstance(command, click.Group)]
# Commands that do something without a subcommand.
RUNNABLE = [*LEAVES, ("jobs",), ("events",)]
# They print a document of another kind.
WITHOUT_JSON = [("schema", "export"), ("completion",), ("help",)]


def examples(path: tuple[str, ...]) -> list[list[str]]:
    """The examples in the help of a command, without other parts of their shell lines."""
    _, _, block = (COMMANDS[path].help or "").partition("Examples:\n")
    lines = [re.search(r"quill [^|>)]*", line) for line in block.splitlines()]
    return [shlex.split(found[0])[1:] for found in lines if found is not None]


EXAMPLES = [(path, arguments) for path in RUNNABLE for arguments in examples(path)]


@pytest.mark.parametrize("path", RUNNABLE, ids=" ".join)
def test_command_help_has_examples_of_command(path: tuple[str, ...]) -> None:
    assert examples(path)
    for arguments in examples(path):
        assert tuple(arguments[: len(path)]) == path


@pytest.mark.parametrize(
    ("path", "arguments"), EXAMPLES, ids=[" ".join(arguments) for _, arguments in EXAMPLES]
)
def test_command_example_is_valid_usage(
    isolated: Path, path: tuple[str, ...], arguments: list[str]
) -> None:
    for argument in arguments:
        if argument.startswith("s3/"):
            (isolated / argument).mkdir(parents=True)
        elif argument.endswith((".json", ".jsonl")):
            (isolated / argument).touch()
    # Raises for an unknown option or an invalid value.
    with COMMANDS[path].make_context(path[-1], arguments[len(path) :]):
        pass


@pytest.mark.parametrize("columns", ["40", "80"])
@pytest.mark.parametrize(
    "path",
    [(), *(path for path, command in COMMANDS.items() if isinstance(command, click.Group))],
    ids=lambda path: " ".join(("quill", *path)),
)
def test_group_help_shows_complete_summaries(
    monkeypatch: pytest.MonkeyPatch, path: tuple[str, ...], columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    shown = " ".join(CliRunner().invoke(quill, [*path, "--help"]).stdout.split())
    group = COMMANDS[path] if path else quill
    assert isinstance(group, click.Group)
    for name, command in group.commands.items():
        first = " ".join((command.help or "").partition("\n\n")[0].split()).partition(". ")[0]
        assert f"{name} {first}" in shown


def test_quill_help_shows_one_line_per_command() -> None:
    shown = CliRunner().invoke(quill, ["--help"]).stdout.partition("Commands:\n")[2]
    assert len(shown.splitlines()) == len(quill.commands)


@pytest.mark.parametrize("path", RUNNABLE, ids=" ".join)
def test_command_has_json_option(path: tuple[str, ...]) -> None:
    options = {option for each in COMMANDS[path].params for option in each.opts}
    assert ("--json" in options) is (path not in WITHOUT_JSON)


def test_quill_help_lists_exit_statuses() -> None:
    shown = CliRunner().invoke(quill, ["--help"]).stdout
    assert re.findall(r"^    (\d+) ", shown, re.MULTILINE) == ["0", "1", "2", str(INTERRUPTED)]


def test_version_flag_prints_version() -> None:
    result = CliRunner().invoke(quill, ["--version"])
    assert result.exit_code == 0
    assert result.stdout == f"quill, version {__version__}\n"
