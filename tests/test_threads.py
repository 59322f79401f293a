"""One look at the threads of this process: their stacks, and what they do."""

from __future__ import annotations

import _thread
import ast
import asyncio
import gc
import os
import queue
import select
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest
from servers import wait_until

from flask_expvar.stacks import kernel, objects
from flask_expvar.stacks.holders import circles
from flask_expvar.stacks.kernel import Call
from flask_expvar.stacks.seen import Seen
from flask_expvar.stacks.threads import look, main_ident, short_turns, threads
from flask_expvar.stacks.waiting import doing
from flask_expvar.stacks.walking import DEEPEST, Place

on_linux = pytest.mark.skipif(not kernel.LINUX, reason="asks Linux's /proc")


@pytest.fixture(autouse=True)
def however_many_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a process that has run thousands of tests be looked at all the same."""
    monkeypatch.setattr("flask_expvar.stacks.objects.MOST_BLOCKS", 10**9)


@pytest.fixture
def parked() -> Iterator[Callable[..., threading.Thread]]:
    """Return ``parked(function, name, release)``: a thread that ends after *release* is called."""
    with ExitStack() as stack:

        def park(
            function: Callable[[], Any], name: str, release: Callable[[], Any]
        ) -> threading.Thread:
            thread = threading.Thread(target=function, name=name, daemon=True)
            thread.start()
            stack.callback(thread.join, 10)
            stack.callback(release)
            return thread

        yield park


def seen(name: str) -> Seen:
    return next(one for one in threads()[0] if one.name == name)


def settled(name: str, on: str) -> Seen:
    """Return the thread *name* as soon as it waits for *on*."""
    return wait_until(
        lambda: (one := seen(name)).on == on and one,
        failure=lambda: f"{name} waits for {on}: {seen(name)}",
    )


def wait_in_two_steps(event: threading.Event) -> None:
    event.wait()


def test_a_parked_thread_is_seen_with_its_stack(parked: Callable[..., Any]) -> None:
    event = threading.Event()
    thread = parked(lambda: wait_in_two_steps(event), "parked", event.set)
    one = settled("parked", "a condition or event")
    line = wait_in_two_steps.__code__.co_firstlineno + 1

    assert (one.ident, one.native_id, one.daemon) == (thread.ident, thread.native_id, True)
    assert one.state == "waiting"
    assert not one.current
    functions = [place.function.rpartition(".")[2] for place in one.stack]
    assert functions[:4] == ["wait", "wait", "wait_in_two_steps", "<lambda>"]
    assert one.stack[2] == Place(__file__, line, "wait_in_two_steps")


@on_linux
def test_what_a_thread_waits_for_is_told(parked: Callable[..., Any]) -> None:
    lock, items = threading.Lock(), queue.Queue[int]()
    reader, writer = socket.socketpair()
    lock.acquire()
    parked(lock.acquire, "locked", lock.release)
    parked(items.get, "hungry", lambda: items.put(1))
    parked(lambda: reader.recv(1), "reading", lambda: None)
    parked(lambda: select.select([reader], [], []), "selecting", lambda: None)
    with reader, writer:
        settled("locked", "a lock")
        settled("hungry", "something in a queue")
        settled("reading", "input (socket)")
        assert settled("selecting", "input or time (select)").letter == "S"
        writer.send(b"xx")


@on_linux
def test_a_thread_that_works_is_running_and_its_cpu_time_grows(parked: Callable[..., Any]) -> None:
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            sum(range(1000))

    parked(work, "working", over.set)
    first = seen("working").cpu
    assert first is not None
    wait_until(lambda: (seen("working").cpu or 0) > first + 0.02, failure=lambda: "it works")
    one = seen("working")

    assert one.state == "running"
    assert "work" in [place.function.rpartition(".")[2] for place in one.stack]


def test_the_thread_that_looks_is_told_apart() -> None:
    (one,) = [one for one in threads()[0] if one.current]

    assert one.ident == threading.get_ident()
    assert one.state == "running"
    assert one.native_id == threading.get_native_id()


def test_main_comes_first_and_is_no_daemon() -> None:
    one = threads()[0][0]

    assert (one.name, one.daemon) == ("MainThread", False)
    assert one.native_id == (os.getpid() if kernel.LINUX else threading.main_thread().native_id)


def test_a_thread_unknown_to_threading_is_seen() -> None:
    gate, over = _thread.allocate_lock(), threading.Event()
    gate.acquire()
    ident = _thread.start_new_thread(lambda: (gate.acquire(), over.set()), ())
    name = f"Thread-{ident:#x}"
    try:
        one = wait_until(
            lambda: next((one for one in threads()[0] if one.ident == ident), None),
            failure=lambda: "it is seen",
        )
        assert (one.name, one.daemon, one.native_id) == (name, None, None)
    finally:
        gate.release()
        assert over.wait(10)


def test_what_was_seen_keeps_nothing_alive(parked: Callable[..., Any]) -> None:
    class Large:
        pass

    event = threading.Event()
    made: list[Any] = []

    def hold() -> None:
        large = Large()
        made.append(weakref.ref(large))
        event.wait()
        del large

    thread = parked(hold, "holding", event.set)
    found = settled("holding", "a condition or event")
    event.set()
    thread.join(10)
    gc.collect()

    assert found.stack
    assert made[0]() is None


def test_of_an_endless_recursion_the_innermost_places_are_kept(parked: Callable[..., Any]) -> None:
    event = threading.Event()

    def deeper(left: int) -> None:
        deeper(left - 1) if left else event.wait()

    parked(lambda: deeper(500), "deep", event.set)
    one = settled("deep", "a condition or event")

    assert len(one.stack) == DEEPEST
    assert one.stack[-1].function.rpartition(".")[2] == "deeper"


def test_other_threads_take_turns_more_often_while_one_looks() -> None:
    before = sys.getswitchinterval()
    with short_turns():
        with short_turns():
            assert sys.getswitchinterval() == pytest.approx(0.0005)
        assert sys.getswitchinterval() == pytest.approx(0.0005)

    assert sys.getswitchinterval() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_takes_usual_turns_and_has_the_thread_that_forked_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # gevent's stays what it was in the parent.
    hub = SimpleNamespace(MAIN_THREAD_IDENT=threading.main_thread().ident)
    monkeypatch.setitem(sys.modules, "gevent.hub", hub)
    before, told = sys.getswitchinterval(), []

    def fork() -> None:
        pid = os.fork()
        if pid == 0:
            usual = sys.getswitchinterval() == pytest.approx(before)
            os._exit(10 * usual + (main_ident() == threading.get_ident()))
        told.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    with short_turns():
        thread = threading.Thread(target=fork)
        thread.start()
        thread.join()

    assert told == [11]


def test_what_the_program_sets_meanwhile_stays() -> None:
    before = sys.getswitchinterval()
    try:
        with short_turns():
            sys.setswitchinterval(0.02)
        assert sys.getswitchinterval() == pytest.approx(0.02)
    finally:
        sys.setswitchinterval(before)


@pytest.mark.parametrize(
    ("stack", "call", "what"),
    [
        (("queue.py:get", "app.py:work"), None, ("waiting", "something in a queue")),
        (("threading.py:Condition.wait", "queue.py:Queue.get"), Call("futex", 7),
         ("waiting", "something in a queue")),
        (("concurrent/futures/thread.py:_worker", "threading.py:run"), Call("futex", 7),
         ("waiting", "work (idle in a pool)")),
        (("threading.py:wait", "concurrent/futures/thread.py:_worker"), Call("futex", 7),
         ("waiting", "a condition or event")),
        (("app.py:work",), Call("running"), ("running", "")),
        (("app.py:work",), Call("futex", 7, True), ("running", "or waits for the GIL")),
        (("app.py:work",), Call("futex", 7), ("waiting", "a lock")),
        (("app.py:work",), Call("999"), ("waiting", "the system (call 999)")),
        (("app.py:work",), None, ("", "")),
        ((), None, ("", "")),
    ],
)  # fmt: skip
def test_what_is_done_is_guessed(
    stack: tuple[str, ...], call: Call | None, what: tuple[str, str]
) -> None:
    places = [each.rpartition(":") for each in stack]

    assert doing(tuple(Place(file, 1, name) for file, _, name in places), call) == what


@on_linux
def test_a_thread_that_is_gone_has_no_state() -> None:
    thread = threading.Thread(target=time.monotonic)
    thread.start()
    thread.join(10)
    gone = thread.native_id
    assert gone is not None
    wait_until(lambda: gone not in kernel.task_ids(), failure=lambda: "the thread is gone")

    assert kernel.state(gone) == ""
    assert kernel.system_call(gone) is None
    assert kernel.cpu_seconds([gone]) == {}


@on_linux
def test_a_forked_child_knows_its_main_thread(parked: Callable[..., Any]) -> None:
    out, into = os.pipe()

    def fork() -> None:
        child = os.fork()
        if child == 0:
            try:
                one = threads()[0][0]
                os.write(into, f"{one.native_id == os.getpid()} {one.cpu is not None}".encode())
            finally:
                os._exit(0)
        os.waitpid(child, 0)

    # Not by the main thread: after that the child's only one has another's native id.
    thread = threading.Thread(target=fork)
    thread.start()
    thread.join(20)
    try:
        assert os.read(out, 100) == b"True True"
    finally:
        os.close(out)
        os.close(into)


# -- who has the lock ----------------------------------------------------------------------------


@pytest.fixture
def deadlocked() -> list[str]:
    """Return the names of three threads, each of which waits for a lock of the next one's."""
    script = """
import sys, threading
from flask_expvar.stacks.threads import look
locks = [threading.RLock() for _ in range(3)]
barrier = threading.Barrier(3)
def take(number):
    with locks[number]:
        barrier.wait()
        with locks[(number + 1) % 3]:
            pass
threads = [threading.Thread(target=take, args=(n,), name=f"t{n}", daemon=True) for n in range(3)]
for each in threads: each.start()
pause = threading.Event()
for _ in range(500):
    found = look()
    if found.circles: break
    pause.wait(0.02)
names = {one.ident: one.name for one in found.seen}
print([[names[ident] for ident in circle] for circle in found.circles])
print({one.name: names.get(one.holder) for one in found.seen if one.name.startswith("t")})
sys.stdout.flush()
__import__("os")._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                          check=True, timeout=60)  # fmt: skip
    return done.stdout.splitlines()


@on_linux
def test_a_deadlock_of_reentrant_locks_is_named(deadlocked: list[str]) -> None:
    circle, holding = map(ast.literal_eval, deadlocked)

    assert len(circle) == 1
    first = circle[0].index("t0")
    assert circle[0][first:] + circle[0][:first] == ["t0", "t1", "t2"]
    assert holding == {"t0": "t1", "t1": "t2", "t2": "t0"}


@on_linux
def test_who_waits_for_a_plain_lock_is_in_no_deadlock(parked: Callable[..., Any]) -> None:
    one, other = threading.Lock(), threading.Lock()
    one.acquire()
    other.acquire()
    parked(one.acquire, "one", one.release)
    parked(other.acquire, "other", other.release)
    settled("one", "a lock")
    settled("other", "a lock")
    found = look()

    assert found.circles == []
    assert {each.holder for each in found.seen} == {0}


@on_linux
def test_who_has_a_reentrant_lock_is_told(parked: Callable[..., Any]) -> None:
    lock = threading.RLock()
    with lock:
        parked(lambda: lock.acquire() and lock.release(), "one", lambda: None)
        parked(lambda: lock.acquire() and lock.release(), "two", lambda: None)
        settled("one", "a lock")
        settled("two", "a lock")
        found = {each.name: each.holder for each in look().seen}

    assert (found["one"], found["two"]) == (threading.get_ident(), threading.get_ident())


@pytest.mark.parametrize(
    ("holding", "expected"),
    [
        ({}, []),
        ({1: 2}, []),
        ({1: 2, 2: 1}, [[1, 2]]),
        ({5: 1, 1: 2, 2: 1}, [[1, 2]]),
        ({1: 2, 2: 1, 3: 4, 4: 3, 6: 3}, [[1, 2], [3, 4]]),
    ],
)
def test_circles_are_found_once(holding: dict[int, int], expected: list[list[int]]) -> None:
    assert circles(holding) == expected


# -- greenlets and tasks -------------------------------------------------------------------------


def test_tasks_are_seen_with_the_places_that_they_await(parked: Callable[..., Any]) -> None:
    loop, ready = asyncio.new_event_loop(), threading.Event()

    async def inner() -> None:
        await asyncio.Event().wait()

    async def outer() -> None:
        await inner()

    async def main() -> None:
        tasks = [asyncio.create_task(outer(), name=f"task-{number}") for number in range(2)]
        await asyncio.sleep(0)
        ready.set()
        await asyncio.gather(*tasks, return_exceptions=True)

    def stop() -> None:
        for task in asyncio.all_tasks(loop):
            if task.get_name().startswith("task-"):
                loop.call_soon_threadsafe(task.cancel)

    thread = parked(lambda: loop.run_until_complete(main()), "loop", stop)
    assert ready.wait(10)
    found = {one.name: one for one in look().seen if one.kind == "task"}
    stop()
    thread.join(10)
    loop.close()

    one = found["task-0"]
    assert [place.function.rpartition(".")[2] for place in one.stack] == ["wait", "inner", "outer"]
    assert (one.state, one.on) == ("waiting", "a condition or event (asyncio)")
    assert one.stack == found["task-1"].stack


def test_without_greenlets_none_is_looked_for() -> None:
    if "greenlet" in sys.modules:
        pytest.skip("another test has imported greenlet")

    assert not [one for one in look().seen if one.kind == "greenlet"]


def test_in_a_large_process_greenlets_are_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "MOST_BLOCKS", 10)
    monkeypatch.setitem(sys.modules, "greenlet", SimpleNamespace(greenlet=type("greenlet", (), {})))

    assert look().notes == ["Greenlets are not looked for: this process has too many objects."]
