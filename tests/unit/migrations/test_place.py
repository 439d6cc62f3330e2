from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quill_models.migrations.backfill import Progress
from quill_models.migrations.place import Place, Segment
from tests.unit.strategies import texts

_keys = st.builds(lambda pk, sk: {"pk": {"S": pk}, "sk": {"S": sk}}, texts(), texts())
_segments = st.builds(
    Segment,
    start=st.none() | _keys,
    ended=st.booleans(),
    seen=st.integers(0, 10**9),
    changed=st.integers(0, 10**9),
)
_places = st.builds(
    Place, st.none() | st.sampled_from(("gsi1", "gsi3")), st.lists(_segments, min_size=1)
)


@given(_places)
def test_a_place_is_read_back_as_it_was_saved(place: Place) -> None:
    document = json.loads(json.dumps(place.to_document()))
    read = Place.saved(document, place.index, len(place.segments))
    assert (read.index, read.segments) == (place.index, place.segments)


@given(_places)
def test_the_place_of_another_walk_is_no_place(place: Place) -> None:
    document = place.to_document()
    for index, number in ((place.index, len(place.segments) + 1), ("other", len(place.segments))):
        read = Place.saved(document, index, number)
        assert (read.index, read.segments) == (index, [Segment()] * number)


@given(_places, st.integers(0, 10**10), st.integers(0, 10**9), st.floats(0, 1e6))
def test_progress_never_says_what_cannot_be(
    place: Place, total: int, begun_with: int, seconds: float
) -> None:
    told = Progress.of(place, total, begun_with=min(begun_with, place.seen), seconds=seconds)
    assert told.seen == place.seen <= told.total
    assert told.rate >= 0
    assert told.left is None or told.left >= 0
    if all(segment.ended for segment in place.segments):
        assert (told.left, told.total) == (0, told.seen)


def test_the_time_left_is_told_from_what_this_attempt_did() -> None:
    place = Place(None, [Segment(seen=300, changed=30), Segment(seen=200)])
    told = Progress.of(place, 1000, begun_with=400, seconds=10)
    assert told == Progress(seen=500, changed=30, total=1000, rate=10, left=50)
    assert Progress.of(place, 1000, begun_with=500, seconds=10).left is None
    # As many as were expected, and not at the end.
    beyond = Progress.of(place, 100, begun_with=400, seconds=10)
    assert (beyond.total, beyond.left) == (500, None)


def test_segments_begin_at_the_beginning() -> None:
    place = Place.beginning("gsi1", 3)
    assert place.segments == [Segment(None, ended=False, seen=0, changed=0)] * 3
    with pytest.raises(AttributeError):
        place.segments[0].seen = 1  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
