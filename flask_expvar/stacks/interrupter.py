"""The engine *signal*: interrupts the main thread wherever it is, by its process's CPU time.

Nobody has to wait for the interpreter, so what is seen is where the time is spent. But Python
handles signals in the main thread only: for programs that do their work there.
"""

from __future__ import annotations

import _thread
import ctypes
import os
import random
import signal
import time
from types import FrameType
from typing import Any

from .._native import allocate_lock, original
from . import clocks
from .order import Order, family
from .profile import Profile, ThreadInfo
from .threads import main_ident
from .weights import Weights

#: The kernel looks at these timers 250 times a second on most machines.
TICK = 0.005
_PAUSE = 0.05
#: So many intervals are alike, then comes another: a loop that takes twice as long would always
#: be seen at the same two places. Not each, as every setting costs a tick of the kernel's.
_ALIKE = 8
NOTE = (
    "CPU time of the main thread, charged where it was interrupted; that of other threads is not"
    " seen."
)


class Interrupter:
    """Lets the main thread be interrupted, and looks at what it was doing.

    Handler and timer are there only while a profile is taken. They are set by the main thread
    itself, when it runs next: as long as it waits there is nothing to see.
    """

    name = "signal"

    def obstacle(self, mode: str) -> str:
        """Return why it cannot take a profile of *mode*, empty if it can."""
        if mode != "cpu":
            return "it measures CPU time only"
        if not hasattr(signal, "setitimer"):
            return "this system has no timers of CPU time"
        if signal.getsignal(signal.SIGPROF) not in (signal.SIG_DFL, _desk.handle):
            return "the program handles SIGPROF itself"
        if any(signal.getitimer(signal.ITIMER_PROF)) and not _desk.is_set:
            return "the program uses the timer of SIGPROF itself"
        return ""

    def run(self, order: Order) -> Profile:
        """Take the profile."""
        own, process = time.thread_time_ns(), time.process_time_ns()
        main = main_ident()
        native = os.getpid()
        started, began, base = time.time(), time.monotonic(), clocks.thread_cpu_ns(native)
        look = _Look(order, main)
        _desk.begin(look, max(TICK, order.interval / 2))
        try:
            end = began + order.seconds
            while not order.over(min(_PAUSE, max(end - time.monotonic(), 0))):
                if time.monotonic() >= end:
                    break
        finally:
            _desk.end()
        seconds, used = time.monotonic() - began, clocks.thread_cpu_ns(native)
        info = ThreadInfo("MainThread", native, False, used - base if used >= 0 <= base else -1)
        return Profile(
            os.getpid(), "signal", "cpu", started, seconds, look.interval, look.ticks,
            time.thread_time_ns() - own + look.own_ns, time.process_time_ns() - process, True,
            look.weights.truncated, look.weights.lost, NOTE, {main: info},
            look.weights.samples(),
        )  # fmt: skip


class _Look:
    """One run; :meth:`tick` is called in the main thread, between any two steps of the program."""

    def __init__(self, order: Order, main: int) -> None:
        self.weights = Weights()
        self.interval = TICK
        self.ticks = self.own_ns = 0
        self._main = main
        self._last = -1
        self._serving = order.serving
        self._wall = 0

    def tick(self, frame: FrameType | None) -> None:
        now, wall = time.thread_time_ns(), time.monotonic_ns()
        if self._last >= 0 and now > self._last:
            stack = self.weights.raw(frame)
            served = family(self._serving().get(_served_by()))
            self.weights.add(self._main, stack, wall - self._wall, now - self._last, served)
        self.ticks += 1
        self._last = time.thread_time_ns()
        self._wall = wall
        self.own_ns += self._last - now


def _served_by() -> int:
    # Not the original: under gevent that of the greenlet.
    return _thread.get_ident()


class _Desk:
    """Handler and timer, which only the main thread may set: it is asked to, wherever it is.

    What it is asked for it does as soon as it runs Python code, in this order in all cases: the
    handler is there before the timer is set, and the timer is off, with all that it has sent
    delivered, before the handler goes. SIGPROF without a handler ends the process.
    """

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._wanted: _Look | None = None
        self._interval = TICK
        self.is_set = False
        self._callback: Any = None
        self._random = random.Random(0)
        #: Always the same object, to be known again.
        self.handle = self._handle

    def begin(self, look: _Look, interval: float) -> None:
        look.interval = interval
        self._interval = interval
        self._wanted = look
        self._ask()

    def end(self) -> None:
        self._wanted = None
        if self.is_set:
            signal.setitimer(signal.ITIMER_PROF, 0)  # any thread may do that
        self._ask()

    def _ask(self) -> None:
        with self._lock:
            if self._callback is None:
                # Kept for ever: nobody knows when the main thread will call it.
                self._callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(self._in_main)
        add = ctypes.pythonapi.Py_AddPendingCall
        while add(self._callback, None) != 0:  # its list of 32 is full for the moment
            original("time", "sleep")(0.001)

    def _in_main(self, _: Any) -> int:
        try:
            if self._wanted is not None:
                self._set()
            elif self.is_set:
                self._unset()
        except Exception:
            # It would be raised in the middle of whatever the program does.
            return 0
        return 0

    def _set(self) -> None:
        if not self.is_set:
            if signal.getsignal(signal.SIGPROF) is not signal.SIG_DFL:
                return  # somebody has taken it meanwhile
            signal.signal(signal.SIGPROF, self.handle)
            signal.siginterrupt(signal.SIGPROF, False)
            self.is_set = True
        self._set_timer()

    def _set_timer(self) -> None:
        pause = self._interval * self._random.uniform(0.75, 1.25)
        signal.setitimer(signal.ITIMER_PROF, pause, pause)

    def _unset(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        if signal.getsignal(signal.SIGPROF) is self.handle:
            # Ignoring drops what is still under way; signal() itself handles what has arrived.
            signal.signal(signal.SIGPROF, signal.SIG_IGN)
            signal.signal(signal.SIGPROF, signal.SIG_DFL)
        self.is_set = False

    def _handle(self, _: int, frame: FrameType | None) -> None:
        look = self._wanted
        if look is not None:
            try:
                look.tick(frame)
                if look.ticks % _ALIKE == 0:
                    self._set_timer()
            except Exception:  # else it would be raised in the program
                look.weights.lost += 1


_desk = _Desk()
