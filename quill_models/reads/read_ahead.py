"""Fetching the next page while the current one is used."""

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

# The second page is requested after a tenth of the first was used. A caller that stops earlier pays
# for one page.
_USED_BEFORE_THE_SECOND = 10

A = TypeVar("A")
B = TypeVar("B")

# Returns the page after a start, or the first page for None.
RequestPage = Callable[[RawItem | None], RawPage]


class ReadAhead:
    """The threads that fetch pages of one list, ``parallel`` at a time, until its block is left.

    Without ``is_wanted``, or if no thread is available, the consumer of a page fetches it. No
    thread is available after the main one has ended, in a forked process, or at a system limit.
    """

    def __init__(self, parallel: int, *, is_wanted: bool) -> None:
        self._parallel = parallel
        self._is_wanted = is_wanted
        self._pool: Threads | None = None
        self._pages: list[_Pages] = []

    def all(self, function: Callable[[A], B], arguments: Sequence[A]) -> list[B]:
        """Return the results of a function for all arguments, called in parallel."""
        results: Iterator[B] = map(function, arguments)
        if len(arguments) > 1:
            with suppress(RuntimeError):  # No thread is available.
                results = self._threads().map(function, arguments)
        return list(results)

    def items(self, first: RawPage, request: RequestPage) -> Iterator[RawItem]:
        """Yield the items of the first page and of the next ones, one of which is fetched ahead."""
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
            # All items of the page have expired.
            pages.allow_one_more()
        wanted_from = len(items) // _USED_BEFORE_THE_SECOND
        for number, item in enumerate(items):
            if number == wanted_from:
                pages.allow_one_more()
            yield item
        # Release each page after use.
        del first, items
        while (taken := pages.take()) is not None:
            yield from taken

    def _threads(self) -> Threads:
        # Most lists have one page and need no thread.
        if self._pool is None:
            self._pool = Threads(self._parallel, "quill-read")
        return self._pool

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pages in self._pages:
            pages.stop()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


class _Pages:
    """The pages of one partition from the second one on.

    A consumer that waits for a page allows the next one at the same time, so the fetching thread
    continues at once. If the consumer woke it while decoding, each request would wait for several
    turns of 5 ms, because Python runs one thread at a time.
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
        self._has_no_thread = False
        self._process = os.getpid()

    def allow_one_more(self) -> None:
        """Fetch another page, now or after the one in flight."""
        if self._process != os.getpid():
            self._begin_in_fork()
        with self._changed:
            self._allowed += 1
            if self._is_fetching or self._has_no_thread or self._start is None:
                return
            self._is_fetching = True
            try:
                self._pool().submit(self._fetch)
            except RuntimeError:
                self._is_fetching, self._has_no_thread = False, True

    def take(self) -> list[RawItem] | None:
        """Wait for the items of the next page. Return ``None`` after the last one."""
        self.allow_one_more()
        with self._changed:
            self._changed.wait_for(lambda: self._fetched or not self._is_fetching)
            if self._fetched:
                return self._fetched.popleft().items
            if self._error is not None:
                raise self._error
            if self._start is None:
                return None
        page = self._request(self._start)
        self._start = page.start
        return page.items

    def stop(self) -> None:
        """Fetch no page after the one in flight."""
        if self._process != os.getpid():
            self._begin_in_fork()
        with self._changed:
            self._start = None

    def _begin_in_fork(self) -> None:
        """Continue without the fetching thread, which stayed in the parent, maybe with the lock."""
        self._process, self._changed = os.getpid(), Condition()
        self._is_fetching, self._has_no_thread = False, True
        if self._fetched:
            # The thread may have stored the page, but not the start of the next one.
            self._start = self._fetched[-1].start

    def _fetch(self) -> None:
        while True:
            with self._changed:
                start = self._start
                if start is None or not self._allowed or self._has_no_thread:
                    self._is_fetching = False
                    self._changed.notify()
                    return
                self._allowed -= 1
            try:
                page = self._request(start)
            except BaseException as error:  # noqa: BLE001 -- raised in `take`
                with self._changed:
                    self._error, self._start = error, None
                continue
            with self._changed:
                self._fetched.append(page)
                if self._start is not None:
                    self._start = page.start
                self._changed.notify()
