"""The migrations, replayed from nothing, give what the models declare."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from quill_models import Agent, Outcome, Settings, connect

MIGRATIONS = Path(__file__).parents[2] / "migrations"


def migrations() -> list[ModuleType]:
    found = []
    for path in sorted(MIGRATIONS.glob("[0-9]*.py")):
        spec = importlib.util.spec_from_file_location(f"migration_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found.append(module)
    return found


def test_numbers_have_no_gap() -> None:
    numbers = [int(path.name[:4]) for path in sorted(MIGRATIONS.glob("[0-9]*.py"))]
    assert numbers == list(range(1, len(numbers) + 1))
    assert numbers


def test_replay_gives_a_table_that_the_schema_takes_for_its_own(quill_settings: Settings) -> None:
    with connect(quill_settings) as quill:
        client = quill.schema.client.botocore
        for _ in range(2):
            for migration in migrations():
                migration.up(client, quill_settings.table)
        # Nothing of the table itself is left to do; the number of shards is not a migration's.
        assert quill.schema.apply() == ["stored the number of shards, 4"]
        assert quill.agents.put(Agent(agent_id="1")).outcome is Outcome.CREATED
        quill.schema.delete_table()


def test_replay_is_what_the_models_declare(quill_settings: Settings) -> None:
    with connect(quill_settings) as quill:
        for migration in migrations():
            migration.up(quill.schema.client.botocore, quill_settings.table)
        assert quill.schema.diff().is_equal
        quill.schema.delete_table()
