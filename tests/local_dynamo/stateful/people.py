"""Agents and their interactions, which share item collections."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from itertools import product, starmap

from hypothesis import strategies as st

from quill_models import AgentStatus, Quill
from tests.local_dynamo.stateful.calls import row_of
from tests.local_dynamo.stateful.machine import PREFER, TableMachine, many, one, rows
from tests.local_dynamo.stateful.plain import Collection, Kind, Row, World
from tests.local_dynamo.stateful.questions import Listing, Lookup, Question, found, is_between
from tests.local_dynamo.support import DAY, HOUR, NOON, SECOND

AGENTS, INTERACTIONS = "agents", "interactions"
AGENT_IDS, INTERACTION_IDS = ("a", "b", "a#"), ("i", "j", "k", "i#")
TEAMS, CONTACTS = ("north", "north#1"), ("7", "77")
SOURCES, EXTERNAL_IDS = ("h", "p"), ("1", "2")
VERSIONS = (None, NOON, NOON + SECOND, NOON + 2 * SECOND)
MICROSECOND = timedelta(microseconds=1)
STARTS = (NOON, NOON + SECOND, NOON + DAY, NOON + DAY + HOUR)

AGENTS_SAID: list[Row] = [
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
INTERACTIONS_SAID: list[Row] = [
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
AGENT, INTERACTION = {"agent_id": AGENT_IDS}, {"interaction_id": INTERACTION_IDS}
SOME_AGENTS, SOME_INTERACTIONS = rows(AGENT, AGENTS_SAID), rows(INTERACTION, INTERACTIONS_SAID)


def agent_claims(row: Row) -> list[tuple[str, str]]:
    return sorted(row["external_ids"].items())


def interaction_claims(row: Row) -> list[tuple[str, str]]:
    return [] if row["external_id"] is None else [(row["source"], row["external_id"])]


def get_agent(agent_id: str) -> Lookup:
    return Lookup(
        f"agents.get({agent_id!r})",
        lambda quill: found(quill.agents.get(agent_id)),
        lambda world, now: world[AGENTS].live(now).get((agent_id,)),
    )


def agent_by_external_id(source: str, external_id: str) -> Lookup:
    return Lookup(
        f"agents.get_by_external_id({source!r}, {external_id!r})",
        lambda quill: found(quill.agents.get_by_external_id(source, external_id)),
        lambda world, now: world[AGENTS].claims(now).get((source, external_id)),
    )


def get_interaction(interaction_id: str) -> Lookup:
    return Lookup(
        f"interactions.get({interaction_id!r})",
        lambda quill: found(quill.interactions.get(interaction_id)),
        lambda world, now: world[INTERACTIONS].live(now).get((interaction_id,)),
    )


def interaction_by_external_id(source: str, external_id: str) -> Lookup:
    return Lookup(
        f"interactions.get_by_external_id({source!r}, {external_id!r})",
        lambda quill: found(quill.interactions.get_by_external_id(source, external_id)),
        lambda world, now: world[INTERACTIONS].claims(now).get((source, external_id)),
    )


def with_interactions(agent_id: str, limit: int) -> Lookup:
    latest = by_agent(agent_id, None, None, newest_first=True)

    def ask(quill: Quill) -> tuple[Row | None, list[Row]]:
        agent, interactions = quill.agents.get_with_interactions(agent_id, limit)
        return found(agent), [row_of(each) for each in interactions]

    return Lookup(
        f"get_with_interactions({agent_id!r}, {limit})",
        ask,
        lambda world, now: (
            world[AGENTS].live(now).get((agent_id,)),
            latest.expect(world, now)[:limit],
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
PLAIN = [
    *map(by_team, TEAMS),
    *map(by_status, AgentStatus),
    *(by_agent(agent_id, None, None, newest_first=False) for agent_id in AGENT_IDS),
    *(by_contact(contact_id, None, None, newest_first=False) for contact_id in CONTACTS),
    *(by_day(day, newest_first=False) for day in DAYS),
]
RANGES = st.sampled_from((None, *STARTS, STARTS[1] + MICROSECOND))
LISTINGS: st.SearchStrategy[Listing] = st.one_of(
    st.sampled_from(PLAIN),
    st.builds(by_agent, st.sampled_from(AGENT_IDS), RANGES, RANGES, st.booleans()),
    st.builds(by_contact, st.sampled_from(CONTACTS), RANGES, RANGES, st.booleans()),
    st.builds(by_day, st.sampled_from(DAYS), st.booleans()),
)
LOOKUPS: list[Question] = [
    *map(get_agent, AGENT_IDS),
    *map(get_interaction, INTERACTION_IDS),
    *starmap(agent_by_external_id, product(SOURCES, EXTERNAL_IDS)),
    *starmap(interaction_by_external_id, product(SOURCES, EXTERNAL_IDS)),
    *starmap(with_interactions, product(AGENT_IDS, (1, 2, 10))),
]


class PeopleMachine(TableMachine):
    """Agents and interactions that come, change, collide and go."""

    single_calls = (
        one(AGENTS, "put", SOME_AGENTS)
        | one(AGENTS, "delete", rows(AGENT, [{}]))
        | one(INTERACTIONS, "record", SOME_INTERACTIONS)
        | one(INTERACTIONS, "put", SOME_INTERACTIONS)
        | one(INTERACTIONS, "delete", rows(INTERACTION, [{}]))
    )
    calls = (
        single_calls
        | many(AGENTS, "put", SOME_AGENTS, PREFER)
        | many(INTERACTIONS, "record", SOME_INTERACTIONS, PREFER)
        | many(INTERACTIONS, "put", SOME_INTERACTIONS, PREFER)
    )
    listings = LISTINGS
    questions = st.sampled_from(LOOKUPS) | LISTINGS
    everything = PLAIN

    def empty(self) -> World:
        return World(
            {
                AGENTS: Collection(Kind(("agent_id",), "source_updated_at", claims=agent_claims)),
                INTERACTIONS: Collection(
                    Kind(("interaction_id",), "source_updated_at", claims=interaction_claims)
                ),
            }
        )
