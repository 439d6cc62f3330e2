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
# What is stored and stands in no table: how an item is found and written, and who holds it.
LEFT_OUT = {"kind", "ttl", "write_token", "created_token", "lease_id"}
# An event's due time is the sort key of the work list.
FIELD_OF = {"gsi2sk": "due_at"}
TABLES_BY_NAME = pytest.mark.parametrize("table", TABLES, ids=[table.name for table in TABLES])


@KINDS
def test_every_field_of_a_model_is_in_its_table(kind: str) -> None:
    model = MODELS[kind]
    taken = {FIELD_OF.get(column.attribute, column.attribute) for column in TABLE_OF[kind].columns}
    assert taken == set(model.codec().writers) - LEFT_OUT
    assert set(model.codec().fields) <= taken


@TABLES_BY_NAME
def test_a_column_stands_once_and_is_of_its_model(table: StarTable) -> None:
    names = [column.name for column in table.columns]
    assert len(names) == len(set(names))
    readers = MODELS[table.kind].codec().readers
    types = {name: attr_type for name, (_, attr_type, _) in readers.items()}
    assert all(types[column.attribute] == column.stored_as for column in table.columns)


@TABLES_BY_NAME
def test_facts_have_a_day_and_the_dimension_has_none(table: StarTable) -> None:
    dates = [column.name for column in table.columns if column.type is Type.DATE]
    assert dates == ([] if table.name == "dim_agent" else ["date"])
    assert (table.partition is None) is (not dates)
    assert table.name.startswith("fact_" if dates else "dim_")


def test_another_schema_is_another_version() -> None:
    # Power BI's model is made for these columns. Where one changes, raise SCHEMA_VERSION with it.
    described = [
        (table.name, column.name, column.type.value) for table in TABLES for column in table.columns
    ]
    digest = hashlib.sha256(repr(described).encode()).hexdigest()[:16]
    assert (SCHEMA_VERSION, digest) == (1, "a49594e2bfa779aa")


@given(numbers())
def test_a_number_is_held_as_far_as_its_column_goes(number: Decimal) -> None:
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
def test_numbers_are_written_in_one_way(text: str, held: str) -> None:
    assert fixed_decimal(text) == held


def test_whole_numbers_beyond_64_bits_are_left_out() -> None:
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


def test_half_a_character_is_refused() -> None:
    item = EXAMPLES["agent"]().to_item(4)
    with pytest.raises(InvalidValue, match="agent AGENT#7 has an invalid name"):
        TABLE_OF["agent"].row({**item, "name": {"S": "\ud83d"}})
