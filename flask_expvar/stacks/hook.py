"""The hook: pyinstrument watches one request on its own thread, from beginning to end.

Every call and return goes through it, so that a page takes twice as long and functions with many
calls seven times: for single requests, when somebody asks for them.
"""

from __future__ import annotations

import _thread
import os
import sys
import time
from dataclasses import dataclass
from typing import Any

from .._native import allocate_lock
from .limits import DEEPEST
from .order import ident
from .profile import HOOK, Frame, Profile, Sample, ThreadInfo

INTERVAL = 0.0005
#: A hook whose request has not ended after so long is a leftover, in seconds.
LONGEST = 120.0
NOTE = (
    "Wall time of one request on its own thread; while it is watched every call costs more, so"
    " functions with many calls look slower than they are."
)

_lock = allocate_lock()
#: By native thread: one hook each, whichever greenlet has it.
_active: dict[int, Hook] = {}


@dataclass
class Hook:
    """One request that is being watched."""

    profiler: Any
    native: int
    owner: int
    began: float
    ended: bool = False


def begin() -> Hook | None:
    """Watch the calling thread from here on; None if somebody does already. Never raises."""
    native, owner = ident(), _thread.get_ident()
    if not clear() or sys.getprofile() is not None:
        return None
    try:
        import pyinstrument

        # Greenlets of one thread take turns: "strict" leaves out those that are not ours.
        profiler = pyinstrument.Profiler(
            interval=INTERVAL, async_mode="strict" if owner != native else "disabled"
        )
        profiler.start()
    except Exception:  # not there, or a profiler of the program's own is at work
        return None
    found = Hook(profiler, native, owner, time.monotonic())
    with _lock:
        _active[native] = found
    return found


def clear() -> bool:
    """Return whether the calling thread is not watched, or no more: by what a request has left.

    Who comes back has ended its request, and its server has not closed the body, or another
    thread has.
    """
    with _lock:
        known = _active.get(ident())
    if known is None:
        return True
    if known.owner != _thread.get_ident() and time.monotonic() - known.began < LONGEST:
        return False
    _stop(known)
    return True


def end(hook: Hook, route: str = "") -> Profile | None:
    """Watch no more, and return what was seen.

    None in another thread than that which began, where it cannot be ended, and a second time.
    """
    if hook.ended or hook.native != ident():
        return None
    session = _stop(hook)
    return None if session is None else _profile(session, hook, route)


def left() -> int:
    """Return how many threads are being watched."""
    return len(_active)


def _stop(hook: Hook) -> Any:
    hook.ended = True
    with _lock:
        if _active.get(hook.native) is hook:
            del _active[hook.native]
    try:
        return hook.profiler.stop()
    except Exception:
        # Whatever it thinks of it: this thread is watched no more.
        sys.setprofile(None)
        return None


def _profile(session: Any, hook: Hook, route: str) -> Profile:
    seen: dict[tuple[Frame, ...], list[float]] = {}
    cut = 0
    for record, seconds in session.frame_records:
        stack = tuple(_frame(each) for each in record[::-1] if "\0<thread>\0" not in each)
        cut += len(stack) > DEEPEST
        known = seen.setdefault(stack[:DEEPEST], [0.0, 0])
        known[0] += seconds
        known[1] += 1
    # The time of both may differ by what the profiler itself needs to begin.
    samples = [
        Sample(hook.native, stack, round(seconds * 1e9), 0, int(count), route)
        for stack, (seconds, count) in seen.items()
    ]
    return Profile(
        os.getpid(), HOOK, "wall", session.start_time, session.duration, INTERVAL,
        session.sample_count, 0, round(session.cpu_time * 1e9), False, cut, 0, NOTE,
        {hook.native: ThreadInfo(route or "request", 0, False, -1)}, samples,
    )  # fmt: skip


def _frame(text: str) -> Frame:
    """Return what pyinstrument calls a frame: name, file and first line, then what it adds."""
    words = text.split("\0")
    name, file = words[0], words[1] if len(words) > 1 else ""
    rest = words[2].split("\1") if len(words) > 2 else ["0"]
    first = int(rest[0]) if rest[0].isdigit() else 0
    line = first
    for each in rest[1:]:
        if each[:1] == "l" and each[1:].isdigit():
            line = int(each[1:])
        elif each[:1] == "c":
            name = f"{each[1:]}.{name}"
    return Frame(name, file, line, first)
