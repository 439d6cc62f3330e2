"""The calls of PynamoDB users on the models."""

import contextvars
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pynamodb.connection import Connection
from pynamodb.exceptions import PutError, TransactWriteError
from pynamodb.transactions import TransactWrite

from quill_models import Agent, Interaction, Outcome, Quill, WebhookEvent, connect
from quill_models.dynamodb import current_table as current
from quill_models.errors import QuillError
from tests.local_dynamo import tables
from tests.local_dynamo.proxy import Proxy
from tests.local_dynamo.support import NOON, SECOND, event, interaction, is_as_stored, stored

quill = tables.emptied


@pytest.fixture(scope="module")
def another(shared: Quill) -> Iterator[Quill]:
    settings = replace(shared.settings, table=f"{shared.settings.table}-b")
    with connect(settings) as made:
        made.schema.apply(stream=False)
    yield made
    made.schema.delete_table()
    made.close()


@pytest.fixture
def other(another: Quill) -> Iterator[Quill]:
    """Another table on the same server, empty, and not entered."""
    yield another
    tables.empty(another)


@pytest.fixture
def connection(quill: Quill) -> Connection:
    return Agent._get_connection().connection


def agent_here() -> str | None:
    """Return the table of PynamoDB's own calls."""
    return next((agent.name for agent in Agent.query(Agent(agent_id="a").key().pk)), None)


class TestItems:
    def test_save_then_get_returns_the_model(self, quill: Quill) -> None:
        ada = Agent(agent_id="ada", name="Ada", team="north")
        ada.save()
        assert is_as_stored(quill, ada)
        got = Agent.get(*ada.key())
        assert got == ada
        assert got.created_at is not None
        assert quill.agents.get("ada") == ada
        assert list(quill.agents.list_by_team("north")) == [ada]
        assert quill.agents.put(ada).outcome is Outcome.UNCHANGED

    def test_save_changed_model_moves_between_lists(self, quill: Quill) -> None:
        quill.agents.put(Agent(agent_id="ada", team="north"))
        ada = Agent.get(*Agent(agent_id="ada").key())
        created_at = ada.created_at
        ada.team = "south"
        ada.save()
        assert list(quill.agents.list_by_team("north")) == []
        assert list(quill.agents.list_by_team("south")) == [ada]
        assert Agent.get(*ada.key()).created_at == created_at

    @pytest.mark.usefixtures("quill")
    def test_get_missing_item_raises_does_not_exist(self) -> None:
        with pytest.raises(Agent.DoesNotExist):
            Agent.get(*Agent(agent_id="nobody").key())

    @pytest.mark.usefixtures("quill")
    def test_get_item_of_other_kind_raises(self) -> None:
        call = interaction()
        call.save()
        with pytest.raises(QuillError, match="interaction"):
            Agent.get(*call.key())

    @pytest.mark.usefixtures("quill")
    def test_save_with_condition_is_checked(self) -> None:
        event().save(WebhookEvent.pk.does_not_exist())
        with pytest.raises(PutError):
            event().save(WebhookEvent.pk.does_not_exist())

    def test_delete_and_refresh_work(self, quill: Quill) -> None:
        ada = Agent(agent_id="ada")
        ada.save()
        quill.agents.put(Agent(agent_id="ada", name="Ada"))
        ada.refresh()
        assert ada.name == "Ada"
        ada.delete()
        assert quill.agents.get("ada") is None

    def test_save_stamps_the_expiry(self, quill: Quill) -> None:
        saved = event()
        saved.save()
        raw = stored(quill, saved.key())
        assert raw is not None
        assert int(raw["ttl"]["N"]) > 0
        assert quill.webhook_events.record(event()).outcome is Outcome.DUPLICATE

    def test_save_keeps_attributes_of_a_newer_version(self, quill: Quill) -> None:
        ada = Agent(agent_id="ada")
        ada.unknown = {"pronouns": {"S": "she"}}
        ada.save()
        again = Agent.get(*ada.key())
        again.name = "Ada"
        again.save()
        raw = stored(quill, ada.key())
        assert raw is not None
        assert raw["pronouns"] == {"S": "she"}


