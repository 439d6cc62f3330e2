"""`quill demo`: the complete pipeline on a temporary table of DynamoDB Local."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from rich.console import RenderableType
from rich.text import Text

from quill_models import hubspot
from quill_models.command.failures import report
from quill_models.command.ingest import ingest_file
from quill_models.command.load import load_file
from quill_models.command.output import download_bar, json_option, show, table, wants_json
from quill_models.local import embedded, find_or_fetch
from quill_models.local.probe import PortOwner, probe
from quill_models.models import INDEXES, EventStatus, QuillModel
from quill_models.quill import Quill, connect
from quill_models.settings import Backend, Settings
from quill_models.values.errors import ConfigurationError, QuillError

__all__ = ["demo"]

_LOADED = ("agents.jsonl", "interactions.jsonl", "metrics.jsonl")
_DELIVERIES = (
    ("property_changes.json", "delivery"),
    ("mixed_objects.json", "delivery"),
    ("test_button.json", "delivery"),
    ("retry_of_property_changes.json", "retry, reordered"),
    ("retry_of_mixed_objects.json", "retry, reordered"),
    ("test_button.json", "same file again"),
)
_COUNTED = ("created", "duplicate")
_NEXT_STEPS = """
The demo table is deleted. To continue with a permanent table:
  quill local start
  quill schema apply
  quill ingest hubspot FILE
  quill list webhook-events"""


def _print(output: RenderableType) -> None:
    """Print a step immediately, unless one JSON document is printed at the end."""
    if not wants_json():
        show(output)


def _heading(text: str, command: str = "") -> None:
    _print(Text.assemble("\n", (text, "bold"), (f"   {command}" if command else "", "dim")))


@click.command()
@json_option
def demo() -> None:
    """Run the pipeline on a temporary table: load, ingest, repeat, list.

    Uses the DynamoDB Local at DYNAMODB_ENDPOINT, if one is running. Otherwise starts one in
    memory and stops it at the end. The demo table is deleted at the end.

    \b
    Examples:
      quill demo
      quill demo --json
    """  # noqa: D301 -- click's mark for "keep these lines"
    settings = Settings.load()
    if settings.backend is Backend.AWS:
        raise ConfigurationError(
            "DATA_BACKEND is 'aws', but the demo runs on DynamoDB Local only. "
            "Run it with DATA_BACKEND=dynamodb-local."
        )
    with ExitStack() as stack:
        endpoint = stack.enter_context(_server(settings))
        name = f"{settings.table[:200]}-demo-{secrets.token_hex(4)}"
        quill = stack.enter_context(connect(replace(settings, endpoint=endpoint, table=name)))
        stack.callback(quill.schema.delete_table)
        samples = stack.enter_context(as_file(files("quill_models") / "samples"))
        document: dict[str, Any] = {"endpoint": endpoint, "table": name, "done": _make_table(quill)}
        document["loaded"] = _load(quill, samples)
        document["ingested"] = ingested = _ingest(quill, samples / "hubspot")
        document["stored"] = _count_stored(quill, ingested)
        _show_lists(quill)
        _show_storage(quill)
    report(document, _NEXT_STEPS)


def _make_table(quill: Quill) -> list[str]:
    _heading("1. The table", "quill schema apply")
    done = quill.schema.apply()
    for step in done:
        _print(Text(f"  {step}"))
    return done


def _load(quill: Quill, samples: Path) -> list[dict[str, Any]]:
    _heading("2. Agents, interactions and metrics, loaded twice", "quill load FILE.jsonl")
    done = [
        {"file": name, "time": time, **load_file(quill, str(samples / name))}
        for time in ("first", "second")
        for name in _LOADED
    ]
    _print(table(("file", "time", "items", "created", "unchanged"), done))
    return done


def _ingest(quill: Quill, deliveries: Path) -> list[dict[str, Any]]:
    _heading("3. HubSpot deliveries, and their retries", "quill ingest hubspot FILE")
    done = [
        {"file": name, "is": content, **ingest_file(quill, str(deliveries / name)).counts}
        for name, content in _DELIVERIES
    ]
    columns = ("file", "content", "events", "created", "duplicate", "conflict")
    _print(table(columns, [list(each.values()) for each in done]))
    return done


def _count_stored(quill: Quill, ingested: list[dict[str, Any]]) -> int:
    received, created = (sum(each[name] for each in ingested) for name in ("events", "created"))
    stored = quill.webhook_events.list_by_status(hubspot.SOURCE, EventStatus.PENDING).count()
    if stored != created:
        raise QuillError(
            f"{created} events were created, but the table holds {stored}. Report this as a bug."
        )
    _print(
        f"  {received} events came in, {created} of them new. The table holds {stored}: "
        "nothing was counted twice."
    )
    return stored


def _show_lists(quill: Quill) -> None:
    _heading("4. Lists, one request each", "quill list KIND")
    agents = [
        (agent.agent_id, agent.name, agent.team, agent.status)
        for agent in quill.agents.list_by_team("north")
    ]
    columns = ("agent_id", "name", "team", "status")
    _print(table(columns, agents, title="Agents of the team north by name"))
    owner = quill.agents.get_by_external_id(hubspot.SOURCE, "1184062")
    _print(f"  HubSpot's owner 1184062 is: {owner.name if owner else 'unknown'}")
    calls = [
        (call.started_at, call.channel, call.direction, call.subject or call.outcome)
        for call in quill.interactions.list_by_agent("ada", newest_first=True)
    ]
    columns = ("started_at", "channel", "direction", "subject or outcome")
    _print(table(columns, calls, title="Ada's interactions, newest first"))
    runs = [
        (run.started_at, run.status, Path(run.stats["file"]).name, *map(run.stats.get, _COUNTED))
        for run in quill.job_runs.list_by_job("ingest-hubspot")
    ]
    title = "Runs of the job ingest-hubspot, newest first"
    _print(table(("started_at", "status", "file", *_COUNTED), runs, title=title))


def _show_storage(quill: Quill) -> None:
    _heading("5. Keys of the stored items")
    models: list[QuillModel | None] = [
        quill.agents.get("ada"),
        quill.interactions.get("call-7001"),
        quill.metrics.series("agent:ada", "calls", "day").first(),
        quill.job_runs.list_by_job("ingest-hubspot").first(),
        quill.webhook_events.list_by_status(hubspot.SOURCE, EventStatus.PENDING).first(),
    ]
    rows: list[Sequence[object]] = []
    for model in filter(None, models):
        stored = quill.table.get(model.key()) or {}
        for index in ("", *INDEXES):
            keys = [f"{index}pk", f"{index}sk"]
            if keys[0] in stored:
                kind = "" if index else model.KIND
                rows.append([kind, ", ".join(keys), " / ".join(stored[key]["S"] for key in keys)])
    _print(table(("kind", "key", "partition key / sort key"), rows))


@contextmanager
def _server(settings: Settings) -> Iterator[str]:
    """Yield the endpoint of a running server, or of one that runs during the block."""
    endpoint = settings.endpoint or ""
    if _responds(endpoint):
        _print(f"Using the DynamoDB at {endpoint}. The demo table is deleted at the end.")
        yield endpoint
        return
    with download_bar() as progress:
        distribution = find_or_fetch(settings.local_home, report=progress)
    with embedded(local_home=distribution, java_home=settings.java_home) as server:
        _print(
            f"No DynamoDB responds at {endpoint}. Running DynamoDB Local in memory at "
            f"{server.endpoint}."
        )
        yield server.endpoint
    _print(f"\nThe files of DynamoDB Local are kept in {distribution}")


def _responds(endpoint: str) -> bool:
    parts = urlsplit(endpoint)
    if parts.hostname in {"localhost", "127.0.0.1", "::1"}:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return probe(port) is PortOwner.DYNAMODB_LOCAL
    # Another host was configured on purpose, so show its errors.
    return True
