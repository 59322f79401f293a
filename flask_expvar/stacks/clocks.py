"""Clocks: the CPU time of single threads of this process, exact, as the kernel counts it."""

from __future__ import annotations

import time

from . import kernel


def thread_clock(native_id: int) -> int:
    """Return the kernel's clock of a thread by its native identifier.

    Not :func:`time.pthread_getcpuclockid`: that reads the memory of a thread that may be gone,
    or never was one (gevent's), and the process dies of it. A clock of a thread that is gone,
    or of another process, is an OSError when it is read.
    """
    return (~native_id << 3) | 6  # CPUCLOCK_PERTHREAD | CPUCLOCK_SCHED


def thread_cpu_ns(native_id: int) -> int:
    """Return the CPU time of a thread, -1 if it is gone or there is no telling."""
    # Beyond these there are no ids, and no clocks that such a number could mean.
    if not kernel.LINUX or not 0 < native_id < 2**28:
        return -1
    try:
        return time.clock_gettime_ns(thread_clock(native_id))
    except OSError:
        return -1


def are_there() -> bool:
    """Return whether threads have clocks here: not on macOS, nor in some sandboxes."""
    tasks = kernel.task_ids()
    return bool(tasks) and thread_cpu_ns(tasks[0]) >= 0
