"""History: rows taken every second become points of charts, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from apps import SHOP, TOKEN
from servers import Gunicorn
from servers.waiting import wait_until

from flask_expvar import Registry
from flask_expvar.pages.histories import packed, unpacked
from flask_expvar.variables.columns import MOST_COLUMNS, MOST_KEYS
from flask_expvar.variables.history import MOST_MISSED, OWN, POINTS, History, history_of
from flask_expvar.variables.store import LocalStore
from flask_expvar.variables.ticking import keep_ticking
from flask_expvar.workers.sockets import Answerer, ask

Start = Callable[..., Gunicorn]

ROWS = """

@app.get("/rows")
def rows():
    from flask_expvar.variables.history import history_of
    return f"{os.getpid()} {len(history_of(expvar.default_registry)._rings[1])}"
"""

#: A second that begins a point of every ring.
NOW = 1_800_000_000.0


@pytest.fixture
def registry() -> Registry:
    return Registry("shop")


@pytest.fixture
def history(registry: Registry) -> History:
    return History(registry, own=lambda: (4096.0, 0.5, 7, 2, 0.25))


def run(history: History, seconds: int, each: Callable[[int], Any] = lambda second: None) -> float:
    """Take a row at each of some seconds; return the last."""
    for second in range(seconds):
        each(second)
        history.tick(NOW + second)
    return NOW + seconds - 1


def points(history: History, name: str, step: int = 1, *, now: float) -> list[float | None]:
    return history.tell(step, [name], now=now)["series"][name]["points"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("step", [1, 5, 15])
def test_a_counter_is_a_rate_per_second_at_every_step(
    registry: Registry, history: History, step: int
) -> None:
    orders = registry.new_int("orders")
    orders.add(1000)

    now = run(history, step * (POINTS + 5), lambda second: orders.add(3))

    assert points(history, "orders", step, now=now) == [3.0] * POINTS


def test_a_gauge_is_told_as_it_was(registry: Registry, history: History) -> None:
    depth = registry.new_int("depth", multiprocess_mode="livesum")

    now = run(history, 4, depth.set)

    assert points(history, "depth", now=now)[-5:] == [None, 0, 1, 2, 3]


def test_a_map_is_the_sum_of_its_keys_and_each_of_the_first_alone(
    registry: Registry, history: History
) -> None:
    codes = registry.new_map("codes")

    def answer(second: int) -> None:
        codes.add("200", 2)
        codes.add("500")

    told = history.tell(1, ["codes"], parts=True, now=run(history, 3, answer))["series"]["codes"]

    assert (told["points"][-1], told["keys"]["200"][-1], told["keys"]["500"][-1]) == (3, 2, 1)


def test_a_map_of_histograms_has_the_buckets_of_all_together(
    registry: Registry, history: History
) -> None:
    routes = registry.new_map("seconds")

    def answer(second: int) -> None:
        for route in ("/", "/orders"):
            routes.new_histogram(route, buckets=(0.1, 1.0)).observe(0.5)
        routes.new_histogram("/odd", buckets=(7.0,)).observe(0.5)  # counts in the sum alone

    told = history.tell(1, ["seconds"], parts=True, now=run(history, 3, answer))
    seconds = told["series"]["seconds"]

    assert seconds["bounds"] == [0.1, 1.0]
    assert [bucket[-1] for bucket in seconds["buckets"]] == [0, 2, 0]
    assert seconds["points"][-1] == 3


def test_a_few_missed_seconds_are_filled_and_many_are_a_gap(
    registry: Registry, history: History
) -> None:
    orders = registry.new_int("orders")
    history.tick(NOW)
    orders.add(8)
    history.tick(NOW + 1 + MOST_MISSED)
    late = NOW + 10 + 2 * MOST_MISSED
    orders.add(8)
    history.tick(late)

    found = points(history, "orders", now=late)

    missed = 1 + MOST_MISSED
    assert found[-1 - int(late - NOW) :][: missed + 1] == [None, *[8 / missed] * missed]
    assert found[-1] is None


def test_what_stands_still_has_zeros_and_gaps_where_what_counts_has_rates_and_gaps(
    registry: Registry, history: History
) -> None:
    still, moving = registry.new_int("still"), registry.new_int("moving")
    still.add(5)
    for second in (*range(10), *range(30, 60)):
        moving.add(1)
        history.tick(NOW + second)

    told = history.tell(1, ["still", "moving"], now=NOW + 59)
    gaps = [value is None for value in told["series"]["moving"]["points"]]
    assert [value is None for value in told["series"]["still"]["points"]] == gaps
    assert set(told["series"]["still"]["points"]) == {None, 0.0}
    assert unpacked(packed(told)) == told
    assert packed(told)["series"]["still"]["points"] is None


def test_what_is_declared_later_and_what_is_deleted_never_count_below_zero(
    registry: Registry, history: History
) -> None:
    codes = registry.new_map("codes")

    def answer(second: int) -> None:
        if second < 3:
            codes.add("200", 5)
        if second == 3:
            codes.delete("200")

    found = points(history, "codes", now=run(history, 4, answer))

    assert found[-3:] == [5, 5, None]


def test_the_process_is_told_as_well(history: History) -> None:
    now = run(history, 2)

    own = history.tell(1, [], now=now)["own"]

    assert list(own) == list(OWN)
    assert (own["rss"][-1], own["threads"][-1], own["cpu"][-1]) == (4096.0, 7, 0.0)


def test_a_row_is_taken_once_a_second_and_never_raises(registry: Registry) -> None:
    taken: list[int] = []

    def fail() -> Iterator[float]:
        taken.append(1)
        raise OSError("no /proc")

    history = History(registry, own=fail)
    history.tick(NOW)

    assert taken == [1]
    assert history.tell(1, ["none"], now=NOW)["series"] == {}
    history = History(registry, own=lambda: taken.append(2) or ())  # type: ignore[func-returns-value]
    history.tick(NOW + 0.1)
    history.tick(NOW + 0.9)
    assert taken == [1, 2]


def test_memory_is_bounded_whatever_is_declared(registry: Registry, history: History) -> None:
    wide = registry.new_map("wide")
    for number in range(2 * MOST_KEYS):
        wide.add(f"key{number}")
    for number in range(MOST_COLUMNS):
        registry.new_int(f"many/{number}")

    history.tick(NOW)

    told = history.tell(1, ["wide", f"many/{MOST_COLUMNS - 1}"], parts=True, now=NOW)
    assert history.columns.size <= MOST_COLUMNS
    assert len(told["series"]["wide"]["keys"]) == MOST_KEYS
    assert list(told["series"]) == ["wide"]
    assert told["full"]


def test_another_slot_begins_a_new_history(registry: Registry, history: History) -> None:
    orders = registry.new_int("orders")
    now = run(history, 2, lambda second: orders.add(1))
    registry.attach(LocalStore(1))

    history.tick(now + 1)

    assert points(history, "orders", now=now + 1) == [None] * POINTS


def test_a_process_by_itself_has_a_thread_as_long_as_the_registry_lives() -> None:
    registry = Registry("alone")
    keep_ticking(registry)
    keep_ticking(registry)
    history = history_of(registry)

    wait_until(lambda: history.cost > 0, failure=lambda: "a row is taken")

    assert len(history._rings[1]) == 1
    del registry  # and with it the thread, or this test is found to leave one behind


def test_every_worker_has_a_history_before_anybody_looks(gunicorn: Start) -> None:
    server = gunicorn(SHOP + ROWS, "--workers", "2")
    rows: dict[str, int] = {}

    def ask() -> bool:
        pid, count = server.get("/rows").text.split()
        rows[pid] = int(count)
        return len(rows) == 2 and min(rows.values()) >= 3

    server.wait_until(ask, what="both workers take rows")
    page = server.get("/debug/.json?span=1m", headers=TOKEN).json()

    # Both have been there for some seconds, and each tells of its own memory.
    known = [value for value in page["history"]["own"]["rss"] if value is not None]
    own = [int(each["rss"].split(".")[0]) for each in page["workers"]]
    assert max(known) / 2**20 > 0.9 * sum(own)
    rates = page["history"]["series"]["http/requestCount"]["points"]
    assert any(value and value > 0 for value in rates)


def test_a_thread_that_answers_all_the_time_still_ticks(tmp_path: Path) -> None:
    ticks: list[int] = []
    answerer = Answerer(tmp_path / "socket", lambda request: request, lambda: ticks.append(1))
    try:
        assert ask({1: tmp_path / "socket"}, "hello") == {1: "hello"}
        assert ask({1: tmp_path / "socket"}, "again") == {1: "again"}
        assert ticks
    finally:
        answerer.close()
