"""Histogram: each observation is counted once, in the right bucket, or dropped."""

from __future__ import annotations

from flask_expvar import Histogram, Registry


def test_a_bound_belongs_to_the_bucket_below_it() -> None:
    histogram = Registry().new_histogram("h", buckets=(1, 2))
    for seconds in (-1, 1, 1.5, 2, 2.1):
        histogram.observe(seconds)

    assert histogram.value == {"count": 5, "sum": 5.6, "buckets": {"1.0": 2, "2.0": 4, "+Inf": 5}}


def test_what_was_observed_before_publishing_moves_along() -> None:
    registry, histogram = Registry(), Histogram(buckets=(1,))
    histogram.observe(0.5)
    registry.publish("h", histogram)
    histogram.observe(3)

    assert registry.snapshot()["h"] == {"count": 2, "sum": 3.5, "buckets": {"1.0": 1, "+Inf": 2}}


def test_an_observation_too_large_for_a_float_changes_nothing() -> None:
    registry = Registry()
    histogram = registry.new_histogram("h")
    histogram.observe(10**400)

    assert histogram.value["count"] == histogram.value["sum"] == 0
    assert registry.snapshot()["expvar/dropped"] == 1
