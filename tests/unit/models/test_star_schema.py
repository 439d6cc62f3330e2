from __future__ import annotations

import hashlib
from decimal import Decimal

import pytest
from hypothesis import given

from quill_models.errors import InvalidValue
from quill_models.export import SCHEMA_VERSION, TABLES, StarTable, Type
from quill_models.models import QuillModel
from quill_models.models.star_schema import fixed_decimal
from tests.unit.examples import EXAMPLES, KINDS
from tests.unit.export.readers import TABLE_OF, rounded
from tests.unit.strategies import numbers

MODELS: dict[str, type[QuillModel]] = {kind: type(make()) for kind, make in EXAMPLES.items()}
# Stored attributes that are in no table: keys, tokens and leases.
LEFT_OUT = {"kind", "ttl", "write_token", "created_token", "lease_id"}
# An event's due time is the sort key of the work list.
FIELD_OF = {"gsi2sk": "due_at"}
TABLES_BY_NAME = pytest.mark.parametrize("table", TABLES, ids=[table.name for table in TABLES])


@KINDS
def test_tables_have_every_field_of_the_models(kind: str) -> None:
    model = MODELS[kind]
    taken = {FIELD_OF.get(column.attribute, column.attribute) for column in TABLE_OF[kind].columns}
    assert taken == set(model.codec().writers) - LEFT_OUT
    assert set(model.codec().fields) <= taken


@TABLES_BY_NAME
def test_tables_have_each_column_once(table: StarTable) -> None:
    names = [column.name for column in table.columns]
    assert len(names) == len(set(names))
    readers = MODELS[table.kind].codec().readers
    types = {name: attr_type for name, (_, attr_type, _) in readers.items()}
    assert all(types[column.attribute] == column.stored_as for column in table.columns)


@TABLES_BY_NAME
def test_tables_facts_have_a_day_dimensions_do_not(table: StarTable) -> None:
    dates = [column.name for column in table.columns if column.type is Type.DATE]
    assert dates == ([] if table.name == "dim_agent" else ["date"])
    assert (table.partition is None) is (not dates)
    assert table.name.startswith("fact_" if dates else "dim_")


def test_tables_changed_schema_requires_new_version() -> None:
    # The model of Power BI uses these columns. If one changes, increment SCHEMA_VERSION.
    described = [
        (table.name, column.name, column.type.value) for table in TABLES for column in table.columns
    ]
    digest = hashlib.sha256(repr(described).encode()).hexdigest()[:16]
    assert (SCHEMA_VERSION, digest) == (1, "a49594e2bfa779aa")


@given(numbers())
def test_fixed_decimal_rounds_to_the_column(number: Decimal) -> None:
    held = fixed_decimal(str(number))
    assert (None if held is None else Decimal(held)) == rounded(number)
    if held is not None:
        # Plain, so that every reader of CSV and JSON knows it.
        assert set(held) <= set("-0123456789.")
        assert held == "0" or held.strip("-")[0] != "." != held[-1]
        assert fixed_decimal(held) == held


@pytest.mark.parametrize(
    ("text", "held"),
    [("-0", "0"), ("1E+2", "100"), ("-1E-10", "0"), ("1.50", "1.5"), ("007", "7"), ("0.0", "0")],
)
def test_fixed_decimal_has_one_notation(text: str, held: str) -> None:
    assert fixed_decimal(text) == held


def test_row_whole_number_over_64_bits_returns_none() -> None:
    table = TABLE_OF["job_run"]
    at = table.position("attempt")
    item = EXAMPLES["job_run"]().to_item(4)
    for text, held in (
        ("1E+2", 100),
        (f"{2**63 - 1}", 2**63 - 1),
        (f"{2**63}", None),
        (f"-{2**63}", -(2**63)),
        ("1E+999999999", None),
    ):
        assert table.row({**item, "attempt": {"N": text}})[at] == held


def test_row_unpaired_surrogate_raises() -> None:
    item = EXAMPLES["agent"]().to_item(4)
    with pytest.raises(InvalidValue, match="agent AGENT#7 has an invalid name"):
        TABLE_OF["agent"].row({**item, "name": {"S": "\ud83d"}})
