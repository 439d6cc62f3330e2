from collections.abc import Iterator
from datetime import date, datetime
from typing import assert_type

from quill_models import (
    Agent,
    Grain,
    Increment,
    Interaction,
    Metric,
    Outcome,
    Page,
    PartialWriteError,
    Prefer,
    Query,
    Quill,
    TransactionRefused,
    WebhookEvent,
    WriteResult,
)


def results(result: WriteResult[Agent]) -> None:
    assert_type(result.outcome, Outcome)
    assert_type(result.created, bool)
    assert_type(result.item, Agent)
    assert_type(result.item.name, str | None)


def lists(query: Query[Interaction]) -> None:
    assert_type(list(query), list[Interaction])
    assert_type(query.page(limit=10), Page[Interaction])
    assert_type(query.page(10, query.page().cursor), Page[Interaction])
    assert_type(query.page().items, list[Interaction])
    assert_type(query.page().cursor, str | None)
    assert_type(query.first(), Interaction | None)
    assert_type(query.count(), int)


def agents(quill: Quill, agent: Agent) -> None:
    assert_type(quill.agents.put(agent), WriteResult[Agent])
    assert_type(quill.agents.put_many([agent]), list[WriteResult[Agent]])
    assert_type(quill.agents.put_many({agent.agent_id: agent}.values()), list[WriteResult[Agent]])
    assert_type(quill.agents.iter_put_many(iter([agent])), Iterator[WriteResult[Agent]])
    assert_type(quill.agents.put_many([agent], prefer=Prefer.COST), list[WriteResult[Agent]])
    assert_type(quill.agents.get("ada"), Agent | None)
    assert_type(quill.agents.get_by_external_id("hubspot", "1"), Agent | None)
    both = quill.agents.get_with_interactions("ada", limit=5)
    assert_type(both, tuple[Agent | None, list[Interaction]])
    assert_type(quill.agents.list_by_team("north"), Query[Agent])
    assert_type(quill.agents.list_by_status("active"), Query[Agent])
    assert_type(quill.agents.delete("ada"), None)


def interactions(quill: Quill, interaction: Interaction, since: datetime) -> None:
    repository = quill.interactions
    assert_type(repository.record(interaction), WriteResult[Interaction])
    assert_type(repository.record_many([interaction]), list[WriteResult[Interaction]])
    assert_type(repository.iter_record_many([interaction]), Iterator[WriteResult[Interaction]])
    assert_type(repository.put(interaction), WriteResult[Interaction])
    assert_type(repository.put_many([interaction]), list[WriteResult[Interaction]])
    assert_type(repository.iter_put_many([interaction]), Iterator[WriteResult[Interaction]])
    assert_type(repository.get("1"), Interaction | None)
    assert_type(repository.get_by_external_id("crm", "1"), Interaction | None)
    assert_type(repository.list_by_agent("ada", since=since), Query[Interaction])
    assert_type(repository.list_by_contact("c1", until=since), Query[Interaction])
    assert_type(repository.list_by_day(date(2026, 11, 22)), Query[Interaction])
    assert_type(repository.list_by_agent("ada", newest_first=True).first(), Interaction | None)
    assert_type(repository.delete("1"), None)


def metrics(quill: Quill, metric: Metric, increment: Increment, at: datetime) -> None:
    repository = quill.metrics
    assert_type(repository.put(metric), WriteResult[Metric])
    assert_type(repository.put_many([metric]), list[WriteResult[Metric]])
    assert_type(repository.iter_put_many([metric]), Iterator[WriteResult[Metric]])
    assert_type(repository.add(increment), WriteResult[Increment])
    assert_type(repository.add_many([increment]), list[WriteResult[Increment]])
    assert_type(repository.iter_add_many([increment]), Iterator[WriteResult[Increment]])
    assert_type(repository.series("global", "calls", "day", since=at), Query[Metric])
    assert_type(repository.across("calls", Grain.DAY, at), Query[Metric])
    assert_type(repository.list_by_day(at.date()), Query[Metric])


def transactions(
    quill: Quill,
    agent: Agent,
    interaction: Interaction,
    metric: Metric,
    increment: Increment,
    event: WebhookEvent,
) -> None:
    with quill.transaction() as tx:
        assert_type(tx.agents.put(agent), None)
        assert_type(tx.interactions.record(interaction), None)
        assert_type(tx.interactions.put(interaction), None)
        assert_type(tx.metrics.put(metric), None)
        assert_type(tx.metrics.add(increment), None)
        assert_type(tx.webhook_events.record(event), None)
        assert_type(tx.webhook_events.complete(event), None)
        assert_type(tx.webhook_events.fail(event, "no such contact"), None)
    for result in tx.results:
        assert_type(result.outcome, Outcome)
        assert_type(result.item, Agent | Interaction | Metric | Increment | WebhookEvent)


def errors(partial: PartialWriteError, refused: TransactionRefused) -> None:
    assert_type([result.outcome for result in partial.results], list[Outcome])
    assert_type(len(partial.pending), int)
    assert_type(refused.result.outcome, Outcome)
