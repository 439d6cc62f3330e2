from __future__ import annotations

import io
import json
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from quill_models import __version__
from quill_models.command import main
from quill_models.command.cli import quill
from quill_models.command.failures import INTERRUPTED
from quill_models.command.output import print_json, show, show_error, table
from quill_models.errors import InvalidPayload
from tests.unit.migrations.files import written
from tests.unit.wire import closed_port

pytestmark = pytest.mark.usefixtures("isolated", "pauses")

Ran = tuple[int, str, str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """The installed command: exit status, standard output, standard error."""

    def run_it(*arguments: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["quill", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        status = left.value.code
        shown = capsys.readouterr()
        return (status if isinstance(status, int) else 0), shown.out, shown.err

    return run_it


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


def test_the_commands_of_the_contract_that_there_are() -> None:
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
def test_every_command_has_help(path: tuple[str, ...], flag: str) -> None:
    result = CliRunner().invoke(quill, [*path, flag])
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: quill")
    assert result.stderr == ""


@pytest.mark.parametrize("path", COMMANDS, ids=IDS)
def test_every_command_and_option_says_what_it_does(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


LEAVES = [path for path, command in COMMANDS.items() if not isinstance(command, click.Group)]
# Those that do something themselves.
ALONE = [*LEAVES, ("jobs",), ("events",)]
# What they print is a document of another kind.
WITHOUT_JSON = [("schema", "export"), ("completion",)]


def examples(path: tuple[str, ...]) -> list[list[str]]:
    """The examples in a command's help, each without what a shell does before and after it."""
    _, _, block = (COMMANDS[path].help or "").partition("Examples:\n")
    lines = [re.search(r"quill [^|>)]*", line) for line in block.splitlines()]
    return [shlex.split(found[0])[1:] for found in lines if found is not None]


EXAMPLES = [(path, arguments) for path in ALONE for arguments in examples(path)]


@pytest.mark.parametrize("path", ALONE, ids=" ".join)
def test_every_command_has_examples_of_itself(path: tuple[str, ...]) -> None:
    assert examples(path)
    for arguments in examples(path):
        assert tuple(arguments[: len(path)]) == path


@pytest.mark.parametrize(
    ("path", "arguments"), EXAMPLES, ids=[" ".join(arguments) for _, arguments in EXAMPLES]
)
def test_every_example_is_right_usage(
    isolated: Path, path: tuple[str, ...], arguments: list[str]
) -> None:
    for argument in arguments:
        if argument.startswith("s3/"):
            (isolated / argument).mkdir(parents=True)
        elif argument.endswith((".json", ".jsonl")):
            (isolated / argument).touch()
    # Raises where an option is unknown, or a value is not allowed.
    with COMMANDS[path].make_context(path[-1], arguments[len(path) :]):
        pass


@pytest.mark.parametrize("columns", ["40", "80"])
@pytest.mark.parametrize(
    "path",
    [(), *(path for path, command in COMMANDS.items() if isinstance(command, click.Group))],
    ids=lambda path: " ".join(("quill", *path)),
)
def test_the_summaries_are_whole(
    monkeypatch: pytest.MonkeyPatch, path: tuple[str, ...], columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    shown = " ".join(CliRunner().invoke(quill, [*path, "--help"]).stdout.split())
    group = COMMANDS[path] if path else quill
    assert isinstance(group, click.Group)
    for name, command in group.commands.items():
        first = " ".join((command.help or "").partition("\n\n")[0].split()).partition(". ")[0]
        assert f"{name} {first}" in shown


def test_each_summary_is_one_line_of_the_commands_help() -> None:
    shown = CliRunner().invoke(quill, ["--help"]).stdout.partition("Commands:\n")[2]
    assert len(shown.splitlines()) == len(quill.commands)


@pytest.mark.parametrize("path", ALONE, ids=" ".join)
def test_every_command_can_print_json(path: tuple[str, ...]) -> None:
    options = {option for each in COMMANDS[path].params for option in each.opts}
    assert ("--json" in options) is (path not in WITHOUT_JSON)


def test_the_exit_statuses_are_in_the_help() -> None:
    shown = CliRunner().invoke(quill, ["--help"]).stdout
    assert re.findall(r"^    (\d+) ", shown, re.MULTILINE) == ["0", "1", "2", str(INTERRUPTED)]


def test_the_version() -> None:
    result = CliRunner().invoke(quill, ["--version"])
    assert result.exit_code == 0
    assert result.stdout == f"quill, version {__version__}\n"


# Wrong usage: 2.


@pytest.mark.parametrize(
    "arguments",
    [
        "nonsense",
        "--nonsense",
        "schema nonsense",
        "schema apply extra",
        "migrate nonsense",
        "migrate status extra",
        "migrate plan --to zero",
        "migrate up --to 0",
        "migrate up --write-units 0",
        "migrate up --write-units nan",
        "migrate up extra",
        "migrate new",
        "local start --port 0",
        "local start --port 65536",
        "local start --port many",
        "local status extra",
        "ingest nonsense",
        "ingest hubspot",
        "ingest hubspot no-such-file.json",
        "ingest hubspot .",
        "load",
        "load no-such-file.jsonl",
        "load .",
        "export",
        "export --out x --format xlsx",
        "export --out x --kind claim",
        "export --out x --since yesterday",
        "export --out x --until 2031-05-17",
        "export --out x --since 2031-05-17 --until 2031-05-17",
        "export --out x --source phone",
        "export --out x --from-s3-export no-such-folder",
        "export --out x --from-s3-export . --since 2031-05-17",
        "list nonsense",
        "list agents --status gone --json",
        "completion",
        "completion csh",
        "list agents --team a --status active",
        "list agents --status gone",
        "list agents --limit 0",
        "list agents --limit many",
        "list agents --limit 99999999999999999999",
        "jobs --limit 99999999999999999999",
        "events --limit 99999999999999999999",
        "events --all --status dead",
        "jobs --job a --status failed",
        "list interactions --agent a --contact b",
        "list interactions --day today",
        "list interactions --day 2031-13-01",
        "list interactions --since 2031-05-17",
        "list interactions --agent a --since yesterday",
        "list metrics",
        "list metrics --name calls",
        "list metrics --name calls --scope global --bucket 2031-05-17",
        "list metrics --name calls --scope global --grain year",
        "list metrics --name calls --day 2031-05-17",
        "list metrics --scope global --day 2031-05-17",
        "list metrics --scope global",
        "list metrics --name calls --scope ada",
        "list metrics --name calls --bucket 2031-05-17T12:00",
        "list metrics --name calls --grain week --bucket 2031-05-17",
        "list metrics --name calls --bucket 0001-01-01T00:00+01:00",
        "list metrics --name calls --bucket 2031-05-17 --since 2031-05-17",
        "list job-runs --job a --status failed",
        "list job-runs --status lost",
        "list webhook-events --object contact",
        "list webhook-events --object contact 1 --status dead",
        "list webhook-events --status gone",
    ],
)
def test_wrong_usage_is_status_2(run: Callable[..., Ran], arguments: str) -> None:
    status, out, err = run(*arguments.split())
    assert status == 2
    # With --json, too: it is not known yet what is asked for.
    assert out == ""
    assert err.startswith(("Usage: ", "Error: "))
    assert "Error: " in err
    assert "Traceback" not in err


# Failed: 1, a message on standard error, and no traceback.


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> str:
    """An endpoint where nothing answers, as the one of the environment."""
    endpoint = f"http://127.0.0.1:{closed_port()}"
    monkeypatch.setenv("DYNAMODB_ENDPOINT", endpoint)
    return endpoint


@pytest.fixture
def files(isolated: Path) -> Path:
    (isolated / "good.jsonl").write_text('{"kind": "agent", "agent_id": "7"}\n')
    (isolated / "bad.jsonl").write_text('\n{"kind": "squad"}\n')
    (isolated / "empty.json").write_text("[]")
    return isolated


NEEDS_A_SERVER = [
    "schema apply",
    "migrate status",
    "migrate plan --to 1",
    "migrate up --no-wait",
    "schema diff",
    "load good.jsonl",
    "export --out x",
    "export --out x --since 2020-01-01 --kind job-run",
    "ingest hubspot empty.json",
    "list agents",
    "list agents --team north",
    "list interactions",
    "list interactions --agent 7 --since 2031-05-17T12:00",
    "list metrics --name calls --scope global",
    "list metrics --name calls --bucket 2031-05-17",
    "list metrics --day 2031-05-17",
    "list job-runs",
    "list job-runs --job sync",
    "list webhook-events",
    "list webhook-events --object contact 123",
]


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("as_json", [[], ["--json"]], ids=["", "json"])
@pytest.mark.parametrize("arguments", NEEDS_A_SERVER)
def test_without_a_server_every_command_says_how_to_start_one(
    run: Callable[..., Ran], nobody: str, arguments: str, as_json: list[str]
) -> None:
    status, out, err = run(*arguments.split(), *as_json)
    assert status == 1
    assert err.startswith("Error: ")
    assert f"No DynamoDB answers at {nobody}" in err
    for way in ("docker compose up", "quill local start", "DYNAMODB_ENDPOINT=…"):
        assert way in err
    assert "Traceback" not in err
    if not as_json:
        assert out == ""
        return
    (error,) = json.loads(out)["errors"]
    assert error["type"] in {"ServerUnreachable", "PartialWriteError"}
    assert err == f"Error: {error['reason']}\n"


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("arguments", ["demo", "local status", *NEEDS_A_SERVER])
def test_a_wrong_setting_is_told_by_every_command(
    run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, arguments: str
) -> None:
    monkeypatch.setenv("DATA_BACKEND", "moto")
    status, out, err = run(*arguments.split())
    assert (status, out) == (1, "")
    assert err == "Error: DATA_BACKEND is 'moto'; allowed are 'dynamodb-local' or 'aws'.\n"


def test_the_demo_never_runs_on_aws(
    run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_BACKEND", "aws")
    status, out, err = run("demo")
    assert (status, out) == (1, "")
    assert "DATA_BACKEND=dynamodb-local" in err


@pytest.mark.usefixtures("files", "nobody")
def test_a_bad_line_is_named_before_any_request(run: Callable[..., Ran]) -> None:
    status, out, err = run("load", "bad.jsonl", "--json")
    assert status == 1
    assert err.startswith("Error: bad.jsonl: line 2: kind is 'squad'; allowed are agent")
    document = json.loads(out)
    assert document["files"] == []
    (error,) = document["errors"]
    assert (error["type"], error["file"]) == ("InvalidPayload", "bad.jsonl")
    assert error["position"] == "line 2"


@pytest.mark.usefixtures("files", "nobody")
def test_what_is_wrong_in_one_file_is_told_with_what_stopped_the_next(
    run: Callable[..., Ran],
) -> None:
    status, out, err = run("load", "bad.jsonl", "good.jsonl", "good.jsonl", "--json")
    assert status == 1
    wrong, stopped = json.loads(out)["errors"]
    assert wrong["file"] == "bad.jsonl"
    assert stopped["reason"].startswith("good.jsonl: No DynamoDB answers")
    assert err.count("Error: ") == 2


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize("arguments", ["load -", "ingest hubspot -"])
def test_standard_input_that_is_closed(
    run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, arguments: str
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    status, _, err = run(*arguments.split())
    assert (status, err) == (1, "Error: -: cannot be read: standard input is closed\n")


def test_a_new_migration_is_for_a_checkout(run: Callable[..., Ran], isolated: Path) -> None:
    status, out, err = run("migrate", "new", "list", "agents", "by", "email")
    assert (status, out) == (1, "")
    assert "There are no migrations in" in err
    assert str(isolated) in err.replace("\n", "")
    folder = Path("quill_models", "migrations", "versions")
    folder.parent.mkdir(parents=True)
    written(folder, "0001_a")
    status, out, err = run("migrate", "new", "list", "agents", "by", "email")
    file = folder / "0002_list_agents_by_email.py"
    assert (status, out, err) == (0, f"Wrote {file}.\n", "")
    assert "list agents by email" in file.read_text()
    status, out, _ = run("migrate", "new", "--json", "and", "more")
    assert (status, json.loads(out)) == (0, {"file": str(folder / "0003_and_more.py")})
    status, out, err = run("migrate", "new", "…")
    assert (status, out) == (1, "")
    assert "letters a to z" in err


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "agents", "--team", "\udcff"],
        ["list", "interactions", "--agent", "x" * 3000],
        ["list", "interactions", "--agent", "7", "--since", "0001-01-01T00:00+01:00"],
    ],
    ids=["no text", "too long", "too early"],
)
def test_a_value_that_no_table_can_hold_is_a_message_and_no_traceback(
    run: Callable[..., Ran], arguments: list[str]
) -> None:
    status, out, err = run(*arguments)
    assert status in {1, 2}
    assert out == ""
    assert "Error: " in err
    assert "Traceback" not in err


# What is shown.


def test_one_json_document_whatever_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"text": "ü🦜\u2028", "unpaired": "\ud800", "null": None}
    print_json(document)
    assert json.loads(capsys.readouterr().out) == document


def test_a_message_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    show_error(InvalidPayload("[bold]no markup[/]", source="[a].json", position="line 1"))
    assert capsys.readouterr().err == "Error: [a].json: line 1: [bold]no markup[/]\n"


def test_a_table_shows_text_and_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    show(table(("name", "n"), [("[red]Ada[/]", None), ({"a": 1}, 7)]))
    shown = capsys.readouterr().out
    assert "[red]Ada[/]" in shown
    assert "a: 1" in shown
    assert not re.search(r"\x1b", shown)


def test_no_line_ends_with_spaces(capsys: pytest.CaptureFixture[str]) -> None:
    show(table(("name",), [("Ada",)], title="who"))
    title, *_ = capsys.readouterr().out.splitlines()
    assert title == "who"


def test_standard_output_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    show(table(("name",), [("Ada",)]))
    print_json({"name": "Ada"})


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_json_where_the_locale_has_no_unicode(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding=encoding))
    document = {"text": "ü🦜"}
    print_json(document)
    sys.stdout.flush()
    assert json.loads(out.getvalue().decode(encoding)) == document
