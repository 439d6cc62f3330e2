from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quill_models.dynamodb.pages import PageLimit

MOST_REQUESTS = 64


def test_at_first_it_is_more_than_a_page_holds_of_our_own_items() -> None:
    # The smallest of them has 350 bytes.
    assert PageLimit().items * 350 > 2**20


@given(st.integers(1, 1_000_000), st.integers(1, 1_000_000))
def test_it_comes_to_about_what_a_page_holds(held: int, later: int) -> None:
    """Whatever a page holds, also when it is another number further on."""
    limit = PageLimit()
    for holds in (held, later):
        for _ in range(MOST_REQUESTS):
            limit.update(min(holds, limit.items))
        # It never keeps a page from being full, and is not much more than that.
        assert holds < limit.items <= 2 * holds + 1


@given(st.integers(1, 100_000))
def test_few_requests_are_needed_to_learn_that_more_fits(held: int) -> None:
    limit = PageLimit()
    short = 0
    while limit.items < held:
        limit.update(limit.items)
        short += 1
    assert short <= 6


def test_a_page_without_items_is_followed_by_another() -> None:
    limit = PageLimit()
    limit.update(0)
    assert limit.items == 1
    limit.update(1)
    assert limit.items == 2
