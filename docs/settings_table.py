"""The tables of the settings in the README and in ``reference/settings.md``, from `Settings`.

``python docs/settings_table.py`` draws them anew; a test sees to it that they are what it says.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from pathlib import Path

from quill_models import Settings

DOCS = Path(__file__).parent
README, PAGE = DOCS.parent / "README.md", DOCS / "reference" / "settings.md"
BEGIN, END = "<!-- drawn by docs/settings_table.py -->\n", "<!-- end of the drawing -->\n"

# One attribute in the docstring: ``field: ``VARIABLE``, else ``OTHER``: meaning. Default: words.``
_SETTING = re.compile(
    r"(?P<field>\w+): (?P<variables>``[A-Z_]+``(?:, else ``[A-Z_]+``)?): "
    r"(?P<meaning>.+?\.) Default: (?P<default>.+)\."
)


@dataclass(frozen=True)
class Setting:
    """One setting, in the words of its class."""

    field: str
    variables: tuple[str, ...]
    meaning: str
    default: str

    @property
    def gist(self) -> str:
        """The first sentence of the meaning, without what it is in code."""
        return re.sub(r" \(`None`\)", "", re.split(r"\.(?: |$)", self.meaning)[0])


def settings() -> list[Setting]:
    """Every setting, in the order of the class."""
    text = inspect.cleandoc(Settings.__doc__ or "")
    section = text.split("Attributes:\n")[1].split("\n\n")[0]
    found = []
    for entry in re.split(r"\n    (?! )", "\n" + section)[1:]:
        parts = _SETTING.fullmatch(" ".join(entry.split()))
        if parts is None:
            raise ValueError(f"not in the form of a setting: {entry}")
        found.append(
            Setting(
                parts["field"],
                tuple(re.findall("[A-Z_]+", parts["variables"])),
                _markdown(parts["meaning"]),
                _markdown(parts["default"]),
            )
        )
    return found


def for_readme() -> str:
    """What each variable means and what it is by default."""
    rows = [
        (f"`{each.variables[0]}`", each.gist, each.default.replace(" (`None`)", ""))
        for each in settings()
    ]
    return _table(("variable", "meaning", "default"), rows)


def for_reference() -> str:
    """The same with all that is known, and the name in code."""
    rows = [
        (
            ", else ".join(f"`{name}`" for name in each.variables),
            f"`{each.field}`",
            each.meaning,
            each.default,
        )
        for each in settings()
    ]
    return _table(("variable", "in `Settings`", "meaning", "default"), rows)


def redrawn(page: str, table: str) -> str:
    """The page with the table in it."""
    return re.sub(re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: table, page, flags=re.DOTALL)


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [columns, ("---",) * len(columns), *rows]
    drawn = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"{BEGIN}\n{drawn}\n{END}"


def _markdown(text: str) -> str:
    """A docstring's literals as Markdown's."""
    return text.replace("``", "`")


if __name__ == "__main__":
    README.write_text(redrawn(README.read_text(), for_readme()))
    PAGE.write_text(redrawn(PAGE.read_text(), for_reference()))
