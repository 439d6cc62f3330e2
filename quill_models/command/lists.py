"""The lists of a repository as options of a command: ``--agent`` calls `list_by_agent`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import partial
from itertools import chain, islice
from typing import Any, get_args

import click

from quill_models import hubspot
from quill_models.command.output import table, wants_json
from quill_models.command.overview import Read, View
from quill_models.models import QuillModel
from quill_models.models.json_form import to_json
from quill_models.reads.query import Query
from quill_models.repositories.repository import Repository
from quill_models.values.clock import system_clock

__all__ = ["NEWEST_FIRST", "SINCE", "SOURCE", "UNTIL", "Lists", "day", "instant", "listed"]

_DAYS_SHOWN = 7
# Columns of a kind, if not its identity and `SHOWN`.
_COLUMNS = {
    "agent": "agent_id name team status external_ids",
    "interaction": "interaction_id started_at agent_id contact_id channel outcome subject",
    "job_run": "job_name window status attempt started_at finished_at stats",
    "webhook_event": "event_type object_type object_id occurred_at status event_key",
}


def instant(value: str) -> datetime:
    """Parse the aware instant of an option. Without a time zone it is UTC."""
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value} is not an instant such as 2026-11-22T10:00") from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def day(value: str) -> date:
    """Parse the UTC day of an option."""
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value} is not a day such as 2026-11-22") from None


SOURCE = click.Option(
    ["--source"], metavar="NAME", default=hubspot.SOURCE, show_default=True, help="Event source."
)
SINCE = click.Option(["--since"], type=instant, help="Start, inclusive. UTC without a time zone.")
UNTIL = click.Option(["--until"], type=instant, help="End, exclusive.")
NEWEST_FIRST = click.Option(["--newest-first"], is_flag=True, help="Show the newest items first.")


class Lists:
    """The lists of one repository, selected by options."""

    def __init__(self, repository: type[Repository[Any]]) -> None:
        self.name = repository.OPERATIONS
        self._noun = self.name.replace("_", " ")
        self._model = repository.MODEL  # pyright: ignore[reportGeneralTypeIssues]
        self._lists = {
            name.removeprefix("list_by_"): _List(self._noun, name, method)
            for name, method in vars(repository).items()
            if name.startswith("list_by_")
        }
        lists = self._lists.values()
        shared = [each for each in (SOURCE, SINCE, UNTIL) if any(each.name in one for one in lists)]
        # If one list can only be read newest first, all lists of the repository are.
        if all(NEWEST_FIRST.name in one for one in lists):
            shared.append(NEWEST_FIRST)
        self.options = [*(each.option for each in lists), *shared]
        # Without an option, this list is shown for each of its values.
        self._default = next((each for each in ("status", "day") if each in self._lists), "")

    def help(self, command: str) -> str:
        """Return the help of a command that shows these lists."""
        by = f"List {self._noun} by {_flags(self._lists)}"
        default = {
            "status": " (default: each status)",
            "day": f" (default: the last {_DAYS_SHOWN} days)",
        }
        examples = "\n".join(f"  {command} {each.example}" for each in self._lists.values())
        return f"{by}{default.get(self._default, '')}.\n\n\b\nExamples:\n{examples}"

    def reader(self, limit: int, **chosen: Any) -> Read:
        """Return a function that reads the list selected by the options."""
        given = [by for by in self._lists if chosen[by] is not None]
        if len(given) > 1:
            raise click.UsageError(f"Give only one of {_flags(given)}.")
        by = given[0] if given else self._default
        if not by:
            raise click.UsageError(f"Give {_flags(self._lists)}.")
        timed = [name for name, each in self._lists.items() if SINCE.name in each]
        if by not in timed and (chosen.get("since") or chosen.get("until")):
            raise click.UsageError(f"--since and --until require {_flags(timed)}.")
        shared = {"newest_first": True, **chosen}
        noun = self._noun
        if given:
            values = [chosen[by]]
        elif by == "status":
            values = self._lists[by].choices
        else:
            ago = range(_DAYS_SHOWN)[:: 1 if shared["newest_first"] else -1]
            values = [system_clock().date() - timedelta(days=days) for days in ago]
            noun = f"{noun} in the last {_DAYS_SHOWN} days"
        none = f"No {' '.join(filter(None, (chosen.get('status'), noun)))}."
        if SOURCE.name in chosen:
            none = f"{none[:-1]} of {chosen['source']}. Select another source with --source."
        calls = [partial(self._lists[by].call, value, shared) for value in values]
        return lambda quill: listed(
            none, [call(getattr(quill, self.name)) for call in calls], self._model, limit
        )


class _List:
    """One list of a repository. ``in`` tests whether it has a parameter."""

    def __init__(self, noun: str, name: str, method: Callable[..., Query[Any]]) -> None:
        by = name.removeprefix("list_by_")
        _, *takes = inspect.signature(method, eval_str=True).parameters.values()
        own = [each for each in takes if each.default is each.empty and each.name != SOURCE.name]
        self._name = name
        self._own = [each.name for each in own]
        self._shared = {each.name for each in takes}.difference(self._own)
        self.choices = _choices(own[0].annotation)
        # `object_type` and `object_id` of `list_by_object` are ``--object TYPE ID``.
        metavar = " ".join(each.removeprefix(f"{by}_").upper() for each in self._own)
        metavar = "NAME" if metavar == by.upper() else metavar
        kind: Any = str
        sample, help_text = metavar, f"Show {noun} of this {by}."
        if self.choices:
            sample, kind = self.choices[0], click.Choice(self.choices)
            help_text = f"Show {noun} with this {by}."
        elif own[0].annotation is date:
            sample, kind = "2026-11-22", day
            help_text = f"Show {noun} of this UTC {by}."
        self.example = f"--{by} {sample}"
        self.option = click.Option(
            [f"--{by}"],
            type=kind,
            nargs=len(own),
            metavar=metavar if kind is str else None,
            help=help_text,
        )

    def __contains__(self, name: object) -> bool:
        return name in self._shared

    def call(self, value: Any, shared: dict[str, Any], repository: Any) -> Query[Any]:
        own = dict(zip(self._own, value if len(self._own) > 1 else [value], strict=True))
        taken = {name: shared[name] for name in self._shared & shared.keys()}
        query: Query[Any] = getattr(repository, self._name)(**own, **taken)
        return query


def listed(none: str, queries: Iterable[Query[Any]], model: type[QuillModel], limit: int) -> View:
    """Read up to ``limit`` items of queries. ``none`` is the text for an empty result."""
    found = list(islice(chain.from_iterable(queries), limit + 1))
    items, more = found[:limit], len(found) > limit
    if wants_json():
        return View({"items": [to_json(item) for item in items], "more": more}, "")
    columns = _COLUMNS.get(model.KIND, " ".join((*model.IDENTITY, *model.SHOWN))).split()
    rows = [[getattr(item, column) for column in columns] for item in items]
    notes = [f"There are more than {limit} items. Show them with a higher --limit."] if more else []
    return View({}, table(columns, rows) if rows else none, notes)


def _choices(annotation: Any) -> list[str]:
    types = [each for each in (annotation, *get_args(annotation)) if isinstance(each, type)]
    return [value.value for each in types if issubclass(each, StrEnum) for value in each]


def _flags(names: Iterable[str]) -> str:
    *others, last = [f"--{name}" for name in names]
    return f"{', '.join(others)} or {last}" if others else last
