"""Locks, threads and sockets of the operating system, also where gevent has put its own in place.

What counts and what answers for the process must work from any thread, and while every
greenlet is busy; gevent's look-alikes do neither.
"""

from __future__ import annotations

import _thread
import sys
import threading
from typing import Any


def original(module: str, name: str) -> Any:
    """Return *name* of *module* as it was before gevent patched it.

    gevent is asked only if the program has imported it already.
    """
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None:
        return monkey.get_original(module, name)
    return getattr(__import__(module), name)


def allocate_lock() -> Any:
    """Return a new lock of the operating system's threads."""
    return original("_thread", "allocate_lock")()


def allocate_rlock() -> Any:
    """Return a new re-entrant lock of the operating system's threads."""
    return original("_thread", "RLock")()


def start_thread(target: Any, *args: Any) -> None:
    """Run *target* in a daemon thread of the operating system."""
    original("_thread", "start_new_thread")(target, args)


def start_named_thread(name: str, target: Any, *args: Any) -> None:
    """Do the same, under *name* where gevent leaves threads alone."""
    if original("_thread", "start_new_thread") is _thread.start_new_thread:
        threading.Thread(target=target, args=args, name=name, daemon=True).start()
    else:
        start_thread(target, *args)
