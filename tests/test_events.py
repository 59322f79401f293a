"""Event logs: entries, errors by age, what is kept, and whose they are."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import weakref

import pytest

import flask_expvar as expvar
from flask_expvar.traces import events
from flask_expvar.traces.event_log import MAX_FRAMES, EventLog
from flask_expvar.traces.events import EventFamily, EventLogs, event_logs_of
from flask_expvar.traces.tracer import MAX_FAMILIES, tracer_of

START = 1764000000.0


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def logs(clock: Clock) -> EventLogs:
    return EventLogs(clock=clock, wall=lambda: int((START + clock.now) * 1e9))


def texts(log: EventLog) -> list[str]:
    return [entry.text for entry in log.entries]


def family(logs: EventLogs, name: str) -> EventFamily:
    found = logs.known(name)
    assert found is not None
    return found


def titles(found: list[EventLog]) -> list[str]:
    return [log.title for log in found]


# -- one log -------------------------------------------------------------------------------------


def test_entries_tell_when_and_what(logs: EventLogs, clock: Clock) -> None:
    log = logs.open("connection", "db:5432")
    clock.now += 2
    log.log("sent %d bytes", 7)
    log.error("lost")

    assert log.entries == [
        (pytest.approx(START + 102), "log", "sent 7 bytes", ""),
        (pytest.approx(START + 102), "error", "lost", ""),
    ]
    assert (log.family, log.title) == ("connection", "db:5432")
    assert log.started == pytest.approx(START + 100)
    assert log.seconds == 2


def test_exception_is_its_class_and_place_with_the_message_apart(logs: EventLogs) -> None:
    log = logs.open("connection", "db")
    try:
        raise ConnectionError("password was 1234")
    except ConnectionError as error:
        line = sys.exc_info()[2].tb_lineno  # type: ignore[union-attr]
        log.error(error)

    (entry,) = log.entries
    assert entry.kind == "exception"
    here = f"{__file__}:{line} in {sys._getframe().f_code.co_name}"
    assert entry.text == f"ConnectionError at {here}"
    assert entry.detail == "password was 1234"
    assert log.error_count == 1


def test_newest_hundred_entries_are_kept_and_the_others_counted(logs: EventLogs) -> None:
    log = logs.open("queue", "mail")
    for n in range(250):
        log.log("entry %d", n)

    assert texts(log) == [f"entry {n}" for n in range(150, 250)]
    assert log.dropped == 150


def test_errors_are_counted_when_their_entries_are_gone(logs: EventLogs, clock: Clock) -> None:
    log = logs.open("queue", "mail")
    log.error("full")
    clock.now += 30
    for n in range(100):
        log.log("entry %d", n)

    assert (log.error_count, log.error_age, log.idle) == (1, 30, 0)
    assert "full" not in texts(log)


def test_entry_after_the_end_is_dropped_and_counted(logs: EventLogs) -> None:
    log = logs.open("queue", "mail")
    log.log("before")
    log.close()
    log.close()
    log.log("after")
    log.error("after")

    assert texts(log) == ["before"]
    assert (log.closed, log.late, log.error_count, log.dropped) == (True, 2, 0, 0)


def test_log_is_closed_at_the_end_of_with(logs: EventLogs) -> None:
    log = logs.open("queue", "mail")
    with pytest.raises(KeyError), log:
        raise KeyError

    assert log.closed
    assert family(logs, "queue").logs() == []


@pytest.mark.parametrize(
    ("fmt", "args", "text"),
    [
        ("%d of %d", (1,), "%d of %d (with arguments that raise TypeError)"),
        ("%s", (Hostile(),), "%s (with arguments that raise RuntimeError)"),
        (Hostile(), (), "Hostile (with arguments that raise RuntimeError)"),
        (None, (), "None"),
        ("100%", (), "100%"),
        ("x" * 5000, (), "x" * 4096 + "…"),
    ],
)
def test_log_takes_anything(logs: EventLogs, fmt: str, args: tuple[object], text: str) -> None:
    log = logs.open("queue", "mail")
    log.log(fmt, *args)
    log.error(fmt, *args)

    assert texts(log) == [text, text]


def test_family_and_title_may_be_anything(logs: EventLogs) -> None:
    log = logs.open(Hostile(), "t" * 300)  # type: ignore[arg-type]

    assert log.family == "(RuntimeError)"
    assert log.title == "t" * 255 + "…"


def test_stack_begins_where_the_log_was_made() -> None:
    line = sys._getframe().f_lineno + 1
    with expvar.event_log("queue", "mail") as log:
        pass

    name = sys._getframe().f_code.co_name
    assert log.stack[0] == (__file__, line, name)
    assert len(log.stack) == MAX_FRAMES


def test_stack_keeps_no_frame_alive(logs: EventLogs) -> None:
    class Local:
        pass

    def make() -> tuple[EventLog, weakref.ref[Local]]:
        local = Local()
        return logs.open("queue", "mail"), weakref.ref(local)

    gc.disable()
    try:
        _, local = make()
        assert local() is None
    finally:
        gc.enable()


def test_entries_of_many_threads_are_all_counted(logs: EventLogs) -> None:
    log = logs.open("queue", "mail")
    inside, go = threading.Event(), threading.Event()
    slow = logs.clock

    def parked() -> float:
        if threading.current_thread() is thread:
            inside.set()
            go.wait(30)
        return slow()

    thread = threading.Thread(target=log.error, args=("first",))
    logs.clock = parked
    thread.start()
    assert inside.wait(30)
    other = threading.Thread(target=log.error, args=("second",))
    other.start()
    other.join(0.05)

    assert other.is_alive()  # waits for the one that is half way through
    go.set()
    thread.join(30)
    other.join(30)
    assert texts(log) == ["first", "second"]
    assert log.error_count == 2


# -- families ------------------------------------------------------------------------------------


def test_columns_hold_the_logs_by_age_of_their_last_error(logs: EventLogs, clock: Clock) -> None:
    for age in (0, 9, 10, 59, 60, 599, 600, 3599, 3600, 35999, 36000):
        log = logs.open("queue", str(age))
        clock.now = 100000.0 - age
        log.error("full")
    logs.open("queue", "never")
    clock.now = 100000.0
    queue = family(logs, "queue")

    assert queue.counts() == [12, 2, 4, 6, 8, 10, 11]
    assert titles(queue.logs(1)) == ["0", "9"]
    assert titles(queue.logs(2)) == ["0", "9", "10", "59"]
    assert len(queue.logs(6)) == 11


def test_newest_activity_comes_first(logs: EventLogs, clock: Clock) -> None:
    first = logs.open("queue", "first")
    for title in ("second", "third"):
        clock.now += 1
        logs.open("queue", title)
    clock.now += 1
    first.log("again")

    assert titles(family(logs, "queue").logs()) == ["first", "third", "second"]


def test_open_logs_stay_when_their_owner_lets_them_go(logs: EventLogs) -> None:
    for n in range(events.HELD):
        logs.open("queue", str(n))

    assert len(family(logs, "queue").logs()) == events.HELD


def test_log_too_many_stays_as_long_as_its_owner_holds_it(logs: EventLogs) -> None:
    held = logs.open("queue", "held")
    logs.open("queue", "let go")
    for n in range(events.HELD):
        logs.open("queue", str(n))
    found = titles(family(logs, "queue").logs())

    assert "held" in found
    assert "let go" not in found
    held.close()
    assert len(family(logs, "queue").logs()) == events.HELD


def test_logs_that_nobody_closes_do_not_fill_the_memory(logs: EventLogs) -> None:
    for n in range(20_000):
        logs.open("queue", str(n))

    queue = family(logs, "queue")
    assert len(queue._held) + len(queue._other) <= events.HELD + 1001


def test_family_too_many_shares_one_until_another_is_empty(logs: EventLogs) -> None:
    kept = [logs.open(f"family {n}", "") for n in range(MAX_FAMILIES)]

    assert logs.open("late", "").family == "(other)"
    kept[7].close()
    assert logs.open("later", "").family == "later"
    assert logs.known("family 7") is None


def test_family_stays_when_its_logs_are_closed(logs: EventLogs) -> None:
    logs.open("queue", "mail").close()

    assert [(each.name, each.counts()) for each in logs.families()] == [("queue", [0] * 7)]


def test_asking_for_an_unknown_family_does_not_make_it(logs: EventLogs) -> None:
    assert logs.known("nothing") is None
    assert logs.families() == []


# -- whose they are ------------------------------------------------------------------------------


def test_log_belongs_to_the_registry_that_is_given() -> None:
    registry = expvar.Registry()
    expvar.event_log("queue", "mail", registry=registry)

    assert [each.name for each in event_logs_of(registry).families()] == ["queue"]


def test_log_made_in_a_trace_belongs_to_its_registry() -> None:
    registry = expvar.Registry()
    with tracer_of(registry).start("GET /", "/"):
        log = expvar.event_log("connection", "db")

    assert family(event_logs_of(registry), "connection").logs() == [log]


def test_log_made_elsewhere_belongs_to_the_default_registry() -> None:
    with expvar.event_log("of nobody", "") as log:
        found = family(event_logs_of(expvar.default_registry), "of nobody")

        assert found.logs() == [log]


def test_logs_go_with_their_registry() -> None:
    registry = expvar.Registry()
    gone = weakref.ref(event_logs_of(registry))
    expvar.event_log("queue", "mail", registry=registry)
    del registry
    for _ in range(3):  # its tracer goes with it, and the logs with that
        gc.collect()

    assert gone() is None


# -- forked children -----------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_child_keeps_the_logs_of_its_parent_and_can_add_to_them(logs: EventLogs) -> None:
    log = logs.open("pool", "made before the fork")
    log.log("parent")
    taken, go = threading.Event(), threading.Event()

    def hold() -> None:
        with logs.lock:
            taken.set()
            go.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert taken.wait(30)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(20)  # a deadlock ends the child, and the test fails
            log.log("child")
            other = logs.open("pool", "made after")
            found = f"{sorted(titles(family(logs, 'pool').logs()))} {texts(log)} {other.id}"
            os.write(writing, found.encode())
        finally:
            os._exit(0)
    go.set()
    holder.join(30)
    os.close(writing)
    with open(reading) as answer:
        found = answer.read()
    os.waitpid(child, 0)

    assert found.startswith("['made after', 'made before the fork'] ['parent', 'child'] ")
    assert texts(log) == ["parent"]
    assert not found.endswith(logs.open("pool", "").id)
