"""The engine *threads*: a thread of our own that looks at all others, wherever they run.

It has to have the interpreter to look, so that it sees the others mostly where they have let it
go. What can be corrected is: turns are short while it looks, only who runs or waits for a turn
is charged with CPU time, and for each thread that adds up to what the kernel has counted.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import dataclass
from types import FrameType
from typing import Any

from . import clocks, onduty
from .order import Order, family, ident
from .profile import Profile, ThreadInfo
from .threads import main_ident, short_turns
from .walking import current_frames
from .weights import RawStack, Weights

#: With so many threads at once that want to run turns change often enough by themselves, and
#: shorter ones would cost 15 to 40 % of their work.
CROWD = 6
_CROWDED_FOR = 5
#: Our own thread that answers the other workers: always there, and nobody's business.
_ANSWERER = os.path.join("workers", "sockets.py")

APPROXIMATE = (
    "CPU time of each thread is exact, its division approximate: bursts shorter than 3 ms between"
    " waits are charged to longer ones."
)
NO_STATE = (
    "CPU time of each thread is exact, but the system does not tell which threads run:"
    " bursts between waits are charged to the waits."
)
NO_CLOCK = "CPU time is not to be had: threads have no clocks here."
WALL = "Wall time is measured: what a thread waits for counts like what it does."


@dataclass
class _Thread:
    key: int
    native: int
    info: ThreadInfo
    clock: int
    base: int
    last: int
    duty: onduty.Duty | None = None
    stack: RawStack = ()
    first: bool = True


class ThreadSampler:
    """Looks at all threads at each tick."""

    name = "threads"

    def obstacle(self, mode: str) -> str:
        """Return why it cannot take a profile of *mode*, empty if it can."""
        if mode == "cpu" and not clocks.are_there():
            return "threads have no clocks of their CPU time here"
        return ""

    def run(self, order: Order) -> Profile:
        """Take the profile."""
        look = _Look(order, onduty.gil_address() if clocks.are_there() else 0)
        try:
            return look.take()
        finally:
            look.close()


class _Look:
    """One run."""

    def __init__(self, order: Order, gil: int) -> None:
        self._order = order
        self._gil = gil
        self._weights = Weights()
        self._threads: dict[int, _Thread] = {}
        self._all: list[_Thread] = []
        self._keys: set[int] = set()
        self._skip = order.skip | {ident()}
        self._ticks = self._crowded = 0
        self._stateless = False

    def take(self) -> Profile:
        """Look until the time is up, and say what was seen."""
        own, process = time.thread_time_ns(), time.process_time_ns()
        started, began = time.time(), time.monotonic_ns()
        with contextlib.ExitStack() as turns:
            turns.enter_context(short_turns())
            self._first(current_frames())
            last, end = began, began + int(self._order.seconds * 1e9)
            next_tick = began
            while last < end:
                now = time.monotonic_ns()
                # Late is late: ticks that were missed are not caught up with.
                next_tick = max(next_tick + int(self._order.interval * 1e9), now)
                if self._order.over((min(next_tick, end) - now) / 1e9):
                    end = 0
                last = self._tick(last)
                if self._crowded >= _CROWDED_FOR:
                    turns.close()
        cpu = time.process_time_ns() - process
        samples, exact = self._weights.samples(self._scales()), clocks.are_there()
        return Profile(
            os.getpid(), "threads", self._order.mode, started, (last - began) / 1e9,
            self._order.interval, self._ticks, time.thread_time_ns() - own, cpu, False,
            self._weights.truncated, self._weights.lost, self._note(exact),
            {each.key: each.info for each in self._all}, samples,
        )  # fmt: skip

    def _note(self, exact: bool) -> str:
        if self._order.mode == "wall":
            return WALL
        if not exact:
            return NO_CLOCK
        return NO_STATE if self._stateless or not self._gil else APPROXIMATE

    # -- ticks ---------------------------------------------------------------------------------

    def _first(self, frames: dict[int, FrameType]) -> None:
        while frames:
            one, frame = frames.popitem()
            if one not in self._skip:
                self._meet(one, frame, there_before=True)
            del frame

    def _tick(self, last: int) -> int:
        """Look once; return when."""
        frames = current_frames()
        now = time.monotonic_ns()
        passed = now - last
        serving = self._order.serving()
        for gone in self._threads.keys() - frames.keys():
            self._leave(gone)
        on = 0
        while frames:
            one, frame = frames.popitem()
            if one not in self._skip:
                on += self._charge(one, frame, passed, family(serving.get(one)))
            del frame  # else it would live until the next tick
        self._ticks += 1
        self._crowded = self._crowded + 1 if on >= CROWD else 0
        return now

    def _charge(self, one: int, frame: FrameType, passed: int, served: str) -> bool:
        thread = self._threads.get(one) or self._meet(one, frame)
        if thread is None:
            return False
        used = clocks.thread_cpu_ns(thread.native)
        if used < 0 and thread.last >= 0:
            # It is gone, and another one has got its identifier since.
            self._leave(one)
            thread = self._meet(one, frame)
            if thread is None:
                return False
            used = thread.last
        idle = used == thread.last and used >= 0 and not thread.first
        on = False
        if not idle:
            thread.stack = self._weights.raw(frame)
            thread.first = False
            on = self._is_on(thread, used)
        cpu = 0
        if on:
            # Without states: what it has used, wherever it is seen now.
            cpu = passed if thread.duty is not None else max(used - thread.last, 0)
        thread.last = used
        self._weights.add(thread.key, thread.stack, passed, cpu, served)
        return on

    def _is_on(self, thread: _Thread, used: int) -> bool:
        if thread.duty is None:
            return used > thread.last >= 0
        return thread.duty.is_on()

    # -- threads -------------------------------------------------------------------------------

    def _meet(self, one: int, frame: FrameType, there_before: bool = False) -> _Thread | None:
        """Get to know a thread; None if it is ours."""
        if _outermost(frame).endswith(_ANSWERER):
            self._skip |= {one}
            return None
        info = _info(one)
        used = clocks.thread_cpu_ns(info.native)
        # Who is new was not there at the last look, and all that it used is of this run.
        base = used if there_before else 0
        key = one
        while key in self._keys:
            key += 1
        self._keys.add(key)
        thread = _Thread(key, info.native, info, clocks.thread_clock(info.native), base, used)
        try:
            thread.duty = onduty.Duty(info.native, self._gil) if used >= 0 and self._gil else None
        except OSError:
            self._stateless = True
        self._threads[one] = thread
        self._all.append(thread)
        return thread

    def _leave(self, one: int) -> None:
        thread = self._threads.pop(one)
        if thread.last >= 0:
            thread.info.cpu_ns = thread.last - thread.base
        if thread.duty is not None:
            thread.duty.close()

    def _scales(self) -> dict[int, float]:
        """Return what makes the CPU weights of each thread what the kernel has counted."""
        for one, thread in list(self._threads.items()):
            used = clocks.thread_cpu_ns(thread.native)
            thread.last = used if used >= 0 else thread.last
            self._leave(one)
        charged = self._weights.cpu_by_thread()
        scales = {}
        for thread in self._all:
            total, spent = charged.get(thread.key, 0), thread.info.cpu_ns
            if total > 0 and spent >= 0:
                scales[thread.key] = spent / total
            elif spent > 0:
                # It was never seen at work: its time is told, but not divided.
                self._weights.add(thread.key, (), 0, spent)
        return scales

    def close(self) -> None:
        """Close the files of threads that are still there."""
        for thread in self._all:
            if thread.duty is not None:
                thread.duty.close()


def _outermost(frame: FrameType) -> str:
    back = frame.f_back
    while back is not None:
        frame, back = back, back.f_back
    return frame.f_code.co_filename


def _info(one: int) -> ThreadInfo:
    known: Any = threading._active.get(one)  # type: ignore[attr-defined]  # without its lock
    if one == main_ident():
        # Its own native id is that of the thread that has forked (cpython#132542).
        name = known.name if known is not None else "MainThread"
        return ThreadInfo(str(name), os.getpid(), False, -1)
    if known is None:
        return ThreadInfo(f"Thread-{one:#x}", 0, True, -1)
    return ThreadInfo(str(known.name), known.native_id or 0, bool(known.daemon), -1)
