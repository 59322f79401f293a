"""Traces: events, ends, children, links, the current one."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any

import pytest

from flask_expvar import current_trace
from flask_expvar.traces import trace as traces
from flask_expvar.traces import w3c
from flask_expvar.traces.trace import Trace, current
from flask_expvar.traces.tracer import Tracer


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tracer(clock: Clock) -> Tracer:
    return Tracer(clock=clock, wall=lambda: int((1764000000 + clock.now) * 1e9))


def texts(trace: Trace) -> list[str]:
    return [event.text for event in trace.events]


def test_long_trace_keeps_first_and_last_events(tracer: Tracer) -> None:
    trace = tracer.start("mail", "deliver", max_events=6)
    for n in range(100):
        trace.log(f"event {n}")

    assert texts(trace) == ["event 0", "event 1", *(f"event {n}" for n in range(96, 100))]
    assert trace.dropped == 94


def test_trace_of_exactly_the_most_events_drops_none(tracer: Tracer) -> None:
    trace = tracer.start("mail", "deliver", max_events=6)
    for n in range(6):
        trace.log("event %d", n)

    assert (len(trace.events), trace.dropped) == (6, 0)


def test_fewer_than_six_events_cannot_be_asked_for(tracer: Tracer) -> None:
    trace = tracer.start("mail", "deliver", max_events=1)
    for n in range(7):
        trace.log("event %d", n)

    assert len(trace.events) == 6


def test_finish_counts_once(tracer: Tracer, clock: Clock) -> None:
    trace = tracer.start("mail", "deliver")
    clock.now += 0.25
    trace.finish()
    clock.now += 9
    trace.finish()

    assert trace.seconds == 0.25
    assert tracer.family("mail").band(4) == [trace]
    assert sum(tracer.family("mail").latencies.windows(clock.now)[2].counts.values()) == 1


@pytest.mark.parametrize("max_events", [6, 100])
def test_event_after_the_end_is_dropped_and_counted(tracer: Tracer, max_events: int) -> None:
    trace = tracer.start("mail", "deliver", max_events=max_events)
    trace.log("before")
    trace.finish()
    trace.log("after")
    trace.error("after")
    trace.child("mail", "after")

    assert texts(trace) == ["before"]
    assert (trace.late, trace.failed) == (3, None)


@pytest.mark.parametrize(
    ("fmt", "args", "text"),
    [
        ("100%", (), "100%"),
        ("%s of %d", ("a", 2), "a of 2"),
        ("%d", ("a",), "%d (with arguments that raise TypeError)"),
        (17, (), "17"),
        ("x" * 5000, (), "x" * 4096 + "…"),
    ],
    ids=["no arguments", "arguments", "wrong arguments", "no text", "too long"],
)
def test_log_takes_whatever_it_is_given(
    tracer: Tracer, fmt: str, args: tuple[object, ...], text: str
) -> None:
    trace = tracer.start("mail", "deliver")
    trace.log(fmt, *args)

    assert texts(trace) == [text]


def test_error_keeps_class_and_place_and_the_message_apart(tracer: Tracer) -> None:
    trace = tracer.start("mail", "deliver")
    try:
        raise ValueError("secret " * 100)
    except ValueError as error:
        trace.error(error)

    (event,) = trace.events
    assert trace.failed == "ValueError"
    assert event.text.startswith(f"ValueError at {__file__}:")
    assert event.detail == ("secret " * 100)[:200]


def test_exception_that_leaves_the_block_fails_the_trace(tracer: Tracer) -> None:
    with pytest.raises(KeyError), tracer.start("mail", "deliver") as trace:
        raise KeyError("x")

    assert trace.failed == "KeyError"
    assert tracer.family("mail").failed() == {"KeyError": [trace]}


def test_block_is_the_current_trace_and_the_one_around_comes_back(tracer: Tracer) -> None:
    with tracer.start("a", "outer") as outer:
        with outer.child("b", "inner") as inner:
            assert current_trace() is inner
        assert current_trace() is outer

    assert current.get() is None


def test_blocks_that_end_in_any_order_come_back_to_the_one_around(tracer: Tracer) -> None:
    def generate(title: str) -> Generator[None, None, None]:
        with tracer.start("a", title):
            yield

    with tracer.start("a", "outer") as outer:
        first, second, third = (generate(title) for title in ("1", "2", "3"))
        for each in (first, second, third):
            next(each)
        second.close()
        first.close()
        third.close()
        assert current_trace() is outer

    assert current.get() is None


def test_outside_of_a_trace_nothing_happens() -> None:
    nothing = current_trace()
    nothing.log("%s", "x")
    nothing.error(ValueError("x"))
    nothing.link(nothing, "x")
    with nothing.child("a", "b") as child:
        child.finish()

    assert not nothing
    assert nothing.events == ()


def test_trace_follows_a_task_but_not_its_siblings(tracer: Tracer) -> None:
    async def work(title: str) -> str:
        with tracer.start("task", title):
            await asyncio.sleep(0)
            return current_trace().title

    async def both() -> list[str]:
        return await asyncio.gather(work("a"), work("b"))

    assert asyncio.run(both()) == ["a", "b"]


def test_trace_is_handed_to_a_pool_by_a_copied_context(tracer: Tracer) -> None:
    with ThreadPoolExecutor(1) as pool, tracer.start("a", "b") as trace:
        without = pool.submit(current_trace).result(timeout=60)
        handed = pool.submit(copy_context().run, current_trace).result(timeout=60)

    assert not without
    assert handed is trace


def test_each_call_of_a_decorated_function_is_a_trace(tracer: Tracer) -> None:
    @tracer.start("work", "call")
    def work() -> Trace:
        trace = current.get()
        assert trace is not None
        return trace

    first, second = work(), work()

    assert first is not second
    assert tracer.family("work").band(0) == [first, second]
    assert tracer.family("work").running_count == 0


def test_decorated_coroutine_is_traced_until_it_ends(tracer: Tracer, clock: Clock) -> None:
    @tracer.start("work", "call")
    async def work() -> None:
        clock.now += 2.0
        await asyncio.sleep(0)

    asyncio.run(work())

    assert [trace.seconds for trace in tracer.family("work").band(6)] == [2.0]


def test_decorated_generator_is_traced_until_it_is_exhausted(tracer: Tracer, clock: Clock) -> None:
    @tracer.start("work", "call")
    def work():  # type: ignore[no-untyped-def]
        yield 1
        clock.now += 2.0
        yield 2

    assert list(work()) == [1, 2]
    assert [trace.seconds for trace in tracer.family("work").band(6)] == [2.0]
    assert current.get() is None


def test_child_and_parent_know_each_other(tracer: Tracer) -> None:
    parent = tracer.start("a", "parent")
    child = parent.child("b", "child")
    child.link(parent, "back")

    assert child.parent == parent.id
    assert [(event.kind, event.other, other) for event, other in parent.others()] == [
        ("child", child.id, child)
    ]
    assert [(event.text, event.other) for event in child.events] == [("back", parent.id)]


@pytest.mark.parametrize("nested", [False, True], ids=["one after the other", "nested"])
def test_long_chain_of_children_frees_what_the_rings_let_go(tracer: Tracer, nested: bool) -> None:
    chain = [tracer.start("chain", "first")]
    alive: weakref.WeakSet[Trace] = weakref.WeakSet(chain)
    for _ in range(200_000):
        child = chain[-1].child("chain", "next")
        alive.add(child)
        if nested:
            chain.append(child)
        else:
            chain.pop().finish()
            chain.append(child)
    while chain:
        chain.pop().finish()
    del child
    gc.collect()

    assert len(alive) <= traces.KEPT_BELOW + 20


def test_budget_of_kept_children_comes_back_when_they_are_let_go(tracer: Tracer) -> None:
    loop = tracer.start("loop", "for ever", max_events=6)
    for _ in range(traces.KEPT_BELOW * 3):
        with loop.child("item", "one"):
            pass
    tracer.family("item").reset()
    gc.collect()

    assert sum(other is not None for _, other in loop.others()) == 6


def test_traceparent_of_a_child_has_the_trace_id_of_its_parent(tracer: Tracer) -> None:
    parent = tracer.start("a", "parent")
    child = parent.child("b", "child")

    assert child.traceparent.split("-")[1] == parent.traceparent.split("-")[1]
    assert child.traceparent.split("-")[2] != parent.traceparent.split("-")[2]


def test_unknown_attribute_is_an_error(tracer: Tracer) -> None:
    with pytest.raises(AttributeError, match="'Trace' object has no attribute 'fooo'"):
        tracer.start("a", "b").fooo  # noqa: B018


# -- at once -------------------------------------------------------------------------------------


class ParkingClock(Clock):
    """A clock at which threads other than the one that made it wait to be told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.go_on = threading.Event(), threading.Event()
        self._main = threading.get_ident()

    def __call__(self) -> float:
        if threading.get_ident() != self._main:
            self.inside.set()
            assert self.go_on.wait(30)
        return self.now

    @contextmanager
    def parked(self, work: Callable[[], object]) -> Iterator[None]:
        """Have *work* wait in another thread meanwhile."""
        thread = threading.Thread(target=work)
        thread.start()
        assert self.inside.wait(30)
        yield
        self.go_on.set()
        thread.join(30)
        assert not thread.is_alive()


