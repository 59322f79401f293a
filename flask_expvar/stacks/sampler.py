"""The engine *threads*: a thread of our own that looks at all others, wherever they run.

It has to have the interpreter to look, so that it sees the others mostly where they have let it
go. What can be corrected is: turns are short while it looks, only who runs or waits for a turn
is charged with CPU time, and for each thread that adds up to what the kernel has counted.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

from . import clocks, kernel, onduty
from .order import Order, family, ident
from .profile import Profile, ThreadInfo
from .threads import TURN, main_ident, short_turns, usual_turn
from .walking import current_frames
from .weights import RawStack, Weights

#: How long the others may go on once this thread wants to look, in seconds, by how many want to
#: run at the same time: while this thread waits what it came to see is over. The shorter, the
#: less is missed; but with many, each turn that is cut short costs them some of their work.
TURNS = ((1.5, 5e-5), (5.0, TURN))
#: Who never waits is seen anywhere as likely, however long it goes on. Unless those who are found
#: waiting use more than this part of a processor, several threads have turns as ever: two that
#: only compute lost an eighth of their work to short ones.
_SOME = 0.03
#: So often a thread is looked at that may be on its way, 5 µs each.
_GLANCES = 12
#: So many looks are averaged.
_MEMORY = 16
#: Our own thread that answers the other workers: always there, and nobody's business.
_ANSWERER = os.path.join("workers", "sockets.py")

APPROXIMATE = (
    "CPU time of each thread is exact, its division approximate: bursts shorter than 3 ms between"
    " waits are charged to longer ones. Threads that compute did up to a tenth less meanwhile."
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
    #: Whether it ran or wanted to at the last look.
    on: bool = False


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
        # What it came to see goes on until it runs.
        kernel.be_prompt()
        # Beside 64 threads that compute each turn is waited for 0.3 s: 30 ms if they are short,
        # as they are before the first look and after the last.
        with short_turns():
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
        self._ticks = 0
        self._busy = 1.0
        self._resting = 1.0
        self._rested = 0
        self._random = random.Random(0)
        self._stateless = False

    def take(self) -> Profile:
        """Look until the time is up, and say what was seen."""
        own, process = time.thread_time_ns(), time.process_time_ns()
        started, began = time.time(), time.monotonic_ns()
        with _turns() as set_turn:
            self._first(current_frames())
            last, end = began, began + int(self._order.seconds * 1e9)
            next_tick = began
            while last < end:
                now = time.monotonic_ns()
                # Late is late: ticks that were missed are not caught up with.
                # Never the same interval: what comes back as regularly would always be seen at the
                # same places.
                pause = self._order.interval * self._random.uniform(0.5, 1.5)
                next_tick = max(next_tick + int(pause * 1e9), now)
                if self._order.over((min(next_tick, end) - now) / 1e9):
                    end = 0
                last = self._tick(last)
                set_turn(self._busy, self._resting)
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
        on = self._rested = 0
        while frames:
            one, frame = frames.popitem()
            if one not in self._skip:
                on += self._charge(one, frame, passed, family(serving.get(one)))
            del frame  # else it would live until the next tick
        self._ticks += 1
        self._busy += (on - self._busy) / _MEMORY
        self._resting += (self._rested / max(passed, 1) - self._resting) / _MEMORY
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
        spent, thread.last = max(used - thread.last, 0), used
        if idle:
            # It has not run since the last look, so it is where it was.
            self._weights.add(thread.key, thread.stack, passed, 0, served)
            return thread.on  # one that has had no turn since then still waits for it
        thread.stack = self._weights.raw(frame)
        thread.first = False
        thread.on = self._charge_running(thread, passed, spent, served)
        return thread.on

    def _charge_running(self, thread: _Thread, passed: int, spent: int, served: str) -> bool:
        weights, stack = self._weights, thread.stack
        if thread.duty is None:
            # Without states: what it has used, wherever it is seen now.
            weights.add(thread.key, stack, passed, spent if thread.last >= 0 else 0, served)
            return spent > 0
        state, runs = _settled(thread.duty, thread.native, thread.last)
        # Who runs beside this thread is where it is seen; who only could is so perhaps.
        weights.add(thread.key, stack, passed, passed if runs else 0, served)
        if state == onduty.WAITING:
            self._rested += spent
            weights.waits(stack)
        elif state and not runs:
            starved = state == onduty.RUNNABLE
            weights.doubt(thread.key, stack, passed, served, starved=starved)
        return state in (onduty.RUNNABLE, onduty.QUEUED)

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
        self._weights.decide()
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


@contextlib.contextmanager
def _turns() -> Iterator[Callable[[float, float], None]]:
    """Yield what sets the length of turns by how many threads want to run, and how many rest."""
    longest = usual_turn()
    with short_turns():
        now = sys.getswitchinterval()

        def set_turn(busy: float, resting: float) -> None:
            nonlocal now
            turn = next((turn for most, turn in TURNS if busy < most), longest)
            if busy >= TURNS[0][0] and resting < _SOME:
                turn = longest
            # What somebody else has set meanwhile stays; so does what was shorter anyway.
            if turn != now and sys.getswitchinterval() == now:
                sys.setswitchinterval(min(turn, longest))
                now = sys.getswitchinterval()

        try:
            yield set_turn
        finally:
            if sys.getswitchinterval() == now:
                sys.setswitchinterval(min(TURN, longest))


def _settled(duty: onduty.Duty, native: int, used: int) -> tuple[str, bool]:
    """Return the state of a thread, and whether it is just now using CPU time.

    One that had to make way for this thread takes a moment to get to the place where it waits.
    """
    for _ in range(_GLANCES):
        state = duty.state()
        if state != onduty.RUNNABLE:
            return state, False
        if clocks.thread_cpu_ns(native) > used:
            return state, True
    return state, False


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
