"""The migrations as files: numbered modules in one folder, shipped with the package."""

from __future__ import annotations

import ast
import hashlib
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

from quill_models.values.errors import InvalidMigrations, InvalidValue

__all__ = ["Migration", "find", "write_new"]

# In a wheel they lie in the package, in a checkout beside it.
_INSTALLED = Path(__file__).with_name("numbered")
_CHECKOUT = Path(__file__).parents[2] / "migrations"

_FILE_NAME = re.compile(r"([0-9]{4})_[a-z0-9_]+\.py")
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
    """One file.

    Attributes:
        number: from 1, without a gap.
        name: the file's, without its ending.
        description: what it does, in words.
        checksum: the SHA-256 of its text, whatever its line ends.
    """

    number: int
    name: str
    description: str
    checksum: str
    _path: Path = field(repr=False)
    _text: str = field(repr=False)

    @property
    def identity(self) -> dict[str, str]:
        """What tells it from every other one, and from itself as it was before it was mended."""
        return {"migration": self.name, "checksum": self.checksum}

    def load(self) -> Callable[[Any], None]:
        """Its ``up``. What runs is the text whose checksum is stored, not what is there by now."""
        module = ModuleType(f"{__package__}.numbered.{self.name}")
        module.__file__ = str(self._path)
        # For what looks a class's module up, as dataclasses do.
        sys.modules[module.__name__] = module
        exec(compile(self._text, self._path, "exec"), vars(module))  # noqa: S102
        up: Callable[[Any], None] = vars(module)["up"]
        return up


def find(folder: Path | None = None) -> list[Migration]:
    """The migrations in order of their numbers. Reads the files and runs none of them.

    Args:
        folder: where they are; by default those that came with the package.

    Raises:
        InvalidMigrations: a number is missing or there twice, or a file is no migration.
    """
    if folder is None:
        folder = _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT
    found = [_read(path) for path in sorted(folder.glob("[0-9]*.py"))]
    if not found:
        raise InvalidMigrations(f"There are no migrations in {folder}. Install the package again.")
    for before, after in pairwise(found):
        if after.number == before.number:
            raise InvalidMigrations(
                f"Two migrations have the number {after.number:04d}: {before.name}.py and "
                f"{after.name}.py in {folder}. Give the later one the next free number."
            )
        if after.number != before.number + 1:
            raise InvalidMigrations(
                f"The migration {before.number + 1:04d} is missing between {before.name}.py and "
                f"{after.name}.py in {folder}."
            )
    if found[0].number != 1:
        raise InvalidMigrations(
            f"The migration 0001 is missing before {found[0].name}.py in {folder}."
        )
    return found


def write_new(words: str, folder: Path) -> Path:
    """Write the next migration from a template.

    Args:
        words: what it does; its description, and the file's name.
        folder: where those before it are.

    Raises:
        InvalidMigrations: there is no such folder, or those in it are not in order.
        InvalidValue: the words have no letter a to z and no digit, or cannot be printed.
    """
    if not any(folder.glob("[0-9]*.py")):
        raise InvalidMigrations(
            f"There are no migrations in {folder.absolute()}. A new one is for those who work on "
            "quill-models: run it in a checkout of the package."
        )
    number = find(folder)[-1].number + 1
    description = " ".join(words.split())
    name = re.sub(r"[^a-z0-9]+", "_", description.lower())[:_NAME_CHARACTERS].strip("_")
    if not name or not description.isprintable():
        raise InvalidValue(f"{words!r} names no file; say in letters a to z what it does")
    path = folder / f"{number:04d}_{name}.py"
    text = _TEMPLATE.format(
        title=(description[0].upper() + description[1:]).replace("\\", "/").replace('"', "'"),
        # In double quotes, where it can be.
        description=repr(description) if set(description) & {'"', "\\"} else f'"{description}"',
    )
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
    return path


def _read(path: Path) -> Migration:
    named = _FILE_NAME.fullmatch(path.name)
    if named is None:
        raise InvalidMigrations(
            f"{path} is not named as a migration is: four digits, _, and words of a to z, 0 to 9 "
            "and _."
        )
    try:
        # Whatever the line ends of a checkout are, the text has "\n".
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text, path)
    except (OSError, ValueError, SyntaxError) as error:
        raise InvalidMigrations(f"{path} cannot be read: {error}") from error
    if not any(isinstance(node, ast.FunctionDef) and node.name == "up" for node in tree.body):
        raise InvalidMigrations(f"{path} has no function up(step).")
    return Migration(
        number=int(named[1]),
        name=path.stem,
        description=_description(tree, path),
        checksum=hashlib.sha256(text.encode()).hexdigest(),
        _path=path,
        _text=text,
    )


def _description(tree: ast.Module, path: Path) -> str:
    for node in tree.body:
        match node:
            case (
                ast.Assign(targets=[ast.Name("DESCRIPTION")], value=ast.Constant(str(text)))
                | ast.AnnAssign(target=ast.Name("DESCRIPTION"), value=ast.Constant(str(text)))
            ) if text:
                return text
            case _:
                continue
    raise InvalidMigrations(f'{path} does not say what it does: DESCRIPTION = "…" is missing.')
