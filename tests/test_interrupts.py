"""Interrupts: what a value's function raises costs its value; what others throw in passes."""

from __future__ import annotations

import os
import signal
import sys
from asyncio import CancelledError
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from apps import SHOP, TOKEN
from servers import Gunicorn

from flask_expvar import Registry
from flask_expvar.pages.page import Query
from flask_expvar.pages.vars import Vars
from flask_expvar.variables.interrupts import is_interrupt


class Odd(BaseException):
    """Neither an error nor an interrupt."""


def both(func: Callable[[], Any]) -> tuple[Any, Any]:
    """Return what a snapshot and the page of variables have of *func* and of its neighbour."""
    registry = Registry("shop")
    registry.publish("broken", func)
    registry.publish("well", lambda: 7)
    said = {each["path"]: each["value"] for each in Vars().collect(registry, Query({}))}
    return registry.snapshot(), {path[0]: value for path, value in said.items()}


def raising(error: BaseException) -> Callable[[], NoReturn]:
    def func() -> NoReturn:
        raise error

    return func


@pytest.mark.parametrize("error", [SystemExit(1), CancelledError(), GeneratorExit(), Odd()])
def test_what_a_function_raises_costs_its_value_alone(error: BaseException) -> None:
    assert both(raising(error)) == ({"broken": None, "well": 7},) * 2


def test_a_function_that_raises_keyboard_interrupt_is_one_where_ctrl_c_means_something_else() -> (
    None
):
    func = raising(KeyboardInterrupt())
    # Set, not taken for granted: what runs in the background may ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            both(func)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        assert both(func) == ({"broken": None, "well": 7},) * 2
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_ends_a_greenlet_passes() -> None:
    gevent = pytest.importorskip("gevent")

    for error in (gevent.GreenletExit(), gevent.Timeout(1)):
        with pytest.raises(type(error)):
            both(raising(error))


class Worker:
    """Ends as gunicorn's workers do."""

    def handle(self, *_: object) -> None:
        sys.exit(1)


def test_the_exit_that_a_signal_handler_raises_passes() -> None:
    before = signal.signal(signal.SIGUSR1, Worker().handle)
    try:
        with pytest.raises(SystemExit):
            both(lambda: os.kill(os.getpid(), signal.SIGUSR1))
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_an_error_is_no_interrupt_wherever_it_comes_from() -> None:
    assert not is_interrupt(TimeoutError())


EXITING = (
    SHOP
    + """
def leave():
    raise SystemExit(3)

def stop():
    raise KeyboardInterrupt

expvar.publish("shop/leave", leave)
expvar.publish("shop/stop", stop)
"""
)


@pytest.mark.parametrize("kind", ["sync", "gthread", "gevent"])
def test_workers_outlive_functions_that_exit(gunicorn: Callable[..., Gunicorn], kind: str) -> None:
    server = gunicorn(EXITING, "-w", "2", "-k", kind)
    before = server.worker_pids()

    def variables() -> Any:
        return server.get("/debug/vars", headers=TOKEN).json()

    server.wait_until(lambda: variables()["shop/pid"] == sum(before), what="both answer")
    for read in [variables() for _ in range(10)]:
        assert (read["shop/leave"], read["shop/stop"]) == (None, None)
        assert read["shop/pid"] == sum(before)
    assert server.worker_pids() == before
