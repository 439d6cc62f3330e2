"""Hypothesis strategies for the rows and calls of a state machine."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import product
from typing import Any

from hypothesis import strategies as st

from tests.local_dynamo.stateful.calls import Call
from tests.local_dynamo.stateful.environment import RETENTION
from tests.local_dynamo.stateful.model import Row
from tests.local_dynamo.support import DAY, MINUTE, SECOND

__all__ = ["CLOCK_STEPS", "LOSSES", "MICROSECOND", "NO_OPTIONS", "PREFER", "bulk", "rows", "single"]

MICROSECOND = timedelta(microseconds=1)
CLOCK_STEPS = st.sampled_from(
    [MICROSECOND, timedelta(seconds=0.4), SECOND, MINUTE, 2 * MINUTE, RETENTION, DAY]
)
# For each request, whether its response is lost.
LOSSES = st.lists(st.booleans(), max_size=4).filter(lambda lost: lost.count(True) <= 3)

# Options of bulk calls.
PREFER = st.fixed_dictionaries({}, optional={"prefer": st.sampled_from(["speed", "cost"])})
NO_OPTIONS: st.SearchStrategy[dict[str, str]] = st.just({})


def rows(
    identity: Mapping[str, Sequence[Any]], contents: Sequence[Row], sample_size: int = 12
) -> st.SearchStrategy[Row]:
    """Combine each identity with a sample of the contents.

    A small sample makes equal rows frequent, and keeps an example within hypothesis's size limit.
    """
    identities = [
        dict(zip(identity, values, strict=True)) for values in product(*identity.values())
    ]
    sample = random.Random(0).sample(contents, min(len(contents), sample_size))  # noqa: S311
    return st.builds(
        lambda key, content: key | content, st.sampled_from(identities), st.sampled_from(sample)
    )


def single(repository: str, verb: str, items: st.SearchStrategy[Row]) -> st.SearchStrategy[Call]:
    """Generate calls for one item."""
    return st.builds(Call, st.just(repository), st.just(verb), st.tuples(items))


def bulk(
    repository: str,
    verb: str,
    items: st.SearchStrategy[Row],
    options: st.SearchStrategy[dict[str, str]],
) -> st.SearchStrategy[Call]:
    """Generate calls for zero to six items, which may be equal."""
    return st.builds(
        Call,
        st.just(repository),
        st.just(verb),
        st.lists(items, max_size=6).map(tuple),
        st.just(value=True),
        options,
    )
