"""Registry: moving between stores, taking names out, and reading it all."""

from __future__ import annotations

import os
from typing import Any

import pytest

from flask_expvar import Func, Map, Registry
from flask_expvar.exceptions import BadKindError, NameTakenError
from flask_expvar.variables.store import LocalStore


def filled() -> Registry:
    registry = Registry("shop")
    registry.new_int("int").add(3)
    registry.new_float("float").add(1.5)
    registry.new_int("gauge", multiprocess_mode="max").set(9)
    registry.new_string("text").set("hi")
    registry.new_map("map").new_map("inner").add("key", 2)
    registry.new_histogram("seconds", buckets=(1,)).observe(0.5)
    return registry


def test_moving_to_another_store_carries_every_count() -> None:
    registry = filled()
    before = registry.snapshot()

    registry.attach(LocalStore(os.getpid()))
    assert registry.snapshot() == before

    registry.new_map("map").new_map("inner").add("key")
    registry.attach(registry.store)
    assert registry.snapshot()["map"] == {"inner": {"key": 3}}


def test_moving_without_carrying_begins_at_zero() -> None:
    registry = filled()
    registry.attach(LocalStore(os.getpid()), carry=False)
    found = registry.snapshot()

    assert (found["int"], found["float"], found["gauge"], found["text"]) == (0, 0.0, 0, "hi")
    assert found["map"] == {"inner": {"key": 0}}


def test_a_process_finds_the_keys_that_the_one_before_left_in_its_slot() -> None:
    before = filled()
    before.new_map("map").add("gone")
    before.new_map("map").delete("gone")
    after = Registry("shop")
    after.attach(before.store)
    map_ = after.new_map("map")
    inner: Any = map_.own("inner")
    inner.add("key")

    assert isinstance(inner, Map)
    assert map_.own("gone") is None
    assert map_.value == {"inner": {"key": 3}}


def test_followers_are_told_when_the_words_move() -> None:
    class Follower:
        moves = 0

        def moved(self) -> None:
            self.moves += 1

    registry, follower = Registry(), Follower()
    registry.follow(follower)
    registry.attach(LocalStore(1))

    assert follower.moves == 1
    assert registry.name.startswith("registry")


@pytest.mark.parametrize("again", ["int", "float", "string", "map", "histogram"])
def test_a_name_taken_out_is_free_for_any_kind_and_begins_at_zero(again: str) -> None:
    registry = filled()
    for name in ("int", "map", "seconds", "text", "gauge"):
        registry.unpublish(name)
        assert name not in registry.snapshot()
        fresh = getattr(Registry(), f"new_{again}")(name).value
        made = getattr(registry, f"new_{again}")(name)
        assert made.value == fresh
        assert registry.snapshot()[name] == fresh
    registry.unpublish("never heard of")


def test_who_still_has_a_variable_that_was_taken_out_counts_alone() -> None:
    registry = filled()
    old: Any = registry.get("int")
    map_: Any = registry.get("map")
    registry.unpublish("int")
    registry.unpublish("map")
    old.add(5)
    map_.add("key")
    map_.get("inner").add("key")

    assert not {"int", "map"} & registry.snapshot().keys()
    assert (old.value, map_.value) == (5, {"inner": {"key": 1}, "key": 1})
    registry.publish("int", old)
    registry.publish("map", map_)
    assert registry.snapshot()["int"] == 5
    assert registry.snapshot()["map"] == {"inner": {"key": 1}, "key": 1}


def test_a_func_that_returns_what_no_json_holds_costs_only_its_own_place() -> None:
    registry = Registry()
    round_: dict[str, Any] = {"n": 1}
    round_["self"] = round_
    registry.publish("broken", lambda: {}["missing"])
    registry.publish("nan", lambda: float("nan"))
    registry.publish("round", lambda: round_)
    registry.publish("weird", lambda: {"a": [1, float("inf"), object()], "s": {2, 1}})
    registry.new_map("map").set("nan", Func(lambda: float("nan")))

    found = registry.snapshot()

    assert found.pop("map") == {"nan": None}
    assert found == {
        "broken": None,
        "nan": None,
        "round": {"n": 1, "self": None},
        "weird": {"a": [1, None, None], "s": [1, 2]},
    }


def test_publishing_what_is_no_variable_is_an_error() -> None:
    registry: Any = Registry()
    with pytest.raises(BadKindError, match="without arguments"):
        registry.publish("n", 7)
    registry.new_int("n")
    with pytest.raises(NameTakenError, match="published as int, not func"):
        registry.publish("n", lambda: 7)
    with pytest.raises(BadKindError, match="name"):
        Registry(7)  # type: ignore[arg-type]


def test_a_failing_log_does_not_reach_who_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the disk of the log is full")

    monkeypatch.setattr("flask_expvar.variables.registry._log.warning", fail)
    registry: Any = Registry()
    registry.new_int("n").add("x")

    assert registry.snapshot() == {"expvar/dropped": 1, "n": 0}
