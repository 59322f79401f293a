"""On duty: whether a thread runs or waits for its turn, at this very moment.

Everything is read without giving the interpreter away: to do so would change what is measured.
"""

from __future__ import annotations

import ctypes
import os
import time

from .._native import allocate_lock, original, start_thread
from . import kernel
from .order import Stop
from .threads import short_turns

_FUTEX = {"x86_64": b"202", "aarch64": b"98"}
#: Condition and mutex of the GIL lie side by side.
_NEAR = 512
#: Looks in a row, sightings that will do, and for how long, in seconds.
_LOOKS, _ENOUGH, _LONGEST = 10, 4, 0.5

RUNNABLE, QUEUED, WAITING = "runnable", "queued", "waiting"

_lock = allocate_lock()
_learnt: list[int] = []


class Duty:
    """Reads the run state of one thread from a file of the kernel's, kept open.

    :raises OSError: if the thread is gone, or its state is not to be read.
    """

    __slots__ = ("_buffer", "_fd", "_gil", "_pread")

    def __init__(self, native_id: int, gil: int) -> None:
        self._fd = -1
        # PyDLL keeps the interpreter; os.open() would hand it over, and beside 8 busy threads get
        # it back after 40 ms.
        path = f"/proc/self/task/{native_id}/syscall".encode()
        self._fd = kernel.libc().open(path, os.O_RDONLY | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(f"thread {native_id} has no state to be read")
        self._gil = gil
        self._buffer = ctypes.create_string_buffer(160)
        self._pread = kernel.libc().pread

    def words(self) -> list[bytes]:
        """Return what the kernel says of the thread, nothing if it is gone."""
        length = self._pread(self._fd, self._buffer, 160, ctypes.c_long(0))
        return self._buffer.raw[:length].split() if length > 0 else []

    def state(self) -> str:
        """Return what the thread does, empty if that is not known.

        :data:`RUNNABLE`: it runs, or is about to, or waits for a processor.
        :data:`QUEUED`: it waits for the interpreter. :data:`WAITING`: it waits for the system.
        """
        words = self.words()
        if not words or words[0] == b"-1":  # gone, or waiting for memory
            return ""
        if words[0] == b"running":
            return RUNNABLE
        if not self._gil or len(words) < 2 or words[0] != futex_number():
            return WAITING
        return QUEUED if abs(int(words[1], 16) - self._gil) <= _NEAR else WAITING

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            kernel.libc().close(self._fd)
            self._fd = -1

    __del__ = close


def futex_number() -> bytes:
    """Return the number of the system call in which threads wait for each other."""
    return _FUTEX.get(kernel.MACHINE, b"")


def gil_address() -> int:
    """Return the address at which threads wait for the interpreter, 0 if it is not found.

    It is learnt once in a process, from threads that run nothing but Python: 20 ms. The
    address is the same in a forked child.
    """
    with _lock:
        if not _learnt and futex_number():
            found = _learn()
            if found:
                _learnt.append(found)
    return _learnt[0] if _learnt else 0


def _learn() -> int:
    """Return where threads wait for the interpreter, 0 if it cannot be told."""
    running, tids = [True], list[int]()
    # Two: while this thread looks, one of them has been waiting for longer, and sleeps surely.
    ends = [_spinner(running, tids) for _ in range(2)]
    try:
        with short_turns():
            return _seen_waiting(tids)
    except (OSError, ValueError):
        return 0
    finally:
        running.clear()
        for end in ends:
            end.wait(1.0)


def _spinner(running: list[bool], tids: list[int]) -> Stop:
    ready, end = Stop(), Stop()

    def spin() -> None:
        tids.append(original("_thread", "get_native_id")())
        ready.set()
        while running:
            pass
        end.set()

    start_thread(spin)
    ready.wait(1.0)
    return end


def _seen_waiting(tids: list[int]) -> int:
    duties = [Duty(tid, 0) for tid in tids]
    seen: list[int] = []
    sleep, deadline = original("time", "sleep"), time.monotonic() + _LONGEST
    try:
        while time.monotonic() < deadline:
            sleep(0.0002)
            seen += filter(None, map(_waits_at, duties))
            for address in seen:
                # Once may be a call that wakes another thread.
                if sum(abs(address - each) <= _NEAR for each in seen) >= _ENOUGH:
                    return address
    finally:
        for duty in duties:
            duty.close()
    return 0


def _waits_at(duty: Duty) -> int:
    # This thread has the interpreter, so that the others wait for it.
    for _ in range(_LOOKS):
        words = duty.words()
        if len(words) > 1 and words[0] == futex_number():
            return int(words[1], 16)
    return 0
