"""Families of traces: what is kept, what is running, what was forgotten."""

from __future__ import annotations

import contextlib
import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from gates import FakeClock

from flask_expvar.traces.family import BATCH, PURGE_AT, SORTS
from flask_expvar.traces.latencies import by_band
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


# -- at once -------------------------------------------------------------------------------------


class Parking:
    """A moment at which a thread stops until it is told to go on."""

    def __init__(self) -> None:
        self.inside, self.go_on = threading.Event(), threading.Event()

    def stop(self) -> None:
        self.inside.set()
        assert self.go_on.wait(30)

    def run(self, target: Callable[[], object]) -> threading.Thread:
        """Start a thread, and return when it stops here."""
        thread = threading.Thread(target=target)
        thread.start()
        assert self.inside.wait(30)
        return thread

    def leave(self, thread: threading.Thread) -> None:
        self.go_on.set()
        thread.join(30)
        assert not thread.is_alive()


class ParkedList(list[float]):
    """Durations of which the first one stops on its way in."""

    parking: Parking

    def append(self, seconds: float) -> None:
        if not self.parking.inside.is_set():
            self.parking.stop()
        super().append(seconds)


class ParkedDict(dict[int, Trace]):
    """Running traces of which the first one stops on its way out, out already or not yet."""

    parking: Parking
    out = True

    def pop(self, number: int, default: Any = None) -> Any:
        first = not self.parking.inside.is_set()
        if first and not self.out:
            self.parking.stop()
        found = super().pop(number, default)
        if first and self.out:
            self.parking.stop()
        return found


@pytest.fixture
def parking() -> Parking:
    return Parking()


@pytest.mark.parametrize("out", [True, False])
def test_two_threads_that_finish_a_trace_count_it_once(
    tracer: Tracer, clock: FakeClock, parking: Parking, out: bool
) -> None:
    trace, family = tracer.start("mail", "both"), tracer.family("mail")
    family._running = ParkedDict(family._running)
    family._running.parking, family._running.out = parking, out
    thread = parking.run(trace.finish)
    trace.finish()
    parking.leave(thread)

    assert counts(tracer, clock) == [1, 1, 1]
    assert family.band(0) == [trace]
    assert not trace.running


def test_duration_on_its_way_in_is_not_lost_when_a_batch_is_counted(
    tracer: Tracer, clock: FakeClock, parking: Parking
) -> None:
    family = tracer.family("mail")
    family._new = ParkedList()
    family._new.parking = parking
    thread = parking.run(tracer.start("mail", "slow").finish)
    for _ in range(3 * BATCH):
        finished(tracer, clock, 0)
    before = counts(tracer, clock)[2]
    parking.leave(thread)

    assert (before, counts(tracer, clock)[2]) == (3 * BATCH, 3 * BATCH + 1)


def test_reader_lists_while_a_trace_is_being_finished(
    tracer: Tracer, clock: FakeClock, parking: Parking
) -> None:
    trace, family = tracer.start("mail", "one"), tracer.family("mail")
    family._new = ParkedList()
    family._new.parking = parking
    thread = parking.run(trace.finish)
    seen = family.running(), list(family.kept()), trace.running, counts(tracer, clock)[2]
    parking.leave(thread)

    assert seen == ([], [trace], False, 0)
    assert counts(tracer, clock)[2] == 1


def test_signal_handler_that_finishes_traces_while_a_batch_is_counted_loses_none(
    tracer: Tracer, clock: FakeClock
) -> None:
    family, handled = tracer.family("mail"), []

    class Interrupted(list[float]):
        """Durations that a signal handler comes to between taking them and deleting them."""

        def __delitem__(self, which: Any) -> None:
            if not handled:
                handled.append(True)
                clock.now += 60
                for _ in range(BATCH):
                    finished(tracer, clock, 0.02)
            super().__delitem__(which)

    family._new = Interrupted()
    for _ in range(BATCH + 1):
        finished(tracer, clock, 0)

    assert handled
    everything = family.latencies.windows(clock.now)[2].counts
    assert by_band(everything)[:3] == [BATCH + 1, 0, BATCH]


def test_finalizers_of_any_collection_may_trace(tracer: Tracer, clock: FakeClock) -> None:
    # Python 3.11 and older collect wherever an object is made, also within list() and dict().
    made = []

    class Cycle:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            made.append(finished(tracer, clock, 0.006, f"family {len(made) % 40}"))
            made[-1].error("x")
            tracer.start("mail", "forgotten").error(ValueError(len(made)))

    threshold = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for n in range(200):
            Cycle()
            with contextlib.suppress(KeyError), tracer.start("mail", str(n)):
                raise KeyError(n)
            tracer.families()
            tracer.family("mail").failed()
            tracer.family("mail").running()
            counts(tracer, clock)
    finally:
        gc.set_threshold(*threshold)
        gc.collect()

    assert len(made) == 200
    assert counts(tracer, clock)[2] == 200
    assert sum(counts(tracer, clock, f"family {n}")[2] for n in range(40)) == 200


# -- failed --------------------------------------------------------------------------------------


def failed(tracer: Tracer, error: str) -> Trace:
    trace = tracer.start("mail", error)
    trace.mark(error)
    trace.finish()
    return trace


def test_many_failures_of_one_sort_do_not_push_out_another(tracer: Tracer) -> None:
    rare = failed(tracer, "KeyError")
    common = [failed(tracer, "ValueError") for _ in range(30)]

    assert tracer.family("mail").failed() == {"KeyError": [rare], "ValueError": common[-10:]}
    assert tracer.family("mail").error_count == 31
    assert set(tracer.family("mail").kept()) == {rare, *common[-10:]}


def test_sorts_of_failure_beyond_the_most_share_a_ring(tracer: Tracer) -> None:
    traces = [failed(tracer, f"Error{n}") for n in range(SORTS + 3)]
    again = failed(tracer, "Error0")

    found = tracer.family("mail").failed()
    assert list(found) == [*(f"Error{n}" for n in range(SORTS)), "(other)"]
    assert found["(other)"] == traces[SORTS:]
    assert found["Error0"] == [traces[0], again]


def test_discarded_trace_leaves_nothing_behind(tracer: Tracer, clock: FakeClock) -> None:
    trace = tracer.start("mail", "unwanted")
    tracer.family("mail").discard(trace)
    trace.error("x")
    trace.finish()

    assert tracer.family("mail").empty
    assert tracer.family("mail").error_count == 0
    assert counts(tracer, clock) == [0, 0, 0]


def test_finished_trace_cannot_be_discarded(tracer: Tracer, clock: FakeClock) -> None:
    trace, family = finished(tracer, clock, 2), tracer.family("mail")
    family.discard(trace)

    assert trace.seconds == 2
    assert family.band(6) == [trace]
