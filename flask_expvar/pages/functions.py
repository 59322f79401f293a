"""Functions that the program has published: what they say now, and how long a page waits for it."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Any, TypeAlias

from .._native import allocate_lock
from ..variables.said import Func
from .budget import BUDGET, Clock, LateError, start, wait

#: What a call returned, or what it raised.
Outcome: TypeAlias = "tuple[Any, BaseException | None]"

#: The functions that nobody waits for any more, and since when they run; by process, for a forked
#: child has no thread that runs them.
_late: dict[int, weakref.WeakKeyDictionary[Func, float]] = {}


def outcomes(
    calls: Sequence[tuple[Func, Callable[[], Any]]],
    budget: float = BUDGET,
    clock: Clock = time.monotonic,
) -> list[Outcome]:
    """Return what came of *calls*, made one after the other in a thread of their own.

    A function that hangs costs one thread and one page its time: until it returns it is not
    called again, and its :class:`LateError` says since when it runs.

    :param calls: each function with what calls it, and makes of it what is wanted.
    :param budget: seconds for all of them together.
    """
    late = _late.setdefault(os.getpid(), weakref.WeakKeyDictionary())
    since = [late.get(func) for func, _ in calls]
    ours = [call for call, running in zip(calls, since) if running is None]
    found = iter(_Round(ours, late, clock).result(budget) if ours else ())
    return [
        next(found) if running is None else (None, _still(clock() - running)) for running in since
    ]


def _still(seconds: float) -> LateError:
    return LateError(f"an earlier call has been running for {seconds:,.0f} s")


class _Round:
    """The calls of one page, in the context of its request."""

    def __init__(
        self,
        calls: Sequence[tuple[Func, Callable[[], Any]]],
        late: weakref.WeakKeyDictionary[Func, float],
        clock: Clock,
    ) -> None:
        self._calls = calls
        self._late = late
        self._clock = clock
        self._found: list[Outcome] = []
        self._since = clock()
        self._given_up = False
        self._lock = allocate_lock()
        self._done = allocate_lock()
        self._done.acquire()
        context = copy_context()
        start("expvar functions", lambda: context.run(self._run))

    def _run(self) -> None:
        try:
            for func, call in self._calls:
                self._since = self._clock()
                outcome: Outcome
                try:
                    outcome = call(), None
                except BaseException as error:  # SystemExit too: it has failed like any other
                    outcome = None, error
                with self._lock:
                    self._found.append(outcome)
                    if self._given_up:
                        self._late.pop(func, None)
                        return
        finally:
            self._done.release()

    def result(self, budget: float) -> list[Outcome]:
        """Return what is known within *budget* seconds, and of the rest that it is not."""
        wait(self._done, budget)
        with self._lock:
            found = list(self._found)
            if len(found) == len(self._calls):
                return found
            self._given_up = True
            self._late[self._calls[len(found)][0]] = self._since
        running = LateError(f"no answer within {budget:g} s; it is still running")
        others = LateError(f"not called: functions before it took {budget:g} s")
        rest = len(self._calls) - len(found) - 1
        return [*found, (None, running), *[(None, others)] * rest]
