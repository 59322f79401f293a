"""Int, Float, String and Func: what they keep, wrap, drop and refuse."""

from __future__ import annotations

import logging
import math
from typing import Any

import pytest

from flask_expvar import Float, Int, Registry, String
from flask_expvar.exceptions import BadKindError


class Sly(int):
    """A number that refuses to be added."""

    def __radd__(self, other: int) -> int:
        raise ValueError("not today")

    __add__ = __radd__


def dropped(registry: Registry) -> Any:
    return registry.snapshot().get("expvar/dropped", 0)


def test_a_number_that_refuses_to_be_added_is_dropped_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    registry = Registry()
    counter = registry.new_int("n")
    with caplog.at_level(logging.WARNING, "flask_expvar"):
        counter.add(Sly(1))
        counter.add(Sly(1))

    assert (counter.value, dropped(registry)) == (0, 2)
    assert len(caplog.records) == 1
    assert "'n' could not count" in caplog.text


@pytest.mark.parametrize("mode", [None, "sum", "livesum", "max", "min", "mostrecent"])
def test_an_int_of_any_rule_wraps_at_64_bits(mode: str | None) -> None:
    number = Registry().new_int("n", multiprocess_mode=mode)
    number.set(2**63 - 1)
    number.add(2)
    assert number.value == -(2**63) + 1
    number.add(2**64)

    assert number.value == -(2**63) + 1


@pytest.mark.parametrize("mode", [None, "sum", "livesum", "max", "min", "mostrecent"])
def test_set_and_add_work_by_any_rule_in_one_process(mode: str | None) -> None:
    registry = Registry()
    for number in (
        registry.new_int("i", multiprocess_mode=mode),
        registry.new_float("f", multiprocess_mode=mode),
    ):
        number.set(5)
        number.add(-2)

    assert registry.snapshot() == {"f": 3.0, "i": 3}


@pytest.mark.parametrize("published", [True, False])
@pytest.mark.parametrize("value", [math.nan, math.inf, "1", None, 10**400, [], 1j])
def test_a_float_keeps_out_what_is_not_finite(published: bool, value: Any) -> None:
    registry = Registry()
    number = registry.new_float("f") if published else Float()
    number.set(1.5)
    number.set(value)
    number.add(value)

    assert number.value == 1.5
    assert dropped(registry) == (2 if published else 0)


def test_a_float_that_overflowed_can_be_set_again() -> None:
    number = Registry().new_float("f")
    number.add(1.7e308)
    number.add(1.7e308)
    assert number.value == math.inf

    number.set(2.0)

    assert number.value == 2.0


@pytest.mark.parametrize("value", [None, 1.5, [], b"x", 2**64])
def test_set_drops_what_is_of_another_kind(value: Any) -> None:
    registry = Registry()
    for var in (registry.new_int("n"), registry.new_string("s")):
        var.set(value)

    assert registry.snapshot() == {"expvar/dropped": 2, "n": 0, "s": ""}


def test_a_variable_equals_itself_and_what_equals_its_value() -> None:
    registry = Registry()
    one, two = registry.new_int("one"), registry.new_int("two")
    text = registry.new_string("text")
    text.set("hi")

    assert one == 0
    assert text == "hi"
    assert one != two
    assert len({one, two, text}) == 3


def test_numbers_and_texts_convert() -> None:
    number, text = Int(), String()
    number.add(3)
    text.set("hi")

    assert (int(number), [0, 1, 2, 3][number], float(Float()), str(text)) == (3, 3, 0.0, "hi")


def test_a_rule_that_does_not_exist_is_an_error() -> None:
    for kind in (Int, Float):
        with pytest.raises(BadKindError, match="livesum"):
            kind(multiprocess_mode="average")


def test_a_func_is_called_at_each_read_and_may_be_replaced() -> None:
    registry = Registry()
    numbers = iter(range(9))
    registry.publish("f", lambda: next(numbers))

    assert [registry.snapshot()["f"] for _ in range(2)] == [0, 1]
    registry.publish("f", lambda: "new")
    assert registry.snapshot() == {"f": "new"}
