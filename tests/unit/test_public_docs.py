"""Docstrings of public names state the meaning, arguments, errors and cost."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import pytest

import quill_models
from quill_models import errors, export, hubspot, local, migrations, models, schema, testing
from quill_models.migrations.step import Step
from quill_models.models import QuillModel
from quill_models.repositories import (
    Agents,
    Interactions,
    JobRuns,
    Metrics,
    WebhookEvents,
    transaction,
)
from quill_models.repositories import worker as processing

# Types whose calls send requests.
REQUESTING: tuple[type, ...] = (
    Agents,
    Interactions,
    Metrics,
    JobRuns,
    WebhookEvents,
    quill_models.DynamoDataStore,
    quill_models.Query,
    quill_models.Quill,
    quill_models.Run,
    quill_models.Watermark,
    schema.Schema,
    migrations.Migrations,
    Step,
)
COLLECTING: tuple[type, ...] = (
    transaction._AgentWrites,
    transaction._InteractionWrites,
    transaction._MetricWrites,
    transaction._WebhookEventWrites,
)
MODULES = (
    quill_models,
    errors,
    export,
    hubspot,
    local,
    migrations,
    models,
    schema,
    testing,
)
NAMES = {
    f"{module.__name__}.{name}": getattr(module, name)
    for module in MODULES
    for name in module.__all__
}
TYPES = {value for value in NAMES.values() if inspect.isclass(value)} | {
    *REQUESTING,
    *COLLECTING,
    processing.Processed,
}


def _function(value: Any) -> Callable[..., Any] | None:
    """Return the function of a call or a property."""
    if isinstance(value, property):
        return value.fget
    if isinstance(value, cached_property):
        return value.func
    if isinstance(value, (classmethod, staticmethod)):
        value = value.__func__
    value = inspect.unwrap(value) if callable(value) else value
    return value if inspect.isfunction(value) else None


# The calls of models for users. PynamoDB calls the others.
OF_MODELS = {"save", "delete", "update", "batch_write"}


def _callables() -> Iterator[tuple[str, Callable[..., Any]]]:
    for name, value in NAMES.items():
        if inspect.isfunction(value):
            yield name.removeprefix("quill_models."), inspect.unwrap(value)
    for owner in TYPES:
        members = {
            name: value
            for base in reversed(owner.__mro__)
            if base.__module__.startswith("quill_models")
            for name, value in vars(base).items()
        }
        for name, value in members.items():
            function = _function(value)
            if function is None or name.startswith("_"):
                continue
            if issubclass(owner, QuillModel) and name not in OF_MODELS:
                continue
            if function.__module__.startswith("quill_models"):
                yield f"{owner.__name__}.{name}", function


CALLABLES = dict(_callables())
# The section `Attributes` of a model describes its fields.
FIELDS = {
    name
    for model in models.__dict__.values()
    if isinstance(model, type) and issubclass(model, QuillModel) and model is not QuillModel
    for name in model.codec().fields
}


def _doc(function: Callable[..., Any]) -> str:
    return inspect.cleandoc(function.__doc__ or "")


def _with_references(name: str) -> str:
    """Return a docstring with the docstrings that it refers to."""
    text = _doc(CALLABLES[name])
    owner = name.rpartition(".")[0]
    for other in re.findall(r"(?:As|See) `([\w.]+)`", text):
        found = CALLABLES.get(other) or CALLABLES.get(f"{owner}.{other}")
        assert found is not None, f"{name} refers to {other}, which is not there"
        text += _doc(found)
    return text


@pytest.mark.parametrize("name", sorted(NAMES))
def test_public_name_has_a_docstring(name: str) -> None:
    value = NAMES[name]
    if inspect.isclass(value) or inspect.isfunction(value) or inspect.ismodule(value):
        assert (value.__doc__ or "").strip()
        assert (
            value.__doc__ != getattr(value.__mro__[1], "__doc__", None)
            if inspect.isclass(value)
            else True
        )


@pytest.mark.parametrize("name", sorted(CALLABLES))
def test_public_call_has_a_first_sentence(name: str) -> None:
    assert re.match(r"[A-Z`].*?[.:;]", _doc(CALLABLES[name]), re.DOTALL)


@pytest.mark.parametrize("name", sorted(CALLABLES))
def test_public_call_documents_its_parameters(name: str) -> None:
    # In the docstring of the call or of its class.
    owner = next((each for each in TYPES if each.__name__ == name.partition(".")[0]), None)
    text = f"{_with_references(name)} {owner.__doc__ if owner else ''}"
    for parameter in inspect.signature(CALLABLES[name]).parameters:
        if parameter in {"self", "cls"} | FIELDS or parameter.startswith("_"):
            continue
        words = re.escape(parameter).replace("_", "[ _]")
        assert re.search(rf"\b{words}s?\b", text), parameter


def _raised_by(function: Callable[..., Any]) -> set[str]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return {
        node.exc.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and isinstance(node.exc.func, ast.Name)
        and node.exc.func.id in errors.__all__
    }


@pytest.mark.parametrize("name", sorted(CALLABLES))
def test_public_call_documents_the_errors_it_raises(name: str) -> None:
    text = _with_references(name)
    assert {each for each in _raised_by(CALLABLES[name]) if each not in text} == set()


@pytest.mark.parametrize("name", sorted(CALLABLES))
def test_public_call_documents_only_known_errors(name: str) -> None:
    section = re.search(r"^Raises:\n((?:    .*\n?)+)", _doc(CALLABLES[name]), re.MULTILINE)
    for line in re.findall(r"^    (\S[^:]*):", section[1] if section else "", re.MULTILINE):
        for each in line.split(", "):
            assert each in errors.__all__ or each in {"Exception", "ValueError"}


COST = re.compile(r"\b(requests?|units?|transactions?|query|reads?)\b")
# Attributes send no request, except this one.
CALLS_WITH_COST = [
    "Watermark.value",
    *(
        f"{owner.__name__}.{name}"
        for owner in (*REQUESTING, *COLLECTING, QuillModel)
        for name, value in vars(owner).items()
        if f"{owner.__name__}.{name}" in CALLABLES
        and not isinstance(value, (property, cached_property))
    ),
]


@pytest.mark.parametrize("name", CALLS_WITH_COST)
def test_public_call_to_the_table_documents_its_cost(name: str) -> None:
    assert COST.search(_with_references(name))


def test_quill_documents_the_errors_of_any_request() -> None:
    documented = quill_models.Quill.__doc__ or ""
    for error in ("TableNotFound", "AccessDenied", "ServerUnreachable", "Throttled", "AnswerLost"):
        assert error in documented
