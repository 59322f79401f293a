"""Threads: one look at those of this process."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from .._native import allocate_lock, original
from . import kernel
from .greenlets import greenlets
from .holders import circles, holders
from .seen import THREAD, Native, Seen
from .tasks import tasks
from .waiting import LOCK, RUNNING, doing
from .walking import Names, Raw, current_stacks

#: How long the interpreter is kept at a time while the rest is looked up, in seconds.
TURN = 0.0005
#: Of so many threads the kernel is asked: 20 µs each.
MOST_ASKED = 2000


_turns = 0
_before = 0.0
_lock = allocate_lock()
#: The thread that has forked this process: it is the main thread then.
_forker = 0


@contextmanager
def short_turns() -> Iterator[None]:
    """Let the other threads of this process run after :data:`TURN` rather than after 5 ms."""
    global _turns, _before
    with _lock:
        _turns += 1
        if _turns == 1:
            _before = sys.getswitchinterval()
            sys.setswitchinterval(min(_before, TURN))
    try:
        yield
    finally:
        with _lock:
            _turns -= 1
            # Somebody else may have set it meanwhile.
            if _turns == 0 and abs(sys.getswitchinterval() - TURN) < 1e-6:
                sys.setswitchinterval(_before)


def usual_turn() -> float:
    """Return how long threads may go on where nobody has asked for :func:`short_turns`."""
    with _lock:
        return _before if _turns else sys.getswitchinterval()


def main_ident() -> int:
    """Return what :func:`sys._current_frames` knows the main thread by, also under gevent."""
    hub = sys.modules.get("gevent.hub")
    # It stays what it was in the parent, whose main thread need not have forked.
    found = _forker or getattr(hub, "MAIN_THREAD_IDENT", None)
    return found if isinstance(found, int) else threading.main_thread().ident or 0


def natives() -> dict[int, int]:
    """Return what the kernel calls each thread, by what Python does."""
    known = _known().items()
    found = {ident: one.native_id for ident, one in known if one.native_id is not None}
    if kernel.LINUX:
        found[main_ident()] = os.getpid()
    return found


def _after_fork() -> None:
    global _forker, _lock, _turns
    _forker = original("_thread", "get_ident")()
    # Whoever held it or wanted short turns has not come along.
    _lock = allocate_lock()
    if _turns:
        _turns = 0
        sys.setswitchinterval(_before)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@dataclass
class Look:
    """All that runs or waits in this process at one moment.

    :param natives: threads that run no Python code.
    :param circles: identifiers of threads each of which waits for a lock that the next one has,
        and the last one for one that the first has.
    :param notes: what is missing.
    """

    seen: list[Seen]
    natives: list[Native]
    circles: list[list[int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def look() -> Look:
    """Return the threads, greenlets and tasks of this process, and deadlocks that are certain."""
    seen, natives = threads()
    with short_turns():
        found = Look(seen, natives)
        locked = {one.ident: one.call for one in seen if one.on == LOCK}
        holding = holders(locked)
        for one in seen:
            one.holder = holding.get(one.ident, 0)
        found.circles = circles(holding)
        for more in (greenlets, tasks):
            others, note = more()
            found.seen += others
            found.notes += [note] if note else []
    return found


def threads() -> tuple[list[Seen], list[Native]]:
    """Return the threads that run Python code, in the order in which they began, and the others.

    All stacks are taken at once first; for everything else the interpreter is given away often.
    """
    # The others have a turn before the walk and after it: who waits keeps to the time at which
    # it began to, so that otherwise the walk would be part of a longer stop.
    _give_way()
    stacks = current_stacks()
    with short_turns():
        _give_way()
        return _told(stacks)


def _give_way() -> None:
    original("time", "sleep")(5e-4)


def _told(stacks: dict[int, Raw]) -> tuple[list[Seen], list[Native]]:
    current, main = original("_thread", "get_ident")(), main_ident()
    known = _known()
    tasks = set(kernel.task_ids())
    seen, names = [], Names()
    order = {ident: place for place, ident in enumerate(known)}
    for ident in sorted(stacks, key=lambda each: (each != main, order.get(each, len(order)))):
        one = Seen(THREAD, ident, f"Thread-{ident:#x}", names.of(stacks[ident]))
        one.current = ident == current
        _identify(one, known.get(ident), ident == main, tasks)
        seen.append(one)
    _ask_kernel(seen)
    return seen, _natives(seen, tasks)


@dataclass
class _Known:
    name: str
    native_id: int | None
    daemon: bool


def _known() -> dict[int, _Known]:
    # A copy: threading.enumerate() waits for a lock, under gevent for a greenlet's.
    active = dict(threading._active)  # type: ignore[attr-defined]  # enumerate() waits for a lock
    return {
        ident: _Known(str(thread.name), thread.native_id, thread.daemon)
        for ident, thread in active.items()
    }


def _identify(one: Seen, known: _Known | None, main: bool, tasks: set[int]) -> None:
    if known is not None:
        one.name, one.native_id, one.daemon = known.name, known.native_id, known.daemon
    if main:
        one.name = known.name if known is not None else "MainThread"
        one.daemon = False
        # After a fork its own is that of the thread that has forked (cpython#132542).
        one.native_id = os.getpid() if kernel.LINUX else one.native_id
    elif one.current:
        one.native_id = original("_thread", "get_native_id")()
    if tasks and one.native_id not in tasks:
        one.native_id = None


def _ask_kernel(seen: list[Seen]) -> None:
    asked = [one for one in seen if one.native_id is not None][:MOST_ASKED]
    cpu = kernel.cpu_seconds([one.native_id for one in asked if one.native_id is not None])
    for one in asked:
        assert one.native_id is not None
        one.cpu = cpu.get(one.native_id)
        one.call = None if one.current else kernel.system_call(one.native_id)
        one.letter = kernel.state(one.native_id, one.call)
    for one in seen:
        one.state, one.on = (RUNNING, "") if one.current else doing(one.stack, one.call)


def _natives(seen: list[Seen], tasks: set[int]) -> list[Native]:
    """Return what is left of *tasks*; it may hold Python threads that threading does not know."""
    ours = {one.native_id for one in seen if one.native_id is not None}
    others = sorted(tasks - ours)[:MOST_ASKED]
    cpu = kernel.cpu_seconds(others)
    found: dict[str, Native] = {}
    for tid in others:
        name = kernel.command(tid)
        native = found.setdefault(name, Native(name))
        native.count += 1
        native.cpu += cpu.get(tid, 0.0)
    return sorted(found.values(), key=lambda native: (-native.count, native.name))
