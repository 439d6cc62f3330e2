"""The lists of a repository as options of a command: `list_by_agent` is ``--agent``."""

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

__all__ = ["NEWEST_FIRST", "SINCE", "SOURCE", "UNTIL", "Lists", "day", "listed", "time"]

_DAYS_SHOWN = 7
# If not the identity and what `repr` shows.
_COLUMNS = {
    "agent": "agent_id name team status external_ids",
    "interaction": "interaction_id started_at agent_id contact_id channel outcome subject",
    "job_run": "job_name window status attempt started_at finished_at stats",
    "webhook_event": "event_type object_type object_id occurred_at status event_key",
}


def time(value: str) -> datetime:
    """The type of an option: an aware time; one without a zone is taken as UTC."""
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is no time such as 2026-11-22T10:00") from None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def day(value: str) -> date:
    """The type of an option: a UTC day."""
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is no day such as 2026-11-22") from None


SOURCE = click.Option(["--source"], default=hubspot.SOURCE, show_default=True, help="Whose events.")
SINCE = click.Option(["--since"], type=time, help="From this time on; without a zone it is UTC.")
UNTIL = click.Option(["--until"], type=time, help="Before this time.")
NEWEST_FIRST = click.Option(["--newest-first"], is_flag=True, help="Newest first.")


class Lists:
    """The lists of one repository, by the options that choose one."""

    def __init__(self, repository: type[Repository[Any]]) -> None:
        self.name = repository.OPERATIONS
        self._model = repository.MODEL  # pyright: ignore[reportGeneralTypeIssues]
        self._lists = {
            name.removeprefix("list_by_"): _List(name, method)
            for name, method in vars(repository).items()
            if name.startswith("list_by_")
        }
        lists = self._lists.values()
        shared = [each for each in (SOURCE, SINCE, UNTIL) if any(each.name in one for one in lists)]
        # If one list has an order of its own, newest first, the others are shown in that, too.
        if all(NEWEST_FIRST.name in one for one in lists):
            shared.append(NEWEST_FIRST)
        self.options = [*(each.option for each in lists), *shared]
        # Shown if no list is chosen, for each of its values.
        self._default = next((each for each in ("status", "day") if each in self._lists), "")

    def help(self, command: str) -> str:
        """The help of a command that shows these lists."""
        by = f"List {self.name.replace('_', ' ')} by {_flags(self._lists)}"
        otherwise = {
            "status": "; else all, status by status",
            "day": f"; else those of the last {_DAYS_SHOWN} days",
        }
        examples = "\n".join(f"  {command} {each.example}" for each in self._lists.values())
        return f"{by}{otherwise.get(self._default, '')}.\n\n\b\nExamples:\n{examples}"

    def reader(self, limit: int, **chosen: Any) -> Read:
        """What reads the list that was chosen by the options."""
        given = [by for by in self._lists if chosen[by] is not None]
        if len(given) > 1:
            raise click.UsageError(f"Give {_flags(given)}, not several of them.")
        by = given[0] if given else self._default
        if not by:
            raise click.UsageError(f"Give {_flags(self._lists)}.")
        timed = [name for name, each in self._lists.items() if SINCE.name in each]
        if by not in timed and (chosen.get("since") or chosen.get("until")):
            raise click.UsageError(f"--since and --until go with {_flags(timed)}.")
        shared = {"newest_first": True, **chosen}
        what = self.name.replace("_", " ")
        if given:
            values = [chosen[by]]
        elif by == "status":
            values = self._lists[by].choices
        else:
            ago = range(_DAYS_SHOWN)[:: 1 if shared["newest_first"] else -1]
            values = [system_clock().date() - timedelta(days=days) for days in ago]
            what = f"{what} in the last {_DAYS_SHOWN} days"
        none = f"No {' '.join(filter(None, (chosen.get('status'), what)))}."
        if SOURCE.name in chosen:
            none = f"{none[:-1]} of {chosen['source']!r}. --source names another one."
        calls = [partial(self._lists[by].call, value, shared) for value in values]
        return lambda quill: listed(
            none, [call(getattr(quill, self.name)) for call in calls], self._model, limit
        )


class _List:
    """One list of a repository. It holds the names of what it takes."""

    def __init__(self, name: str, method: Callable[..., Query[Any]]) -> None:
        by = name.removeprefix("list_by_")
        _, *takes = inspect.signature(method, eval_str=True).parameters.values()
        own = [each for each in takes if each.default is each.empty and each.name != SOURCE.name]
        self._name = name
        self._own = [each.name for each in own]
        self._shared = {each.name for each in takes}.difference(self._own)
        self.choices = _choices(own[0].annotation)
        # `object_type` and `object_id` of `list_by_object` are ``--object TYPE ID``.
        words = " ".join(each.removeprefix(f"{by}_").upper() for each in self._own)
        kind: Any = str
        sample = words
        if self.choices:
            sample, kind = self.choices[0], click.Choice(self.choices)
        elif own[0].annotation is date:
            sample, kind = "2026-11-22", day
        metavar = None if words == by.upper() else words
        self.example = f"--{by} {sample}"
        self.option = click.Option(
            [f"--{by}"], type=kind, nargs=len(own), metavar=metavar, help=_summary(method)
        )

    def __contains__(self, name: object) -> bool:
        return name in self._shared

    def call(self, value: Any, shared: dict[str, Any], repository: Any) -> Query[Any]:
        own = dict(zip(self._own, value if len(self._own) > 1 else [value], strict=True))
        taken = {name: shared[name] for name in self._shared & shared.keys()}
        query: Query[Any] = getattr(repository, self._name)(**own, **taken)
        return query


def listed(none: str, queries: Iterable[Query[Any]], model: type[QuillModel], limit: int) -> View:
    """What queries find, as far as the limit; ``none`` says that it is nothing."""
    found = list(islice(chain.from_iterable(queries), limit + 1))
    items, more = found[:limit], len(found) > limit
    if wants_json():
        return View({"items": [to_json(item) for item in items], "more": more}, "")
    columns = _COLUMNS.get(model.KIND, " ".join((*model.IDENTITY, *model.SHOWN))).split()
    rows = [[getattr(item, column) for column in columns] for item in items]
    notes = [f"There are more than {limit}: give a higher --limit."] if more else []
    return View({}, table(columns, rows) if rows else none, notes)


def _summary(method: Callable[..., Any]) -> str:
    """The first sentence of its docstring, without the number of the access pattern."""
    sentence = (inspect.getdoc(method) or "").partition("\n")[0].partition(". ")[0]
    text = sentence.rpartition(": ")[2].rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."


def _choices(annotation: Any) -> list[str]:
    types = [each for each in (annotation, *get_args(annotation)) if isinstance(each, type)]
    return [value.value for each in types if issubclass(each, StrEnum) for value in each]


def _flags(names: Iterable[str]) -> str:
    *others, last = [f"--{name}" for name in names]
    return f"{', '.join(others)} or {last}" if others else last
