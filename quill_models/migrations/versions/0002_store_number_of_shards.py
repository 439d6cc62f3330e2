"""Store over how many shards the sharded lists are spread, where the table does not say yet.

Those that were made before ``quill schema apply`` stored it had four.

Stands on its own: it uses no model, so that it stays what it was when the models have moved on.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quill_models.migrations import Step

DESCRIPTION = "store the number of shards"

SHARDS = 4
SETTINGS = {"pk": {"S": "QUILL"}, "sk": {"S": "SETTINGS"}}


def up(step: Step) -> None:
    """Bring it about. May be run again: what is stored stays."""
    stored = {
        "kind": {"S": "table_settings"},
        "shards": {"N": str(SHARDS)},
        "write_token": {"S": secrets.token_urlsafe(8)},
    }
    step.request(
        "update_item",
        Key=SETTINGS,
        UpdateExpression="SET " + ", ".join(f"#{n} = if_not_exists(#{n}, :{n})" for n in stored),
        ExpressionAttributeNames={f"#{name}": name for name in stored},
        ExpressionAttributeValues={f":{name}": value for name, value in stored.items()},
    )
