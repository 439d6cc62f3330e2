"""The public errors."""

from __future__ import annotations

import copy
import pickle

import pytest

import quill_models
from quill_models import errors
from quill_models.errors import (
    AlreadyRunning,
    AlreadySucceeded,
    InvalidPayload,
    PartialWriteError,
    QuillError,
    RequestRejected,
    TransactionRefused,
)
from quill_models.writes.results import Outcome, WriteResult

from .examples import agent, job_run

PUBLIC = {name: getattr(errors, name) for name in errors.__all__}
# By the contract, these are also in the package itself.
NAMED = (
    "QuillError",
    "AlreadyRunning",
    "AlreadySucceeded",
    "LeaseLost",
    "PartialWriteError",
    "InvalidPayload",
    "InvalidSignature",
)


def test_errors_every_public_error_is_listed() -> None:
    for name, kind in PUBLIC.items():
        assert (kind.__module__, kind.__qualname__) == ("quill_models.errors", name)
    assert errors.__all__ == sorted(errors.__all__)


@pytest.mark.parametrize("name", PUBLIC)
def test_errors_have_one_root(name: str) -> None:
    assert issubclass(PUBLIC[name], QuillError)
    assert PUBLIC[name].__doc__


@pytest.mark.parametrize("name", NAMED)
def test_errors_of_the_contract_are_public(name: str) -> None:
    assert getattr(quill_models, name) is PUBLIC[name]
    assert name in quill_models.__all__


@pytest.mark.parametrize(
    ("name", "kin"),
    [
        ("ConfigurationError", ValueError),
        ("InvalidValue", ValueError),
        ("InvalidCursor", ValueError),
        ("InvalidPayload", ValueError),
        ("ServerUnreachable", ConnectionError),
        ("AnswerLost", ConnectionError),
        ("AccessDenied", PermissionError),
        ("Throttled", TimeoutError),
        ("TableNotFound", LookupError),
    ],
)
def test_errors_subclass_builtin_errors(name: str, kin: type[Exception]) -> None:
    error = PUBLIC[name]("what happened")
    assert isinstance(error, kin)
    assert str(error) == "what happened"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (InvalidPayload("it is empty"), "it is empty"),
        (InvalidPayload("no occurredAt", position="event 3"), "event 3: no occurredAt"),
        (InvalidPayload("it is empty", source="a.json"), "a.json: it is empty"),
        (
            InvalidPayload("no occurredAt", position="event 3", source="a.json"),
            "a.json: event 3: no occurredAt",
        ),
    ],
)
def test_invalid_payload_message_has_the_position(error: InvalidPayload, text: str) -> None:
    assert str(error) == text


def test_invalid_payload_in_source_names_the_file() -> None:
    error = InvalidPayload("no occurredAt", position="event 3")
    in_file = error.in_source("a.json")
    assert (in_file.reason, in_file.position, in_file.source) == (
        "no occurredAt",
        "event 3",
        "a.json",
    )
    assert error.source is None


def test_errors_carry_their_attributes() -> None:
    run = job_run()
    assert AlreadyRunning("running", run=run).run is run
    assert AlreadySucceeded("done", run=run).run is run
    assert RequestRejected("no", code="ValidationException").code == "ValidationException"
    result = WriteResult(Outcome.CREATED, agent())
    partial = PartialWriteError("stopped", results=[result], pending=[agent()])
    assert (partial.results, partial.pending) == ([result], [agent()])
    assert TransactionRefused("refused", result=result).result is result


@pytest.mark.parametrize(
    "error",
    [
        InvalidPayload("no occurredAt", position="event 3", source="a.json"),
        RequestRejected("no", code="ValidationException"),
        PartialWriteError("stopped", results=[], pending=[agent()]),
        AlreadyRunning("running", run=job_run()),
        AlreadySucceeded("done", run=job_run()),
        TransactionRefused("refused", result=WriteResult(Outcome.CONFLICT, agent())),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_can_be_pickled(error: QuillError) -> None:
    # Otherwise a worker that raises one would break its process pool.
    for passed in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301
        assert type(passed) is type(error)
        assert str(passed) == str(error)
        assert vars(passed) == vars(error)
