"""On duty: whether a thread runs or waits for its turn, at this very moment.

Everything is read without giving the interpreter away: to do so would change what is measured.
"""

from __future__ import annotations

import ctypes
import os
from collections import Counter

from .._native import allocate_lock, original, start_thread
from . import kernel
from .order import Stop
from .threads import short_turns

_FUTEX = {"x86_64": b"202", "aarch64": b"98"}
#: Condition and mutex of the GIL lie side by side.
_NEAR = 512
_ROUNDS, _LOOKS = 12, 40

_lock = allocate_lock()
_learnt: list[int] = []


class Duty:
    """Reads the run state of one thread from a file of the kernel's, kept open.

    :raises OSError: if the thread is gone, or its state is not to be read.
    """

    __slots__ = ("_buffer", "_fd", "_gil", "_pread")

    def __init__(self, native_id: int, gil: int) -> None:
        self._fd = -1
        self._fd = os.open(f"/proc/self/task/{native_id}/syscall", os.O_RDONLY | os.O_CLOEXEC)
        self._gil = gil
        self._buffer = ctypes.create_string_buffer(160)
        # PyDLL keeps the interpreter; os.pread() would hand it over.
        self._pread = kernel.libc().pread

    def words(self) -> list[bytes]:
        """Return what the kernel says of the thread, nothing if it is gone."""
        length = self._pread(self._fd, self._buffer, 160, ctypes.c_long(0))
        return self._buffer.raw[:length].split() if length > 0 else []

    def is_on(self) -> bool:
        """Return whether the thread runs, or would if it had the interpreter."""
        words = self.words()
        if not words:
            return False
        if words[0] == b"running":
            return True
        if not self._gil or len(words) < 2 or words[0] != futex_number():
            return False
        return abs(int(words[1], 16) - self._gil) <= _NEAR

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    __del__ = close


def futex_number() -> bytes:
    """Return the number of the system call in which threads wait for each other."""
    return _FUTEX.get(kernel.MACHINE, b"")


def gil_address() -> int:
    """Return the address at which threads wait for the interpreter, 0 if it is not found.

    It is learnt once in a process, from a thread that runs nothing but Python: 80 ms. The
    address is the same in a forked child.
    """
    with _lock:
        if not _learnt and futex_number():
            found = _learn()
            if found:
                _learnt.append(found)
    return _learnt[0] if _learnt else 0


def _learn() -> int:
    ready, end = Stop(), Stop()
    tids: list[int] = []
    running = [True]

    def spin() -> None:
        tids.append(original("_thread", "get_native_id")())
        ready.set()
        while running:
            pass
        end.set()

    start_thread(spin)
    seen: Counter[int] = Counter()
    sleep = original("time", "sleep")
    try:
        with short_turns():
            ready.wait(1.0)
            duty = Duty(tids[0], 0)
            for _ in range(_ROUNDS):
                sleep(0.0002)
                address = _waits_at(duty)
                if address:
                    seen[address] += 1
            duty.close()
    except (OSError, IndexError, ValueError):
        return 0
    finally:
        running.clear()
        end.wait(1.0)
    return seen.most_common(1)[0][0] if seen else 0


def _waits_at(duty: Duty) -> int:
    # This thread has the interpreter, so that the other one will be waiting for it in a moment.
    for _ in range(_LOOKS):
        words = duty.words()
        if len(words) > 1 and words[0] == futex_number():
            return int(words[1], 16)
    return 0
