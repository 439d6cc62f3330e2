"""The migrations as modules: numbered, in one package."""

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

Stands on its own: it uses no model, so that it stays what it was when the models have moved on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quill_models.migrations import Step

DESCRIPTION = {description}


def up(step: Step) -> None:
    """Bring it about. May be run again, and after a part of it was done."""
    step.backfill(change, kind="…")


def change(item: dict[str, Any]) -> dict[str, Any]:
    """The attributes to set of an item, in DynamoDB's wire format; none where it has them."""
    raise NotImplementedError
'''


@dataclass(frozen=True)
class Migration:
    """One numbered module.

    Attributes:
        number: from 1, without a gap.
        name: the module's.
        description: what it does, in words.
        checksum: the SHA-256 of its source text, whatever its line ends.
        up: what brings it about.
    """

    number: int
    name: str
    description: str
    checksum: str
    up: Callable[[Any], object] = field(repr=False)

    @property
    def identity(self) -> dict[str, str]:
        """What tells it from every other one, and from itself as it was before it was edited."""
        return {"migration": self.name, "checksum": self.checksum}


def find(package: ModuleType = versions) -> list[Migration]:
    """The migrations in order of their numbers. Imports them, which runs none.

    Args:
        package: which has them; by default the one that came with this package.

    Raises:
        InvalidMigrations: a number is missing or there twice, or a module is not a migration.
    """
    folder = Path(package.__path__[0])
    names = _names_in(folder)
    if not names:
        raise InvalidMigrations(f"There are no migrations in {folder}. Install the package again.")
    return [_migration(f"{package.__name__}.{name}") for name in names]


def write_new(words: str, folder: Path) -> Path:
    """Write the next migration from a template.

    Args:
        words: what it does; its description, and the file's name.
        folder: where those before it are.

    Raises:
        InvalidMigrations: there is no such folder, or those in it are not in order.
        InvalidValue: the words have no letter a to z and no digit, or cannot be printed.
    """
    names = _names_in(folder)
    if not names:
        raise InvalidMigrations(
            f"There are no migrations in {folder.absolute()}. A new one is for those who work on "
            "quill-models: run it in a checkout of the package."
        )
    description = " ".join(words.split())
    name = re.sub(r"[^a-z0-9]+", "_", description.lower())[:_NAME_CHARACTERS].strip("_")
    if not name or not description.isprintable():
        raise InvalidValue(f"{words!r} names no file; say in letters a to z what it does")
    path = folder / f"{len(names) + 1:04d}_{name}.py"
    text = _TEMPLATE.format(
        title=(description[0].upper() + description[1:]).replace("\\", "/").replace('"', "'"),
        # In double quotes, where it can be.
        description=repr(description) if set(description) & {'"', "\\"} else f'"{description}"',
    )
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
    return path


def _names_in(folder: Path) -> list[str]:
    """The names of the numbered modules in a folder, checked to be in order."""
    names = sorted(each.name for each in iter_modules([str(folder)]) if each.name[0].isdigit())
    for name in names:
        if _NAME.fullmatch(name) is None:
            raise InvalidMigrations(
                f"{folder / name}.py is not named as a migration is: four digits, _, and words of "
                "a to z, 0 to 9 and _."
            )
    for expected, name in enumerate(names, start=1):
        number = int(name[:4])
        if number == expected:
            continue
        if expected == 1:
            raise InvalidMigrations(f"The migration 0001 is missing before {name}.py in {folder}.")
        before = names[expected - 2]
        if number < expected:
            raise InvalidMigrations(
                f"Two migrations have the number {number:04d}: {before}.py and {name}.py in "
                f"{folder}. Give the later one the next free number."
            )
        raise InvalidMigrations(
            f"The migration {expected:04d} is missing between {before}.py and {name}.py in "
            f"{folder}."
        )
    return names


@cache  # So that the checksum is that of the code that runs, even if the file changes meanwhile.
def _migration(module_name: str) -> Migration:
    try:
        module = import_module(module_name)
    except Exception as error:
        raise InvalidMigrations(f"{module_name} cannot be imported: {error!r}") from error
    up, description = (getattr(module, name, None) for name in ("up", "DESCRIPTION"))
    if not callable(up):
        raise InvalidMigrations(f"{module.__file__} has no function up(step).")
    if not isinstance(description, str) or not description:
        raise InvalidMigrations(
            f'{module.__file__} does not say what it does: DESCRIPTION = "…" is missing.'
        )
    name = module_name.rpartition(".")[2]
    source = inspect.getsource(module)  # With "\n" as its line ends, whatever the file has.
    checksum = hashlib.sha256(source.encode()).hexdigest()
    return Migration(int(name[:4]), name, description, checksum, up)
