"""The state machine of `quill.store`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from quill_models import Key
from quill_models.repositories.datastore import StoredItem
from tests.local_dynamo.stateful.environment import RETENTION
from tests.local_dynamo.stateful.machine import TableMachine
from tests.local_dynamo.stateful.model import Kind, Row, StoreItems, TableModel
from tests.local_dynamo.stateful.reads import Lookup
from tests.local_dynamo.stateful.strategies import rows, single
from tests.local_dynamo.support import HOUR, NOON, SECOND

STORE = "store"
PARTITIONS, SORT_KEYS = ("report", "report#1"), ("1", "1#a", "10#a", "ü")
PREFIXES = (None, "1", "1#", "10#", "2")
ITEMS = [{}, {"text": "a"}, {"text": "b", "number": 1}, {"list": [True, None, {"of": "maps"}]}]
TTLS = [
    RETENTION,
    RETENTION + timedelta(microseconds=1),
    timedelta(seconds=1.5),
    timedelta(0),
    -SECOND,
    NOON + HOUR,
    NOON + timedelta(microseconds=1),
    NOON - HOUR,
]
KEYS = {"pk": PARTITIONS, "sk": SORT_KEYS}
PUTS: list[Row] = [
    {"item": item, "if_not_exists": if_not_exists, "ttl": ttl}
    for item in ITEMS
    for if_not_exists in (False, True)
    for ttl in (None, None, None, *TTLS)
]


def item_row(item: StoredItem) -> Row:
    expires = item.expires_at
    return {
        "pk": item.key.pk,
        "sk": item.key.sk,
        "item": dict(item),
        "ttl": None if expires is None else datetime.fromtimestamp(expires, UTC),
    }


def get(pk: str, sk: str) -> Lookup:
    return Lookup(
        f"get({pk!r}, {sk!r})",
        lambda quill: None if (item := quill.store.get(Key(pk, sk))) is None else item_row(item),
        lambda table, now: table[STORE].live(now).get((pk, sk)),
    )


def query(pk: str, prefix: str | None) -> Lookup:
    return Lookup(
        f"query({pk!r}, {prefix!r})",
        lambda quill: [item_row(item) for item in quill.store.query(pk, prefix)],
        lambda table, now: [
            row
            for key, row in sorted(table[STORE].live(now).items())
            if key[0] == pk and key[1].startswith(prefix or "")
        ],
    )


GETS = [get(pk, sk) for pk in PARTITIONS for sk in SORT_KEYS]
QUERIES = [query(pk, prefix) for pk in PARTITIONS for prefix in PREFIXES]


class StoreMachine(TableMachine):
    single_calls = (
        single(STORE, "put", rows(KEYS, PUTS, len(PUTS)))
        | single(STORE, "check_and_mark", rows(KEYS, [{"ttl": ttl} for ttl in TTLS]))
        | single(STORE, "delete", rows(KEYS, [{}]))
    )
    calls = single_calls
    reads = st.sampled_from(GETS + QUERIES)
    final_reads = QUERIES

    def empty(self) -> TableModel:
        return TableModel({STORE: StoreItems(Kind(("pk", "sk")))})
