"""Fetching of pages ahead of use."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Semaphore, Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quill_models.dynamodb.items import RawItem
from quill_models.dynamodb.pages import RawPage
from quill_models.reads.read_ahead import ReadAhead

LONG = 10


def item(number: int) -> RawItem:
    return {"n": {"N": str(number)}}


class Pages:
    """A list in pages. If it is gated, each request after the first waits for `release`."""

    def __init__(self, sizes: list[int], *, gated: bool = False) -> None:
        self.requested: list[int] = []
        self.gate = Semaphore(0)
        self._gated = gated
        numbers = iter(range(sum(sizes)))
        self._pages = [[item(next(numbers)) for _ in range(size)] for size in sizes]
        self.all = [each for page in self._pages for each in page]

    def request(self, start: RawItem | None) -> RawPage:
        at = 0 if start is None else int(start["page"]["N"])
        self.requested.append(at)
        if self._gated and at:
            assert self.gate.acquire(timeout=LONG)
        is_last = at == len(self._pages) - 1
        return RawPage(
            self._pages[at],
            len(self._pages[at]),
            None if is_last else {"page": {"N": str(at + 1)}},
        )


@given(st.lists(st.integers(0, 25), min_size=1, max_size=6), st.booleans())
def test_items_all_pages_once_and_in_order(sizes: list[int], is_wanted: bool) -> None:
    pages = Pages(sizes)
    with ReadAhead(1, is_wanted=is_wanted) as ahead:
        assert list(ahead.items(pages.request(None), pages.request)) == pages.all
    assert pages.requested == list(range(len(sizes)))


@given(st.lists(st.integers(1, 25), min_size=2, max_size=5), st.data())
def test_items_at_most_one_page_ahead(sizes: list[int], data: st.DataObject) -> None:
    pages = Pages(sizes)
    used = data.draw(st.integers(1, sum(sizes)))
    with ReadAhead(1, is_wanted=True) as ahead:
        reading = ahead.items(pages.request(None), pages.request)
        for _ in range(used):
            next(reading)
        started = sum(1 for at in range(len(sizes)) if sum(sizes[:at]) < used)
        # The request in flight may not have started.
        assert len(pages.requested) <= started + 1


def test_items_next_page_is_requested_during_use() -> None:
    pages = Pages([20, 1, 1], gated=True)
    with ReadAhead(1, is_wanted=True) as ahead:
        reading = ahead.items(pages.request(None), pages.request)
        for _ in range(2):
            next(reading)
        assert pages.requested == [0]
        next(reading)
        _wait_for(lambda: pages.requested == [0, 1])
        pages.gate.release()
        for _ in range(17):
            next(reading)
        assert pages.requested == [0, 1]
        # Taking the second page requests the third one.
        next(reading)
        _wait_for(lambda: pages.requested == [0, 1, 2])
        pages.gate.release()
        assert next(reading) == pages.all[-1]


def test_items_left_early_stops_requests() -> None:
    pages = Pages([20, 20, 20], gated=True)
    with ReadAhead(1, is_wanted=True) as ahead:
        reading = ahead.items(pages.request(None), pages.request)
        for _ in range(3):
            next(reading)
        _wait_for(lambda: pages.requested == [0, 1])
    pages.gate.release(3)
    assert not Event().wait(0.1)
    assert pages.requested == [0, 1]


def test_items_error_comes_after_earlier_items() -> None:
    pages = Pages([3, 3, 3])

    def request(start: RawItem | None) -> RawPage:
        if start == {"page": {"N": "2"}}:
            raise RuntimeError("lost")
        return pages.request(start)

    found: list[RawItem] = []
    with ReadAhead(1, is_wanted=True) as ahead:
        reading = ahead.items(pages.request(None), request)
        with pytest.raises(RuntimeError, match="lost"):
            found.extend(_each(reading))
    assert found == pages.all[:6]


def test_items_many_lists_share_few_threads() -> None:
    lists = [Pages([5, 5, 5]) for _ in range(20)]
    with ReadAhead(2, is_wanted=True) as ahead:
        firsts = ahead.all(lambda pages: pages.request(None), lists)
        readings = [
            ahead.items(first, pages.request) for first, pages in zip(firsts, lists, strict=True)
        ]
        rows = list(zip(*readings, strict=True))
    assert [[row[at] for row in rows] for at in range(20)] == [pages.all for pages in lists]


def test_items_empty_first_page_requests_at_once() -> None:
    pages = Pages([0, 1, 1], gated=True)
    with ReadAhead(1, is_wanted=True) as ahead:
        reading = ahead.items(pages.request(None), pages.request)
        pages.gate.release()
        next(reading)
        _wait_for(lambda: pages.requested == [0, 1, 2])
        pages.gate.release()


def no_more_threads(_: Thread) -> None:
    raise RuntimeError("can't start new thread")


@given(st.lists(st.integers(0, 25), min_size=1, max_size=6), st.integers(1, 3))
def test_items_without_threads_requests_on_use(sizes: list[int], parallel: int) -> None:
    lists = [Pages(sizes) for _ in range(3)]
    with pytest.MonkeyPatch.context() as patched, ReadAhead(parallel, is_wanted=True) as ahead:
        patched.setattr(Thread, "start", no_more_threads)
        firsts = ahead.all(lambda pages: pages.request(None), lists)
        for first, pages in zip(firsts, lists, strict=True):
            assert list(ahead.items(first, pages.request)) == pages.all
    # A first request may be sent twice: in a thread that failed to start, and without one.
    assert all(pages.requested[-len(sizes) :] == list(range(len(sizes))) for pages in lists)


def test_items_without_threads_raises_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def request(start: RawItem | None) -> RawPage:
        raise LookupError("no page")

    monkeypatch.setattr(Thread, "start", no_more_threads)
    with ReadAhead(1, is_wanted=True) as ahead:
        reading = ahead.items(RawPage([item(1)], 1, item(1)), request)
        assert next(reading) == item(1)
        with pytest.raises(LookupError, match="no page"):
            next(reading)


AFTER_THE_MAIN_THREAD = """
import threading
from tests.unit.reads.test_read_ahead import Pages
from quill_models.reads.read_ahead import ReadAhead

def read():
    threading.main_thread().join()
    pages = Pages([5, 5, 5, 5])
    with ReadAhead(2, is_wanted=True) as ahead:
        firsts = ahead.all(lambda start: pages.request(start), [None, None])
        found = list(ahead.items(firsts[0], pages.request))
    assert found == pages.all
    print("all of them")

threading.Thread(target=read).start()
"""


def test_items_thread_after_main_thread_ended_continues() -> None:
    done = subprocess.run(
        [sys.executable, "-c", AFTER_THE_MAIN_THREAD], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("all of them\n", "")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("used", [1, 25, 45])
def test_items_forked_process_continues_alone(used: int) -> None:
    pages = Pages([20, 20, 20, 20])
    with ReadAhead(1, is_wanted=True) as ahead:
        reading = ahead.items(pages.request(None), pages.request)
        for _ in range(used):
            next(reading)
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if list(reading) == pages.all[used:] else 1)
            except BaseException:  # noqa: BLE001 -- pytest is the parent's
                traceback.print_exc()
                os._exit(2)
        assert list(reading) == pages.all[used:]
    with ThreadPoolExecutor(1) as pool:
        _, status = pool.submit(os.waitpid, child, 0).result(LONG)
    assert status == 0


def _each(items: Iterator[RawItem]) -> Iterator[RawItem]:
    yield from items


def _wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        Event().wait(0.01)
    raise AssertionError("it did not happen")
