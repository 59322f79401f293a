"""Reading: the words of many slots become one value for each variable."""

from __future__ import annotations

from typing import Any

import pytest
from together import Together, workers

from flask_expvar import Registry
from flask_expvar.variables.reading import Part


def test_counters_of_every_kind_add_up_the_dead_ones_included() -> None:
    registries, parts = workers()
    for n, registry in enumerate(registries, 1):
        registry.new_int("int").add(n)
        registry.new_float("float").add(n / 2)
        registry.new_map("map").new_map("inner").add(f"key{n % 2}", n)
        registry.new_histogram("seconds", buckets=(1, 2)).observe(n - 0.5)
    parts[0].live = False
    expected = {
        "float": 3.0,
        "int": 6,
        "map": {"inner": {"key0": 2, "key1": 4}},
        "seconds": {"count": 3, "sum": 4.5, "buckets": {"1.0": 1, "2.0": 2, "+Inf": 3}},
    }

    for registry in registries:
        assert registry.snapshot() == expected
        assert {name: var.value for name in registry if (var := registry.get(name))} == expected
    assert [row.value for row in registries[0].rows_of(parts[1])][:2] == [1.0, 2]


@pytest.mark.parametrize("mode", [None, "sum", "livesum"])
def test_a_sum_over_workers_wraps_at_64_bits_as_gos_int_does(mode: str | None) -> None:
    registries, _ = workers(2)
    for registry in registries:
        registry.new_int("n", multiprocess_mode=mode).add(2**62)
        registry.new_map("m", multiprocess_mode=mode).add("low", -(2**63))

    for registry in registries:
        assert registry.snapshot() == {"n": -(2**63), "m": {"low": 0}}
        assert registry.new_int("n", multiprocess_mode=mode).value == -(2**63)


def test_what_only_one_worker_has_is_in_everybodys_sum() -> None:
    registries, _ = workers()
    registries[0].new_int("first").add()
    registries[2].new_int("last").add(2)
    registries[1].new_float("middle").add(0.5)

    assert {str(r.snapshot()) for r in registries} == {"{'first': 1, 'last': 2, 'middle': 0.5}"}


@pytest.mark.parametrize("kind", ["int", "float"])
@pytest.mark.parametrize(
    ("mode", "expected", "with_one_dead"),
    [("sum", 9, 9), ("livesum", 9, 4), ("max", 5, 5), ("min", 1, 1), ("mostrecent", 1, 1)],
)
def test_gauges_follow_their_rule(kind: str, mode: str, expected: int, with_one_dead: int) -> None:
    registries, parts = workers()
    gauges: list[Any] = [getattr(r, f"new_{kind}")("g", multiprocess_mode=mode) for r in registries]
    for gauge, value in zip(gauges, (5, 3, 1)):
        gauge.set(value)

    assert {gauge.value for gauge in gauges} == {expected}
    parts[0].live = False
    assert {gauge.value for gauge in gauges} == {with_one_dead}
    assert registries[1].snapshot() == {"g": with_one_dead}


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("sum", 12), ("livesum", 2), ("max", 10), ("min", 2), ("mostrecent", 2)],
)
def test_what_earlier_processes_left_counts_by_the_rule(mode: str, expected: int) -> None:
    (registry,), _ = workers(1)
    gauge = registry.new_int("g", multiprocess_mode=mode)
    node = gauge._node
    node.ints[node.base_at], node.ints[node.base_at + 1] = 10, 1
    gauge.set(2)

    assert gauge.value == expected


def test_an_untouched_gauge_is_no_smallest_value() -> None:
    registries, _ = workers()
    gauges = [r.new_int("g", multiprocess_mode="min") for r in registries]
    assert gauges[0].value == 0

    gauges[1].set(4)

    assert gauges[0].value == 4


def test_setting_a_counter_sets_the_sum() -> None:
    registries, _ = workers()
    counters = [registry.new_int("n") for registry in registries]
    for counter in counters:
        counter.add(5)
    counters[1].set(4)
    counters[2].add(1)

    assert [counter.value for counter in counters] == [5, 5, 5]


