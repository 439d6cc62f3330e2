"""The number of items to request for a page."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quill_models.dynamodb.pages import PageLimit

REQUESTS = 64


def test_page_limit_first_is_more_than_a_page_holds() -> None:
    # The smallest items of the package have about 350 bytes.
    assert PageLimit().items * 350 > 2**20


@given(st.integers(1, 1_000_000), st.integers(1, 1_000_000))
def test_page_limit_converges_to_the_size_of_a_page(size: int, later: int) -> None:
    limit = PageLimit()
    for capacity in (size, later):
        for _ in range(REQUESTS):
            limit.update(min(capacity, limit.items))
        # Enough for a full page, and at most about twice that.
        assert capacity < limit.items <= 2 * capacity + 1


@given(st.integers(1, 100_000))
def test_page_limit_full_pages_grow_quickly(items_per_page: int) -> None:
    limit = PageLimit()
    short = 0
    while limit.items < items_per_page:
        limit.update(limit.items)
        short += 1
    assert short <= 6


def test_page_limit_empty_page_requests_more() -> None:
    limit = PageLimit()
    limit.update(0)
    assert limit.items == 1
    limit.update(1)
    assert limit.items == 2
