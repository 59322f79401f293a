"""The text of the variables: what is filled into a form is what would be written anew."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from together import workers

from flask_expvar import Registry
from flask_expvar.exceptions import NameTakenError
from flask_expvar.pages.page import scene
from flask_expvar.pages.vars import Vars
from flask_expvar.pages.vars_text import GIVEN, Form, written
from flask_expvar.variables import names
from flask_expvar.variables.reading import Part

Do = Callable[[Registry], Any]
RULES = [None, *names.MODES]
NAMES = ["a", "b/c", "p100%", "%s %d", 'say "hi"', "x<y&z", "zoo"]
ODD = st.sampled_from(["200", "%", "é<", "日本", "\u2028\0", "\ud800", "\0" + "0\0"])
KEYS = ODD | st.text()
INTS = st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3)
FLOATS = st.floats(allow_nan=False) | st.sampled_from([0.0, -0.0, 1e6, 1e-5, 3.0, 1e308])
TOLD = dict.fromkeys(GIVEN, '["%s",1]')


def count(registry: Registry, name: str, rule: str | None, n: int, x: float) -> None:
    """Count in variables of all kinds."""
    registry.new_int(f"{name}/int{rule}", multiprocess_mode=rule).add(n)
    registry.new_float(f"{name}/float{rule}", multiprocess_mode=rule).set(x)
    registry.new_histogram(f"{name}/h", buckets=(-1, 0.5, 1, 10, 1e30)).observe(x)


def fill(registry: Registry, name: str, rule: str | None, key: str, x: float) -> None:
    """Count in maps, two deep."""
    outer = registry.new_map(f"{name}/map{rule}", multiprocess_mode=rule)
    outer.add(key, x)
    outer.set(key + "text", "text")
    with suppress(NameTakenError):  # by a key of the same name
        outer.new_map("inner", multiprocess_mode=rule).add(key)
        outer.new_map("inner", multiprocess_mode=rule).new_histogram("h").observe(x)
    registry.new_map(f"{name}/empty")
    registry.new_string(f"{name}/string")


NAME, RULE = st.sampled_from(NAMES), st.sampled_from(RULES)
STEPS = st.builds(
    lambda *given: lambda registry: count(registry, *given), NAME, RULE, INTS, FLOATS
) | st.builds(lambda *given: lambda registry: fill(registry, *given), NAME, RULE, KEYS, FLOATS)


def both(registry: Registry, parts: list[Part], said: dict[tuple[str, ...], Any]) -> list[str]:
    """Return the page as it is filled in, and as it is written anew."""
    for part in parts:
        part.deletions = 0  # a key may have become another kind: both show all that there is
    form = registry.plan(parts).once(Form)
    rows = [
        row._replace(value=said.get(row.path)) if row.spec.kind == "string" else row
        for row in registry.rows(parts)
    ]
    return [form.filled([part.live for part in parts], said, TOLD), written(rows, TOLD)]


@given(st.lists(st.tuples(st.integers(0, 2), STEPS), max_size=12), st.sets(st.integers(0, 2)))
def test_a_filled_form_is_the_page_written_anew(
    steps: list[tuple[int, Do]], dead: set[int]
) -> None:
    registries, parts = workers(3)
    for at, step in steps[:6]:
        step(registries[at])
    said = {("a/string",): "100% <b>", ("zoo/string",): 1e6}
    first, anew = both(registries[0], parts, said)
    assert first == anew
    for at in dead:
        parts[at].live = False
    for at, step in steps:
        step(registries[at])

    second, anew = both(registries[1], parts, {})

    assert second == anew
    assert list(json.loads(second)) == sorted(json.loads(second))


def test_a_form_is_kept_while_nothing_comes_or_goes_and_its_numbers_are_new() -> None:
    registries, parts = workers(2)
    for registry in registries:
        registry.new_map("codes").add("200")
    form = registries[0].plan(parts).once(Form)
    registries[1].new_map("codes").add("200", 5)

    assert registries[0].plan(parts).once(Form) is form
    assert '"codes": {"200": 7}' in form.filled([True, True], {}, TOLD)
    registries[1].new_map("codes").add("404")
    assert registries[0].plan(parts).once(Form) is not form


@pytest.mark.parametrize("worker", [0, 1])
def test_what_is_deleted_is_not_on_the_page(worker: int) -> None:
    registries, _ = workers(2)
    for registry in registries:
        registry.new_map("codes").add("200")
        registry.new_map("codes").add("404")
        registry.new_int("gone").add(1)
    registries[worker].new_map("codes").delete("404")
    registries[worker].unpublish("gone")

    text = page(registries[0])

    assert json.loads(text)["codes"] == {"200": 2}
    assert "gone" not in json.loads(text)


def page(registry: Registry) -> str:
    shown = Vars()
    return shown.machine(scene(shown, registry, {}), twin=False)[0]


def test_texts_and_functions_are_asked_at_each_read() -> None:
    registry = Registry("shop")
    answers = iter([{"b": 3.0, "a<": "100%"}, None])
    registry.publish("func", lambda: next(answers))
    text = registry.new_string("text")
    text.set("first")

    assert '"func": {"a\\u003c":"100%","b":3},\n' in (first := page(registry))
    assert '"text": "first"' in first
    text.set("%s second")
    assert '"func": null,\n' in (second := page(registry))
    assert '"text": "%s second"' in second


def test_the_page_has_what_the_runtime_tells() -> None:
    told = json.loads(page(Registry("shop")))

    assert tuple(told) == GIVEN
    assert len(told["memstats"]) == 32
    assert told["process"]["pids"] == [os.getpid()]
