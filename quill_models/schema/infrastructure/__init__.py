"""The table of `Schema.apply` as infrastructure code."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from quill_models.schema.declared import Declared
from quill_models.schema.infrastructure.cloudformation import cloudformation
from quill_models.schema.infrastructure.iam import ROLES, policy
from quill_models.schema.infrastructure.terraform import terraform
from quill_models.settings import Settings
from quill_models.values.errors import InvalidValue

__all__ = ["FORMATS", "ROLES", "export_schema"]


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2) + "\n"


def _api_calls(declared: Declared, settings: Settings) -> dict[str, Any]:
    calls = {"CreateTable": declared.create_parameters(), **declared.later_calls()}
    return {name: {"TableName": settings.table, **calls[name]} for name in calls}


FORMATS: Mapping[str, Callable[[Settings, str], str]] = {
    "cloudformation": lambda settings, _: _json(cloudformation(Declared.of(settings), settings)),
    "terraform": lambda settings, _: terraform(Declared.of(settings), settings),
    "json": lambda settings, _: _json(_api_calls(Declared.of(settings), settings)),
    "iam": lambda settings, role: _json(policy(settings, role)),
}


def export_schema(
    export_format: str, role: str = "writer", settings: Settings | None = None
) -> str:
    """Return the table of the settings as infrastructure code. No request.

    Args:
        export_format: ``cloudformation`` (a template in JSON), ``terraform`` (HCL), ``json`` (the
            calls of the DynamoDB API that create the table, in order: name to parameters), or
            ``iam`` (a policy document).
        role: Role of the policy, for ``iam``: ``reader``, ``writer`` or ``migrator``.
        settings: Settings of the table. The default is `Settings.load`.

    Raises:
        InvalidValue: The format or role does not exist.
    """
    if export_format not in FORMATS:
        raise InvalidValue(f"format is '{export_format}'; use {', '.join(FORMATS)}")
    if role not in ROLES:
        raise InvalidValue(f"role is '{role}'; use {', '.join(ROLES)}")
    return FORMATS[export_format](settings or Settings.load(), role)
