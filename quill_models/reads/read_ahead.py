"""Pages that are fetched while the one before is used."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from threading import Condition
from typing import Self, TypeVar

from quill_models.dynamodb.items import RawItem
from quill_models.dynamodb.pages import RawPage
from quill_models.telemetry.operations import Threads

__all__ = ["ReadAhead", "RequestPage"]

# The second page is asked for when so much of the first is used: who stops before pays for one.
_USED_BEFORE_THE_SECOND = 10

A = TypeVar("A")
B = TypeVar("B")

# The page that begins there; the first one, where it is None.
RequestPage = Callable[[RawItem | None], RawPage]


class ReadAhead:
    """The threads that fetch for one list, ``parallel`` at a time. Leaving the block stops them.

    If no thread can be had, the consumer of a page fetches it: in a thread that continues after the
    main one has ended, in a forked process, or if the system allows no more threads. The same holds
    if ``is_wanted`` is false: then no page is fetched before it is used.
    """

    def __init__(self, parallel: int, *, is_wanted: bool) -> None:
        self._parallel = parallel
        self._is_wanted = is_wanted
        self._pool: Threads | None = None
        self._pages: list[_Pages] = []

    def all(self, function: Callable[[A], B], arguments: Sequence[A]) -> list[B]:
        """What a function gives for each, at the same time."""
        results: Iterator[B] = map(function, arguments)
        if len(arguments) > 1:
            with suppress(RuntimeError):  # If no thread can be had.
                results = self._threads().map(function, arguments)
        return list(results)

    def items(self, first: RawPage, request: RequestPage) -> Iterator[RawItem]:
        """The items of the first page and of those after it, of which one is fetched ahead."""
        items, start = first.items, first.start
        if start is None or not self._is_wanted:
            yield from items
            while start is not None:
                page = request(start)
                yield from page.items
                start = page.start
            return
        pages = _Pages(self._threads, start, request)
        self._pages.append(pages)
        if not items:
            # What has expired takes up pages, too.
            pages.allow_one_more()
        wanted_from = len(items) // _USED_BEFORE_THE_SECOND
        for number, item in enumerate(items):
            if number == wanted_from:
                pages.allow_one_more()
            yield item
        # Each page goes when it is used.
        del first, items
        while (taken := pages.take()) is not None:
            yield from taken

    def _threads(self) -> Threads:
        # Most lists are of one page and need none.
        if self._pool is None:
            self._pool = Threads(self._parallel, "quill-read")
        return self._pool

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pages in self._pages:
            pages.stop()
        if self._pool is not None:
            # Nobody waits for what nobody wants any more.
            self._pool.shutdown(wait=False, cancel_futures=True)


class _Pages:
    """The pages of one partition from the second one on.

    Whoever waits for a page allows the next one already. So the thread that has fetched a page goes
    on with the next at once, instead of being woken for it by a consumer that has begun to decode:
    Python runs one thread at a time, and that would cost each request several turns of 5 ms.
    """

    def __init__(self, pool: Callable[[], Threads], start: RawItem, request: RequestPage) -> None:
        self._pool = pool
        self._start: RawItem | None = start
        self._request = request
        self._changed = Condition()
        self._allowed = 0
        self._is_fetching = False
        self._fetched: deque[RawPage] = deque()
        self._error: BaseException | None = None
        self._is_alone = False
        self._process = os.getpid()

    def allow_one_more(self) -> None:
        """Fetch another page, now or when the one on its way is there."""
        if self._process != os.getpid():
            self._begin_in_fork()
        with self._changed:
            self._allowed += 1
            if self._is_fetching or self._is_alone or self._start is None:
                return
            self._is_fetching = True
            try:
                self._pool().submit(self._fetch)
            except RuntimeError:
                self._is_fetching, self._is_alone = False, True

    def take(self) -> list[RawItem] | None:
        """The next page's items, waited for; ``None`` after the last one."""
        self.allow_one_more()
        with self._changed:
            self._changed.wait_for(lambda: self._fetched or not self._is_fetching)
            if self._fetched:
                return self._fetched.popleft().items
            if self._error is not None:
                raise self._error
            if self._start is None:
                return None
        # Nobody else fetches it.
        page = self._request(self._start)
        self._start = page.start
        return page.items

    def stop(self) -> None:
        """Fetch no more than what is on its way."""
        if self._process != os.getpid():
            self._begin_in_fork()
        with self._changed:
            self._start = None

    def _begin_in_fork(self) -> None:
        """The thread that fetches has stayed in the other process, maybe with the lock in hand."""
        self._process, self._changed = os.getpid(), Condition()
        self._is_fetching, self._is_alone = False, True
        if self._fetched:
            # It may have got as far as the page, and not as far as where that one ends.
            self._start = self._fetched[-1].start

    def _fetch(self) -> None:
        while True:
            with self._changed:
                start = self._start
                if start is None or not self._allowed or self._is_alone:
                    self._is_fetching = False
                    self._changed.notify()
                    return
                self._allowed -= 1
            try:
                page = self._request(start)
            except BaseException as error:  # noqa: BLE001 -- raised by whoever takes the page
                with self._changed:
                    self._error, self._start = error, None
                continue
            with self._changed:
                self._fetched.append(page)
                if self._start is not None:
                    self._start = page.start
                self._changed.notify()
