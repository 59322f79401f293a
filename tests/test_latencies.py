"""Latencies: windows and percentiles."""

from __future__ import annotations

import math
from bisect import bisect_right

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_expvar.traces.latencies import BANDS, BOUNDS, Latencies, by_band, quantiles

SECONDS = st.floats(0.0, 5000.0, allow_nan=False)


def counted(each: list[float], *, now: float = 0.0) -> Latencies:
    latencies = Latencies(0.0)
    latencies.add(now, each)
    return latencies


def sizes(latencies: Latencies, now: float) -> list[int]:
    return [sum(window.counts.values()) for window in latencies.windows(now)]


@given(st.lists(SECONDS, min_size=1, max_size=300), st.floats(0.0, 1.0))
def test_percentile_is_in_the_bucket_of_the_exact_one(each: list[float], share: float) -> None:
    counts = counted(each).windows(0.0)[2].counts
    exact = sorted(each)[max(math.ceil(share * len(each)) - 1, 0)]
    (found,) = quantiles(counts, (share,))

    assert found is not None
    bucket = bisect_right(BOUNDS, exact)
    assert BOUNDS[bucket - 1] <= found <= BOUNDS[min(bucket, len(BOUNDS) - 1)]


@given(st.lists(SECONDS, min_size=1, max_size=300), st.lists(st.floats(0.0, 1.0), max_size=5))
def test_percentiles_together_are_those_one_by_one(each: list[float], shares: list[float]) -> None:
    counts = counted(each).windows(0.0)[2].counts

    found = quantiles(counts, sorted(shares))

    assert found == [quantiles(counts, (share,))[0] for share in sorted(shares)]


@given(st.lists(SECONDS, max_size=600))
def test_each_duration_is_counted_in_its_band(each: list[float]) -> None:
    latencies = counted(each)
    exact = [0] * len(BANDS)
    for seconds in each:
        exact[bisect_right(BANDS, seconds) - 1] += 1

    assert by_band(latencies.windows(0.0)[2].counts) == exact
    assert latencies.total == pytest.approx(sum(each))
    if each:
        assert (latencies.smallest, latencies.largest) == (min(each), max(each))


@pytest.mark.parametrize("seconds", BANDS)
def test_bound_of_a_band_belongs_to_the_band_above(seconds: float) -> None:
    counts = counted([seconds]).windows(0.0)[2].counts

    assert by_band(counts).index(1) == BANDS.index(seconds)


def test_percentile_of_nothing_is_none() -> None:
    assert quantiles({}, (0.5, 0.9)) == [None, None]


def test_duration_leaves_the_minute_then_the_hour_and_never_all() -> None:
    latencies = counted([0.1], now=1.0)

    assert sizes(latencies, 4.0) == [1, 1, 1]
    assert sizes(latencies, 59.0) == [1, 1, 1]
    assert sizes(latencies, 66.0) == [0, 1, 1]
    assert sizes(latencies, 3590.0) == [0, 1, 1]
    assert sizes(latencies, 3905.0) == [0, 0, 1]
    assert sizes(latencies, 1e6) == [0, 0, 1]


def test_duration_after_an_idle_gap_is_of_the_last_minute() -> None:
    latencies = counted([0.1], now=1.0)
    latencies.add(10_000.0, [])  # what Family does first when a span is over
    latencies.add(10_000.0, [0.2])

    assert sizes(latencies, 10_001.0) == [1, 1, 2]


@given(st.lists(st.tuples(st.floats(0.0, 200.0), st.integers(0, 3)), max_size=200))
def test_window_counts_what_ended_in_the_seconds_that_it_names(
    steps: list[tuple[float, int]],
) -> None:
    latencies, now, ended = Latencies(0.0), 0.0, []
    for gap, count in steps:
        now += gap
        latencies.add(now, [])
        latencies.add(now, [0.1] * count)
        ended += [now] * count

    for window, span in zip(latencies.windows(now)[:2], (5.0, 300.0)):
        found = sum(window.counts.values())
        surely = sum(end > now - window.seconds + span for end in ended)
        perhaps = sum(end >= now - window.seconds - span for end in ended)
        assert surely <= found <= perhaps
    assert sizes(latencies, now)[2] == len(ended)


def test_window_tells_over_how_many_seconds_it_counts() -> None:
    latencies = Latencies(100.0)
    assert [window.seconds for window in latencies.windows(103.0)] == [3.0, 3.0, 3.0]

    latencies.add(104.0, [0.1])
    latencies.add(105.0, [])
    assert [window.seconds for window in latencies.windows(163.0)] == [63.0, 63.0, 63.0]
    assert [window.seconds for window in latencies.windows(171.0)] == [60.0, 71.0, 71.0]


def test_clock_that_went_back_loses_nothing() -> None:
    latencies = counted([0.1], now=1000.0)
    latencies.add(10.0, [0.1])

    assert sizes(latencies, 5.0) == [2, 2, 2]
