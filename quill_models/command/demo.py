"""`quill demo`: the whole way through on a DynamoDB Local, to see with one's own eyes."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path
from urllib.parse import urlsplit

import click

from quill_models import hubspot
from quill_models.command.ingest import ingest_file
from quill_models.command.load import load_file
from quill_models.command.output import console, download_bar, show_table
from quill_models.errors import ConfigurationError, QuillError
from quill_models.local import embedded, find_or_fetch
from quill_models.local.probe import Answer, probe
from quill_models.models import INDEXES, EventStatus, QuillModel
from quill_models.quill import Quill, connect
from quill_models.settings import Backend, Settings

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


@click.command()
def demo() -> None:
    """Show the whole way through: load, ingest, ingest again, and what is stored.

    Uses the DynamoDB Local that answers at DYNAMODB_ENDPOINT, in a table of its own that is
    deleted at the end; where none answers it runs one in memory, which ends with it.
    """
    settings = Settings.load()
    if settings.backend is Backend.AWS:
        raise ConfigurationError(
            "DATA_BACKEND is 'aws'; the demo runs on DynamoDB Local only. "
            "Run it with DATA_BACKEND=dynamodb-local."
        )
    with ExitStack() as stack:
        endpoint = stack.enter_context(_server(settings))
        table = f"{settings.table[:200]}-demo-{secrets.token_hex(4)}"
        quill = stack.enter_context(connect(replace(settings, endpoint=endpoint, table=table)))
        stack.callback(quill.schema.delete_table)
        samples = stack.enter_context(as_file(files("quill_models") / "samples"))
        _show_table_made(quill)
        _show_loading(quill, samples)
        _show_ingestion(quill, samples / "hubspot")
        _show_questions(quill)
        _show_storage(quill)
    _show_what_next()


def _show_table_made(quill: Quill) -> None:
    _headline("1. The table", "quill schema apply")
    for step in quill.schema.apply():
        console().print(f"  {step}", markup=False)


def _show_loading(quill: Quill, samples: Path) -> None:
    _headline("2. Agents, interactions and metrics, loaded twice", "quill load FILE.jsonl")
    rows: list[list[object]] = []
    for time in ("first", "second"):
        for name in _LOADED:
            counts = load_file(quill, samples / name)
            rows.append([name, time, counts["items"], counts["created"], counts["unchanged"]])
    show_table(("file", "time", "items", "created", "unchanged"), rows)


def _show_ingestion(quill: Quill, deliveries: Path) -> None:
    _headline("3. HubSpot deliveries, and their retries", "quill ingest hubspot FILE")
    rows: list[list[object]] = []
    came = created = 0
    for name, what in _DELIVERIES:
        ingested = ingest_file(quill, str(deliveries / name))
        came += ingested.events
        created += ingested.created
        rows.append([name, what, *ingested.counts().values()])
    show_table(("file", "", "events", "created", "duplicate", "conflict"), rows)
    stored = quill.webhook_events.list_by_status(hubspot.SOURCE, EventStatus.PENDING).count()
    if stored != created:
        raise QuillError(f"{created} events were created, but the table holds {stored}.")
    console().print(
        f"  {came} events came in, {created} of them new. The table holds {stored}: "
        "nothing was counted twice."
    )


def _show_questions(quill: Quill) -> None:
    _headline("4. Questions, one request each", "quill list KIND")
    show_table(
        ("agent_id", "name", "team", "status"),
        [
            (agent.agent_id, agent.name, agent.team, agent.status)
            for agent in quill.agents.list_by_team("north")
        ],
        title="the agents of the team north, by name",
    )
    owner = quill.agents.get_by_external_id(hubspot.SOURCE, "1184062")
    console().print(f"  HubSpot's owner 1184062 is: {owner.name if owner else 'nobody'}")
    show_table(
        ("started_at", "channel", "direction", "subject or outcome"),
        [
            (call.started_at, call.channel, call.direction, call.subject or call.outcome)
            for call in quill.interactions.list_by_agent("ada", newest_first=True)
        ],
        title="Ada's interactions, newest first",
    )
    show_table(
        ("started_at", "status", "file", "created", "duplicate"),
        [
            (
                run.started_at,
                run.status,
                Path(run.stats["file"]).name,
                run.stats["created"],
                run.stats["duplicate"],
            )
            for run in quill.job_runs.list_by_job("ingest-hubspot")
        ],
        title="the runs of the job ingest-hubspot, newest first",
    )


def _show_storage(quill: Quill) -> None:
    _headline("5. How it is stored: one table, which item under which key", None)
    shown: list[QuillModel | None] = [
        quill.agents.get("ada"),
        quill.interactions.get("call-7001"),
        quill.metrics.series("agent:ada", "calls", "day").first(),
        quill.job_runs.list_by_job("ingest-hubspot").first(),
        quill.webhook_events.list_by_status(hubspot.SOURCE, EventStatus.PENDING).first(),
    ]
    rows: list[Sequence[object]] = []
    for model in shown:
        stored = None if model is None else quill.store.get(model.key())
        if stored is None:
            continue
        rows.append([stored["kind"], "pk, sk", " / ".join(stored.key)])
        rows += [
            ["", f"{index}pk, {index}sk", f"{stored[f'{index}pk']} / {stored[f'{index}sk']}"]
            for index in INDEXES
            if f"{index}pk" in stored
        ]
    show_table(("kind", "key", "partition key / sort key"), rows)


def _show_what_next() -> None:
    out = console()
    out.print("\nThe table of the demo is deleted. To go on with a table that stays:")
    for line in (
        "quill local start",
        "quill schema apply",
        "quill ingest hubspot FILE",
        "quill list webhook-events",
    ):
        out.print(f"  {line}")


def _headline(text: str, command: str | None) -> None:
    console().print(f"\n[bold]{text}[/]" + (f"   [dim]{command}[/]" if command else ""))


@contextmanager
def _server(settings: Settings) -> Iterator[str]:
    """The endpoint of the server that answers, or of one that runs as long as the block."""
    endpoint = settings.endpoint or ""
    if _answers(endpoint):
        console().print(
            f"Using the DynamoDB that answers at {endpoint}, in a table that is deleted at the end."
        )
        yield endpoint
        return
    with download_bar("Fetching DynamoDB Local") as report:
        distribution = find_or_fetch(settings.local_home, report=report)
    with embedded(local_home=distribution, java_home=settings.java_home) as server:
        console().print(
            f"No DynamoDB answers at {endpoint}; running DynamoDB Local at {server.endpoint}, "
            "in memory."
        )
        yield server.endpoint
    console().print(f"\nDynamoDB Local itself stays in {distribution}", soft_wrap=True)


def _answers(endpoint: str) -> bool:
    parts = urlsplit(endpoint)
    if parts.hostname in {"localhost", "127.0.0.1", "::1"}:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return probe(port) is Answer.DYNAMODB_LOCAL
    # Elsewhere it was named on purpose: an error there is one to see.
    return True
