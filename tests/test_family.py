"""Families of traces: what is kept, what is running, what was forgotten."""

from __future__ import annotations

import gc
import weakref

import pytest
from gates import FakeClock

from flask_expvar.traces.family import PURGE_AT
from flask_expvar.traces.trace import Trace
from flask_expvar.traces.tracer import Tracer


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def tracer(clock: FakeClock) -> Tracer:
    return Tracer(clock=clock)


# -- running -------------------------------------------------------------------------------------


def test_running_traces_are_listed_from_the_oldest_at_most_so_many(tracer: Tracer) -> None:
    traces = [tracer.start("mail", str(n)) for n in range(3)]
    family = tracer.family("mail")

    assert family.running() == traces
    assert family.running(2) == traces[:2]
    assert family.running_count == 3


def test_forgotten_trace_is_counted_as_lost(tracer: Tracer) -> None:
    held = tracer.start("mail", "held")
    tracer.start("mail", "forgotten")
    family = tracer.family("mail")

    assert family.running_count == 1
    assert family.running() == [held]
    assert family.lost == 1


def test_forgotten_parent_takes_its_forgotten_children_along(tracer: Tracer) -> None:
    tracer.start("mail", "parent").child("mail", "child").child("mail", "grandchild")

    assert tracer.family("mail").running_count == 0
    assert tracer.family("mail").lost == 3


def test_child_of_a_held_parent_is_not_forgotten(tracer: Tracer) -> None:
    parent = tracer.start("mail", "parent")
    parent.child("mail", "child")

    assert tracer.family("mail").running_count == 2
    assert len(parent.events) == 1


def test_forgotten_traces_go_without_anybody_looking(tracer: Tracer) -> None:
    alive: weakref.WeakSet[Trace] = weakref.WeakSet()
    for n in range(10_000):
        alive.add(tracer.start("mail", str(n)))

    assert len(alive) <= PURGE_AT + 1


def test_trace_that_is_only_current_is_not_forgotten(tracer: Tracer) -> None:
    with tracer.start("mail", "current"):
        gc.collect()

        assert tracer.family("mail").running_count == 1


# -- finished ------------------------------------------------------------------------------------


def finished(tracer: Tracer, clock: FakeClock, seconds: float, family: str = "mail") -> Trace:
    trace = tracer.start(family, f"{seconds} s")
    clock.now += seconds
    trace.finish()
    return trace


def counts(tracer: Tracer, clock: FakeClock, family: str = "mail") -> list[int]:
    windows = tracer.family(family).latencies.windows(clock.now)
    return [sum(window.counts.values()) for window in windows]


@pytest.mark.parametrize(
    ("seconds", "band"),
    [(0, 0), (0.004, 0), (0.006, 1), (0.02, 2), (0.06, 3), (0.2, 4), (0.5, 5), (2, 6), (11, 7)],
)
def test_trace_is_kept_in_the_band_of_its_duration(
    tracer: Tracer, clock: FakeClock, seconds: float, band: int
) -> None:
    trace = finished(tracer, clock, seconds)
    family = tracer.family("mail")

    assert [family.band(number) for number in range(8)].index([trace]) == band
    assert list(family.kept()) == [trace]


def test_newest_ten_of_a_band_are_kept(tracer: Tracer, clock: FakeClock) -> None:
    slow = finished(tracer, clock, 2)
    quick = [finished(tracer, clock, 0) for _ in range(30)]

    assert tracer.family("mail").band(0) == quick[-10:]
    assert tracer.family("mail").band(6) == [slow]


def test_trace_after_an_idle_hour_is_of_the_last_minute(tracer: Tracer, clock: FakeClock) -> None:
    finished(tracer, clock, 0)
    clock.now += 4000
    finished(tracer, clock, 0)

    assert counts(tracer, clock) == [1, 1, 2]


def test_trace_that_a_clock_ended_before_it_began_took_no_time(
    tracer: Tracer, clock: FakeClock
) -> None:
    trace = tracer.start("mail", "late")
    clock.now -= 5
    assert trace.seconds == 0
    trace.finish()

    assert trace.seconds == 0
    assert tracer.family("mail").band(0) == [trace]
    assert tracer.family("mail").latencies.smallest == 0
