"""Functions that hang, are slow or exit: what a page says of them, and of the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import pytest
from flask import Flask, current_app
from servers.waiting import wait_until

from flask_expvar import Registry, blueprint
from flask_expvar.pages.functions import outcomes
from flask_expvar.variables.said import Func


class Hanging:
    """A function that returns when it is told to, and how often it was called."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.calls = 0

    def __call__(self) -> int:
        self.calls += 1
        self.event.wait(60)
        return 7


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    made = Hanging()
    yield made
    made.event.set()


def asked(*functions: Callable[[], Any], budget: float = 30) -> list[tuple[Any, Any]]:
    """Return what came of *functions*: what was returned, and the text of what was raised."""
    calls = [(each if isinstance(each, Func) else Func(each)) for each in functions]
    found = outcomes([(each, each._func) for each in calls], budget)
    return [(value, error and f"{type(error).__name__}: {error}") for value, error in found]


def test_each_is_called_once_and_in_order() -> None:
    assert asked(lambda: 1, lambda: 1 / 0, lambda: exit("no"), lambda: 4) == [
        (1, None),
        (None, "ZeroDivisionError: division by zero"),
        (None, "SystemExit: no"),
        (4, None),
    ]
    assert asked() == []


def test_one_that_hangs_costs_its_own_value_until_it_returns(hanging: Hanging) -> None:
    func = Func(hanging)

    assert asked(lambda: 1, func, lambda: 3, budget=0.1) == [
        (1, None),
        (None, "LateError: no answer within 0.1 s; it is still running"),
        (None, "LateError: not called: functions before it took 0.1 s"),
    ]
    for _ in range(3):
        one, two, three = asked(lambda: 1, func, lambda: 3)
        assert (one, three) == ((1, None), (3, None))
        assert two[1].startswith("LateError: an earlier call has been running for ")
    assert hanging.calls == 1

    hanging.event.set()
    wait_until(lambda: asked(func) == [(7, None)])


def test_context_of_the_request_is_there() -> None:
    said: ContextVar[str] = ContextVar("said")
    said.set("here")

    assert asked(said.get) == [("here", None)]


def test_a_page_comes_though_a_function_hangs(hanging: Hanging) -> None:
    registry = Registry("hanging")
    app = Flask(__name__)
    app.config["EXPVAR_ACCESS"] = "loopback"
    app.register_blueprint(blueprint(registry=registry))
    registry.publish("a/hangs", hanging)
    registry.publish("b/name", lambda: current_app.name)
    client = app.test_client()

    client.get("/debug/vars")
    page = client.get("/debug/vars").get_json()
    text = client.get("/debug/vars?name=a/hangs", headers={"Accept": "text/html"}).text

    assert (page["a/hangs"], page["b/name"]) == (None, app.name)
    assert "an earlier call has been running for" in text
    assert hanging.calls == 1
