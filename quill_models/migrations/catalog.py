"""The migrations: numbered modules of one package."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from quill_models.migrations import versions
from quill_models.values.errors import InvalidMigrations, InvalidValue

__all__ = ["Migration", "find", "write_new"]

_NAME = re.compile(r"[0-9]{4}_[a-z0-9_]+")
_NAME_CHARACTERS = 60

_TEMPLATE = '''"""{title}.

It uses no model, so that later changes of the models do not change this migration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quill_models.migrations import Step

DESCRIPTION = {description}


def up(step: Step) -> None:
    """Apply the migration. It must be safe to repeat, also after a part was applied."""
    step.backfill(change, kind="…")


def change(item: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes to set, in DynamoDB's wire format, or {{}} if the item has them."""
    raise NotImplementedError
'''


@dataclass(frozen=True)
class Migration:
    """One numbered module.

    Attributes:
        number: Number of the migration, from 1 without a gap.
        name: Name of the module, such as "0001_create_table".
        description: Short description, such as "create the table".
        checksum: SHA-256 of the module's source text, with line feeds as line ends.
        up: Function that applies the migration.
    """

    number: int
    name: str
    description: str
    checksum: str
    up: Callable[[Any], object] = field(repr=False)

    @property
    def identity(self) -> dict[str, str]:
        """Its name and checksum, which change if the migration is edited."""
        return {"migration": self.name, "checksum": self.checksum}


def find(package: ModuleType = versions) -> list[Migration]:
    """Import the migrations, without applying them, and return them ordered by number.

    Args:
        package: Package of the modules. The default is the one of quill_models.

    Raises:
        InvalidMigrations: A number is missing or duplicate, or a module is not a migration.
    """
    folder = Path(package.__path__[0])
    names = _names_in(folder)
    if not names:
        raise InvalidMigrations(f"{folder} has no migrations. Reinstall quill-models.")
    return [_migration(f"{package.__name__}.{name}") for name in names]


def write_new(words: str, folder: Path) -> Path:
    """Write the next migration from a template, and return the path of its file.

    Args:
        words: Description of the migration, from which its file is named.
        folder: Folder of the existing migrations.

    Raises:
        InvalidMigrations: The folder has no migrations, or their numbers have a gap.
        InvalidValue: The words have no letter a to z and no digit, or cannot be printed.
    """
    names = _names_in(folder)
    if not names:
        raise InvalidMigrations(
            f"{folder.absolute()} has no migrations. New ones belong into the source of "
            "quill-models: run the command in a checkout of it."
        )
    description = " ".join(words.split())
    name = re.sub(r"[^a-z0-9]+", "_", description.lower())[:_NAME_CHARACTERS].strip("_")
    if not name or not description.isprintable():
        raise InvalidValue(f"'{words}' gives no file name; use letters a to z")
    path = folder / f"{len(names) + 1:04d}_{name}.py"
    text = _TEMPLATE.format(
        title=(description[0].upper() + description[1:]).replace("\\", "/").replace('"', "'"),
        # In double quotes if possible, as the formatter writes it.
        description=repr(description) if set(description) & {'"', "\\"} else f'"{description}"',
    )
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
    return path


def _names_in(folder: Path) -> list[str]:
    """Return the names of the numbered modules in a folder; raise if the numbers have a gap."""
    names = sorted(each.name for each in iter_modules([str(folder)]) if each.name[0].isdigit())
    for name in names:
        if _NAME.fullmatch(name) is None:
            raise InvalidMigrations(
                f"{folder / name}.py is not a valid name of a migration. Rename it to four digits, "
                "_, and words of a to z, 0 to 9 and _."
            )
    for expected, name in enumerate(names, start=1):
        number, before = int(name[:4]), names[expected - 2]
        if 0 < number < expected:
            raise InvalidMigrations(
                f"Migration {number:04d} exists twice: {before}.py and {name}.py in {folder}. "
                "Rename the later one to the next free number."
            )
        if number != expected:
            where = f"between {before}.py and {name}.py" if expected > 1 else f"before {name}.py"
            raise InvalidMigrations(f"Migration {expected:04d} is missing {where} in {folder}.")
    return names


@cache  # The checksum must be that of the imported code, even if the file changes meanwhile.
def _migration(module_name: str) -> Migration:
    try:
        module = import_module(module_name)
    except Exception as error:
        raise InvalidMigrations(
            f"Migration {module_name} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    up, description = (getattr(module, name, None) for name in ("up", "DESCRIPTION"))
    if not callable(up):
        raise InvalidMigrations(f"{module.__file__} has no function up(step). Define it.")
    if not isinstance(description, str) or not description:
        raise InvalidMigrations(f'{module.__file__} has no description. Set DESCRIPTION = "…".')
    name = module_name.rpartition(".")[2]
    source = inspect.getsource(module)
    checksum = hashlib.sha256(source.encode()).hexdigest()
    return Migration(int(name[:4]), name, description, checksum, up)
