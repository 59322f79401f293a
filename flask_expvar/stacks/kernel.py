"""What the kernel knows of this process's threads: their CPU time, state and system call.

Everything is read without giving the interpreter away: a thread that opens and reads 200 files
beside a busy one would otherwise wait 5 ms for each call.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
import time
from functools import lru_cache
from typing import Any, NamedTuple

import psutil

LINUX = sys.platform == "linux"
#: The kind of this machine.
MACHINE = platform.machine()
_TASKS = "/proc/self/task"
_CALLS = {
    "x86_64": {
        0: "read", 1: "write", 7: "poll", 23: "select", 35: "nanosleep", 42: "connect",
        43: "accept", 44: "sendto", 45: "recvfrom", 46: "sendmsg", 47: "recvmsg", 61: "wait4",
        73: "flock", 74: "fsync", 75: "fdatasync", 202: "futex", 230: "clock_nanosleep",
        232: "epoll_wait", 247: "waitid", 270: "pselect6", 271: "ppoll", 281: "epoll_pwait",
        288: "accept4",
    },
    "aarch64": {
        22: "epoll_pwait", 32: "flock", 63: "read", 64: "write", 72: "pselect6", 73: "ppoll",
        82: "fsync", 83: "fdatasync", 95: "waitid", 98: "futex", 101: "nanosleep",
        115: "clock_nanosleep", 202: "accept", 203: "connect", 206: "sendto", 207: "recvfrom",
        211: "sendmsg", 212: "recvmsg", 242: "accept4", 260: "wait4",
    },
}  # fmt: skip


#: Number of the system call that sets how a thread is scheduled, and what it is given:
#: size, policy, flags, nice, priority, slice in ns, deadline, period.
_SETATTR = {"x86_64": 314, "aarch64": 274}
_ATTRIBUTES = "IIQiIQQQ"
#: The shortest slice that there is.
_SLICE = 100_000

#: In these a thread sleeps so that signals wake it; in others it may be the disk that it waits for.
_SLEEPS = frozenset({
    "futex", "poll", "ppoll", "select", "pselect6", "epoll_wait", "epoll_pwait", "nanosleep",
    "clock_nanosleep", "accept", "accept4", "recvfrom", "recvmsg", "wait4", "waitid",
})  # fmt: skip


class Call(NamedTuple):
    """The system call in which a thread waits.

    :param name: ``running`` for none at all, the number if it has no name here.
    :param address: of the futex that it waits for, 0 for other calls.
    :param timed: whether that wait has a time limit.
    """

    name: str
    address: int = 0
    timed: bool = False


def task_ids() -> list[int]:
    """Return the native identifiers of all threads, empty where they are not to be had."""
    try:
        return sorted(int(name) for name in os.listdir(_TASKS))
    except (OSError, ValueError):
        return []


def cpu_seconds(native_ids: list[int]) -> dict[int, float]:
    """Return the CPU time of each thread that is there, by its native identifier."""
    found = {}
    if LINUX:
        for tid in native_ids:
            try:
                # Of the id, not of the pthread_t as pthread_getcpuclockid wants it: that reads
                # the memory of a thread that may be gone.
                found[tid] = time.clock_gettime((~tid << 3) | 6)
            except (OSError, OverflowError):
                continue
        return found
    try:
        return {each.id: each.user_time + each.system_time for each in psutil.Process().threads()}
    except psutil.Error:
        return {}


def state(native_id: int, call: Call | None = None) -> str:
    """Return the state letter of a thread: R running, S sleeping, D disk …; empty if unknown.

    :param call: what it waits in, if that is known: that may tell it without another file.
    """
    if call is not None and call.name in _SLEEPS:
        return "S"
    return _read(native_id, "stat").rpartition(")")[2].strip()[:1]


def command(native_id: int) -> str:
    """Return the name that a native thread has for the kernel."""
    return _read(native_id, "comm").strip()


def system_call(native_id: int) -> Call | None:
    """Return what a thread waits in, None where it is not to be had."""
    words = _read(native_id, "syscall").split()
    if not words:
        return None
    if words[0] == "running":
        return Call("running")
    name = _CALLS.get(MACHINE, {}).get(int(words[0]), words[0])
    if name != "futex" or len(words) < 5:
        return Call(name)
    return Call(name, int(words[1], 16), int(words[4], 16) != 0)


def be_prompt() -> bool:
    """Let the calling thread run as soon as it wakes, and return whether the system agrees.

    Who runs briefly at a time is let in before others, from Linux 6.12 on; it gets no more of the
    processor than before. Without it a thread that wakes on a busy processor waits for 0.3 ms.
    """
    if not LINUX or MACHINE not in _SETATTR or os.sched_getscheduler(0) != os.SCHED_OTHER:
        return False
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    size = struct.calcsize(_ATTRIBUTES)
    wanted = struct.pack(_ATTRIBUTES, size, os.SCHED_OTHER, 0, nice, 0, _SLICE, 0, 0)
    return bool(libc().syscall(_SETATTR[MACHINE], 0, wanted, 0) == 0)


@lru_cache(maxsize=1)
def libc() -> Any:
    """Return the C library, whose functions keep the interpreter."""
    return ctypes.PyDLL(None)


def _read(native_id: int, name: str) -> str:
    if not LINUX:
        return ""
    c, buffer = libc(), ctypes.create_string_buffer(512)
    fd = c.open(f"{_TASKS}/{native_id}/{name}".encode(), os.O_RDONLY | os.O_CLOEXEC)
    if fd < 0:
        return ""
    try:
        length = max(c.read(fd, buffer, 512), 0)
    finally:
        c.close(fd)
    return buffer.raw[:length].decode(errors="replace")
