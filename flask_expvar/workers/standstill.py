"""Standstill: the stack of a worker that cannot answer, because C code holds its interpreter.

Each worker lets faulthandler write the stack of its main thread to a file of its slot when a
spare real-time signal comes. The handler is C, and runs in the main thread itself: it needs no
interpreter, and walks no thread that may end meanwhile (cpython#116008).
"""

from __future__ import annotations

import contextlib
import faulthandler
import fcntl
import os
import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..variables.reading import Part
from . import lease
from .folder import identity

#: How long a stack is waited for, in seconds.
PATIENCE = 0.3
#: A file that has grown so long is emptied first, in bytes: it may be in memory.
LONGEST = 2**18
#: A stack is read to so many bytes.
LONGEST_STACK = 65536
NOTE = (
    "C code holds its interpreter, or the system has stopped it. This is the stack of its main"
    " thread only: another thread may be the one that does not let go."
)
SILENT = "It has not told its stack either: the system may have stopped it."
UNTOLD = (
    "It has not said how to ask for its stack: it may still be starting, or has no spare signal."
)
_PAUSE = 0.01


class Standstill:
    """Lets this process tell its main thread's stack in a new file at *path*.

    For the main thread of a worker that serves, so that the signals that the program handles are
    known. A forked child has to close it, as its signals are the parent's.

    :raises OSError: if there is no room, or no leave, for the file.
    """

    def __init__(self, path: Path, pid: int) -> None:
        self._fd = -1
        self._signal = spare_signal(pid)
        path.unlink(missing_ok=True)
        if not self._signal:
            return
        self._fd = lease.create(path)
        try:
            fcntl.fcntl(self._fd, fcntl.F_SETFL, os.O_APPEND)  # whoever reads may shorten it
            faulthandler.register(self._signal, file=self._fd, all_threads=False, chain=False)
            # Last: whoever reads it may send the signal, which would end who does not handle it.
            os.write(self._fd, f"{identity(pid)} {self._signal}\n".encode())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Handle the signal no more; in a forked child as well."""
        if self._fd >= 0:
            faulthandler.unregister(self._signal)
            os.close(self._fd)
            self._fd = -1


def spare_signal(pid: int) -> int:
    """Return a real-time signal that this process neither handles, ignores nor blocks; 0 if none.

    Also not for C code: the kernel is asked. Elsewhere than on Linux there is none.
    """
    last = getattr(signal, "SIGRTMAX", 0)
    masks = _masks(pid)
    if not last or masks is None:
        return 0
    taken = masks["SigCgt"] | masks["SigIgn"] | masks["SigBlk"]
    # Not the very last ones, which people take first.
    for number in range(last - 3, signal.SIGRTMIN + 3, -1):
        if not _has(taken, number):
            return number
    return 0


def _masks(pid: int) -> dict[str, int] | None:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        found = re.findall(r"^(SigCgt|SigIgn|SigBlk|ShdPnd):\s*([0-9a-f]+)$", status, re.MULTILINE)
        masks = {name: int(mask, 16) for name, mask in found}
    except (OSError, ValueError):
        return None
    return masks if len(masks) == 4 else None


def _has(mask: int, number: int) -> bool:
    return bool(mask >> (number - 1) & 1)


@dataclass(frozen=True)
class Stopped:
    """A worker that did not answer.

    :param stack: of its main thread as faulthandler writes it, empty if that is not to be had.
    :param note: what is to be known of it.
    """

    pid: int
    stack: str
    note: str


def ask(
    parts: dict[Path, Part],
    seconds: float = PATIENCE,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> list[Stopped]:
    """Ask the processes of *parts*, by the file of each, for their main threads' stacks.

    All are waited for together, *seconds* at the most. Nobody is signalled whose file does not
    name it, or who does not handle the signal.
    """
    deadline = clock() + seconds
    asked = {path: _signal(path, part) for path, part in parts.items()}
    waiting = {path for path, size in asked.items() if size}
    stacks: dict[Path, str] = {}
    while waiting:
        for path in list(waiting):
            told = _read(path, asked[path])
            # Nobody says which place is the last one; that nothing comes after it does.
            if told and told == stacks.get(path):
                waiting.discard(path)
            stacks[path] = told
        if clock() > deadline:
            break
        if waiting:
            time.sleep(_PAUSE)
    return [_stopped(part, asked[path], stacks.get(path, "")) for path, part in parts.items()]


def _stopped(part: Part, asked: int, stack: str) -> Stopped:
    if not asked:
        return Stopped(part.pid, "", UNTOLD)
    return Stopped(part.pid, stack, NOTE if stack else SILENT)


def _signal(path: Path, part: Part) -> int:
    """Let the process of *part* write its stack; return the length of its file before, or 0."""
    with contextlib.suppress(OSError, ValueError):
        size = path.stat(follow_symlinks=False).st_size
        head = _read(path, 0).partition("\n")[0]
        who, _, number = head.rpartition(" ")
        if size > LONGEST:
            size = len(head) + 1
            os.truncate(path, size)
        if part.live and _send(part.pid, who, int(number)):
            return size
    return 0


def _send(pid: int, who: str, number: int) -> bool:
    """Send signal *number* to the process *pid* if it is the one called *who* and handles it."""
    if not hasattr(os, "pidfd_open") or not hasattr(signal, "pidfd_send_signal"):
        return False
    # Once opened it means this very process, though another may get the id meanwhile.
    fd = os.pidfd_open(pid)
    try:
        masks = _masks(pid)
        if who != identity(pid) or masks is None or not _has(masks["SigCgt"], number):
            return False
        # These signals queue up: of a process that is stopped one is enough.
        if not _has(masks["ShdPnd"], number):
            signal.pidfd_send_signal(fd, number)
        return True
    finally:
        os.close(fd)


def _read(path: Path, start: int) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.pread(fd, LONGEST_STACK, start).decode(errors="replace")
    finally:
        os.close(fd)
