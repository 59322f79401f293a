"""Tracer: families, ids, look-ups, forks, and what it makes of nonsense."""

from __future__ import annotations

import itertools
import os
import random
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from gates import FakeClock

import flask_expvar as expvar
from flask_expvar import Registry
from flask_expvar.traces.texts import LONGEST, LONGEST_MESSAGE, LONGEST_NAME
from flask_expvar.traces.trace import Trace
from flask_expvar.traces.tracer import MAX_FAMILIES, MOST_EVENTS, Tracer, tracer_of


@pytest.fixture
def tracer() -> Tracer:
    return Tracer(clock=FakeClock())


# -- families ------------------------------------------------------------------------------------


def test_families_beyond_the_most_share_one(tracer: Tracer) -> None:
    for n in range(MAX_FAMILIES + 5):
        tracer.start(f"family {n:04}", "x").finish()

    names = [family.name for family in tracer.families()]
    assert names == ["(other)", *(f"family {n:04}" for n in range(MAX_FAMILIES))]
    assert len(tracer.family("(other)").band(0)) == 5


def test_family_in_which_nothing_happened_is_not_listed(tracer: Tracer) -> None:
    tracer.family("quiet")
    tracer.start("busy", "x").finish()

    assert [family.name for family in tracer.families()] == ["busy"]
    assert tracer.known("quiet") is not None
    assert tracer.known("never asked for") is None


def test_family_may_be_begun_while_they_are_listed(tracer: Tracer) -> None:
    class Interrupted:
        """A source at which a signal handler or a finalizer begins a family."""

        def running(self) -> list[Trace]:
            tracer.family(f"new {next(numbers)}")
            return []

        def settle(self) -> None: ...

        forget = settle

    numbers = itertools.count()
    tracer.start("old", "x").finish()
    tracer.start("older", "x").finish()
    tracer.sources.append(Interrupted())

    assert [family.name for family in tracer.families()] == ["old", "older"]


def test_registries_have_a_tracer_each() -> None:
    ours, theirs = Registry("ours"), Registry("theirs")

    assert tracer_of(ours) is tracer_of(ours)
    assert tracer_of(ours) is not tracer_of(theirs)


# -- look-ups ------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["mail", "a!b!c", "!", "", "GET /<x>", "é\ud800", "x!1!2"])
def test_trace_is_found_by_its_id(tracer: Tracer, family: str) -> None:
    running, done = tracer.start(family, "running"), tracer.start(family, "done")
    done.finish()

    assert tracer.find(running.id) is running
    assert tracer.find(done.id) is done


@pytest.mark.parametrize(
    "id", ["", "!", "!!", "mail!!", "mail!x!1", "mail!1!1", "other!1!1", "²!²!²"]
)
def test_id_of_no_trace_finds_none(tracer: Tracer, id: str) -> None:
    tracer.start("mail", "x").finish()

    assert tracer.find(id) is None
    assert tracer.find(id, id) is None


@pytest.mark.parametrize("by", ["parent", "child", "link"])
def test_trace_that_its_family_keeps_no_more_is_found_by_one_that_knows_it(
    tracer: Tracer, by: str
) -> None:
    gone = tracer.start("gone", "x")
    known = {
        "parent": lambda: tracer.start("known", "x", parent=gone),
        "child": lambda: tracer.start("known", "x"),
        "link": lambda: tracer.start("known", "x"),
    }[by]()
    if by == "child":
        gone = known.child("gone", "x")
    if by == "link":
        known.link(gone, "see")
    gone.finish()
    tracer.family("gone").reset()

    assert tracer.find(gone.id) is None
    assert tracer.find(gone.id, known.id) is gone


# -- ids and forks -------------------------------------------------------------------------------


