"""Decorated functions of every kind, and blocks left in any order."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from gates import FakeClock

import flask_expvar as expvar
from flask_expvar import Registry, current_trace
from flask_expvar.traces.trace import Trace, current
from flask_expvar.traces.tracer import Tracer, default_tracer, tracer_of


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def tracer(clock: FakeClock) -> Tracer:
    return Tracer(clock=clock)


def kept(tracer: Tracer, family: str = "work") -> list[tuple[float, str | None]]:
    return [(trace.seconds, trace.failed) for trace in tracer.family(family).kept()]


# -- decorators ----------------------------------------------------------------------------------


def test_methods_of_every_kind_can_be_decorated(tracer: Tracer) -> None:
    class Worker:
        @tracer.start("work", "method")
        def method(self) -> Any:
            return self, current_trace().title

        @classmethod
        @tracer.start("work", "inside")
        def inside(cls) -> Any:
            return cls, current_trace().title

        @tracer.start("work", "outside")
        @classmethod
        def outside(cls) -> Any:
            return cls, current_trace().title

        @tracer.start("work", "static")
        @staticmethod
        def static() -> Any:
            return current_trace().title

    worker = Worker()
    assert worker.method() == (worker, "method")
    assert (Worker.inside(), worker.outside()) == ((Worker, "inside"), (Worker, "outside"))
    assert (Worker.static(), worker.static()) == ("static", "static")
    assert len(kept(tracer)) == 5


def test_decorated_function_keeps_name_kind_and_number_of_events(tracer: Tracer) -> None:
    @tracer.start("work", "call", max_events=6)
    def work(n: int) -> int:
        """Work."""
        for each in range(n):
            current_trace().log("%d", each)
        return n

    assert (work(9), work.__name__, work.__doc__) == (9, "work", "Work.")
    assert [trace.dropped for trace in tracer.family("work").kept()] == [3]


def test_generator_closed_early_is_no_failure(tracer: Tracer, clock: FakeClock) -> None:
    @tracer.start("work", "numbers")
    def numbers() -> Iterator[int]:
        yield 1
        yield 2

    made = numbers()
    assert next(made) == 1
    clock.now += 3
    made.close()  # type: ignore[attr-defined]  # it is a generator

    assert kept(tracer) == [(3, None)]


def test_block_in_a_generator_closed_early_is_no_failure(tracer: Tracer) -> None:
    def numbers() -> Iterator[int]:
        with tracer.start("work", "numbers"):
            yield 1

    made = numbers()
    next(made)
    made.close()  # type: ignore[attr-defined]  # it is a generator

    assert [failed for _, failed in kept(tracer)] == [None]


def test_generator_hands_on_what_is_sent_thrown_and_returned(tracer: Tracer) -> None:
    @tracer.start("work", "echo")
    def echo() -> Any:
        got = yield "first"
        try:
            yield got
        except KeyError:
            yield "caught"
        return "end"

    made = echo()
    assert [next(made), made.send("sent"), made.throw(KeyError())] == ["first", "sent", "caught"]
    with pytest.raises(StopIteration, match="end"):
        next(made)
    assert [failed for _, failed in kept(tracer)] == [None]


def test_async_generator_hands_on_what_is_sent_and_thrown(tracer: Tracer, clock: FakeClock) -> None:
    @tracer.start("work", "echo")
    async def echo() -> Any:
        got = yield "first"
        clock.now += 2
        try:
            yield got
        except KeyError:
            yield "caught"

    async def use() -> list[Any]:
        made = echo()
        found = [await made.__anext__(), await made.asend("sent"), await made.athrow(KeyError())]
        return [*found, *[each async for each in made]]

    assert inspect.isasyncgenfunction(echo)
    assert asyncio.run(use()) == ["first", "sent", "caught"]
    assert kept(tracer) == [(2, None)]


@pytest.mark.parametrize("close", [True, False], ids=["closed early", "raises"])
def test_async_generator_ends_its_trace(tracer: Tracer, close: bool) -> None:
    ended = []

    @tracer.start("work", "numbers")
    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            raise LookupError
        finally:
            ended.append(True)

    async def use() -> None:
        made: Any = numbers()
        await made.__anext__()
        if close:
            await made.aclose()
        else:
            with pytest.raises(LookupError):
                await made.__anext__()

    asyncio.run(use())

    assert ended
    assert [failed for _, failed in kept(tracer)] == [None if close else "LookupError"]


def test_call_is_traced_where_the_request_around_it_is() -> None:
    theirs = Registry("theirs")

    @expvar.trace("decorated-library", "call")
    def library() -> None: ...

    with expvar.trace("request", "GET /", registry=theirs) as request:
        library()

    (call,) = tracer_of(theirs).family("decorated-library").kept()
    assert call.parent == request.id
    assert default_tracer().family("decorated-library").empty


def test_trace_of_a_named_registry_stays_with_it() -> None:
    ours, theirs = Registry("ours"), Registry("theirs")

    @expvar.trace("call", "call", registry=ours)
    def work() -> None: ...

    with expvar.trace("request", "GET /", registry=theirs):
        work()
        with expvar.trace("call", "block", registry=ours):
            pass

    found = [(trace.title, trace.parent) for trace in tracer_of(ours).family("call").kept()]
    assert found == [("call", None), ("block", None)]


# -- blocks --------------------------------------------------------------------------------------


def test_trace_entered_twice_brings_back_what_was_current(tracer: Tracer) -> None:
    with tracer.start("a", "outer") as outer:
        with tracer.start("a", "inner") as inner:
            with inner:
                assert current.get() is inner
            assert not inner.running
        assert current.get() is outer

    assert current.get() is None


def test_trace_entered_again_below_another_brings_back_what_was_current(tracer: Tracer) -> None:
    with tracer.start("a", "outer") as outer:
        with outer.child("a", "inner") as inner, outer:
            assert current.get() is outer
        assert not inner.running
        assert current.get() is None

    assert current.get() is None


def test_blocks_entered_in_a_circle_can_be_left(tracer: Tracer) -> None:
    one, two, three = (tracer.start("a", str(n)) for n in range(3))
    one.__enter__()
    two.__enter__()
    one.__exit__(None, None, None)
    two.__enter__()
    one.__enter__()
    three.__exit__(None, None, None)
    for each in (one, two):
        each.__exit__(None, None, None)

    assert current.get() in (None, one)
    current.set(None)


def test_trace_finished_in_its_own_block_counts_once(tracer: Tracer, clock: FakeClock) -> None:
    def work() -> None:
        trace.finish()
        clock.now += 1
        raise KeyError

    with pytest.raises(KeyError), tracer.start("work", "early") as trace:
        work()

    assert kept(tracer) == [(0, None)]
    assert trace.late == 1


def test_generator_that_ends_after_its_caller_leaves_the_current_trace_alone(
    tracer: Tracer,
) -> None:
    def numbers() -> Iterator[int]:
        with tracer.start("a", "generator"):
            yield 1

    with tracer.start("a", "outer") as outer:
        made = numbers()
        with tracer.start("a", "caller"):
            next(made)
        assert current.get() is outer
        made.close()  # type: ignore[attr-defined]  # it is a generator
        assert current.get() is outer


def test_greenlets_have_a_current_trace_each(tracer: Tracer) -> None:
    greenlet = pytest.importorskip("greenlet")
    seen = []

    def work(title: str) -> None:
        with tracer.start("work", title):
            main.switch()
            seen.append(current_trace().title)

    main = greenlet.getcurrent()
    greenlets = [greenlet.greenlet(work) for _ in "ab"]
    with tracer.start("work", "main") as trace:
        for each, title in zip(greenlets, "ab"):
            each.switch(title)
        assert current.get() is trace
        for each in greenlets:
            each.switch()

    assert seen == ["a", "b"]
    assert len(kept(tracer)) == 3


def test_gevent_without_its_patches_gives_each_greenlet_a_current_trace(tracer: Tracer) -> None:
    gevent = pytest.importorskip("gevent")

    def work(title: str) -> Any:
        with tracer.start("work", title) as trace:
            gevent.sleep(0)
            return current.get() is trace, trace.parent

    jobs = [gevent.spawn(work, title) for title in "abc"]
    gevent.joinall(jobs, timeout=30)

    assert [job.value for job in jobs] == [(True, None)] * 3


def test_cancelled_task_fails_with_the_name_of_it(tracer: Tracer) -> None:
    async def use() -> None:
        async def wait() -> None:
            with tracer.start("work", "wait"):
                await asyncio.get_running_loop().create_future()

        task = asyncio.ensure_future(wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(use())

    assert [failed for _, failed in kept(tracer)] == ["CancelledError"]


def nested(tracer: Tracer, depth: int) -> list[Trace]:
    traces = [tracer.start("a", "0").__enter__()]
    for n in range(1, depth):
        traces.append(traces[-1].child("a", str(n)).__enter__())
    return traces


def test_very_deep_nesting_ends_and_is_freed_without_recursion(tracer: Tracer) -> None:
    traces = nested(tracer, 200_000)
    header = traces[-1].traceparent
    assert header.split("-")[1] == traces[0].w3c_id
    assert sum(1 for _ in traces[0].others()) == 1
    current.set(None)
    tracer.family("a").reset()
    del traces

    assert tracer.family("a").running_count == 0
