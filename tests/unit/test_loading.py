"""Models from JSON Lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal

import pytest
import simplejson
from hypothesis import given, settings
from hypothesis import strategies as st

from quill_models import Metric
from quill_models.errors import InvalidPayload
from quill_models.loading import read_models
from quill_models.models import QuillModel
from quill_models.models.json_form import to_json

from .examples import EXAMPLES, agent, interaction, metric
from .strategies import agents, interactions, metrics

GOOD = b'{"kind": "agent", "agent_id": "7"}\n'


def line(model: QuillModel) -> bytes:
    text: str = simplejson.dumps(to_json(model), use_decimal=True)
    return text.encode() + b"\n"


@settings(max_examples=25)
@given(st.lists(st.one_of(agents(), interactions(), metrics()), max_size=3))
def test_read_models_file_returns_models_in_order(given_models: list[QuillModel]) -> None:
    assert list(read_models(map(line, given_models))) == given_models


def test_read_models_blank_lines_are_skipped_and_counted() -> None:
    lines = [b"\n", GOOD, b"  \t\r\n", line(interaction()), b"", line(metric())]
    assert [model.KIND for model in read_models(lines)] == ["agent", "interaction", "metric"]
    with pytest.raises(InvalidPayload) as caught:
        list(read_models([*lines, b"{"]))
    assert caught.value.position == "line 7"


def test_read_models_byte_order_mark_is_ignored() -> None:
    (read,) = read_models([b"\xef\xbb\xbf" + line(agent())])
    assert read == agent()


def test_read_models_numbers_are_exact() -> None:
    text = b"0.1000000000000000055511151231257827"
    template = (
        b'{"kind": "metric", "scope": "global", "name": "n", "grain": "day", '
        b'"bucket_start": "2031-05-17T00:00Z", "value": %b, "dimensions": {"n": %b}}'
    )
    (read,) = read_models([template % (text, text)])
    assert isinstance(read, Metric)
    assert read.value == read.dimensions["n"] == Decimal(text.decode())


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"{", "not JSON"),
        (b"not json", "not JSON"),
        (b'{"kind": "agent", "agent_id": "7"} {}', "not JSON"),
        (b'{"kind": "agent", "agent_id": "\xff"}', "not UTF-8"),
        (b'{"kind": "metric", "value": NaN}', "not JSON"),
        (b'{"kind": "metric", "value": -Infinity}', "not JSON"),
        pytest.param(
            b'{"kind": "metric", "value": ' + b"1" * 5000 + b"}", "not JSON", id="5,000 digits"
        ),
        (b'{"kind": "metric", "value": 1e99999999999999999999}', "not JSON"),
        pytest.param(b'{"a":' * 100_000, "not JSON", id="100,000 levels"),
        (b"[]", "expected an object, got list"),
        (b"7", "expected an object, got int"),
        (b"null", "expected an object, got NoneType"),
        (b'{"agent_id": "7"}', "kind must be one of"),
        (b'{"kind": "agent"}', "agent requires agent_id"),
        (b'{"kind": "agent", "agent_id": 7}', "agent_id must be text"),
        (
            b'{"kind": "interaction", "interaction_id": "1", "started_at": "0001-01-01T00:00+01"}',
            "started_at",
        ),
    ],
)
def test_read_models_invalid_line_raises_with_its_number(bad: bytes, reason: str) -> None:
    models = read_models([GOOD, b"\n", bad + b"\n", GOOD])
    assert next(models).KIND == "agent"
    with pytest.raises(InvalidPayload) as caught:
        next(models)
    assert caught.value.position == "line 3"
    assert reason in caught.value.reason
    assert str(caught.value).startswith("line 3: ")


@pytest.mark.parametrize("kind", ["job_run", "webhook_event"])
def test_read_models_not_loadable_kind_raises(kind: str) -> None:
    with pytest.raises(
        InvalidPayload,
        match=f"line 1: kind must be one of agent, interaction, metric, got {kind}",
    ):
        list(read_models([line(EXAMPLES[kind]())]))


def test_read_models_reads_lines_on_use() -> None:
    def lines() -> Iterator[bytes]:
        for number in range(2):
            yield json.dumps({"kind": "agent", "agent_id": str(number)}).encode()
        raise AssertionError("read ahead")

    models = read_models(lines())
    assert [next(models), next(models)]
