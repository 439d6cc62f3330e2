"""The state machine of agents and their interactions, which share item collections."""

from __future__ import annotations

from datetime import date, datetime
from itertools import product, starmap

from hypothesis import strategies as st

from quill_models import AgentStatus, Quill
from tests.local_dynamo.stateful.calls import row_of
from tests.local_dynamo.stateful.machine import TableMachine
from tests.local_dynamo.stateful.model import Collection, Kind, Row, TableModel
from tests.local_dynamo.stateful.reads import Listing, Lookup, Read, is_between, row_or_none
from tests.local_dynamo.stateful.strategies import MICROSECOND, PREFER, bulk, rows, single
from tests.local_dynamo.support import DAY, HOUR, NOON, SECOND

AGENTS, INTERACTIONS = "agents", "interactions"
AGENT_IDS, INTERACTION_IDS = ("a", "b", "a#"), ("i", "j", "k", "i#")
TEAMS, CONTACTS = ("north", "north#1"), ("7", "77")
SOURCES, EXTERNAL_IDS = ("h", "p"), ("1", "2")
VERSIONS = (None, NOON, NOON + SECOND, NOON + 2 * SECOND)
STARTS = (NOON, NOON + SECOND, NOON + DAY, NOON + DAY + HOUR)

AGENT_CONTENTS: list[Row] = [
    {
        "name": name,
        "team": team,
        "status": status,
        "external_ids": external_ids,
        "source_updated_at": version,
    }
    for name, team, status, external_ids, version in product(
        (None, "Ada", "Ada#", "b"),
        (None, *TEAMS),
        AgentStatus,
        ({}, {"h": "1"}, {"h": "2"}, {"p": "1"}, {"h": "1", "p": "1"}, {"h": "2", "p": "2"}),
        VERSIONS,
    )
]
INTERACTION_CONTENTS: list[Row] = [
    {
        "source": source,
        "external_id": external_id,
        "agent_id": agent_id,
        "contact_id": contact_id,
        "started_at": started_at,
        "subject": subject,
        "source_updated_at": version,
    }
    for source, external_id, agent_id, contact_id, started_at, subject, version in product(
        SOURCES,
        (None, *EXTERNAL_IDS, *EXTERNAL_IDS),
        (None, "a", "a", "b"),
        (None, *CONTACTS),
        STARTS,
        (None, "a question"),
        VERSIONS,
    )
]
AGENT_IDENTITY, INTERACTION_IDENTITY = {"agent_id": AGENT_IDS}, {"interaction_id": INTERACTION_IDS}
AGENT_ROWS, INTERACTION_ROWS = (
    rows(AGENT_IDENTITY, AGENT_CONTENTS),
    rows(INTERACTION_IDENTITY, INTERACTION_CONTENTS),
)


def agent_claims(row: Row) -> list[tuple[str, str]]:
    return sorted(row["external_ids"].items())


def interaction_claims(row: Row) -> list[tuple[str, str]]:
    return [] if row["external_id"] is None else [(row["source"], row["external_id"])]


def get_agent(agent_id: str) -> Lookup:
    return Lookup(
        f"agents.get({agent_id!r})",
        lambda quill: row_or_none(quill.agents.get(agent_id)),
        lambda table, now: table[AGENTS].live(now).get((agent_id,)),
    )


def agent_by_external_id(source: str, external_id: str) -> Lookup:
    return Lookup(
        f"agents.get_by_external_id({source!r}, {external_id!r})",
        lambda quill: row_or_none(quill.agents.get_by_external_id(source, external_id)),
        lambda table, now: table[AGENTS].claims(now).get((source, external_id)),
    )


def get_interaction(interaction_id: str) -> Lookup:
    return Lookup(
        f"interactions.get({interaction_id!r})",
        lambda quill: row_or_none(quill.interactions.get(interaction_id)),
        lambda table, now: table[INTERACTIONS].live(now).get((interaction_id,)),
    )


def interaction_by_external_id(source: str, external_id: str) -> Lookup:
    return Lookup(
        f"interactions.get_by_external_id({source!r}, {external_id!r})",
        lambda quill: row_or_none(quill.interactions.get_by_external_id(source, external_id)),
        lambda table, now: table[INTERACTIONS].claims(now).get((source, external_id)),
    )


def with_interactions(agent_id: str, limit: int) -> Lookup:
    latest = by_agent(agent_id, None, None, newest_first=True)

    def execute(quill: Quill) -> tuple[Row | None, list[Row]]:
        agent, interactions = quill.agents.get_with_interactions(agent_id, limit)
        return row_or_none(agent), [row_of(each) for each in interactions]

    return Lookup(
        f"get_with_interactions({agent_id!r}, {limit})",
        execute,
        lambda table, now: (
            table[AGENTS].live(now).get((agent_id,)),
            latest.expect(table, now)[:limit],
        ),
    )