@pytest.mark.parametrize("n", [1, 0.1])
def test_a_key_deleted_by_one_worker_is_gone_for_all_and_comes_back_with_what_is_new(
    n: float,
) -> None:
    registries, _ = workers()
    maps = [registry.new_map("m") for registry in registries]
    for times, map_ in enumerate(maps, 1):
        for _ in range(times):
            map_.add("key", n)
    maps[0].delete("key")
    assert [map_.value for map_ in maps] == [{}, {}, {}]

    maps[2].add("key", n)

    assert [map_.value["key"] for map_ in maps] == [pytest.approx(n)] * 3


@pytest.mark.parametrize("mode", ["sum", "livesum", "max", "min", "mostrecent"])
def test_a_deleted_gauge_comes_back_without_what_others_had_set(mode: str) -> None:
    registries, _ = workers()
    maps = [registry.new_map("m", multiprocess_mode=mode) for registry in registries]
    for map_ in maps:
        map_.set("key", 40)
    maps[0].delete("key")
    assert [map_.value for map_ in maps] == [{}, {}, {}]

    maps[0].set("key", 7)

    assert [map_.value for map_ in maps] == [{"key": 7}] * 3


def test_a_map_unpublished_by_one_worker_shows_what_others_count_since() -> None:
    registries, _ = workers(2)
    maps = [registry.new_map("m") for registry in registries]
    for map_ in maps:
        map_.add("key", 5)
    registries[0].unpublish("m")
    assert [registry.snapshot() for registry in registries] == [{}, {}]

    maps[1].add("key", 2)

    assert registries[1].snapshot() == {"m": {"key": 2}}


def test_a_text_deleted_by_one_worker_is_back_when_another_sets_it() -> None:
    registries, _ = workers(2)
    texts = [registry.new_string("s") for registry in registries]
    registries[0].unpublish("s")
    assert registries[1].snapshot() == {}

    texts[1].set("back")

    assert registries[1].snapshot() == {"s": "back"}


def test_a_key_that_only_another_worker_has_can_be_had_and_deleted() -> None:
    registries, _ = workers(2)
    there, here = (r.new_map("m", max_keys=1) for r in registries)
    there.add("far", 5)
    here.add("near")
    far: Any = here.get("far")
    far.add(2)

    assert there.value == {"far": 7, "near": 1}
    assert here.own("far") is None  # no room
    assert here.get("nowhere") is None
    here.delete("far")
    assert there.value == here.value == {"near": 1}


def test_a_text_or_function_that_only_another_worker_has_can_be_deleted() -> None:
    registries, _ = workers(2)
    there, here = (r.new_map("m") for r in registries)
    there.set("text", "old")
    there.publish("func", lambda: 7)
    assert [list(map_) for map_ in (there, here)] == [["func", "text"]] * 2
    for key in ("text", "func", "nowhere"):
        here.delete(key)
    assert there.value == here.value == {}

    there.set("text", "new")
    assert [list(map_) for map_ in (there, here)] == [["text"]] * 2
    there.publish("func", lambda: 8)

    assert there.value == {"func": 8, "text": "new"}
    assert list(here) == ["func", "text"]


def test_of_two_kinds_each_worker_shows_the_one_that_it_declared() -> None:
    registries, parts = workers(2)
    registries[0].new_int("x").add(3)
    registries[1].new_map("x").add("key", 4)

    assert [registry.snapshot() for registry in registries] == [{"x": 3}, {"x": {"key": 4}}]
    assert [row.path for row in registries[0].rows()] == [("x",)]
    onlooker = Registry("shop")
    onlooker.attach(Together(2, parts))
    assert onlooker.snapshot() == {"x": {"key": 4}}


def test_registries_in_one_slot_do_not_mix() -> None:
    parts: list[Part] = []
    store = Together(0, parts)
    shop, mail = Registry("shop"), Registry("mail")
    shop.attach(store)
    mail.attach(store)
    shop.new_int("n").add(1)
    mail.new_int("n").add(2)

    assert (shop.snapshot(), mail.snapshot()) == ({"n": 1}, {"n": 2})


def test_an_onlooker_sees_the_kind_that_was_declared_last() -> None:
    (registry,), parts = workers(1)
    onlooker = Registry("shop")
    onlooker.attach(Together(1, parts))
    for kind, value in (("int", 0), ("float", 0.0), ("int", 0), ("map", {}), ("float", 0.0)):
        getattr(registry, f"new_{kind}")("x")
        assert onlooker.snapshot() == registry.snapshot() == {"x": value}
        registry.unpublish("x")
        assert onlooker.snapshot() == registry.snapshot() == {}
