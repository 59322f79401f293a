"""Calls of the program's own functions, which may hang: a page waits for them only so long."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

from .._native import allocate_lock, original, start_thread
from .texts import clean
from .visible import visible

#: Seconds for all functions of one page. What a sibling asks has to be told within a second.
BUDGET = 0.8

Clock = Callable[[], float]


class LateError(Exception):
    """Raised when a function has not returned in time; the text says since when it runs."""


class Bounded:
    """Calls *function* in a thread of its own, one call at a time.

    A function that hangs holds one thread, however often its page is asked for: until it
    returns, everybody is told at once that it does not.

    :param name: what the thread is called.
    """

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name = name
        self.function = function
        # By process: the thread that holds its parent's turn is not there in a forked child.
        self._turns: dict[int, Any] = {}
        self._since = 0.0

    def start(
        self,
        *arguments: Any,
        then: Callable[[Any], Any],
        clock: Clock = time.monotonic,
    ) -> Call:
        """Begin a call, unless one is running; :meth:`Call.result` has what came of it.

        :param then: makes the result of what the function returned, in the same thread: to
            read a lazy list may take as long as to call the function.
        """
        return Call(self, arguments, then, clock)

    def _turn(self) -> Any:
        return self._turns.setdefault(os.getpid(), allocate_lock())


class Call:
    """One call, begun or waiting for the one before it to end."""

    def __init__(
        self,
        bounded: Bounded,
        arguments: tuple[Any, ...],
        then: Callable[[Any], Any],
        clock: Clock,
    ) -> None:
        self._bounded = bounded
        self._arguments = arguments
        self._then = then
        self._clock = clock
        self._turn = bounded._turn()
        self._done = allocate_lock()
        self._done.acquire()
        self._returned: Any = None
        self._raised: BaseException | None = None
        self._begun = self._turn.acquire(False)
        if self._begun:
            self._begin()

    def _begin(self) -> None:
        self._bounded._since = self._clock()
        try:
            start(self._bounded.name, self._run)
        except BaseException:
            self._turn.release()
            raise

    def _run(self) -> None:
        try:
            self._returned = self._then(self._bounded.function(*self._arguments))
        except BaseException as error:  # SystemExit too: it must not pass for None
            self._raised = error
        finally:
            self._turn.release()
            self._done.release()

    def result(self, until: float, budget: float = BUDGET) -> Any:
        """Return what came of the call.

        :param until: how long to wait, by the clock.
        :param budget: what is said if it takes longer.
        :raises LateError: if it is not known by then.
        :raises BaseException: what was raised there.
        """
        if not self._begun:
            running = self._clock() - self._bounded._since
            if running > BUDGET or not wait(self._turn, until - self._clock()):
                raise LateError(f"an earlier call has been running for {running:,.0f} s")
            self._begun = True
            self._begin()
        if not wait(self._done, until - self._clock()):
            raise LateError(f"no answer within {budget} s; it is still running")
        if self._raised is not None:
            raise self._raised
        return self._returned


def said(error: BaseException, sensitive: bool) -> str:
    """Return what is told of an exception: its message only to those who may see it."""
    kind = type(error).__name__
    if not sensitive:
        return kind
    try:
        message = str(error)
    except Exception:
        return kind
    return f"{kind}: {visible(clean(message, 200))}" if message else kind


def start(name: str, run: Callable[[], None]) -> None:
    """Run *run* in a thread of its own, which the operating system knows."""
    if _is_patched():
        # A greenlet that computes would hold the worker's only thread, whatever the budget.
        start_thread(run)
    else:
        threading.Thread(target=run, name=name, daemon=True).start()


def wait(lock: Any, seconds: float) -> bool:
    """Take *lock*, one of the operating system's, as soon as it is free; say whether it was."""
    if not _is_patched():
        return bool(lock.acquire(timeout=max(seconds, 0)))
    until = time.monotonic() + seconds
    while not lock.acquire(False):
        if time.monotonic() >= until:
            return False
        time.sleep(0.002)  # gevent's: other greenlets run meanwhile
    return True


def _is_patched() -> bool:
    return time.sleep is not original("time", "sleep")