def in_child(work: Callable[[], str]) -> str:
    """Return what *work* returns in a forked child."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # a deadlock ends the child, and the test fails
        try:
            os.write(writer, work().encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        found = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    return found


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_ids_differ_in_children_that_seed_the_same(tracer: Tracer) -> None:
    def some() -> str:
        random.seed(1)
        return " ".join(tracer.start("a", "b").id for _ in range(3))

    ids = " ".join([some(), in_child(some), in_child(some)]).split()

    assert len({id.split("!")[2] for id in ids}) == 9


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_child_begins_empty_while_a_thread_of_its_parent_holds_the_lock(tracer: Tracer) -> None:
    held, done = threading.Event(), threading.Event()
    running = tracer.start("mail", "running")
    tracer.start("mail", "done").finish()

    def hold() -> None:
        with tracer.lock:
            held.set()
            assert done.wait(60)

    def work() -> str:
        running.error("in the child")
        running.finish()
        before = [family.name for family in tracer.families()]
        tracer.start("new", "x").error("x")
        return f"{before} {[family.name for family in tracer.families()]}"

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert held.wait(30)
        assert in_child(work) == "[] ['new']"
    finally:
        done.set()
        thread.join(30)

    assert tracer.family("mail").running() == [running]


# -- nonsense ------------------------------------------------------------------------------------


class Raises:
    """Raises, whatever it is asked."""

    def __str__(self) -> str:
        raise LookupError

    __repr__ = __str__

    def __hash__(self) -> int:
        raise LookupError

    def __eq__(self, other: object) -> bool:
        raise LookupError

    @property  # type: ignore[override]  # as an unbound proxy does
    def __class__(self) -> Any:
        raise RuntimeError("working outside of context")


class Sly(str):
    """A text that does not do what texts do."""

    __slots__ = ()

    def __str__(self) -> str:
        return self

    def __len__(self) -> int:
        raise LookupError

    def __hash__(self) -> int:
        raise LookupError

    def __eq__(self, other: object) -> bool:
        raise LookupError

    def __mod__(self, other: object) -> Any:
        return self

    def __getitem__(self, key: Any) -> Any:
        raise LookupError


class Meta(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]  # on purpose
        raise LookupError


class Nameless(Exception, metaclass=Meta):
    def __str__(self) -> str:
        raise LookupError

    @property  # type: ignore[misc]  # on purpose
    def __traceback__(self) -> Any:
        raise LookupError


NONSENSE: list[Any] = [
    None, 7, b"x", ["x"], {"x": 1}, (), Raises(), Raises, Sly("sly"), Nameless(), Nameless,
    "\ud800", "x" * 1_000_000, "\0\x1b[31m\u202e<script>", object(), float("nan"), "%", "%s %s",
    "%(a)s", type("X" * 5000, (Exception,), {})("x"), ValueError(Raises()), KeyboardInterrupt(),
]  # fmt: skip
if sys.version_info >= (3, 11):
    group = ExceptionGroup("group", [ValueError("x"), KeyError("y")])  # noqa: F821
    NONSENSE.append(group)


@pytest.mark.parametrize("which", range(len(NONSENSE)))  # pytest would ask the things themselves
def test_nothing_that_is_given_to_a_trace_makes_it_raise(tracer: Tracer, which: int) -> None:
    it = NONSENSE[which]
    trace = tracer.start(it, it, max_events=it)
    trace.log(it)
    trace.log(it, it)
    trace.log("%s %d", it, it)
    trace.log("%s", it)
    trace.error(it)
    trace.error(it, it)
    trace.link(it, it)
    trace.link(trace, it)
    trace.child(it, it).finish()
    tracer.start("a", "b", max_events=it)
    expvar.trace(it, it, registry=it, max_events=it).finish()
    trace.finish()

    texts = [text for event in trace.events for text in event[2:]]
    assert {type(text) for text in [*texts, trace.family, trace.title]} == {str}
    assert max(map(len, texts)) <= LONGEST + LONGEST_NAME + 100
    assert max(len(trace.family), len(trace.title)) <= LONGEST_NAME
    assert type(trace.failed) is str
    assert len(trace.failed) <= LONGEST_NAME
    assert tracer.find(trace.id) is trace
    assert repr(trace)


def test_message_of_an_exception_that_has_none_says_so(tracer: Tracer) -> None:
    trace = tracer.start("a", "b")
    trace.error(Nameless())
    trace.error(ValueError("x" * 10_000))

    assert [event.detail for event in trace.events] == [
        "(its message raised LookupError)",
        "x" * LONGEST_MESSAGE,
    ]


def test_exception_that_raises_leaves_a_block_as_it_is(tracer: Tracer) -> None:
    error = Nameless()
    with pytest.raises(Nameless) as caught, tracer.start("a", "b"):
        raise error

    assert caught.value is error


@pytest.mark.parametrize("most", [0, -1, 10**30, float("inf"), "7", None, 2.5])
def test_number_of_events_is_bounded_whatever_is_asked(tracer: Tracer, most: Any) -> None:
    trace = tracer.start("a", "b", max_events=most)
    for n in range(MOST_EVENTS + 10):
        trace.log("%d", n)

    assert 6 <= len(trace.events) <= MOST_EVENTS
    assert len(trace.events) + trace.dropped == MOST_EVENTS + 10


def test_parent_may_be_of_another_tracer(tracer: Tracer) -> None:
    parent = Tracer().start("theirs", "parent")
    child = tracer.start("ours", "child", parent=parent)
    child.finish()
    parent.finish()

    assert child.parent == parent.id
    assert [other for _, other in parent.others()] == [child]
    assert tracer.family("ours").band(0) == [child]


def test_reading_of_an_unknown_attribute_is_an_error_and_of_known_ones_is_none(
    tracer: Tracer,
) -> None:
    trace = tracer.start("a", "b")

    for slot in type(trace).__slots__:
        getattr(trace, slot)  # each has been set
    with pytest.raises(AttributeError):
        trace.fooo  # type: ignore[attr-defined]  # noqa: B018


def test_family_of_the_longest_name_is_found_again(tracer: Tracer) -> None:
    for length in (LONGEST_NAME, LONGEST_NAME + 1, 1000):
        trace = tracer.start("x" * length, "y" * length)

        assert len(trace.family) == len(trace.title) == LONGEST_NAME
        assert tracer.find(trace.id) is trace
