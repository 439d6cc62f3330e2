"""The calls that all repositories share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, Generic, TypeVar

from quill_models.dynamodb.table import Table
from quill_models.models.base import QuillModel
from quill_models.reads.query import Query
from quill_models.repositories.put_latest import PutLatest
from quill_models.repositories.record_once import RecordOnce
from quill_models.telemetry.operations import begun, followed, operation
from quill_models.values.keys import Key
from quill_models.writes.bulk import iter_many, list_many
from quill_models.writes.driver import Prefer, send
from quill_models.writes.results import WriteResult

__all__ = ["Puts", "Records", "Repository"]

M = TypeVar("M", bound=QuillModel)
T = TypeVar("T")


class Repository(Generic[M]):
    """The items of one model.

    Attributes:
        MODEL: The model.
        OPERATIONS: The name of the repository in logs and traces, as users reach it.
    """

    MODEL: type[M]
    OPERATIONS: ClassVar[str]

    def __init__(self, table: Table) -> None:
        self._table = table

    def _read(self, key: Key) -> M | None:
        item = self._table.get(key)
        return None if item is None else self.MODEL.from_item(item)

    def _list(
        self,
        name: str,
        partition: str | Callable[[int], str],
        *,
        index: str | None = None,
        between: tuple[str, str] | None = None,
        moving_end: bool = False,
        newest_first: bool = False,
        model: type[M] | None = None,
    ) -> Query[M]:
        """Return the list of one partition, or of one partition for each shard."""

        def shards() -> list[str]:
            assert callable(partition)  # noqa: S101 -- for the type checker
            return [partition(shard) for shard in self._table.shards_to_read]

        return Query(
            self._table,
            model or self.MODEL,
            [partition] if isinstance(partition, str) else shards,
            index=index,
            between=between,
            moving_end=moving_end,
            newest_first=newest_first,
            operation=f"{self.OPERATIONS}.{name}",
        )

    def _followed(self, name: str, results: Iterator[T]) -> Iterator[T]:
        return followed(begun(self, name), results)


class Puts(Repository[M]):
    """A repository of items that their source edits."""

    @operation
    def put(self, item: M) -> WriteResult[M]:
        """Create or update an item, and move it between lists in the same write.

        Args:
            item: The model; it is not changed.

        Returns:
            ``created``, ``updated``, ``unchanged``, ``stale`` (older by its source's time than the
            stored item), or ``conflict`` (an external id belongs to the model in ``item``).

        Cost:
            One request if the item is new or equal, two if it changes. An item with external ids
            is a transaction with one more item for each id, at twice the write units.
        """
        return send(self._table, PutLatest(self._table, item))

    @operation
    def put_many(
        self, items: Iterable[M], *, prefer: Prefer | str = Prefer.SPEED
    ) -> list[WriteResult[M]]:
        """Put each item, as `put` does, in input order.

        Args:
            items: The models.
            prefer: ``speed`` or ``cost``, see `Prefer`.

        Raises:
            PartialWriteError: The table stopped responding.

        Cost:
            For each 100 items one transaction if all are new or all are equal, else two, at twice
            the write units.
        """
        return list_many(self._table, PutLatest, items, prefer)

    def iter_put_many(
        self, items: Iterable[M], *, prefer: Prefer | str = Prefer.SPEED
    ) -> Iterator[WriteResult[M]]:
        """Put each item with the requests of `put_many`, and yield results in constant memory.

        Args:
            items: The models, without a limit.
            prefer: See `put_many`.
        """
        results: Iterator[Any] = iter_many(self._table, PutLatest, items, prefer)
        return self._followed("iter_put_many", results)


class Records(Repository[M]):
    """A repository of facts, which never change."""

    @operation
    def record(self, item: M) -> WriteResult[M]:
        """Record an item once.

        Args:
            item: The model; it is not changed.

        Returns:
            ``created``, ``duplicate``, or ``conflict`` (the identity is stored with other content,
            which is kept, or the external id belongs to the model in ``item``).

        Raises:
            InvalidPayload: The item is over 400 KB.

        Cost:
            One request: one write unit per KB, and one per KB for each index. An item with an
            external id is a transaction of two items, at twice the write units.
        """
        return send(self._table, RecordOnce(self._table, item))

    @operation
    def record_many(
        self, items: Iterable[M], *, prefer: Prefer | str = Prefer.SPEED
    ) -> list[WriteResult[M]]:
        """Record each item, as `record` does, in input order.

        Args:
            items: The models.
            prefer: ``speed`` or ``cost``, see `Prefer`.

        Raises:
            InvalidPayload: An item is over 400 KB.
            PartialWriteError: The table stopped responding.

        Cost:
            For each 100 items one transaction if all are new or all are stored, else two, at twice
            the write units.
        """
        return list_many(self._table, RecordOnce, items, prefer)

    def iter_record_many(
        self, items: Iterable[M], *, prefer: Prefer | str = Prefer.SPEED
    ) -> Iterator[WriteResult[M]]:
        """Record each item with the requests of `record_many`, and yield results as they come.

        Args:
            items: The models, without a limit. Memory is constant.
            prefer: See `record_many`.
        """
        results: Iterator[Any] = iter_many(self._table, RecordOnce, items, prefer)
        return self._followed("iter_record_many", results)
