from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quill_models.dynamodb.pages import PageLimit

MOST_REQUESTS = 64


def test_page_limit_first_is_more_than_a_page_holds() -> None:
    # The smallest of them has 350 bytes.
    assert PageLimit().items * 350 > 2**20


@given(st.integers(1, 1_000_000), st.integers(1, 1_000_000))
def test_page_limit_converges_to_the_size_of_a_page(held: int, later: int) -> None:
    """Whatever a page holds, also when it is another number further on."""
    limit = PageLimit()
    for holds in (held, later):
        for _ in range(MOST_REQUESTS):
            limit.update(min(holds, limit.items))
        # It never keeps a page from being full, and is not much more than that.
        assert holds < limit.items <= 2 * holds + 1


@given(st.integers(1, 100_000))
def test_page_limit_full_pages_grow_quickly(held: int) -> None:
    limit = PageLimit()
    short = 0
    while limit.items < held:
        limit.update(limit.items)
        short += 1
    assert short <= 6


def test_page_limit_empty_page_requests_more() -> None:
    limit = PageLimit()
    limit.update(0)
    assert limit.items == 1
    limit.update(1)
    assert limit.items == 2