class TestQueries:
    def test_query_by_key_and_by_index_returns_models(self, quill: Quill) -> None:
        quill.agents.put_many(Agent(agent_id=key, name=key, team="t") for key in ("b", "a", "c"))
        (found,) = Agent.query(Agent(agent_id="a").key().pk)
        assert found == Agent(agent_id="a", name="a", team="t")
        assert list(Agent.gsi1.query(found.gsi1pk, Agent.gsi1sk == "PROFILE")) == [found]
        team = found.gsi2pk
        keys = [Agent(agent_id=key).key().pk for key in ("a", "b", "c")]
        assert [agent.pk for agent in Agent.gsi2.query(team)] == keys
        newest = Agent.gsi2.query(team, scan_index_forward=False, limit=2)
        assert [agent.pk for agent in newest] == keys[:0:-1]
        assert Agent.gsi2.count(team) == 3

    def test_query_interactions_of_agent_returns_models(self, quill: Quill) -> None:
        calls = [
            interaction(str(n), agent_id="ada", started_at=NOON + n * SECOND) for n in range(3)
        ]
        quill.interactions.record_many(calls)
        found = Interaction.gsi1.query(
            calls[0].gsi1pk, Interaction.gsi1sk >= calls[1].gsi1sk, page_size=1
        )
        assert list(found) == calls[1:]

    def test_batch_write_and_batch_get_work(self, quill: Quill) -> None:
        agents = [Agent(agent_id=str(number), team="t") for number in range(30)]
        with Agent.batch_write() as batch:
            for agent in agents:
                batch.save(agent)
        assert quill.agents.list_by_team("t").count() == 30
        got = {agent.agent_id: agent for agent in Agent.batch_get([a.key() for a in agents])}
        assert got == {agent.agent_id: agent for agent in agents}
        assert all(agent.created_at is not None for agent in got.values())
        with Agent.batch_write() as batch:
            for agent in agents[:10]:
                batch.delete(agent)
        assert quill.agents.list_by_team("t").count() == 20

    def test_batch_write_events_expire_like_others(self, quill: Quill) -> None:
        with WebhookEvent.batch_write() as batch:
            batch.save(event())
        raw = stored(quill, event().key())
        assert raw is not None
        assert "ttl" in raw
        assert "write_token" in raw

    def test_transact_write_stores_the_items(self, quill: Quill, connection: Connection) -> None:
        with TransactWrite(connection=connection) as transaction:
            transaction.save(Agent(agent_id="a", team="t"))
            transaction.save(event(), condition=WebhookEvent.pk.does_not_exist())
        assert quill.agents.list_by_team("t").count() == 1
        assert quill.webhook_events.get("hubspot", "e1") == event()
        with (
            pytest.raises(TransactWriteError),
            TransactWrite(connection=connection) as transaction,
        ):
            transaction.save(Agent(agent_id="b"))
            transaction.save(event(), condition=WebhookEvent.pk.does_not_exist())
        assert quill.agents.get("b") is None


