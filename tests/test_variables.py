"""Variables and their registry: Go's verbs, races, and what the hot path does with nonsense."""

from __future__ import annotations

import contextlib
import decimal
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

import flask_expvar as expvar
from flask_expvar import Registry

Add = Callable[[Any], None]


@pytest.fixture
def registry() -> Registry:
    return Registry()


class Parking(int):
    """A number that stops half way through being added."""

    inside: threading.Event
    go_on: threading.Event

    def __radd__(self, other: int) -> int:
        self.inside.set()
        self.go_on.wait(30)
        return other + int(self)


def race(add: Add, passed: threading.Event) -> None:
    """Park one thread half way through an addition, and let another try to pass it."""
    parked = Parking(1)
    parked.inside, parked.go_on = threading.Event(), threading.Event()
    slow = threading.Thread(target=add, args=(parked,))

    def overtake() -> None:
        add(1)
        passed.set()

    quick = threading.Thread(target=overtake)
    slow.start()
    assert parked.inside.wait(30)
    quick.start()
    passed.wait(0.5)  # with the lock it cannot come
    parked.go_on.set()
    slow.join(30)
    quick.join(30)


@pytest.mark.parametrize("kind", ["int", "map"])
@pytest.mark.parametrize(("locked", "expected"), [(True, 2), (False, 1)])
def test_an_addition_cannot_be_overtaken_and_without_the_lock_it_can(
    registry: Registry, kind: str, locked: bool, expected: int
) -> None:
    add: Add
    if kind == "int":
        counter: Any = registry.new_int("n")
        add = counter.add
    else:
        map_ = registry.new_map("m")
        map_.add("key", 0)
        counter, add = map_.get("key"), lambda n: map_.add("key", n)
        if not locked:
            map_._lock = contextlib.nullcontext()
    if not locked:
        counter._lock = contextlib.nullcontext()
    passed = threading.Event()

    race(add, passed)

    assert counter.value == expected


def test_the_same_declaration_gives_the_same_variable(registry: Registry) -> None:
    assert registry.new_int("a") is registry.new_int("a", "help")
    assert registry.new_map("m", "code") is registry.new_map("m", label="code")
    assert registry.get("a") is registry.new_int("a")
    assert registry.get("b") is None


@pytest.mark.parametrize(
    "again",
    [
        lambda r: r.new_float("a"),
        lambda r: r.new_int("a", multiprocess_mode="max"),
        lambda r: r.publish("a", lambda: 1),
        lambda r: r.new_map("m", "other"),
        lambda r: r.new_histogram("h", buckets=[1, 2]),
        lambda r: r.new_int("shop_orders"),
        lambda r: r.new_int("a_total"),
        lambda r: r.new_int("h/count"),
        lambda r: r.new_int("memstats"),
        lambda r: r.new_int("CmdLine"),
    ],
    ids=map(str, range(10)),
)
def test_a_name_that_is_taken_is_an_error(registry: Registry, again: Any) -> None:
    registry.new_int("a")
    registry.new_map("m", "code")
    registry.new_histogram("h")
    registry.new_int("shop/orders")
    with pytest.raises(expvar.NameTakenError, match="is already published as"):
        again(registry)


@pytest.mark.parametrize("name", ["", "1a", "ä", "a\n", " a", "a ", "a" * 201, None, 5, b"a"])
def test_a_bad_name_is_an_error_that_shows_it(registry: Registry, name: Any) -> None:
    with pytest.raises(expvar.BadNameError) as caught:
        registry.new_int(name)
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda r: r.new_int("a", multiprocess_mode="all"),
        lambda r: r.new_map("a", "le"),
        lambda r: r.new_map("a", "__x"),
        lambda r: r.new_map("a", "1"),
        lambda r: r.new_map("a", max_keys=0),
        lambda r: r.new_histogram("a", buckets=[]),
        lambda r: r.new_histogram("a", buckets=[2, 1]),
        lambda r: r.new_histogram("a", buckets=["x"]),
        lambda r: r.new_histogram("a", buckets=[float("nan")]),
        lambda r: r.publish("a", 5),
    ],
    ids=map(str, range(10)),
)
def test_a_wrong_argument_is_an_error_that_says_what_is_allowed(
    registry: Registry, wrong: Any
) -> None:
    with pytest.raises(expvar.BadKindError, match="allowed: "):
        wrong(registry)
    assert registry.get("a") is None


class Hostile:
    def __index__(self) -> int:
        raise RuntimeError("no")

    def __radd__(self, other: object) -> int:
        raise RuntimeError("no")


@pytest.mark.parametrize("n", ["1", None, decimal.Decimal(1), Hostile(), 1.5, [], object()])
def test_the_hot_path_never_raises_and_counts_what_it_drops(
    registry: Registry, n: Any, caplog: pytest.LogCaptureFixture
) -> None:
    counter, map_ = registry.new_int("n"), registry.new_map("m")
    map_.add("key")
    for _ in range(3):
        counter.add(n)
        map_.add("key", n)

    assert registry.snapshot() == {"expvar/dropped": 6, "m": {"key": 1}, "n": 0}
    assert len([r for r in caplog.records if r.name == "flask_expvar"]) == 2


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "x", None])
def test_what_is_no_finite_number_is_no_observation(registry: Registry, value: Any) -> None:
    registry.new_histogram("h").observe(value)
    registry.new_float("f").add(value)
    registry.new_float("f").set(value)

    assert registry.snapshot()["h"]["count"] == 0
    assert registry.snapshot()["f"] == 0.0
    assert registry.snapshot()["expvar/dropped"] == 3


