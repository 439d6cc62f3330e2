"""Positions and progress of a parallel scan."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quill_models.reads.parallel_scan import Progress, ScanPosition, SegmentPosition
from tests.unit.strategies import texts

_keys = st.builds(lambda pk, sk: {"pk": {"S": pk}, "sk": {"S": sk}}, texts(), texts())
_segments = st.builds(
    SegmentPosition,
    start=st.none() | _keys,
    ended=st.booleans(),
    seen=st.integers(0, 10**9),
    changed=st.integers(0, 10**9),
)
_positions = st.builds(
    ScanPosition, st.none() | st.sampled_from(("gsi1", "gsi3")), st.lists(_segments, min_size=1)
)


@given(_positions)
def test_scan_position_saved_round_trips(position: ScanPosition) -> None:
    document = json.loads(json.dumps(asdict(position)))
    read = ScanPosition.saved(document, position.index, len(position.segments))
    assert (read.index, read.segments) == (position.index, position.segments)


@given(_positions)
def test_scan_position_of_other_scan_begins_again(position: ScanPosition) -> None:
    document = asdict(position)
    for index, number in (
        (position.index, len(position.segments) + 1),
        ("other", len(position.segments)),
    ):
        read = ScanPosition.saved(document, index, number)
        assert (read.index, read.segments) == (index, [SegmentPosition()] * number)


@given(_positions, st.integers(0, 10**10), st.integers(0, 10**9), st.floats(0, 1e6))
def test_progress_is_never_inconsistent(
    position: ScanPosition, total: int, begun_with: int, seconds: float
) -> None:
    progress = Progress.of(position, total, min(begun_with, position.seen), seconds)
    assert progress.total is not None
    assert progress.seen == progress.items == position.seen <= progress.total
    assert progress.rate >= 0
    assert progress.left is None or progress.left >= 0
    if all(segment.ended for segment in position.segments):
        assert (progress.left, progress.total) == (0, progress.seen)


def test_progress_left_depends_on_this_attempt() -> None:
    position = ScanPosition(
        None, [SegmentPosition(seen=300, changed=30), SegmentPosition(seen=200)]
    )
    progress = Progress.of(position, 1000, 400, 10)
    assert progress == Progress(seen=500, changed=30, total=1000, rate=10, left=50)
    assert Progress.of(position, 1000, 500, 10).left is None
    # More items than expected, and the scan has not ended.
    beyond = Progress.of(position, 100, 400, 10)
    assert (beyond.total, beyond.left) == (500, None)


def test_scan_position_beginning_has_no_start() -> None:
    position = ScanPosition.beginning("gsi1", 3)
    assert position.segments == [SegmentPosition(None, ended=False, seen=0, changed=0)] * 3
    with pytest.raises(AttributeError):
        position.segments[0].seen = 1  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