class TestTwoTables:
    @pytest.fixture(autouse=True)
    def in_each(self, quill: Quill, other: Quill) -> None:
        quill.agents.put(Agent(agent_id="a", name="quill"))
        other.agents.put(Agent(agent_id="a", name="other"))

    def test_nested_blocks_use_the_innermost_table(self, quill: Quill, other: Quill) -> None:
        assert agent_here() == "quill"
        with other:
            assert agent_here() == "other"
            with connect(quill.settings):
                assert agent_here() == "quill"
            assert agent_here() == "other"
            Agent(agent_id="a", name="saved").save()
        assert agent_here() == "quill"
        saved = other.agents.get("a")
        assert saved is not None
        assert saved.name == "saved"

    def test_block_left_by_error_restores_the_outer_table(self, other: Quill) -> None:
        with pytest.raises(ZeroDivisionError), other:
            raise ZeroDivisionError
        assert agent_here() == "quill"

    def test_block_entered_twice_stays_open(self, other: Quill) -> None:
        with other:
            with other:
                assert agent_here() == "other"
            assert agent_here() == "other"
        assert agent_here() == "quill"

    def test_block_entered_again_inside_another_is_current(
        self, quill: Quill, other: Quill
    ) -> None:
        with other:
            with quill:
                with other:
                    assert agent_here() == "other"
                assert agent_here() == "quill"
            assert agent_here() == "other"
        assert agent_here() == "quill"

    def test_blocks_left_in_order_of_entering_are_closed(self, quill: Quill, other: Quill) -> None:
        third = connect(quill.settings)
        other.__enter__()
        third.__enter__()
        other.__exit__(None, None, None)
        assert agent_here() == "quill"
        third.__exit__(None, None, None)
        assert agent_here() == "quill"

    def test_block_left_in_another_thread_is_closed(self, other: Quill) -> None:
        """As web frameworks do with dependencies that are generators."""
        errors: list[BaseException] = []

        def leave() -> None:
            try:
                other.__exit__(None, None, None)
            except BaseException as error:  # noqa: BLE001
                errors.append(error)

        enter = threading.Thread(target=other.__enter__)
        enter.start()
        enter.join()
        leaving = threading.Thread(target=leave)
        leaving.start()
        leaving.join()
        assert errors == []
        assert agent_here() == "quill"

    def test_repositories_use_their_own_table(self, quill: Quill, other: Quill) -> None:
        with quill, other:
            quill.agents.put(Agent(agent_id="only here", team="t"))
            assert quill.agents.list_by_team("t").count() == 1
            assert other.agents.list_by_team("t").count() == 0
            assert quill.agents.get("a") == Agent(agent_id="a", name="quill")
            assert other.agents.get("a") == Agent(agent_id="a", name="other")

    def test_thread_without_block_several_open_raises(self, other: Quill) -> None:
        found: list[object] = []

        def look() -> None:
            try:
                found.append(agent_here())
            except QuillError as error:
                found.append(error)

        def in_a_thread() -> object:
            thread = threading.Thread(target=look)
            thread.start()
            thread.join()
            return found.pop()

        assert in_a_thread() == "quill"
        with other:
            assert isinstance(in_a_thread(), QuillError)
        assert in_a_thread() == "quill"

    def test_no_block_uses_the_settings(
        self, other: Quill, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("DYNAMODB_ENDPOINT", other.settings.endpoint or "")
        monkeypatch.setenv("QUILL_TABLE", other.settings.table)
        monkeypatch.setattr(current, "_open", [])
        assert contextvars.Context().run(agent_here) == "other"


def test_two_endpoints_use_two_connections(quill: Quill, behind_proxy: Quill, proxy: Proxy) -> None:
    """Both lead to the same table; the proxy counts what came its way."""

    def through_the_proxy(work: Callable[[], object]) -> int:
        before = proxy.passed.total()
        work()
        return proxy.passed.total() - before

    assert through_the_proxy(lambda: quill.agents.put(Agent(agent_id="a", name="here"))) == 0
    assert through_the_proxy(lambda: behind_proxy.agents.put(Agent(agent_id="a", name="b"))) > 0
    assert through_the_proxy(agent_here) == 1
    with connect(quill.settings):
        assert through_the_proxy(agent_here) == 0
        assert through_the_proxy(Agent(agent_id="c").save) == 0
    assert through_the_proxy(agent_here) == 1
    assert through_the_proxy(Agent(agent_id="d").save) > 0
    assert through_the_proxy(lambda: quill.agents.get("a")) == 0
    assert through_the_proxy(lambda: behind_proxy.agents.get("a")) == 1
    assert sorted(proxy.passed) == ["GetItem", "PutItem", "Query"]
