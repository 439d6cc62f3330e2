from datetime import date, datetime, timedelta

import quill_models
from quill_models import (
    Agent,
    AlreadyRunning,
    Interaction,
    Key,
    Metric,
    Outcome,
    PartialWriteError,
    Query,
    Quill,
    Run,
    Settings,
    WebhookEvent,
    connect,
    hubspot,
)


def names() -> None:
    quill_models.Agnet  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    quill_models.connect.quill  # type: ignore[attr-defined]  # pyright: ignore[reportFunctionMemberAccess]


def settings() -> None:
    Settings("aws")  # type: ignore[arg-type, call-arg]  # pyright: ignore[reportCallIssue]
    Settings(tabel="quill")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Settings(table=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Settings(deadline=15)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Settings().table = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    Settings.load(environ={"QUILL_TABLE": 7})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    connect("quill")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    connect(Settings(), lambda: 0)  # type: ignore[arg-type, call-arg, return-value]  # pyright: ignore[reportCallIssue]
    connect(clock=lambda: 0)  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType]


def agents(quill: Quill, agent: Agent, interaction: Interaction) -> None:
    quill.agent.put(agent)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    quill.agents.put("ada")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    quill.agents.put(interaction)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    quill.agents.put_many(agent)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    quill.agents.put_many([interaction])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    quill.agents.put_many([agent], "cost")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    quill.agents.get(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    quill.agents.get("ada").name  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    quill.agents.get_by_external_id("hubspot", 1184062)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    quill.agents.record(agent)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    quill.agents.list_by_status(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    quill.agents.put(agent).item.channel  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    quill.agents.put(agent).outcome = Outcome.CREATED  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def interactions(quill: Quill, metric: Metric) -> None:
    quill.interactions.record(metric)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    quill.interactions.list_by_agent()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    quill.interactions.list_by_agent("ada", since="2026-11-22")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    quill.interactions.list_by_agent("ada", since=date(2026, 11, 22))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    quill.interactions.list_by_agent("ada", None, None, True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    quill.interactions.list_by_day("2026-11-22")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    quill.interactions.list_by_day(date(2026, 11, 22)).page(limit="10")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    wrong: Query[Agent] = quill.interactions.list_by_contact("c1")  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    quill.interactions.list_by_contact("c1").first().subject  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    for interaction in quill.interactions.list_by_contact("c1"):
        interaction.topic  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    del wrong


def metrics(quill: Quill, metric: Metric, now: datetime) -> None:
    quill.metrics.add(metric)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    quill.metrics.add_many([1])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    quill.metrics.series("global", "calls")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    quill.metrics.across("calls", "day", now.date())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def runs(quill: Quill, run: Run) -> None:
    quill.job_runs.start()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    quill.job_runs.start("sync", lease=300)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    quill.job_runs.start("sync", "w", timedelta(minutes=5), True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    run.attempt = 2  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    run.checkpoint = {"page": 3}  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    run.save_checkpoint(["page", 3])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    run.save_checkpoint(page=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    quill.job_runs.last_success("sync").stats  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    quill.job_runs.watermark("sync", "hubspot").advance(7)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    quill.job_runs.watermark("sync", "hubspot").advance([7], run=run)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    quill.job_runs.watermark("sync", "hubspot").value = 7  # type: ignore[assignment, misc]  # pyright: ignore[reportAttributeAccessIssue]
    quill.job_runs.watermark("sync", "hubspot").value + 1  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue, reportUnusedExpression]


def events(quill: Quill, event: WebhookEvent) -> None:
    hubspot.parse({"eventId": 1})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hubspot.parse(b"[]", received_at="now")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hubspot.verify_signature("secret", "POST", "https://example.org", b"", "1", "x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    quill.webhook_events.record(hubspot.parse(b"[]"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    quill.webhook_events.claim()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    quill.webhook_events.claim("hubspot", lease=60)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    quill.webhook_events.fail(event)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    quill.webhook_events.fail(event, "no", retry_in=10)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    quill.webhook_events.process("hubspot", lambda: None)  # type: ignore[arg-type, misc]  # pyright: ignore[reportArgumentType]


def transactions(quill: Quill, agent: Agent, event: WebhookEvent) -> None:
    tx = quill.transaction()
    tx.agents.put(event)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tx.agents.get("ada")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    tx.webhook_events.claim("hubspot")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    tx.interactions.record(agent)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def stores(quill: Quill, now: datetime) -> None:
    quill.store.put(("a", "b"), {})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    quill.store.put("a", {})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    quill.store.put(Key("a"), {})  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    quill.store.put(Key("a", 1), {})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    quill.store.put(Key("a", "b"), [1])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    quill.store.put(Key("a", "b"), {}, True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    quill.store.put(Key("a", "b"), {}, ttl=60)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    quill.store.get(Key("a", "b"))["rows"]  # type: ignore[index]  # pyright: ignore[reportOptionalSubscript]
    quill.store.check_and_mark(Key("a", "b"))  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    quill.store.check_and_mark(Key("a", "b"), now.timestamp())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def errors(running: AlreadyRunning, partial: PartialWriteError) -> None:
    running.run.is_sure  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    partial.results[0].status  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