@pytest.mark.parametrize("before", [0, 1, 5])
def test_event_on_its_way_in_is_not_lost_when_others_overflow(before: int) -> None:
    clock = ParkingClock()
    trace = Tracer(clock=clock).start("mail", "deliver", max_events=6)
    for n in range(before):
        trace.log(f"before {n}")
    with clock.parked(lambda: trace.log("slow")):
        for n in range(9):
            trace.log(f"quick {n}")
    assert "slow" in texts(trace)
    trace.log("last")

    assert texts(trace)[-2:] == ["slow", "last"]
    assert len(trace.events) == 6
    assert trace.dropped == before + 9 + 2 - 6


def test_event_on_its_way_in_while_the_trace_ends_is_kept_or_counted() -> None:
    clock = ParkingClock()
    trace = Tracer(clock=clock).start("mail", "deliver")
    with clock.parked(lambda: trace.log("slow")):
        trace.finish()

    assert len(trace.events) + trace.late == 1


def test_children_begun_by_two_threads_use_one_budget(tracer: Tracer) -> None:
    parent = tracer.start("loop", "for ever")
    inside, go_on = threading.Event(), threading.Event()

    class ParkedBudget(list[int]):
        def __getitem__(self, index: Any) -> Any:
            found = super().__getitem__(index)
            if threading.current_thread() is thread and not inside.is_set():
                inside.set()
                go_on.wait(0.5)  # with the lock the others cannot come
            return found

    parent._own().tree = ParkedBudget([0])
    thread = threading.Thread(target=parent.child, args=("item", "slow"))
    thread.start()
    assert inside.wait(30)
    for _ in range(9):
        parent.child("item", "quick")
    go_on.set()
    thread.join(30)

    assert list(parent._own().tree) == [10]


def test_children_of_an_ended_trace_cost_its_tree_nothing(tracer: Tracer) -> None:
    root = tracer.start("a", "root")
    ended = root.child("a", "ended")
    ended.finish()
    for _ in range(traces.KEPT_BELOW + 1):
        ended.child("a", "late").finish()
    child = root.child("a", "in time")
    alive = weakref.ref(child)
    child.finish()
    tracer.family("a").reset()
    del child

    assert alive() is not None
    assert ended.late == traces.KEPT_BELOW + 1


def test_two_threads_send_on_the_same_trace_id(
    tracer: Tracer, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = tracer.start("a", "b").child("a", "c")
    new_id, inner = w3c.new_id, []

    def overtaken() -> str:
        if not inner:
            inner.append("")
            inner[0] = trace.traceparent
        return new_id()

    monkeypatch.setattr(w3c, "new_id", overtaken)

    assert trace.traceparent == inner[0]