def test_a_map_has_gos_verbs(registry: Registry) -> None:
    map_ = registry.new_map("m")
    map_.add("b", 2)
    map_.add("a", 0.5)
    map_.set("c", 7)
    map_.set("s", "text")
    map_.add(404)  # type: ignore[arg-type]  # as people do
    map_.new_map("sub").add("x")

    assert list(map_) == ["404", "a", "b", "c", "s", "sub"]
    assert map_.get("b") == 2
    assert map_.get("none") is None
    map_.delete("b")
    assert registry.snapshot()["m"] == {"404": 1, "a": 0.5, "c": 7, "s": "text", "sub": {"x": 1}}
    map_.set("c", "now a text")
    assert registry.snapshot()["m"]["c"] == "now a text"


def test_a_variable_may_be_made_first_and_published_later(registry: Registry) -> None:
    alone, map_ = expvar.Int(), expvar.Map("code")
    alone.add(2)
    map_.add("200")
    registry.publish("n", alone)
    registry.publish("m", map_)
    alone.add(1)
    map_.add("200")

    assert registry.snapshot() == {"m": {"200": 2}, "n": 3}


def test_a_histogram_counts_below_each_bound(registry: Registry) -> None:
    histogram = registry.new_histogram("h", buckets=[0.1, 1])
    for seconds in (0.05, 0.1, 0.5, 3):
        histogram.observe(seconds)

    assert histogram.value == {
        "count": 4, "sum": pytest.approx(3.65), "buckets": {"0.1": 2, "1.0": 3, "+Inf": 4},
    }  # fmt: skip


def test_two_registries_never_mix() -> None:
    one, other = Registry(), Registry()
    one.new_int("a").add(1)
    other.new_map("a").add("x")

    assert one.snapshot() == {"a": 1}
    assert other.snapshot() == {"a": {"x": 1}}


def test_a_signal_handler_that_counts_never_waits_for_itself(registry: Registry) -> None:
    counter, map_ = registry.new_int("n"), registry.new_map("m")
    ticks = []

    def tick(*_: object) -> None:
        ticks.append(1)
        counter.add(1)
        map_.add("key")

    before = signal.signal(signal.SIGALRM, tick)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        for _ in range(200_000):
            counter.add(1)
            map_.add("key")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    assert ticks
    assert counter.value == 200_000 + len(ticks)


def test_a_signal_handler_may_count_under_the_very_key_that_is_new(registry: Registry) -> None:
    map_, key, ticks = registry.new_map("m", max_keys=10_000), "", []

    def tick(*_: object) -> None:
        ticks.append(1)
        map_.add(key)

    before = signal.signal(signal.SIGALRM, tick)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        for number in range(5000):
            key = f"k{number}"
            map_.add(key)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    assert ticks
    assert sum(map_.value.values()) in range(5000, 5001 + len(ticks))


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_forked_while_another_thread_counts_can_count(registry: Registry) -> None:
    counter, done = registry.new_int("n"), threading.Event()

    def busy() -> None:
        while not done.is_set():
            counter.add(1)

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        for _ in range(20):
            child = os.fork()
            if child == 0:
                signal.alarm(20)  # a deadlock ends the child, and the test fails
                counter.add(1)
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        done.set()
        thread.join()


def test_build_info_has_the_names_of_the_seed(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    registry.publish_build_info("shop", "1.2.3")

    assert registry.snapshot() == {
        "shop/sourceDateStr": "2023-11-14 22:13:20 +0000",
        "shop/sourceDateTimestamp": 1700000000,
        "shop/version": "1.2.3",
    }
    with pytest.raises(expvar.BadKindError, match="no distribution called"):
        registry.publish_build_info("no-such-distribution")


@pytest.mark.parametrize(
    ("prefix", "version", "stamp"),
    [(5, "1", 0), ("", "1", 0), ("shop", 5, 0), ("shop", "1", 10**18), ("shop", "1", 1e30)],
)
def test_wrong_build_info_is_an_error_that_publishes_nothing(
    registry: Registry, prefix: Any, version: Any, stamp: float
) -> None:
    with pytest.raises(expvar.ExpvarError, match=r"cannot name|version is|source_date is"):
        registry.publish_build_info(prefix, version, stamp)

    assert registry.snapshot() == {}


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_begins_with_no_live_gauge_of_its_parents(registry: Registry) -> None:
    gauge = registry.new_int("inFlight", multiprocess_mode="livesum")
    counter = registry.new_int("n")
    gauge.add(3)
    counter.add(2)
    child = os.fork()
    if child == 0:
        os._exit(0 if (gauge.value, counter.value) == (0, 2) else 1)

    assert os.waitpid(child, 0)[1] == 0
    assert gauge.value == 3
