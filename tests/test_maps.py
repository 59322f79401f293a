"""Maps: keys, caps, nesting, and counts that begin again after a delete."""

from __future__ import annotations

from typing import Any

import pytest

from flask_expvar import Float, Histogram, Int, Map, Registry, String
from flask_expvar.exceptions import BadKindError


@pytest.fixture
def registry() -> Registry:
    return Registry("shop")


def test_a_key_over_the_cap_goes_to_other_and_is_counted(registry: Registry) -> None:
    map_ = registry.new_map("m", max_keys=2)
    for key in "abcda":
        map_.add(key)
    map_.set("e", 7)

    assert map_.value == {"(other)": 7, "a": 2, "b": 1}
    assert registry.snapshot()["expvar/dropped"] == 3


@pytest.mark.parametrize("max_keys", [0, -1, 100_001, 1.5, "9", None])
def test_a_cap_must_be_a_whole_number(max_keys: Any) -> None:
    with pytest.raises(BadKindError, match="max_keys"):
        Map(max_keys=max_keys)


def test_maps_nest_to_any_depth_with_texts_and_functions_inside(registry: Registry) -> None:
    inner = registry.new_map("a").new_map("b").new_map("c")
    inner.add("n", 2)
    inner.new_string("text").set("hi")
    inner.publish("func", lambda: 7)
    inner.publish("broken", lambda: 1 / 0)
    expected = {"broken": None, "func": 7, "n": 2, "text": "hi"}

    assert registry.snapshot() == {"a": {"b": {"c": expected}}}
    assert inner.value == expected
    assert registry.new_map("a").value == {"b": {"c": expected}}
    assert list(inner) == sorted(expected)


def test_a_map_of_histograms_keeps_one_for_each_key(registry: Registry) -> None:
    routes = registry.new_map("routes", label="route")
    for route in ("/a", "/b", "/a"):
        routes.new_histogram(route, buckets=(1,)).observe(0.5)

    assert {route: each["count"] for route, each in routes.value.items()} == {"/a": 2, "/b": 1}


def test_set_replaces_what_is_of_another_kind(registry: Registry) -> None:
    map_ = registry.new_map("m")
    for value in (1, 1.5, "text", 2):
        map_.set("key", value)
        assert map_.value == {"key": value}
        assert type(map_.value["key"]) is type(value)
    map_.set("key", Histogram(buckets=(1,)))
    assert map_.value["key"]["count"] == 0
    map_.add("key")
    assert registry.snapshot()["expvar/dropped"] == 1


def test_a_deleted_key_comes_back_at_zero(registry: Registry) -> None:
    map_ = registry.new_map("m")
    for value in (5, 5.5, "text"):
        map_.set("key", value)
        map_.delete("key")
        assert (map_.value, map_.get("key")) == ({}, None)
    map_.add("key", 2)
    map_.new_float("ratio").set(3.5)
    map_.delete("ratio")
    map_.add("ratio", 0.5)

    assert map_.value == {"key": 2, "ratio": 0.5}


def test_a_key_that_was_deleted_counts_for_itself_alone(registry: Registry) -> None:
    map_ = registry.new_map("m")
    child = map_.new_int("key")
    map_.delete("key")
    child.add(3)

    assert map_.value == {}
    map_.set("key", child)
    assert map_.value == {"key": 3}


@pytest.mark.parametrize("key", [404, b"404", "404"], ids=repr)
def test_a_key_of_another_type_is_its_text(registry: Registry, key: Any) -> None:
    map_ = registry.new_map("m")
    map_.add(key)
    found = map_.get(key)

    assert isinstance(found, Int)
    assert map_.value == {"404": 1}
    map_.delete(key)
    assert map_.value == {}


def test_long_and_broken_keys_are_cut_and_mended(registry: Registry) -> None:
    map_ = registry.new_map("m")
    map_.add("x" * 999)
    map_.add("\ud800")

    assert list(map_.value) == ["?", "x" * 255 + "…"]


def test_a_map_moves_into_its_registry_with_all_that_is_in_it(registry: Registry) -> None:
    map_, inner = Map(), Map()
    map_.add("n", 2)
    map_.set("inner", inner)
    inner.add("f", 0.5)
    registry.publish("m", map_)
    map_.add("n")
    inner.add("f", 0.5)
    inner.add("g")

    assert registry.snapshot() == {"m": {"inner": {"f": 1.0, "g": 1}, "n": 3}}


def test_the_keys_of_an_unpublished_map_share_its_lock() -> None:
    map_, inner = Map(), Map()
    inner.add("n")
    map_.set("inner", inner)

    assert inner._lock is map_._lock
    assert inner._vars["n"]._lock is map_._lock


def test_a_variable_counts_in_one_place_only(registry: Registry) -> None:
    number = registry.new_int("n")
    with pytest.raises(BadKindError, match="published as 'n'"):
        registry.publish("twice", number)
    with pytest.raises(BadKindError, match="published as 'n'"):
        Registry().publish("n", number)
    registry.new_map("m").set("key", number)

    assert registry.publish("n", number) is number
    assert registry.snapshot() == {"expvar/dropped": 1, "m": {}, "n": 0}


def test_verbs_of_a_map_never_raise(registry: Registry) -> None:
    class Unprintable:
        def __str__(self) -> str:
            raise RuntimeError("no")

    map_ = registry.new_map("m")
    odd: Any = Unprintable()
    map_.add(odd)
    map_.set(odd, 1)
    map_.set("key", odd)
    map_.add("key", odd)
    map_.delete(odd)

    assert registry.snapshot() == {"expvar/dropped": 5, "m": {}}


def test_an_unpublished_map_has_the_same_verbs() -> None:
    map_ = Map()
    map_.add("b", 2)
    map_.set("a", "text")
    map_.set("c", Float())
    map_.delete("c")

    assert list(map_) == ["a", "b"]
    assert map_.value == {"a": "text", "b": 2}
    assert isinstance(map_.get("a"), String)