def by_name(row: Row) -> tuple[str, str]:
    return row["name"] or row["agent_id"], row["agent_id"]


def by_start(row: Row) -> tuple[datetime, str]:
    return row["started_at"], row["interaction_id"]


def by_team(team: str) -> Listing:
    return Listing(
        f"list_by_team({team!r})",
        lambda quill: quill.agents.list_by_team(team),
        AGENTS,
        lambda row: bool(row["team"] == team),
        by_name,
    )


def by_status(status: str) -> Listing:
    return Listing(
        f"list_by_status({status!r})",
        lambda quill: quill.agents.list_by_status(status),
        AGENTS,
        lambda row: bool(row["status"] == status),
        by_name,
    )


def by_agent(
    agent_id: str, since: datetime | None, until: datetime | None, newest_first: bool
) -> Listing:
    return Listing(
        f"list_by_agent({agent_id!r}, {since}, {until}, newest_first={newest_first})",
        lambda quill: quill.interactions.list_by_agent(
            agent_id, since, until, newest_first=newest_first
        ),
        INTERACTIONS,
        lambda row: row["agent_id"] == agent_id and is_between(row["started_at"], since, until),
        by_start,
        newest_first,
    )


def by_contact(
    contact_id: str, since: datetime | None, until: datetime | None, newest_first: bool
) -> Listing:
    return Listing(
        f"list_by_contact({contact_id!r}, {since}, {until}, newest_first={newest_first})",
        lambda quill: quill.interactions.list_by_contact(
            contact_id, since, until, newest_first=newest_first
        ),
        INTERACTIONS,
        lambda row: row["contact_id"] == contact_id and is_between(row["started_at"], since, until),
        by_start,
        newest_first,
    )


def by_day(day: date, newest_first: bool) -> Listing:
    return Listing(
        f"list_by_day({day}, newest_first={newest_first})",
        lambda quill: quill.interactions.list_by_day(day, newest_first=newest_first),
        INTERACTIONS,
        lambda row: bool(row["started_at"].date() == day),
        by_start,
        newest_first,
    )


DAYS = (NOON.date(), (NOON + DAY).date())
FULL_LISTS = [
    *map(by_team, TEAMS),
    *map(by_status, AgentStatus),
    *(by_agent(agent_id, None, None, newest_first=False) for agent_id in AGENT_IDS),
    *(by_contact(contact_id, None, None, newest_first=False) for contact_id in CONTACTS),
    *(by_day(day, newest_first=False) for day in DAYS),
]
RANGE_ENDS = st.sampled_from((None, *STARTS, STARTS[1] + MICROSECOND))
LISTINGS: st.SearchStrategy[Listing] = st.one_of(
    st.sampled_from(FULL_LISTS),
    st.builds(by_agent, st.sampled_from(AGENT_IDS), RANGE_ENDS, RANGE_ENDS, st.booleans()),
    st.builds(by_contact, st.sampled_from(CONTACTS), RANGE_ENDS, RANGE_ENDS, st.booleans()),
    st.builds(by_day, st.sampled_from(DAYS), st.booleans()),
)
LOOKUPS: list[Read] = [
    *map(get_agent, AGENT_IDS),
    *map(get_interaction, INTERACTION_IDS),
    *starmap(agent_by_external_id, product(SOURCES, EXTERNAL_IDS)),
    *starmap(interaction_by_external_id, product(SOURCES, EXTERNAL_IDS)),
    *starmap(with_interactions, product(AGENT_IDS, (1, 2, 10))),
]


class AgentsMachine(TableMachine):
    single_calls = (
        single(AGENTS, "put", AGENT_ROWS)
        | single(AGENTS, "delete", rows(AGENT_IDENTITY, [{}]))
        | single(INTERACTIONS, "record", INTERACTION_ROWS)
        | single(INTERACTIONS, "put", INTERACTION_ROWS)
        | single(INTERACTIONS, "delete", rows(INTERACTION_IDENTITY, [{}]))
    )
    calls = (
        single_calls
        | bulk(AGENTS, "put", AGENT_ROWS, PREFER)
        | bulk(INTERACTIONS, "record", INTERACTION_ROWS, PREFER)
        | bulk(INTERACTIONS, "put", INTERACTION_ROWS, PREFER)
    )
    listings = LISTINGS
    reads = st.sampled_from(LOOKUPS) | LISTINGS
    final_reads = FULL_LISTS

    def empty(self) -> TableModel:
        return TableModel(
            {
                AGENTS: Collection(Kind(("agent_id",), "source_updated_at", claims=agent_claims)),
                INTERACTIONS: Collection(
                    Kind(("interaction_id",), "source_updated_at", claims=interaction_claims)
                ),
            }
        )
